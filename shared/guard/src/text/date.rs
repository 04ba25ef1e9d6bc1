//! Dates in digits, in every common form.

/// The first spelling in `calendar.tsv` of each month, in order.
pub(super) const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CalendarDate {
    pub(super) day: u32,
    /// 1 to 12.
    pub(super) month: u32,
    pub(super) year: u32,
}

/// The order of day and month in dates with slashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DateOrder {
    DayFirst,
    MonthFirst,
}

impl DateOrder {
    /// The order that the dates among `chunks` show: a part above 12 is no month. `None` if they show none.
    pub(super) fn shown_by<'t>(mut chunks: impl Iterator<Item = &'t str>) -> Option<Self> {
        chunks.find_map(|chunk| {
            let [a, b, _] = parts(chunk, '/')?;
            match (a, b) {
                (13..=31, 1..=12) => Some(Self::DayFirst),
                (1..=12, 13..=31) => Some(Self::MonthFirst),
                _ => None,
            }
        })
    }
}

/// The date that `chunk` is, such as "24.12.2026", "2026-12-24" or "12/24/2026". `None` if it is none, or if `order` is
/// needed to read it and is not known.
pub(super) fn date(chunk: &str, order: Option<DateOrder>) -> Option<CalendarDate> {
    let separator = chunk.chars().find(|c| !c.is_ascii_digit())?;
    let [a, b, c] = parts(chunk, separator)?;
    let year_is_first = chunk.find(separator) == Some(4);
    let (day, month, year) = match separator {
        _ if year_is_first => (c, b, a),
        '.' | '-' => (a, b, c),
        _ if a == b || a > 12 || order == Some(DateOrder::DayFirst) && b <= 12 => (a, b, c),
        _ if b > 12 || order == Some(DateOrder::MonthFirst) => (b, a, c),
        _ => return None,
    };
    // POSIX reads the years 69 to 99 as 1969 to 1999.
    let year = match year {
        0..=68 => 2000 + year,
        69..=99 => 1900 + year,
        year => year,
    };
    ((1..=31).contains(&day) && (1..=12).contains(&month)).then_some(CalendarDate { day, month, year })
}

/// The three numbers of a date. One is a year of four digits, or each has two digits.
fn parts(chunk: &str, separator: char) -> Option<[u32; 3]> {
    if !matches!(separator, '.' | '-' | '/') {
        return None;
    }
    let mut texts = chunk.split(separator);
    let parts = [texts.next()?, texts.next()?, texts.next()?];
    let are_digits = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let lengths = parts.map(str::len);
    let has_year = matches!(lengths, [4, 1..=2, 1..=2] | [1..=2, 1..=2, 4]);
    let is_short = separator != '-' && lengths == [2, 2, 2];
    if texts.next().is_some() || !are_digits || !(has_year || is_short) {
        return None;
    }
    let [a, b, c] = parts.map(|part| part.parse().ok());
    Some([a?, b?, c?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_in_each_form_returns_same_date() {
        let christmas = Some(CalendarDate { day: 24, month: 12, year: 2026 });
        for text in ["24.12.2026", "2026-12-24", "12/24/2026", "24/12/2026", "24-12-2026", "24.12.26", "2026/12/24"] {
            assert_eq!(date(text, None), christmas, "{text}");
        }
    }

    #[test]
    fn date_with_day_and_month_up_to_twelve_needs_the_order() {
        assert_eq!(date("5/6/2026", None), None);
        assert_eq!(date("5/6/2026", Some(DateOrder::DayFirst)).map(|date| date.month), Some(6));
        assert_eq!(date("5/6/2026", Some(DateOrder::MonthFirst)).map(|date| date.month), Some(5));
        assert_eq!(DateOrder::shown_by("5/6/2026 or 5/30/2026".split(' ')), Some(DateOrder::MonthFirst));
    }

    #[test]
    fn date_of_version_or_impossible_day_is_none() {
        for text in ["1.2.3", "40.12.2026", "24.13.2026", "2026-12", "555-123-4567"] {
            assert_eq!(date(text, None), None, "{text}");
        }
    }
}
