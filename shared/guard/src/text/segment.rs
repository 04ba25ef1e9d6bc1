//! Segments: a text split into words, characters of scripts without spaces, and marks.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::number::{ascii_digit, spaced_number};
use super::phone::phone_number;
use crate::language::Language;

/// One segment of a text. White space separates segments and is in none.
pub(super) enum Segment {
    /// A run of letters, digits and the marks that join them, in lower case.
    ///
    /// `written`: the chunk as it was written, where that can decide a unit (`Mb` and `MB`). `None`: it is too long for
    /// a unit, or it is in lower case.
    Chunk { lower: String, written: Option<String>, is_capitalised: bool },
    /// A character of a script that is written without spaces.
    Character(char),
    /// The minus sign of the number that follows it directly.
    Minus,
    /// A currency sign. `is_before_number`: the amount follows it directly.
    Currency { sign: char, is_before_number: bool },
    /// Any other character but white space.
    Mark(char),
}

impl Segment {
    /// The chunk in lower case. `None` for any other segment.
    pub(super) fn lower(&self) -> Option<&str> {
        match self {
            Self::Chunk { lower, .. } => Some(lower),
            _ => None,
        }
    }
}

/// An amount with its unit has at most this many characters.
const MAX_WRITTEN_CHARS: usize = 20;

/// The ligatures of whole phrases, which NFKC turns into 18 and 8 characters. They stay as they are: a text of them would
/// take many times longer than any other text of its size. Every other character becomes at most two for each byte.
const PHRASES: [char; 2] = ['\u{fdfa}', '\u{fdfb}'];

/// The characters of `text` after NFKC normalisation, with all digits as ASCII digits, and with [`PHRASES`] as they are.
fn normalized(text: &str) -> Vec<char> {
    let mut normalized = Vec::with_capacity(text.len());
    for part in text.split_inclusive(PHRASES) {
        let rest = part.trim_end_matches(PHRASES);
        normalized.extend(rest.nfkc().map(ascii_digit));
        normalized.extend(part[rest.len()..].chars());
    }
    normalized
}

/// Splits `text`, after NFKC normalisation and with all digits as ASCII digits.
pub(super) fn segments(text: &str) -> Vec<Segment> {
    let text = normalized(&with_decimal_fractions(text));
    let mut segments = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let c = text[at];
        let follows = |at: usize| text.get(at).copied().unwrap_or(' ');
        if let Some((end, number)) = phone_number(&text, at).or_else(|| spaced_number(&text, at)) {
            segments.push(Segment::Chunk { lower: number, written: None, is_capitalised: false });
            at = end;
        } else if is_unspaced(c) {
            segments.push(Segment::Character(c));
            at += 1;
        } else if c.is_alphanumeric() {
            let end = chunk_end(&text, at);
            let lower: String =
                text[at..end].iter().map(|c| if *c == '’' { '\'' } else { *c }).flat_map(char::to_lowercase).collect();
            let may_have_unit = end - at <= MAX_WRITTEN_CHARS && text[at..end].iter().any(|c| c.is_uppercase());
            let written = may_have_unit.then(|| text[at..end].iter().collect());
            segments.push(Segment::Chunk { lower, written, is_capitalised: c.is_uppercase() });
            at = end;
        } else if is_minus(c) && starts_number(&text, at) {
            segments.push(Segment::Minus);
            at += 1;
        } else if is_currency(c) {
            segments.push(Segment::Currency { sign: c, is_before_number: follows(at + 1).is_ascii_digit() });
            at += 1;
        } else {
            if !c.is_whitespace() {
                segments.push(Segment::Mark(c));
            }
            at += 1;
        }
    }
    segments
}

