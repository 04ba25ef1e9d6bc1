//! Languages: the word lists of `languages/`, one folder per language, and what they say of a word.

mod class;
mod count;
pub(crate) mod detect;
mod form;
mod inflection;
mod instruction;
pub(crate) mod lexicon;
mod lists;
mod phrase;
mod relation;
mod time;
mod unit;

use fnv::{FnvHashMap as HashMap, FnvHashSet as HashSet};
use std::sync::OnceLock;

use count::Count;
use inflection::Inflection;
use lexicon::{hash32, pair24};
use lists::{WordLists, columns, phrases, rows, spellings, words_of};
use unit::Units;

use crate::token::TokenKind;
pub(crate) use class::{FollowUpCue, WordClass};
pub(crate) use form::{After, FormSlot, Forms};
pub(crate) use instruction::{Instructions, Label};
pub(crate) use phrase::Phrases;
pub(crate) use relation::Relations;
pub(crate) use time::Times;

/// The word lists of one language, indexed by word. All words are in lower case.
pub(crate) struct Language {
    /// The index in [`lists::languages`].
    index: usize,
    /// The words of a script without spaces, by their first character, the longest first.
    unspaced: HashMap<char, Vec<&'static str>>,
    /// Numbers have a decimal comma.
    pub(crate) has_decimal_comma: bool,
    /// The opposites of this language, as [`pair24`] of the words' hashes.
    opposites: HashSet<u32>,
    classes: HashMap<&'static str, WordClass>,
    contractions: HashMap<&'static str, &'static str>,
    numbers: HashMap<&'static str, f64>,
    counts: HashMap<&'static str, Count>,
    /// Phrases before a number, and the bound that they name.
    bounds: Phrases<&'static str>,
    units: Units,
    /// The spellings of units that only this language has.
    own_units: Vec<&'static str>,
    calendar: HashMap<&'static str, (&'static str, &'static str)>,
    negating_prefixes: Vec<NegatingPrefix>,
    /// Prefixes that are read together with the word after their hyphen.
    hyphenated_prefixes: Vec<&'static str>,
    /// Words after which a negation negates nothing.
    neutralisers: Vec<&'static str>,
    /// Words before which a negation that begins a question negates nothing.
    neutralised_before: Vec<&'static str>,
    /// Verbs contracted with a negation that negates nothing if it begins a question.
    neutral_verbs: Vec<&'static str>,
    /// The beginnings of words that no prefix negates.
    prefix_exceptions: Vec<&'static str>,
    pub(crate) relations: Relations,
    /// The word whose hash signatures store for every negation.
    negation: &'static str,
    inflection: Inflection,
    frames: Phrases<&'static str>,
    pub(crate) times: Times,
    pub(crate) forms: Forms,
    material_cues: HashSet<(&'static str, &'static str)>,
    follow_up_cues: HashSet<(FollowUpCue, &'static str)>,
}

struct NegatingPrefix {
    prefix: &'static str,
    condition: PrefixCondition,
}

/// When a prefix negates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PrefixCondition {
    Always,
    /// The table of opposites contains the word with and the word without the prefix.
    Opposites,
    /// The rarity table does not contain the word with the prefix.
    UnknownWord,
    /// The word without the prefix has at least [`MIN_ANY_LETTERS`] letters. For languages without a rarity table.
    Any,
}

/// A word is read as prefix and base only if the base has at least this many letters.
const MIN_NEGATED_LETTERS: usize = 4;
const MIN_ANY_LETTERS: usize = 5;

