//! Slots: the properties of a question that have one value each, and that are compared exactly. They are the span of
//! time, the form of the answer, and the material.

use super::segment::Segment;
use crate::language::lexicon::{hash16, hash32};
use crate::language::{After, FormSlot, Language};

/// The slots of a question. A value is a hash, and 0 means that the question does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Slots {
    /// The spans of time relative to the moment of asking: "today", "next year". A sum, so that their order does not
    /// matter.
    pub(crate) time: u32,
    /// The material that the question is about ([`super::material`]).
    pub(crate) material: u32,
    /// By [`FormSlot`], 16 bits each. A value of one word is the upper half of the word's `hash32`.
    pub(crate) form: [u16; FormSlot::COUNT],
}

/// A person is searched for in at most this many words after "for".
const MAX_WORDS_BEFORE_PERSON: usize = 5;
/// A role has at most this many words.
const MAX_PERSONA_WORDS: usize = 4;

impl Slots {
    /// The slots of the text with these segments. Linear in their number.
    pub(super) fn of(segments: &[Segment], language: &Language) -> Self {
        // An empty text stands for a mark, so that no phrase reaches over it. A hyphen joins the words of a phrase.
        let words: Vec<&str> = segments
            .iter()
            .filter(|segment| !matches!(segment, Segment::Mark('-')))
            .flat_map(|segment| match segment {
                Segment::Chunk { lower, .. } => lower.split('-'),
                _ => "".split('-'),
            })
            .flat_map(|word| match word.split_once('\'') {
                // "L'année" is an article and a noun.
                Some((article, noun)) if !language.is_english() && language.is_listed(article) => [article, noun],
                _ => [word, "-"],
            })
            .filter(|word| *word != "-")
            .collect();
        let mut reader =
            Reader { words: &words, language, slots: Self::default(), spans: Vec::new(), is_request: false };
        let mut span_end = 0;
        for at in 0..words.len() {
            if words[at].is_empty() {
                continue;
            }
            if at >= span_end
                && let Some((length, span)) = language.times.span(words[at..].iter().copied())
            {
                span_end = at + length;
                let span = span.filter(|_| language.times.may_follow(reader.before(at, 1)));
                reader.spans.extend(span.map(|(period, position)| hash32(&format!("time {period}{position}"))));
            }
            reader.form(at);
        }
        reader.spans.sort_unstable();
        reader.spans.dedup();
        let mix = |span: &u32| span.wrapping_mul(span | 1) | 1;
        reader.slots.time = reader.spans.iter().map(mix).fold(0, u32::wrapping_add);
        reader.slots
    }
}

/// Reads the slots of one text.
struct Reader<'t> {
    words: &'t [&'t str],
    language: &'t Language,
    slots: Slots,
    /// The hashes of the spans of time.
    spans: Vec<u32>,
    /// A verb that asks for an explanation or a text has been read.
    is_request: bool,
}

