//! Numbers, times of day and identifiers as people write them.

use super::segment::is_currency;
use crate::language::Language;

/// The meaning of a chunk that contains a digit.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Written {
    /// A number, and the unit that follows it without a space: `5kg`, `20%`. The unit is empty where there is none.
    Number(f64, String),
    /// A time of day, in minutes after midnight.
    Time(u32),
    /// Any other text with a digit: an order number with letters, a model, a version, an address.
    Identifier(String),
}

/// The zero digits of other scripts (Unicode, General_Category Nd). The other nine digits follow each.
const ZEROS: [u32; 14] =
    [0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xf20];

/// An amount has at most this many digits and separators. A longer run is an identifier.
const MAX_AMOUNT_BYTES: usize = 15;
/// The number of a model has at most this many digits. A longer one is an order number.
const MAX_MODEL_DIGITS: usize = 2;
/// A unit has at most this many letters.
const MAX_UNIT_CHARS: usize = 12;

/// The ASCII digit for a decimal digit of a script in `ZEROS`. Any other character is returned unchanged.
pub(super) fn ascii_digit(c: char) -> char {
    if (c as u32) < ZEROS[0] {
        return c;
    }
    let digit = ZEROS.iter().map(|zero| (c as u32).wrapping_sub(*zero)).find(|digit| *digit < 10);
    digit.and_then(|digit| char::from_digit(digit, 10)).unwrap_or(c)
}

/// The decimal mark of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum DecimalMark {
    #[default]
    Point,
    Comma,
}

impl DecimalMark {
    /// The decimal mark that the numbers among `chunks` show, or `None` if they show none. "1.234,5" and "2,5" show a
    /// comma; "1,234.5" and "2.5" show a point. The first number that shows a mark decides.
    pub(super) fn shown_by<'t>(chunks: impl Iterator<Item = &'t str>) -> Option<Self> {
        chunks.filter_map(|chunk| chunk.split(|c: char| !is_digit_or_mark(c)).next()).find_map(|digits| {
            let (points, commas) = (digits.matches('.').count(), digits.matches(',').count());
            let last = digits.rsplit(['.', ',']).next()?;
            match (points, commas) {
                (1.., 1) if digits.rfind(',') > digits.rfind('.') => Some(Self::Comma),
                (1, 1..) => Some(Self::Point),
                (0, 1) if last.len() != 3 => Some(Self::Comma),
                (1, 0) if last.len() != 3 => Some(Self::Point),
                (0, 2..) => Some(Self::Point),
                _ => None,
            }
        })
    }
}

fn is_digit_or_mark(c: char) -> bool {
    c.is_ascii_digit() || c == ',' || c == '.'
}

/// Reads `text`, which is in lower case and contains a digit and no white space.
pub(super) fn read(text: &str, decimal_mark: DecimalMark) -> Written {
    if let Some(time) = time(text) {
        return Written::Time(time);
    }
    let end = text.find(|c: char| !is_digit_or_mark(c)).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let may_be_unit = rest.chars().count() <= MAX_UNIT_CHARS && rest.chars().all(char::is_alphabetic) || rest == "%";
    match value(digits, decimal_mark) {
        Some(value) if may_be_unit && digits.len() <= MAX_AMOUNT_BYTES && !has_leading_zero(digits) => match rest {
            "" | "st" | "nd" | "rd" | "th" | "s" => Written::Number(value, String::new()),
            "k" => Written::Number(rounded(value * 1e3), String::new()),
            "bn" => Written::Number(rounded(value * 1e9), String::new()),
            "mn" | "mio" => Written::Number(rounded(value * 1e6), String::new()),
            "am" | "pm" => Written::Time(minutes_of_half_day(value, rest)),
            unit => Written::Number(value, unit.to_owned()),
        },
        _ => Written::Identifier(identifier(text)),
    }
}

/// The identifier `text`. A hyphen before a small number is removed: "gpt-4" and "gpt4" are one.
fn identifier(text: &str) -> String {
    match text.split_once('-') {
        Some((name, number))
            if number.len() <= MAX_MODEL_DIGITS
                && name.chars().all(char::is_alphabetic)
                && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            format!("{name}{number}")
        }
        _ => text.to_owned(),
    }
}