impl Language {
    /// The languages that have word lists, parsed at the first call.
    fn all() -> &'static [Language] {
        static ALL: OnceLock<Vec<Language>> = OnceLock::new();
        ALL.get_or_init(|| {
            lists::languages().iter().enumerate().map(|(index, lists)| Language::parse(index, lists)).collect()
        })
    }

    pub(crate) fn english() -> &'static Language {
        &Self::all()[0]
    }

    /// The words of instructions about material, of all languages.
    pub(crate) fn instructions() -> &'static Instructions {
        static INSTRUCTIONS: OnceLock<Instructions> = OnceLock::new();
        INSTRUCTIONS.get_or_init(Instructions::parse)
    }

    /// The words by which a language is told, each with a bit for each language that has it: those of the class lists,
    /// numbers, units, the calendar, and the verbs and lengths by which a form of the answer is asked for.
    fn listed() -> &'static HashMap<&'static str, u16> {
        static LISTED: OnceLock<HashMap<&'static str, u16>> = OnceLock::new();
        LISTED.get_or_init(|| {
            let mut listed = HashMap::default();
            for language in Self::all() {
                let names = language.numbers.keys().chain(language.calendar.keys());
                let forms = language.forms.requests.iter().chain(language.forms.units.keys());
                let units = language.own_units.iter();
                for word in language.classes.keys().chain(names).chain(units).chain(forms) {
                    *listed.entry(*word).or_insert(0) |= 1 << language.index;
                }
            }
            listed
        })
    }

    /// True for English.
    pub(crate) fn is_english(&self) -> bool {
        self.index == 0
    }

    /// True if nouns have a capital, so that a capital shows no name.
    pub(crate) fn has_capital_nouns(&self) -> bool {
        self.index == detect::GERMAN
    }

    /// True if there is a list of words that show a follow-up.
    pub(crate) fn has_follow_up_cues(&self) -> bool {
        !self.follow_up_cues.is_empty()
    }

    /// The longest listed word of a script without spaces that `text` begins with.
    pub(crate) fn unspaced_word(&self, text: &[char]) -> Option<&'static str> {
        let words = self.unspaced.get(text.first()?)?;
        words.iter().copied().find(|word| {
            let mut at = 0;
            word.chars().all(|c| {
                at += 1;
                text.get(at - 1) == Some(&c)
            })
        })
    }

    /// True if the language is written without spaces.
    pub(crate) fn is_unspaced(&self) -> bool {
        !self.unspaced.is_empty()
    }

    fn parse(index: usize, lists: &WordLists) -> Self {
        let classes = class::parse_classes(lists.classes);
        let inflection = Inflection::parse(lists.inflection, lists.irregular);
        let negation =
            classes.values().find(|class| class.kind == TokenKind::Negation).map_or("", |class| class.canonical);
        let prefixes =
            |name, condition| words_of(lists.negation, name).map(move |prefix| NegatingPrefix { prefix, condition });
        let days = |(group, words): (&'static str, &'static str)| {
            spellings(words).map(move |(word, canonical)| (word, (group, canonical)))
        };
        let hash = |word: &str| {
            classes.get(word).map_or_else(|| hash32(&inflection.base(word)), |class| hash32(class.canonical))
        };
        let opposites = rows(lists.opposites).map(|(a, b)| pair24(hash(a), hash(b))).collect();
        Self {
            index,
            unspaced: unspaced_words(lists),
            has_decimal_comma: words_of(lists.notation, "decimal").any(|mark| mark == "comma"),
            opposites,
            classes,
            contractions: rows(lists.contractions).collect(),
            numbers: rows(lists.numbers).filter_map(|(word, value)| Some((word, value.parse().ok()?))).collect(),
            counts: count::parse_counts(lists.counts),
            bounds: rows(lists.bounds).flat_map(|(bound, row)| phrases(row).map(move |p| (p, bound))).collect(),
            units: Units::parse(lists),
            own_units: rows(lists.units).flat_map(|(words, _)| words.split(' ').skip(1)).collect(),
            calendar: rows(lists.calendar).flat_map(days).collect(),
            negating_prefixes: prefixes("prefix", PrefixCondition::Always)
                .chain(prefixes("prefix-of-opposites", PrefixCondition::Opposites))
                .chain(prefixes("productive-prefix", PrefixCondition::UnknownWord))
                .chain(prefixes("prefix-any", PrefixCondition::Any))
                .collect(),
            hyphenated_prefixes: words_of(lists.negation, "hyphenated-prefix").collect(),
            neutralisers: words_of(lists.negation, "no-negation-after").collect(),
            neutralised_before: words_of(lists.negation, "no-negation-before").collect(),
            neutral_verbs: words_of(lists.negation, "no-negation-verb").collect(),
            prefix_exceptions: words_of(lists.negation, "prefix-except").collect(),
            relations: Relations::parse(lists.symmetric, &inflection),
            negation,
            inflection,
            frames: Phrases::parse_frames(lists.frames),
            times: Times::parse(lists.times, lists.calendar),
            forms: Forms::parse(lists.form),
            material_cues: rows(lists.material)
                .flat_map(|(cue, words)| words.split(' ').map(move |word| (cue, word)))
                .collect(),
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

    /// The number that `word` is between these two words (`counts.tsv`), although it has other meanings elsewhere.
    pub(crate) fn count(&self, word: &str, before: &str, after: &str) -> Option<f64> {
        let count = self.counts.get(word)?;
        let may_be_counted = |after: &str| !after.is_empty() && !self.is_listed(after);
        (!count.not_after.contains(&before)
            && if count.before.is_empty() { may_be_counted(after) } else { count.before.contains(&after) })
        .then_some(count.value)
    }

    /// The fraction that `word` is after "and a": "two and a half".
    pub(crate) fn fraction(&self, word: &str) -> Option<f64> {
        self.counts.get(word).map(|count| count.value).filter(|value| *value < 1.0)
    }

    /// True if `word` follows a fraction: "1/2 of", "1/2 a".
    pub(crate) fn continues_fraction(&self, word: &str) -> bool {
        self.counts.values().any(|count| count.value < 1.0 && count.before.contains(&word))
    }

    /// The digit that `word` is among other digits in words.
    pub(crate) fn digit(&self, word: &str) -> Option<f64> {
        self.counts.get(word).map(|count| count.value).filter(|value| *value == 1.0)
    }

    /// True if `word` names a number in any place.
    pub(crate) fn may_be_number(&self, word: &str) -> bool {
        word.starts_with(|c: char| c.is_ascii_digit())
            || self.numbers.contains_key(word)
            || self.counts.contains_key(word)
    }

    /// The longest phrase that `words` begin with and that bounds the number after it: its number of words, and the
    /// bound.
    pub(crate) fn bound<'w>(&self, words: impl Iterator<Item = &'w str> + Clone) -> Option<(usize, &'static str)> {
        self.bounds.longest(words)
    }

    /// The first spelling of the unit `written`, whose form in lower case is `lower`.
    pub(crate) fn unit(&self, written: &str, lower: &str) -> Option<&'static str> {
        self.units.unit(written, lower)
    }

    /// True if the unit with this first spelling is a currency.
    pub(crate) fn is_currency(&self, unit: &str) -> bool {
        self.units.is_currency(unit)
    }

    /// True if `word`, in lower case, is a name whose case people vary: a common word, or one of `names.tsv`.
    pub(crate) fn is_trade_name(word: &str) -> bool {
        static NAMES: OnceLock<HashSet<&'static str>> = OnceLock::new();
        let names =
            || lists::NAMES.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split(' ')).collect();
        NAMES.get_or_init(names).contains(word) || lexicon::rarity(hash32(word)).is_some()
    }

    /// True if `word`, in lower case, names a currency in any language.
    pub(crate) fn names_currency(word: &str) -> bool {
        !word.is_empty()
            && Self::all().iter().any(|language| {
                let unit = language.unit(word, word);
                unit.is_some_and(|unit| language.is_currency(unit))
            })
    }

    /// The group and the first spelling of the day, month or time that `word` names.
    pub(crate) fn calendar(&self, word: &str) -> Option<(&'static str, &'static str)> {
        self.calendar.get(word).copied()
    }

    /// The word that `word` negates by its prefix: `safe` for `unsafe`. `None` if the rarity table does not contain
    /// that word.
    pub(crate) fn negated<'w>(&self, word: &'w str) -> Option<&'w str> {
        let hash = |word: &str| hash32(&self.base(word));
        if self.prefix_exceptions.iter().any(|start| word.starts_with(start)) {
            return None;
        }
        self.negating_prefixes.iter().find_map(|NegatingPrefix { prefix, condition }| {
            let base = word.strip_prefix(prefix)?.trim_start_matches('-');
            if *condition == PrefixCondition::Any {
                return (base.chars().count() >= MIN_ANY_LETTERS).then_some(base);
            }
            let is_word = base.chars().count() >= MIN_NEGATED_LETTERS && lexicon::rarity(hash(base)).is_some();
            let negates = is_word
                && match condition {
                    PrefixCondition::Always => true,
                    PrefixCondition::Opposites => lexicon::are_opposites(hash(word), hash(base)),
                    PrefixCondition::Any => true,
                    PrefixCondition::UnknownWord => {
                        lexicon::rarity(hash(word)).is_none() && lexicon::rarity(hash32(word)).is_none()
                    }
                };
            negates.then_some(base)
        })
    }

    /// True if `word` is a prefix that is read together with the word after its hyphen.
    pub(crate) fn is_prefix(&self, word: &str) -> bool {
        self.hyphenated_prefixes.contains(&word)
    }

    /// The verb of a verb contracted with a negation: "can" of "can't".
    pub(crate) fn verb_of_negated<'w>(&self, word: &'w str) -> Option<&'w str> {
        let verb = match self.expand(word) {
            Some(words) => words.strip_suffix(self.negation())?.strip_suffix(' ')?,
            None => word.strip_suffix("n't")?,
        };
        Some(verb)
    }

    /// True if a negation directly after `word` negates nothing: "or not", "why not".
    pub(crate) fn neutralises_negation(&self, word: &str) -> bool {
        self.neutralisers.contains(&word)
    }

    /// True if a negation that begins a question negates nothing before `word`: "Can't I …", "Isn't there …".
    pub(crate) fn neutralises_negation_before(&self, word: &str) -> bool {
        self.neutralised_before.contains(&word)
            || self.class(word).is_some_and(|class| class.kind == TokenKind::Pronoun)
    }

    /// True if the negation of `verb` ("aren't") negates nothing where the verb begins a question.
    pub(crate) fn is_neutral_verb(&self, verb: &str) -> bool {
        self.neutral_verbs.contains(&verb)
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

    /// True if `instruction`, the text before a colon, announces the material that it is about, in any language.
    pub(crate) fn announces_material(instruction: &str) -> bool {
        let lower = instruction.to_lowercase();
        let words: Vec<&str> =
            lower.split(|c: char| !c.is_alphanumeric() && !"'-".contains(c)).filter(|word| !word.is_empty()).collect();
        Self::all().iter().any(|language| language.has_announcement(&words))
    }

    fn has_announcement(&self, words: &[&str]) -> bool {
        let has = |cue: &'static str| words.iter().any(|word| self.material_cues.contains(&(cue, word)));
        // "Please", "can you" and the like precede the verb. A question word does not.
        let is_polite = |word: &&&str| {
            let kind = self.class(word).map(|class| class.kind);
            matches!(kind, Some(TokenKind::Filler | TokenKind::Modal | TokenKind::Pronoun))
        };
        let verb = words.iter().find(|word| !is_polite(word));
        verb.is_some_and(|word| self.material_cues.contains(&("verb", word)))
            || has("pointer")
            || has("demonstrative") && has("noun")
    }

    /// True if a sentence or paragraph begins like an instruction or a question, in any language.
    pub(crate) fn starts_instruction(text: &str) -> bool {
        let first_words = text.split(|c: char| !c.is_alphanumeric() && !"'’-".contains(c));
        let first_words: Vec<String> =
            first_words.filter(|word| !word.is_empty()).take(6).map(str::to_lowercase).collect();
        let words = |at: usize| first_words[at..].iter().map(String::as_str);
        let mut at = 0;
        while let Some((length, ())) = Self::instructions().polite.longest(words(at)) {
            at += length;
        }
        let starts = |word: &str| Self::all().iter().any(|language| language.material_cues.contains(&("start", word)));
        at > 0 || words(0).next().is_some_and(starts)
    }

    /// The longest frame that `words` begin with; see [`Frames::longest`].
    pub(crate) fn frame<'w>(&self, words: impl Iterator<Item = &'w str> + Clone) -> Option<(usize, &'static str)> {
        self.frames.longest(words)
    }
}

