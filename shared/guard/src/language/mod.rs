//! Languages: the word lists of `languages/`, one folder per language, and what they say of a word.

mod class;
mod frame;
mod inflection;
pub(crate) mod lexicon;
mod lists;

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use frame::Frames;
use inflection::Inflection;
use lexicon::{hash32, pair24};
use lists::{LANGUAGES, WordLists, rows, spellings, words_of};

use crate::token::TokenKind;
pub(crate) use class::{FollowUpCue, WordClass};

/// The word lists of one language, indexed by word. All words are in lower case.
pub(crate) struct Language {
    classes: HashMap<&'static str, WordClass>,
    contractions: HashMap<&'static str, &'static str>,
    numbers: HashMap<&'static str, f64>,
    units: HashMap<&'static str, &'static str>,
    calendar: HashMap<&'static str, (&'static str, &'static str)>,
    negating_prefixes: Vec<NegatingPrefix>,
    /// Words after which a negation negates nothing.
    neutralisers: Vec<&'static str>,
    /// The word whose hash signatures store for every negation.
    negation: &'static str,
    inflection: Inflection,
    frames: Frames,
    follow_up_cues: HashSet<(FollowUpCue, &'static str)>,
}

struct NegatingPrefix {
    prefix: &'static str,
    /// The prefix negates only if the table of opposites contains the word with and the word without it.
    needs_opposites: bool,
}

/// A word is read as prefix and base only if the base has at least this many letters.
const MIN_NEGATED_LETTERS: usize = 4;

impl Language {
    /// The languages that have word lists, parsed at the first call.
    fn all() -> &'static [Language] {
        static ALL: OnceLock<Vec<Language>> = OnceLock::new();
        ALL.get_or_init(|| LANGUAGES.iter().map(Language::parse).collect())
    }

    /// The language whose class lists contain the most of `words`, or the first language if none contains any.
    pub(crate) fn of<'a>(words: impl Iterator<Item = &'a str> + Clone) -> &'static Language {
        let all = Self::all();
        match all {
            [only] => only,
            _ => all
                .iter()
                .rev()
                .max_by_key(|language| words.clone().filter(|word| language.is_listed(word)).count())
                .unwrap_or(&all[0]),
        }
    }

    fn parse(lists: &WordLists) -> Self {
        let classes = class::parse_classes(lists.classes);
        let negation =
            classes.values().find(|class| class.kind == TokenKind::Negation).map_or("", |class| class.canonical);
        let prefixes = |name, needs_opposites| {
            words_of(lists.negation, name).map(move |prefix| NegatingPrefix { prefix, needs_opposites })
        };
        let days = |(group, words): (&'static str, &'static str)| {
            spellings(words).map(move |(word, canonical)| (word, (group, canonical)))
        };
        Self {
            classes,
            contractions: rows(lists.contractions).collect(),
            numbers: rows(lists.numbers).filter_map(|(word, value)| Some((word, value.parse().ok()?))).collect(),
            units: rows(lists.units).flat_map(|(words, _)| spellings(words)).collect(),
            calendar: rows(lists.calendar).flat_map(days).collect(),
            negating_prefixes: prefixes("prefix", false).chain(prefixes("prefix-of-opposites", true)).collect(),
            neutralisers: words_of(lists.negation, "no-negation-after").collect(),
            negation,
            inflection: Inflection::parse(lists.inflection, lists.irregular),
            frames: Frames::parse(lists.frames),
            follow_up_cues: class::parse_follow_up_cues(lists.follow_up),
        }
    }

    pub(crate) fn class(&self, word: &str) -> Option<WordClass> {
        self.classes.get(word).copied()
    }

    /// The full words of the contraction `word`, separated by spaces.
    pub(crate) fn expand(&self, word: &str) -> Option<&'static str> {
        self.contractions.get(word).copied()
    }

    /// The number that `word` names.
    pub(crate) fn number(&self, word: &str) -> Option<f64> {
        self.numbers.get(word).copied()
    }

    /// The first spelling of the unit that `word` names.
    pub(crate) fn unit(&self, word: &str) -> Option<&'static str> {
        self.units.get(word).copied()
    }

    /// The group and the first spelling of the day, month or time that `word` names.
    pub(crate) fn calendar(&self, word: &str) -> Option<(&'static str, &'static str)> {
        self.calendar.get(word).copied()
    }

    /// The word that `word` negates by its prefix: `safe` for `unsafe`. `None` if the rarity table does not contain
    /// that word.
    pub(crate) fn negated<'w>(&self, word: &'w str) -> Option<&'w str> {
        let hash = |word: &str| hash32(&self.base(word));
        self.negating_prefixes.iter().find_map(|NegatingPrefix { prefix, needs_opposites }| {
            let base = word.strip_prefix(prefix)?.trim_start_matches('-');
            let is_word = base.chars().count() >= MIN_NEGATED_LETTERS && lexicon::rarity(hash(base)).is_some();
            (is_word && (!needs_opposites || lexicon::are_opposites(hash(word), hash(base)))).then_some(base)
        })
    }

    /// True if a negation directly after `word` negates nothing: "or not", "why not".
    pub(crate) fn neutralises_negation(&self, word: &str) -> bool {
        self.neutralisers.contains(&word)
    }

    /// The word whose hash signatures store for every negation.
    pub(crate) fn negation(&self) -> &'static str {
        self.negation
    }

    /// The base form of `word`; see [`Inflection::base`].
    pub(crate) fn base(&self, word: &str) -> String {
        self.inflection.base(word)
    }

    /// True if `word` is in the class lists.
    pub(crate) fn is_listed(&self, word: &str) -> bool {
        self.classes.contains_key(word)
    }

    /// True if `word` is listed as a cue of this kind.
    pub(crate) fn is_cue(&self, cue: FollowUpCue, word: &str) -> bool {
        self.follow_up_cues.contains(&(cue, word))
    }

    /// The longest frame that `words` begin with; see [`Frames::longest`].
    pub(crate) fn frame<'w>(&self, words: impl Iterator<Item = &'w str> + Clone) -> Option<(usize, &'static str)> {
        self.frames.longest(words)
    }
}