/// Joins the characters of each listed word of a language that is written without spaces. The longest word is taken.
///
/// A word that is not listed stays a row of characters. A dictionary of all words would find their ends, but those of
/// ICU4X have two megabytes for Chinese and Japanese, and the comparison of characters needs no ends.
pub(super) fn joined(segments: Vec<Segment>, language: &Language) -> Vec<Segment> {
    if !language.is_unspaced() {
        return segments;
    }
    let characters: Vec<char> = segments
        .iter()
        .map(|segment| match segment {
            Segment::Character(c) => *c,
            _ => ' ',
        })
        .collect();
    let mut skipped = 0;
    let mut joined = Vec::with_capacity(segments.len());
    for (at, segment) in segments.into_iter().enumerate() {
        if skipped > 0 {
            skipped -= 1;
            continue;
        }
        match language.unspaced_word(&characters[at..]) {
            Some(word) => {
                skipped = word.chars().count() - 1;
                joined.push(Segment::Chunk { lower: word.to_owned(), written: None, is_capitalised: false });
            }
            None => joined.push(segment),
        }
    }
    joined
}

/// `text` with the commonest fractions of one character as decimals. NFKC would turn "1½" into "11⁄2".
fn with_decimal_fractions(text: &str) -> Cow<'_, str> {
    const FRACTIONS: [(char, &str); 3] = [('½', ".5"), ('¼', ".25"), ('¾', ".75")];
    if !text.contains(FRACTIONS.map(|(sign, _)| sign)) {
        return Cow::Borrowed(text);
    }
    let mut decimal = String::with_capacity(text.len());
    for c in text.chars() {
        match FRACTIONS.iter().find(|(sign, _)| *sign == c) {
            Some((_, fraction)) => {
                if !decimal.ends_with(|before: char| before.is_ascii_digit()) {
                    decimal.push('0');
                }
                decimal.push_str(fraction);
            }
            None => decimal.push(c),
        }
    }
    Cow::Owned(decimal)
}

fn is_minus(c: char) -> bool {
    matches!(c, '-' | '−' | '–')
}

/// The signs of Unicode's category Sc that people write before or after amounts.
pub(super) fn is_currency(c: char) -> bool {
    matches!(c, '$' | '¢' | '£' | '¥' | '\u{20a0}'..='\u{20cf}')
}

/// True if the minus at `at` is the sign of a number: an amount follows it directly, and white space, an opening
/// bracket or the start of the text precedes it. A dash between numbers is a range, and one after a letter joins words.
fn starts_number(text: &[char], at: usize) -> bool {
    let follows = |at: usize| text.get(at).copied().unwrap_or(' ');
    let is_amount =
        follows(at + 1).is_ascii_digit() || is_currency(follows(at + 1)) && follows(at + 2).is_ascii_digit();
    let before = at.checked_sub(1).map_or(' ', |before| text[before]);
    let is_start = before.is_whitespace() || matches!(before, '(' | '[' | '=' | '<' | '>' | ':' | ',' | '/');
    is_amount && is_start
}

/// True if `c` belongs to a script that is written without spaces (Unicode blocks of Han, Kana, Thai, Lao, Khmer and
/// Burmese).
pub(crate) fn is_unspaced(c: char) -> bool {
    let is_in_block = matches!(
        c as u32,
        0x0e00..=0x0eff
            | 0x1000..=0x109f
            | 0x1780..=0x17ff
            | 0x3040..=0x30ff
            | 0x3400..=0x4dbf
            | 0x4e00..=0x9fff
            | 0xf900..=0xfaff
            | 0x2_0000..=0x3_ffff
    );
    is_in_block && c.is_alphanumeric()
}

/// The end of the chunk that begins at `start`. Apostrophes join letters. The marks of numbers, identifiers and
/// addresses join the characters of a chunk that has a digit or an `@`, or that precedes `//`.
fn chunk_end(text: &[char], start: usize) -> usize {
    let is_inner =
        |at: usize| text.get(at).is_some_and(|c| (c.is_alphanumeric() || is_combining_mark(*c)) && !is_unspaced(*c));
    let mut end = start;
    let mut has_digit = false;
    while end < text.len() {
        let c = text[end];
        if is_inner(end) {
            has_digit |= c.is_ascii_digit();
            end += 1;
            continue;
        }
        let is_scheme_end = text[end..].starts_with(&[':', '/', '/']);
        if is_scheme_end {
            return address_end(text, end);
        }
        let next_is_digit = text.get(end + 1).is_some_and(char::is_ascii_digit);
        let joins = match c {
            '\'' | '’' if next_is_digit && !has_digit => false,
            '\'' | '’' | '_' | '@' | '.' => is_inner(end + 1),
            ',' => has_digit && next_is_digit,
            '-' | '/' | ':' => (has_digit || next_is_digit) && is_inner(end + 1),
            '#' | '+' => end - start <= 2 && !is_inner(end + 1),
            '%' => has_digit && !is_inner(end + 1),
            _ => false,
        };
        if !joins {
            break;
        }
        end += 1;
    }
    end
}