/// `value` with twelve significant digits, so that 2.3 · 10⁶ is 2,300,000.
pub(super) fn rounded(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

/// The whole number of `digits` such as "1.500" if the point separates thousands. `None` if it cannot.
pub(super) fn with_point_for_thousands(digits: &str) -> Option<f64> {
    let (whole, thousands) = digits.split_once('.')?;
    let are_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let can_be = (1..=3).contains(&whole.len()) && thousands.len() == 3 && !whole.starts_with('0');
    (can_be && are_digits(whole) && are_digits(thousands)).then(|| digits.replace('.', "").parse().ok()).flatten()
}

/// True for digits such as `3.10`, which are not 3.1 if they are a version.
pub(super) fn ends_in_zero_after_point(digits: &str) -> bool {
    digits.split_once('.').is_some_and(|(_, rest)| {
        rest.ends_with('0') && rest.bytes().all(|b| b.is_ascii_digit()) && rest.bytes().any(|b| b != b'0')
    })
}

/// The number with spaces between its thousands that begins at `start`, such as "1 500 000": its end and its digits. It
/// has at least two spaces, because two numbers in a row look like a number with one.
pub(super) fn spaced_number(text: &[char], start: usize) -> Option<(usize, String)> {
    let digits_from = |at: usize| text[at..].iter().take_while(|c| c.is_ascii_digit()).take(4).count();
    let is_start = start == 0 || text[start - 1].is_whitespace() || matches!(text[start - 1], '(' | '-' | '−');
    let first = if is_start && text[start] != '0' { digits_from(start) } else { 0 };
    if !(1..=3).contains(&first) {
        return None;
    }
    let mut end = start + first;
    let mut groups = 0;
    while text.get(end) == Some(&' ') && digits_from(end + 1) == 3 && end - start < MAX_AMOUNT_BYTES {
        end += 4;
        groups += 1;
    }
    let continues = text.get(end).is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '/' | ':'))
        || text.get(end + 1).is_some_and(char::is_ascii_digit);
    // "2 300 tickets" may be two numbers. An amount of money is one.
    let is_amount = groups >= 2 || groups == 1 && precedes_currency(text, end);
    (is_amount && !continues).then(|| (end, text[start..end].iter().filter(|c| **c != ' ').collect()))
}

/// True if a currency follows the digits that end at `end`: "1 500 €", "1 500 euros".
fn precedes_currency(text: &[char], end: usize) -> bool {
    let rest = &text[end..];
    let rest = rest.strip_prefix(&[' ']).unwrap_or(rest);
    if rest.first().is_some_and(|c| is_currency(*c)) {
        return true;
    }
    let word: String = rest.iter().take_while(|c| c.is_alphabetic()).flat_map(|c| c.to_lowercase()).collect();
    Language::names_currency(&word)
}

/// True for digits such as `007`, which identify a thing and are no amount.
fn has_leading_zero(digits: &str) -> bool {
    digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.") && !digits.starts_with("0,")
}

/// The number that `digits`, with commas and points, represent. `None`: they represent no number.
fn value(digits: &str, decimal_mark: DecimalMark) -> Option<f64> {
    let has = |mark: char| digits.contains(mark);
    match (has('.'), has(',')) {
        (false, false) => digits.parse().ok(),
        (true, true) => {
            let decimal = if digits.rfind(',') > digits.rfind('.') { ',' } else { '.' };
            let (whole, fraction) = digits.split_once(decimal)?;
            let separator = if decimal == ',' { '.' } else { ',' };
            format!("{}.{fraction}", without_separators(whole, separator)?).parse().ok()
        }
        (true, false) => match digits.matches('.').count() {
            1 if decimal_mark == DecimalMark::Comma => with_point_for_thousands(digits).or_else(|| digits.parse().ok()),
            1 => digits.parse().ok(),
            _ => without_separators(digits, '.')?.parse().ok(),
        },
        (false, true) => match (without_separators(digits, ','), digits.matches(',').count()) {
            (_, 1) if decimal_mark == DecimalMark::Comma => digits.replace(',', ".").parse().ok(),
            (Some(whole), _) => whole.parse().ok(),
            (None, 1) => digits.replace(',', ".").parse().ok(),
            (None, _) => None,
        },
    }
}

