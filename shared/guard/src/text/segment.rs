//! Segments: a text split into words, characters of scripts without spaces, and marks.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::number::ascii_digit;

/// One segment of a text. White space separates segments and is in none.
pub(super) enum Segment {
    /// A run of letters, digits and the marks that join them, in lower case.
    Chunk { lower: String, is_capitalised: bool },
    /// A character of a script that is written without spaces.
    Character(char),
    /// Any other character but white space.
    Mark(char),
}

/// Splits `text`, after NFKC normalisation and with all digits as ASCII digits.
pub(super) fn segments(text: &str) -> Vec<Segment> {
    let text: Vec<char> = text.nfkc().map(ascii_digit).collect();
    let mut segments = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let c = text[at];
        if is_unspaced(c) {
            segments.push(Segment::Character(c));
            at += 1;
        } else if c.is_alphanumeric() {
            let end = chunk_end(&text, at);
            let lower: String =
                text[at..end].iter().map(|c| if *c == '’' { '\'' } else { *c }).flat_map(char::to_lowercase).collect();
            segments.push(Segment::Chunk { lower, is_capitalised: c.is_uppercase() });
            at = end;
        } else {
            if !c.is_whitespace() {
                segments.push(Segment::Mark(c));
            }
            at += 1;
        }
    }
    segments
}

/// True if `c` belongs to a script that is written without spaces (Unicode blocks of Han, Kana, Thai, Lao, Khmer and
/// Burmese).
fn is_unspaced(c: char) -> bool {
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
        if let Segment::Chunk { is_capitalised, lower } = segment
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
            Segment::Character(c) | Segment::Mark(c) => c.to_string(),
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
    fn segments_of_script_without_spaces_are_characters() {
        assert_eq!(texts("注文48213を"), ["注", "文", "48213", "を"]);
    }
}
