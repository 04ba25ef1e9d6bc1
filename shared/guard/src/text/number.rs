//! Numbers, times of day and identifiers as people write them.

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

/// Reads `text`, which is in lower case and contains a digit and no white space.
pub(super) fn read(text: &str) -> Written {
    if let Some(time) = time(text) {
        return Written::Time(time);
    }
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == ',' || c == '.')).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let may_be_unit = rest.chars().count() <= MAX_UNIT_CHARS && rest.chars().all(char::is_alphabetic) || rest == "%";
    match value(digits) {
        Some(value) if may_be_unit && digits.len() <= MAX_AMOUNT_BYTES && !has_leading_zero(digits) => match rest {
            "" | "st" | "nd" | "rd" | "th" | "s" => Written::Number(value, String::new()),
            "k" => Written::Number(value * 1e3, String::new()),
            "bn" => Written::Number(value * 1e9, String::new()),
            "am" | "pm" => Written::Time(minutes_of_half_day(value, rest)),
            unit => Written::Number(value, unit.to_owned()),
        },
        _ => Written::Identifier(text.to_owned()),
    }
}

/// True for digits such as `007`, which identify a thing and are no amount.
fn has_leading_zero(digits: &str) -> bool {
    digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.")
}

/// The number that `digits`, with commas and dots, represent. Commas between groups of three digits, or of two and
/// three as in India, are separators of thousands. A single comma elsewhere is a decimal comma.
fn value(digits: &str) -> Option<f64> {
    let groups: Vec<&str> = digits.split(',').collect();
    let is_grouped =
        groups.len() > 1 && groups[1..].iter().all(|group| group.split('.').next().is_some_and(|g| g.len() == 3));
    let is_grouped_as_in_india = groups.len() > 1 && groups[1..].iter().all(|group| matches!(group.len(), 2 | 3));
    match groups.len() {
        1 => digits.parse().ok(),
        _ if is_grouped || is_grouped_as_in_india => groups.concat().parse().ok(),
        2 => digits.replace(',', ".").parse().ok(),
        _ => None,
    }
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
    }
}