/// `digits` without separators between groups of three digits. Commas may also separate groups of two before the last,
/// as in India. `None` if the groups have other lengths.
fn without_separators(digits: &str, separator: char) -> Option<String> {
    let groups: Vec<&str> = digits.split(separator).collect();
    let [first, inner @ .., last] = groups.as_slice() else { return None };
    if inner.is_empty() && last.is_empty() || !(1..=3).contains(&first.len()) || last.len() != 3 {
        return (groups.len() == 1).then(|| digits.to_owned());
    }
    let are_of_three = inner.iter().all(|group| group.len() == 3);
    let are_of_two = separator == ',' && first.len() <= 2 && inner.iter().all(|group| group.len() == 2);
    (are_of_three || are_of_two).then(|| groups.concat())
}

/// Minutes after midnight of `hours` with `half` `am` or `pm`. The fraction's first two digits are minutes: `7.30pm`.
fn minutes_of_half_day(hours: f64, half: &str) -> u32 {
    let whole = hours.trunc() as u32 % 12 + if half == "pm" { 12 } else { 0 };
    whole * 60 + (hours.fract() * 100.0).round() as u32
}

/// Minutes after midnight of a time such as `18:30` or `6:30pm`.
fn time(text: &str) -> Option<u32> {
    let (hours, rest) = text.split_once(':')?;
    let minutes = rest.get(..2)?;
    let half = rest.get(2..)?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    match half {
        "" if hours < 24 && minutes < 60 => Some(hours * 60 + minutes),
        "am" | "pm" if hours <= 12 && minutes < 60 => Some(minutes_of_half_day(f64::from(hours), half) + minutes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: f64, unit: &str) -> Written {
        Written::Number(value, unit.to_owned())
    }

    fn read(text: &str) -> Written {
        super::read(text, DecimalMark::Point)
    }

    #[test]
    fn read_with_separators_of_thousands_returns_whole_number() {
        assert_eq!(read("1,234.5"), number(1234.5, ""));
        assert_eq!(read("1,000,000"), number(1e6, ""));
        assert_eq!(read("12,34,567"), number(1_234_567.0, ""));
    }

    #[test]
    fn read_with_decimal_comma_returns_fraction() {
        assert_eq!(read("2,5"), number(2.5, ""));
    }

    #[test]
    fn read_with_point_and_comma_takes_the_last_mark_as_decimal() {
        assert_eq!(read("1.234,56"), number(1234.56, ""));
        assert_eq!(read("1,234.56"), number(1234.56, ""));
        assert_eq!(read("1.500.000"), number(1_500_000.0, ""));
    }

    #[test]
    fn read_with_three_digits_after_mark_depends_on_decimal_mark_of_text() {
        assert_eq!(super::read("1.500", DecimalMark::Comma), number(1500.0, ""));
        assert_eq!(super::read("1.500", DecimalMark::Point), number(1.5, ""));
        assert_eq!(super::read("1,500", DecimalMark::Comma), number(1.5, ""));
        assert_eq!(super::read("1,500", DecimalMark::Point), number(1500.0, ""));
    }

    #[test]
    fn decimal_mark_is_shown_by_numbers_with_one_reading() {
        let shown = |text: &str| DecimalMark::shown_by(text.split(' '));
        assert_eq!(shown("1.000 or 2,5"), Some(DecimalMark::Comma));
        assert_eq!(shown("1.234,56"), Some(DecimalMark::Comma));
        assert_eq!(shown("1,000 or 2.5"), Some(DecimalMark::Point));
        assert_eq!(shown("1.000 on 24.12.2026"), None);
    }

    #[test]
    fn read_with_suffix_returns_scaled_number_or_unit() {
        assert_eq!(read("3rd"), number(3.0, ""));
        assert_eq!(read("2k"), number(2000.0, ""));
        assert_eq!(read("5kg"), number(5.0, "kg"));
        assert_eq!(read("20%"), number(20.0, "%"));
    }

    #[test]
    fn read_with_clock_time_returns_minutes_after_midnight() {
        assert_eq!(read("18:30"), Written::Time(18 * 60 + 30));
        assert_eq!(read("6:30pm"), Written::Time(18 * 60 + 30));
        assert_eq!(read("7.30pm"), Written::Time(19 * 60 + 30));
        assert_eq!(read("12am"), Written::Time(0));
    }

    #[test]
    fn read_with_leading_zero_or_other_marks_returns_identifier() {
        for text in ["007", "v1.2.3", "48213x9", "1234567890123456"] {
            assert_eq!(read(text), Written::Identifier(text.to_owned()));
        }
        assert_eq!(read("gpt-4"), Written::Identifier("gpt4".to_owned()));
    }
}
