//! Phone and card numbers, whose digits people group in many ways.

/// The largest number of characters of a phone or card number with its separators.
const MAX_CHARS: usize = 24;
/// The lengths of a national number's groups that are recognised without a country code, as in North America.
const NATIONAL_GROUPS: [usize; 3] = [3, 3, 4];
/// A card number has four groups of four digits (ISO/IEC 7812).
const CARD_GROUPS: [usize; 4] = [4, 4, 4, 4];
/// The numbers of digits of an international number (ITU-T E.164), with a lower bound that keeps out amounts.
const INTERNATIONAL_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
/// A number with a leading zero has at least this many digits, so that a date or a time is none.
const MIN_DIGITS_AFTER_ZERO: usize = 9;

/// The phone or card number that begins at `start`: its end, and its digits with the `+` that precedes them.
pub(super) fn phone_number(text: &[char], start: usize) -> Option<(usize, String)> {
    let first = text[start];
    let is_start =
        start == 0 || !text[start - 1].is_alphanumeric() && !matches!(text[start - 1], '.' | ',' | '-' | '/');
    if !is_start || !(first == '+' || first == '(' || first.is_ascii_digit()) {
        return None;
    }
    let (mut end, mut groups, mut digits) = (start, Vec::new(), String::new());
    let mut group = 0;
    for (at, &c) in text.iter().enumerate().skip(start).take(MAX_CHARS) {
        let next_is_digit = text.get(at + 1).is_some_and(char::is_ascii_digit);
        match c {
            '0'..='9' => {
                digits.push(c);
                group += 1;
                end = at + 1;
            }
            '+' if at == start && next_is_digit => digits.push('+'),
            '(' if next_is_digit => {}
            ')' if group > 0 => {}
            ' ' | '-' | '.' if next_is_digit || text.get(at + 1) == Some(&'(') => {}
            _ => break,
        }
        if !c.is_ascii_digit() && group > 0 {
            groups.push(std::mem::take(&mut group));
        }
    }
    if group > 0 {
        groups.push(group);
    }
    // A letter after the digits makes another thing of them: a unit or an identifier.
    if text.get(end).is_some_and(|c| c.is_alphanumeric() || matches!(c, ':' | '/' | '%')) {
        return None;
    }
    let is_phone = match first {
        '+' => INTERNATIONAL_DIGITS.contains(&digits.trim_start_matches('+').len()),
        '0' => groups.len() > 1 && groups[0] > 2 && digits.len() >= MIN_DIGITS_AFTER_ZERO,
        _ => groups == NATIONAL_GROUPS || groups == CARD_GROUPS,
    };
    is_phone.then_some((end, digits))
}
