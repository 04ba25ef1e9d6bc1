//! The tokenizer, which splits a text into word pieces and returns their numbers in the vocabulary (Wu et al. 2016,
//! "Google's Neural Machine Translation System"). It takes the longest matching entry first, as BERT does.

use fnv::FnvHashMap;

use crate::normalize::{normalize, words};

/// Word pieces of a text, at most, including `[CLS]` and `[SEP]`. A longer text is truncated (`max_seq_length` in the
/// model's `sentence_bert_config.json`).
pub const MAX_PIECES: usize = 256;

/// A word of more characters becomes one `[UNK]` (`max_input_chars_per_word` in the model's `tokenizer.json`).
const MAX_WORD_CHARS: usize = 100;

/// The prefix of an entry that continues a word.
const CONTINUES: &str = "##";

/// Entries that are recognised as such wherever they occur in a text.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// The word pieces of a text, and how much of the text they stand for.
#[derive(Debug, Clone, PartialEq)]
pub struct Pieces {
    /// Their numbers in the vocabulary, from `[CLS]` to `[SEP]`.
    pub numbers: Vec<u32>,
    /// Whether the end of the text was dropped, because only [`MAX_PIECES`] fit.
    pub is_cut: bool,
    /// The share of `[UNK]` among the pieces between `[CLS]` and `[SEP]`, in [0, 1]. 1 if there is none.
    pub unknown_share: f32,
}

/// The numbers of entries by their text.
type Numbers = FnvHashMap<Box<str>, u32>;

/// The vocabulary of an uncased BERT model.
pub(crate) struct Tokenizer {
    /// Entries that begin a word.
    beginnings: Numbers,
    /// Entries that continue a word, without their prefix.
    continuations: Numbers,
    /// Bytes of the longest entry.
    longest: usize,
    special: [u32; SPECIAL.len()],
    unknown: u32,
    /// The numbers of `[CLS]` and `[SEP]`, which begin and end each text.
    frame: [u32; 2],
}

impl Tokenizer {
    /// Reads a vocabulary. `text`: one entry per line, numbered from zero.
    ///
    /// Errors: the special entry that is missing.
    pub(crate) fn new(text: &str) -> Result<Self, &'static str> {
        let mut beginnings = Numbers::default();
        let mut continuations = Numbers::default();
        for (number, entry) in (0..).zip(text.lines()) {
            match entry.strip_prefix(CONTINUES) {
                // The entry `##` is punctuation, not an empty continuation.
                Some(rest) if !rest.is_empty() => continuations.insert(rest.into(), number),
                _ => beginnings.insert(entry.into(), number),
            };
        }
        let number = |entry: &'static str| beginnings.get(entry).copied().ok_or(entry);
        let [pad, unknown, cls, sep, mask] = SPECIAL;
        let special = [number(pad)?, number(unknown)?, number(cls)?, number(sep)?, number(mask)?];
        let longest = beginnings.keys().chain(continuations.keys()).map(|entry| entry.len()).max().unwrap_or_default();
        let [_, unknown, first, last, _] = special;
        Ok(Self { beginnings, continuations, longest, special, unknown, frame: [first, last] })
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.beginnings.len() + self.continuations.len()
    }

    /// The numbers of the word pieces of `text`, from `[CLS]` to `[SEP]`: 2 to [`MAX_PIECES`] of them.
    pub(crate) fn pieces(&self, text: &str) -> Pieces {
        let [first, last] = self.frame;
        let mut pieces = vec![first];
        let mut decorations = 0;
        let mut rest = text;
        while pieces.len() < MAX_PIECES {
            let next = SPECIAL
                .iter()
                .zip(self.special)
                .filter_map(|(entry, number)| rest.find(entry).map(|at| (at, entry.len(), number)));
            let Some((at, length, number)) = next.min_by_key(|(at, ..)| *at) else { break };
            decorations += self.push_plain(&rest[..at], &mut pieces);
            pieces.push(number);
            rest = &rest[at + length..];
        }
        decorations += self.push_plain(rest, &mut pieces);
        let is_cut = pieces.len() >= MAX_PIECES;
        pieces.truncate(MAX_PIECES - 1);
        let unknown = pieces.iter().filter(|number| **number == self.unknown).count();
        let read = pieces.len() - 1 - decorations;
        pieces.push(last);
        // A text without a piece is not known at all, and neither is one of decoration.
        let unknown_share = if read == 0 { 1.0 } else { unknown.saturating_sub(decorations) as f32 / read as f32 };
        Pieces { numbers: pieces, is_cut, unknown_share }
    }

    /// Appends the pieces of a text without special entries. Stops after the word with which there are [`MAX_PIECES`].
    /// Returns the number of words of decoration that are unknown.
    fn push_plain(&self, text: &str, pieces: &mut Vec<u32>) -> usize {
        let mut decorations = 0;
        if pieces.len() >= MAX_PIECES {
            return decorations;
        }
        for word in words(&normalize(text)) {
            self.push_word(word, pieces);
            // What would be cut off does not count.
            let is_read = pieces.len() < MAX_PIECES;
            let is_unknown = pieces.last() == Some(&self.unknown);
            decorations += usize::from(is_read && is_unknown && word.chars().all(is_decoration));
            if !is_read {
                break;
            }
        }
        decorations
    }

    /// Appends the pieces of a word, or one `[UNK]`.
    fn push_word(&self, word: &str, pieces: &mut Vec<u32>) {
        let before = pieces.len();
        if word.chars().nth(MAX_WORD_CHARS).is_some() {
            pieces.push(self.unknown);
            return;
        }
        let mut rest = word;
        while !rest.is_empty() {
            let numbers = if rest.len() == word.len() { &self.beginnings } else { &self.continuations };
            let ends = (1..=rest.len().min(self.longest)).rev().filter(|end| rest.is_char_boundary(*end));
            let Some((end, number)) = ends.filter_map(|end| Some((end, *numbers.get(&rest[..end])?))).next() else {
                pieces.truncate(before);
                pieces.push(self.unknown);
                return;
            };
            pieces.push(number);
            rest = &rest[end..];
        }
    }
}