/// The listed words of a language that is written without spaces, by their first character, the longest first.
fn unspaced_words(lists: &WordLists) -> HashMap<char, Vec<&'static str>> {
    let is_unspaced = |word: &&'static str| word.chars().next().is_some_and(crate::text::is_unspaced);
    let of_classes = rows(lists.classes).flat_map(|(_, words)| words.split(' '));
    let of_counts =
        rows(lists.counts).flat_map(|(word, rest)| std::iter::once(word).chain(columns(columns(rest).1).0.split(' ')));
    let of_times = rows(lists.times).flat_map(|(_, rest)| phrases(columns(rest).1));
    let of_opposites = rows(lists.opposites).flat_map(|(a, b)| [a, b]);
    let all = of_classes.chain(of_counts).chain(of_times).chain(of_opposites);
    let mut words: HashMap<char, Vec<&'static str>> = HashMap::default();
    for word in all.filter(is_unspaced) {
        words.entry(word.chars().next().unwrap_or_default()).or_default().push(word);
    }
    for words in words.values_mut() {
        words.sort_unstable_by_key(|word| (std::cmp::Reverse(word.len()), *word));
        words.dedup();
    }
    words
}

/// True if the two words, given by their hashes, are opposites in any language.
pub(crate) fn are_opposites(a: u32, b: u32) -> bool {
    static LISTED: OnceLock<HashSet<u32>> = OnceLock::new();
    let listed = || Language::all().iter().flat_map(|language| language.opposites.iter().copied()).collect();
    lexicon::are_opposites(a, b) || LISTED.get_or_init(listed).contains(&pair24(a, b))
}

/// True if two units, given by the hashes of their first spellings, can be the same in any language.
pub(crate) fn units_agree(a: u32, b: u32) -> bool {
    a == b || Language::all().iter().any(|language| language.units.agree(a, b))
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
        Language::english()
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
        for (at, lists) in lists::languages().iter().enumerate() {
            let words = |list| rows(list).map(|(_, words)| words.split(' ').count()).sum::<usize>();
            let classes = class::parse_classes(lists.classes);
            assert!(rows(lists.classes).all(|(_, words)| words.split(' ').all(|word| classes.contains_key(word))));
            assert!(classes.values().any(|class| class.kind == TokenKind::Negation), "{at}");
            assert!(rows(lists.opposites).all(|(_, word)| !word.is_empty()), "{at}");
            if at == 0 {
                let cues = class::parse_follow_up_cues(lists.follow_up);
                assert_eq!(cues.len(), words(lists.follow_up));
            }
        }
    }
}
