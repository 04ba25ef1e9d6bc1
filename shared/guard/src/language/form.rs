//! The form that an answer is asked for in (`form.tsv`).

use fnv::{FnvHashMap as HashMap, FnvHashSet as HashSet};

use super::lists::{columns, phrases, rows};
use super::phrase::Phrases;

/// A property of the form of an answer. Signatures store the discriminants, so they must never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FormSlot {
    /// A natural or a programming language.
    Language = 0,
    /// JSON, a table, a list, …
    Format = 1,
    /// A number of words or sentences, or brief or detailed.
    Length = 2,
    /// The persons whom the answer is for.
    Audience = 3,
    /// The role that the answer is to be given in.
    Persona = 4,
}

/// A value of a slot that needs a certain word before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum After {
    Language,
    Code,
    Format,
    FormatAs,
    FormatAsInRequest,
    Length,
    Audience,
}

impl FormSlot {
    /// Every slot, at the index of its stored number.
    pub(crate) const ALL: [FormSlot; 5] =
        [FormSlot::Language, FormSlot::Format, FormSlot::Length, FormSlot::Audience, FormSlot::Persona];
    /// The number of slots.
    pub(crate) const COUNT: usize = Self::ALL.len();
}

/// What `form.tsv` says of words, for one language.
pub(crate) struct Forms {
    /// For each word, what it may precede.
    after: HashSet<(After, &'static str)>,
    /// Names of natural languages.
    pub(crate) languages: HashMap<&'static str, &'static str>,
    /// Names of programming languages.
    pub(crate) codes: HashMap<&'static str, &'static str>,
    /// Phrases that name a format.
    pub(crate) formats: Phrases<(After, &'static str)>,
    /// Adjectives before a unit of length.
    pub(crate) adjectives: HashSet<&'static str>,
    /// Phrases that ask for a length or name an audience at any place.
    pub(crate) anywhere: Phrases<(FormSlot, &'static str)>,
    /// Words before a unit of length that stand for 1.
    pub(crate) ones: HashSet<&'static str>,
    /// Units of length, after a number.
    pub(crate) units: HashMap<&'static str, &'static str>,
    /// Persons, after "for", "to" or "like" in a request to explain.
    pub(crate) persons: Phrases<&'static str>,
    /// Verbs that ask for an explanation or a text.
    pub(crate) requests: HashSet<&'static str>,
    /// Phrases before the role that an answer is to be given in.
    pub(crate) personas: Phrases<()>,
}

impl Forms {
    pub(super) fn parse(list: &'static str) -> Self {
        let of = |wanted: &'static str| {
            rows(list).filter(move |(slot, _)| *slot == wanted).flat_map(|(_, rest)| {
                let (value, row) = columns(rest);
                phrases(row).map(move |phrase| (phrase, value))
            })
        };
        let slot = |name, slot| of(name).map(move |(phrase, value)| (phrase, (slot, value)));
        let after = |name, after| of(name).map(move |(word, _)| (after, word));
        let format = |name, after| of(name).map(move |(phrase, value)| (phrase, (after, value)));
        Self {
            after: after("after-language", After::Language)
                .chain(after("after-code", After::Code))
                .chain(after("after-format", After::Format))
                .chain(after("after-format-as", After::FormatAs))
                .chain(after("after-format-as-request", After::FormatAsInRequest))
                .chain(after("after-length", After::Length))
                .chain(after("after-audience", After::Audience))
                .collect(),
            languages: of("language").collect(),
            codes: of("code").collect(),
            formats: format("format", After::Format).chain(format("format-as", After::FormatAs)).collect(),
            adjectives: of("adjective").map(|(word, _)| word).collect(),
            anywhere: slot("length", FormSlot::Length)
                .chain(slot("audience", FormSlot::Audience))
                .chain(slot("tone", FormSlot::Persona))
                .collect(),
            ones: of("one").map(|(word, _)| word).collect(),
            units: of("unit").collect(),
            persons: of("person").collect(),
            requests: of("request").map(|(verb, _)| verb).collect(),
            personas: of("persona").map(|(phrase, _)| (phrase, ())).collect(),
        }
    }

    /// True if `word` may precede such a value.
    pub(crate) fn may_precede(&self, word: &str, value: After) -> bool {
        self.after.contains(&(value, word))
    }
}