/// True for a face, a gesture, a heart or a mark of joy, and for what modifies one. It says nothing that an answer depends
/// on. A picture of a thing does ("Is 🥜 in it?"), so it is content that the model cannot read.
fn is_decoration(c: char) -> bool {
    matches!(c,
        '\u{1f600}'..='\u{1f64f}' | '\u{1f910}'..='\u{1f917}' | '\u{1f91a}'..='\u{1f92f}' | '\u{1f970}'..='\u{1f97a}'
        | '\u{1f44b}'..='\u{1f450}' | '\u{1f493}'..='\u{1f49f}' | '\u{1f3fb}'..='\u{1f3ff}' | '❤' | '✨' | '🎉' | '☺'
        | '\u{fe0f}' | '\u{200d}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The vocabulary of the tests: `[PAD]` has the number 0, and so on.
    const ENTRIES: [&str; 17] = [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able", "##a", "a", "able", "?", "#", "日",
        "##日", "mask", "ß",
    ];

    fn tokenizer() -> Tokenizer {
        Tokenizer::new(&(ENTRIES.join("\n") + "\n")).unwrap()
    }

    /// The pieces between `[CLS]` and `[SEP]`, as text.
    fn pieces(text: &str) -> Vec<&'static str> {
        let numbers = tokenizer().pieces(text).numbers;
        assert_eq!((numbers.first(), numbers.last()), (Some(&2), Some(&3)));
        numbers[1..numbers.len() - 1].iter().map(|number| ENTRIES[*number as usize]).collect()
    }

    #[test]
    fn pieces_of_a_word_are_the_longest_entries_first() {
        assert_eq!(pieces("unaffable"), ["un", "##aff", "##able"]);
        assert_eq!(pieces("Aable ABLE?"), ["a", "##able", "able", "?"]);
        assert_eq!(pieces("日日"), ["日", "日"]);
        assert_eq!(pieces("ßa"), ["ß", "##a"]);
    }

    #[test]
    fn pieces_of_a_word_with_an_unknown_part_are_one_unknown_entry() {
        assert_eq!(pieces("unafx a"), ["[UNK]", "a"]);
        assert_eq!(pieces("éunaff"), ["[UNK]"]);
        assert_eq!(pieces("##a"), ["#", "#", "a"]);
    }

    #[test]
    fn pieces_of_a_word_of_more_than_100_characters_are_one_unknown_entry() {
        assert_eq!(pieces(&"a".repeat(100)).len(), 100);
        assert_eq!(pieces(&"a".repeat(101)), ["[UNK]"]);
        assert_eq!(pieces(&format!("{} a", "日".repeat(101))).len(), 102, "each ideograph is a word");
    }

    #[test]
    fn pieces_with_special_entries_in_the_text_keep_them() {
        assert_eq!(pieces("a[MASK]a [SEP]"), ["a", "[MASK]", "a", "[SEP]"]);
        assert_eq!(pieces("[CLS][PAD][UNK]"), ["[CLS]", "[PAD]", "[UNK]"]);
        assert_eq!(pieces("[mask] [MASK"), ["[UNK]", "mask", "[UNK]", "[UNK]", "mask"]);
    }

    #[test]
    fn pieces_of_a_text_without_words_are_only_cls_and_sep() {
        for text in ["", " \t\n", "\u{200B}\u{0}", "\u{301}"] {
            let pieces = tokenizer().pieces(text);
            assert_eq!((pieces.numbers.as_slice(), pieces.unknown_share), ([2, 3].as_slice(), 1.0), "{text:?}");
        }
    }

    #[test]
    fn pieces_of_a_long_text_are_truncated() {
        for (words, pieces) in [(253, 255), (254, 256), (255, 256), (10_000, 256)] {
            for text in ["a ", "[MASK]"] {
                let Pieces { numbers, is_cut, .. } = tokenizer().pieces(&text.repeat(words));
                assert_eq!((numbers.len(), numbers.last()), (pieces, Some(&3)), "{words} of {text:?}");
                assert_eq!(is_cut, words > 254, "{words} of {text:?}");
            }
        }
        // The last piece that fits may be the middle of a word.
        let text = format!("{} unaffable", "a ".repeat(253));
        let pieces = tokenizer().pieces(&text);
        assert_eq!((&pieces.numbers[253..], pieces.is_cut), ([9, 5, 3].as_slice(), true));
    }

    #[test]
    fn pieces_with_unknown_words_return_their_share() {
        let faces = [("a 🙂", 0.0), ("a 👋🏽", 0.0), ("🙂", 1.0), ("🙂🙂 é", 1.0), ("a 🥜", 0.5)];
        for (text, share) in [("a able", 0.0), ("a a a unafx", 0.25)].into_iter().chain(faces) {
            assert_eq!(tokenizer().pieces(text).unknown_share, share, "{text:?}");
        }
    }

    #[test]
    fn new_without_a_special_entry_returns_its_name() {
        for missing in SPECIAL {
            let text = ENTRIES.iter().filter(|entry| **entry != missing).map(|entry| format!("{entry}\n"));
            assert_eq!(Tokenizer::new(&text.collect::<String>()).err(), Some(missing));
        }
        assert_eq!(Tokenizer::new("").err(), Some("[PAD]"));
    }

    proptest! {
        #[test]
        fn pieces_of_any_text_are_valid_numbers_of_valid_length(text in ".{0,300}") {
            let tokenizer = tokenizer();
            let numbers = tokenizer.pieces(&text).numbers;
            prop_assert!((2..=MAX_PIECES).contains(&numbers.len()));
            prop_assert!(numbers.iter().all(|number| (*number as usize) < tokenizer.len()));
        }

        #[test]
        fn pieces_of_words_together_equal_those_of_each_word_alone(words in prop::collection::vec("[aunble日ß]{1,12}", 0..9)) {
            let tokenizer = tokenizer();
            let alone = words.iter().flat_map(|word| {
                let numbers = tokenizer.pieces(word).numbers;
                numbers[1..numbers.len() - 1].to_vec()
            });
            let mut expected = vec![2];
            expected.extend(alone);
            expected.push(3);
            prop_assert_eq!(tokenizer.pieces(&words.join(" ")).numbers, expected);
        }
    }
}