/// The key of a word in `rarity.bin`, for the program that packs the tables (`examples/pack.rs`). It is the hash of
/// the word as written, or of the canonical word of its class.
pub fn rarity_key(word: &str) -> u32 {
    let word = word.to_lowercase();
    Language::all()[0].class(&word).map_or_else(|| hash32(&word), |class| hash32(class.canonical)) >> 8
}

/// The key of two words in `synonyms.bin` and `opposites.bin`, for the program that packs the tables
/// (`examples/pack.rs`). `None` if signatures hold the same hash for both words.
pub fn relation_key(a: &str, b: &str) -> Option<u32> {
    let language = &Language::all()[0];
    let signature_hash = |word: &str| {
        let word = word.to_lowercase();
        language.class(&word).map_or_else(|| hash32(&language.base(&word)), |class| hash32(class.canonical))
    };
    let (a, b) = (signature_hash(a), signature_hash(b));
    (a != b).then(|| pair24(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn english() -> &'static Language {
        Language::of(std::iter::empty())
    }

    #[test]
    fn base_of_inflected_word_returns_base_and_of_derived_word_returns_word() {
        for (word, base) in [("orders", "order"), ("bought", "buy"), ("stopped", "stop"), ("morning", "morning")] {
            assert_eq!(english().base(word), base);
        }
        assert_ne!(english().base("customs"), english().base("customer"));
    }

    #[test]
    fn negated_with_negating_prefix_returns_base() {
        assert_eq!(english().negated("unsafe"), Some("safe"));
        assert_eq!(english().negated("inedible"), Some("edible"));
        assert_eq!(english().negated("uncle"), None);
        assert_eq!(english().negated("income"), None);
    }

    #[test]
    fn frame_with_two_fitting_phrases_returns_longest() {
        assert_eq!(english().frame("what is the best way to pay".split(' ')), Some((6, "how")));
        assert_eq!(english().frame("tea is hot".split(' ')), None);
    }

    #[test]
    fn every_cue_and_class_of_the_lists_is_known() {
        for lists in &LANGUAGES {
            let words = |list| rows(list).map(|(_, words)| words.split(' ').count()).sum::<usize>();
            let classes = class::parse_classes(lists.classes);
            assert!(rows(lists.classes).all(|(_, words)| words.split(' ').all(|word| classes.contains_key(word))));
            let cues = class::parse_follow_up_cues(lists.follow_up);
            assert_eq!(cues.len(), words(lists.follow_up));
        }
    }
}
