//! Normalises a text as BERT's uncased models read it (cleaned, without accents, in lower case), and splits it into
//! words.
//!
//! The algorithm is the `BasicTokenizer` that Devlin et al. published with BERT, as Hugging Face's tokenizers implement
//! it, character by character. The tables of categories and decompositions are those of Hugging Face's tokenizers,
//! which are of older versions of Unicode, because the model was trained on texts that were normalised with them.

use unicode_categories::UnicodeCategories as _;
use unicode_normalization_alignments::UnicodeNormalization as _;

/// Removes control characters and accents from `text`, converts it to lower case and each white space to a space, and
/// adds spaces around ideographs.
pub(crate) fn normalize(text: &str) -> String {
    let cleaned = text.chars().filter(|c| !is_dropped(*c)).flat_map(|c| match c {
        c if c.is_whitespace() => [None, Some(' '), None],
        c if is_ideograph(c) => [Some(' '), Some(c), Some(' ')],
        c => [None, Some(c), None],
    });
    let decomposed = cleaned.flatten().nfd().map(|(c, _)| c);
    decomposed.filter(|c| !c.is_mark_nonspacing()).flat_map(char::to_lowercase).collect()
}

/// The words of a normalised text, in order. White space separates words, and each punctuation character is a word.
pub(crate) fn words(normalized: &str) -> impl Iterator<Item = &str> {
    let parts = normalized.split(char::is_whitespace);
    parts.flat_map(|part| part.split_inclusive(is_punctuation).flat_map(split_last)).filter(|word| !word.is_empty())
}

/// Splits a punctuation character off the end of `part`. The second string is empty if there is none.
fn split_last(part: &str) -> [&str; 2] {
    match part.char_indices().next_back() {
        Some((at, last)) if is_punctuation(last) => {
            let (before, last) = part.split_at(at);
            [before, last]
        }
        _ => [part, ""],
    }
}

/// True for NUL, the replacement character, and characters of the Unicode category Other (control, format, private use,
/// unassigned), except tab and line ends.
fn is_dropped(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => false,
        '\0' | char::REPLACEMENT_CHARACTER => true,
        c => c.is_other(),
    }
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || c.is_punctuation()
}

/// True for the Unicode blocks whose characters are words. The model's own tokenizer has the same gap before 2B920.
fn is_ideograph(c: char) -> bool {
    matches!(c,
        '\u{4E00}'..='\u{9FFF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{20000}'..='\u{2A6DF}'
        | '\u{2A700}'..='\u{2B73F}'
        | '\u{2B740}'..='\u{2B81F}'
        | '\u{2B920}'..='\u{2CEAF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{2F800}'..='\u{2FA1F}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn normalize_removes_accents_case_and_control_characters() {
        for (text, expected) in [
            ("Résumé ÀÉÎ", "resume aei"),
            ("e\u{301}a\u{30A}", "ea"),
            ("İstanbul ΣΊΣΥΦΟΣ Straße", "istanbul σισυφοσ straße"),
            ("a\u{0}b\u{FFFD}c\u{7}d\u{200B}e\u{FEFF}f\u{AD}g\u{E000}h", "abcdefgh"),
            ("a\tb\nc\r\nd\u{A0}e\u{3000}f\u{2028}g", "a b c  d e f g"),
            ("日本go語", " 日  本 go 語 "),
            ("が パ", "か ハ"),
            ("한", "\u{1112}\u{1161}\u{11AB}"),
            ("", ""),
        ] {
            assert_eq!(normalize(text), expected, "{text:?}");
        }
    }

    #[test]
    fn words_with_punctuation_returns_each_mark_as_a_word() {
        for (text, expected) in [
            ("what's up?!", vec!["what", "'", "s", "up", "?", "!"]),
            (" a  b ", vec!["a", "b"]),
            ("«oui»—non…", vec!["«", "oui", "»", "—", "non", "…"]),
            ("1+1=2$", vec!["1", "+", "1", "=", "2", "$"]),
            ("€5 。", vec!["€5", "。"]),
            ("", vec![]),
        ] {
            assert_eq!(words(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn words_joined_equal_the_text_without_white_space(text in "\\PC{0,40}") {
            let normalized = normalize(&text);
            let joined: String = words(&normalized).collect();
            prop_assert_eq!(joined, normalized.split_whitespace().collect::<String>());
        }
    }
}
