//! Notation: how a text writes numbers and dates.

use super::date::DateOrder;
use super::number::DecimalMark;
use super::segment::Segment;
use crate::language::Language;

/// A text is in a language if at least one in so many of its words is in that language's class lists.
const MAX_WORDS_PER_LISTED_WORD: usize = 5;

/// How a text writes numbers and dates.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Notation {
    pub(super) decimal_mark: DecimalMark,
    pub(super) date_order: Option<DateOrder>,
}

impl Notation {
    /// The notation that the numbers of a text show. A text in another language with Latin or Cyrillic letters, whose
    /// numbers do not show the decimal mark, has a comma.
    pub(super) fn of(segments: &[Segment], language: &Language) -> Self {
        let with_digits = || {
            segments.iter().filter_map(Segment::lower).filter(|chunk| chunk.starts_with(|c: char| c.is_ascii_digit()))
        };
        if with_digits().next().is_none() {
            return Self::default();
        }
        let words = || {
            let is_latin_or_cyrillic = |c: char| c.is_alphabetic() && (c as u32) < 0x530;
            segments.iter().filter_map(Segment::lower).filter(move |chunk| chunk.starts_with(is_latin_or_cyrillic))
        };
        let listed = words().filter(|word| language.is_listed(word)).count();
        let count = words().count();
        let is_foreign = count > 0 && listed * MAX_WORDS_PER_LISTED_WORD < count;
        let default = if language.has_decimal_comma || language.is_english() && is_foreign {
            DecimalMark::Comma
        } else {
            DecimalMark::Point
        };
        Self {
            decimal_mark: DecimalMark::shown_by(with_digits()).unwrap_or(default),
            date_order: DateOrder::shown_by(with_digits()),
        }
    }
}