/// The end of the address whose `://` is at `colon`: the next white space, without the marks that end the sentence.
fn address_end(text: &[char], colon: usize) -> usize {
    let mut end = colon;
    while end < text.len() && !text[end].is_whitespace() {
        end += 1;
    }
    while !text[end - 1].is_alphanumeric() && text[end - 1] != '/' {
        end -= 1;
    }
    end.max(colon + 3).min(text.len())
}

/// True if most words begin with a capital, so that a capital does not show a name.
pub(super) fn is_title(segments: &[Segment]) -> bool {
    let (mut capitals, mut words) = (0, 0);
    for segment in segments {
        if let Segment::Chunk { is_capitalised, lower, .. } = segment
            && lower.starts_with(char::is_alphabetic)
        {
            words += 1;
            capitals += usize::from(*is_capitalised);
        }
    }
    words > 3 && capitals * 10 > words * 7
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The segments of `text`, each as a text.
    fn texts(text: &str) -> Vec<String> {
        let text_of = |segment| match segment {
            Segment::Chunk { lower, .. } => lower,
            Segment::Minus => "minus".to_owned(),
            Segment::Character(c) | Segment::Mark(c) | Segment::Currency { sign: c, .. } => c.to_string(),
        };
        segments(text).into_iter().map(text_of).collect()
    }

    #[test]
    fn segments_of_words_with_apostrophes_keeps_them_whole() {
        assert_eq!(texts("Don’t stop, it's 'fine'."), ["don't", "stop", ",", "it's", "'", "fine", "'", "."]);
    }

    #[test]
    fn segments_of_numbers_and_identifiers_keeps_them_whole() {
        assert_eq!(
            texts("1,234.5 at 18:30, AB-1234 and tea-cup"),
            ["1,234.5", "at", "18:30", ",", "ab-1234", "and", "tea", "-", "cup"]
        );
    }

    #[test]
    fn segments_of_address_at_end_of_sentence_excludes_the_full_stop() {
        assert_eq!(texts("See https://example.com/a?x=1."), ["see", "https://example.com/a?x=1", "."]);
    }

    #[test]
    fn segments_of_minus_and_dash_keeps_the_sign_only_before_a_number() {
        assert_eq!(texts("-5 or −$7"), ["minus", "5", "or", "minus", "$", "7"]);
        assert_eq!(
            texts("3–5 at a well-kept inn - 2"),
            ["3", "–", "5", "at", "a", "well", "-", "kept", "inn", "-", "2"]
        );
    }

    #[test]
    fn segments_of_phone_numbers_are_one_chunk_of_digits() {
        assert_eq!(texts("call (555) 123-4567"), ["call", "5551234567"]);
        assert_eq!(texts("call +49 30 1234-567 now"), ["call", "+49301234567", "now"]);
    }

    #[test]
    fn segments_of_fractions_are_decimal() {
        assert_eq!(texts("1½ or ¼ cup"), ["1.5", "or", "0.25", "cup"]);
    }

    #[test]
    fn segments_of_script_without_spaces_are_characters() {
        assert_eq!(texts("注文48213を"), ["注", "文", "48213", "を"]);
    }

    #[test]
    fn no_character_becomes_more_than_two_for_each_of_its_bytes() {
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            let text = c.to_string();
            assert!(normalized(&with_decimal_fractions(&text)).len() <= 2 * text.len(), "{c:?}");
        }
    }

    #[test]
    fn text_beside_a_phrase_is_normalised_and_phrases_stay_apart_from_others() {
        assert_eq!(String::from_iter(normalized("ﬁ\u{fdfa}\u{fdfb}１½")), "fi\u{fdfa}\u{fdfb}11⁄2");
        assert_eq!(String::from_iter(normalized("e\u{301}\u{fdfa}e\u{301}")), "é\u{fdfa}é");
        assert_eq!(normalized(""), []);
    }
}
