//! A text as BERT's uncased models read it: cleaned, without accents, in lower case; and its words.
//!
//! What Devlin et al. published with BERT (`BasicTokenizer`), in the form that Hugging Face's tokenizers give it, character
//! by character; the tables of categories and decompositions are those that they use, of the Unicode versions of their
//! time, because the model was trained on what came out of them.

use unicode_categories::UnicodeCategories as _;
use unicode_normalization_alignments::UnicodeNormalization as _;

/// `text` without control characters and accents, in lower case, every white space a space, and spaces around ideographs.
pub(crate) fn normalize(text: &str) -> String {
    let cleaned = text.chars().filter(|c| !is_dropped(*c)).flat_map(|c| match c {
        c if c.is_whitespace() => [None, Some(' '), None],
        c if is_ideograph(c) => [Some(' '), Some(c), Some(' ')],
        c => [None, Some(c), None],
    });
    let decomposed = cleaned.flatten().nfd().map(|(c, _)| c);
    decomposed.filter(|c| !c.is_mark_nonspacing()).flat_map(char::to_lowercase).collect()
}

/// The words of a normalised text, in order: what white space parts, each punctuation character being a word of its own.
pub(crate) fn words(normalized: &str) -> impl Iterator<Item = &str> {
    let parted = normalized.split(char::is_whitespace);
    parted.flat_map(|part| part.split_inclusive(is_punctuation).flat_map(last_apart)).filter(|word| !word.is_empty())
}

/// A part that may end in punctuation, and that punctuation.
fn last_apart(part: &str) -> [&str; 2] {
    match part.char_indices().next_back() {
        Some((at, last)) if is_punctuation(last) => {
            let (before, last) = part.split_at(at);
            [before, last]
        }
        _ => [part, ""],
    }
}

/// Neither white space nor visible, or no character at all.
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

/// The Unicode blocks whose characters are read one by one. The gap before 2B920 is in the model's own tokenizer.
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
    fn accents_case_and_control_characters_go() {
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
    fn punctuation_stands_alone() {
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
        fn words_are_the_text_without_its_spaces(text in "\\PC{0,40}") {
            let normalized = normalize(&text);
            let joined: String = words(&normalized).collect();
            prop_assert_eq!(joined, normalized.split_whitespace().collect::<String>());
        }
    }
}