impl<'t> Reader<'t> {
    fn word(&self, at: usize) -> &'t str {
        self.words.get(at).copied().unwrap_or("")
    }

    fn before(&self, at: usize, distance: usize) -> &'t str {
        at.checked_sub(distance).map_or("", |at| self.words[at])
    }

    fn set(&mut self, slot: FormSlot, value: &str) {
        let (own, value) = (&mut self.slots.form[slot as usize], hash16(value) as u16);
        // Two values of one slot are a value of their own.
        *own = match *own {
            0 => value,
            own if own == value => own,
            own => own.wrapping_add(value).max(1),
        };
    }

    /// Reads the form that the words at `at` ask for.
    fn form(&mut self, at: usize) {
        let forms = &self.language.forms;
        let word = self.word(at);
        let before = self.before(at, 1);
        let rest = || self.words[at..].iter().copied();
        if let Some(language) = forms.languages.get(word)
            && forms.may_precede(before, After::Language)
            && self.ends_phrase(at + 1)
        {
            return self.set(FormSlot::Language, language);
        }
        if let Some(language) = forms.codes.get(word)
            && forms.may_precede(before, After::Code)
        {
            return self.set(FormSlot::Language, language);
        }
        if let Some((_, (after, format))) = forms.formats.longest(rest())
            && (forms.may_precede(before, after)
                || self.is_request && forms.may_precede(before, After::FormatAsInRequest)
                || forms.requests.contains(before))
        {
            return self.set(FormSlot::Format, format);
        }
        if let Some((_, (slot, value))) = forms.anywhere.longest(rest()) {
            return self.set(slot, value);
        }
        if let Some(unit) = forms.units.get(word) {
            return self.length(at, unit);
        }
        // "Explain it as a pirate".
        if self.is_request && word == "as" && matches!(self.word(at + 1), "a" | "an") {
            return self.persona(at, 1);
        }
        if let Some((length, ())) = forms.personas.longest(rest()) {
            return self.persona(at, length);
        }
        if self.is_request && forms.may_precede(word, After::Audience) {
            return self.audience(at + 1);
        }
        self.is_request |= forms.requests.contains(word);
    }

    /// True if the words from `at` do not continue a noun: "in French", but not "in French history".
    fn ends_phrase(&self, at: usize) -> bool {
        let next = self.word(at);
        next.is_empty() || self.language.is_listed(next) || next.starts_with(|c: char| c.is_ascii_digit())
    }

    /// A length such as "in one short sentence" or "in 100 words", whose unit is at `at`.
    fn length(&mut self, at: usize, unit: &str) {
        let distance = if self.language.forms.adjectives.contains(self.before(at, 1)) { 2 } else { 1 };
        let number = self.before(at, distance);
        let is_asked = self.language.forms.may_precede(self.before(at, distance + 1), After::Length);
        let number = match number {
            number if self.language.forms.ones.contains(number) => "1".to_owned(),
            number if number.starts_with(|c: char| c.is_ascii_digit()) => number.to_owned(),
            number => match self.language.number(number) {
                Some(value) => value.to_string(),
                None if distance == 2 => String::new(),
                None => return,
            },
        };
        if is_asked {
            self.set(FormSlot::Length, &format!("{number} {unit}"));
        }
    }

    /// The person in the words from `start`, with the words of the topic before it: "a physics student".
    fn audience(&mut self, start: usize) {
        let mut described = String::new();
        for at in start..self.words.len().min(start + MAX_WORDS_BEFORE_PERSON) {
            let word = self.words[at];
            if word.is_empty() {
                return;
            }
            if let Some((_, person)) = self.language.forms.persons.longest(self.words[at..].iter().copied()) {
                let person = if person == "-" { self.language.base(word) } else { person.to_owned() };
                return self.set(FormSlot::Audience, format!("{described} {person}").trim_start());
            }
            if !self.language.is_listed(word) && !self.language.may_be_number(word) {
                described.push_str(word);
            }
        }
    }

    /// The role after the phrase of `length` words at `at`.
    fn persona(&mut self, at: usize, length: usize) {
        // "You are" gives a role only at the start of a sentence, and only if an article follows.
        let is_statement = self.word(at).starts_with("you");
        let first = self.word(at + length);
        if is_statement && (!self.before(at, 1).is_empty() || !matches!(first, "a" | "an")) {
            return;
        }
        let start = at + length + usize::from(self.language.is_listed(first));
        let mut role = String::new();
        for &word in self.words[start.min(self.words.len())..].iter().take(MAX_PERSONA_WORDS) {
            if word.is_empty() || self.language.is_listed(word) {
                break;
            }
            // An assistant is no role.
            if word == "assistant" || word == "chatbot" {
                return;
            }
            role.push(' ');
            role.push_str(&self.language.base(word));
        }
        if !role.is_empty() {
            self.set(FormSlot::Persona, &role);
        }
    }
}
