//! Numbers, times and identifiers as they are written.

/// What a run of characters that has a digit says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Written {
    /// A number, and the letters that follow it: `5kg`, `20%`, `3rd`, `2k`.
    Number(f64, String),
    /// A time of day, in minutes after midnight.
    Time(u32),
    /// Anything else with a digit in it: an order number with letters, a model, a version, an address.
    Identifier(String),
}

/// First code points of the decimal digits of other scripts (Unicode, General_Category Nd).
const ZEROS: [u32; 14] =
    [0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xf20];

/// The ASCII digit for a decimal digit of any listed script; any other character as it is.
pub(crate) fn ascii_digit(c: char) -> char {
    if (c as u32) < ZEROS[0] {
        return c;
    }
    let digit = ZEROS.iter().map(|zero| (c as u32).wrapping_sub(*zero)).find(|digit| *digit < 10);
    digit.and_then(|digit| char::from_digit(digit, 10)).unwrap_or(c)
}

/// Reads `text`: lower case, with a digit in it, no white space.
pub(crate) fn read(text: &str) -> Written {
    if let Some(time) = time(text) {
        return Written::Time(time);
    }
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == ',' || c == '.')).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let plain_end = rest.chars().all(char::is_alphabetic) || rest == "%";
    match value(digits) {
        // Digits that begin with a zero, and longer ones than any amount, are names of things.
        Some(value) if plain_end && rest.chars().count() <= 12 && digits.len() <= 15 && !is_name(digits) => {
            match rest {
                "" => Written::Number(value, String::new()),
                "st" | "nd" | "rd" | "th" | "s" => Written::Number(value, String::new()),
                "k" => Written::Number(value * 1e3, String::new()),
                "m" if value < 1000.0 && rest == "m" => Written::Number(value, "m".to_owned()),
                "bn" => Written::Number(value * 1e9, String::new()),
                "am" | "pm" => Written::Time(clock(value, rest)),
                unit => Written::Number(value, unit.to_owned()),
            }
        }
        _ => Written::Identifier(text.to_owned()),
    }
}

fn is_name(digits: &str) -> bool {
    digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.")
}

/// `1,234.5`, `1.234,5` and `1234.5` are one number: commas that part groups of three are dropped.
fn value(digits: &str) -> Option<f64> {
    let groups: Vec<&str> = digits.split(',').collect();
    let grouped =
        groups.len() > 1 && groups[1..].iter().all(|group| group.split('.').next().is_some_and(|g| g.len() == 3));
    let indian = groups.len() > 1 && groups[1..].iter().all(|group| matches!(group.len(), 2 | 3));
    match groups.len() {
        1 => digits.parse().ok(),
        _ if grouped || indian => groups.concat().parse().ok(),
        2 => digits.replace(',', ".").parse().ok(),
        _ => None,
    }
}

/// Minutes after midnight of `hours` with `am` or `pm`; a fraction is read as minutes (`7.30pm`).
fn clock(hours: f64, half: &str) -> u32 {
    let whole = hours.trunc() as u32 % 12 + if half == "pm" { 12 } else { 0 };
    whole * 60 + (hours.fract() * 100.0).round() as u32
}

/// `18:30`, `6:30pm`.
fn time(text: &str) -> Option<u32> {
    let (hours, rest) = text.split_once(':')?;
    let minutes = rest.get(..2)?;
    let half = rest.get(2..)?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    match half {
        "" if hours < 24 && minutes < 60 => Some(hours * 60 + minutes),
        "am" | "pm" if hours <= 12 && minutes < 60 => Some(clock(f64::from(hours), half) + minutes),
        _ => None,
    }
}
