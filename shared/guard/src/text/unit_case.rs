//! The case of units: the units whose codes differ in nothing else, wherever they stand in a text.

/// The letters that stand for a multiple in the codes of units of information.
const MULTIPLES: &str = "kmgtp";
/// What may follow the letter for a bit or a byte: per second.
const PER_SECOND: [&str; 2] = ["", "ps"];
/// The units with a thousandth and a million of which people measure. A code in small letters may be a word or a command
/// ("ma", "mv"), so it decides nothing.
const MILLI_OR_MEGA: [&str; 14] = ["w", "wh", "v", "va", "a", "pa", "j", "n", "t", "ev", "sv", "gy", "bq", "ohm"];
/// A thousandth of a bar, which is not a million bytes. People write it for a megabyte, too.
pub(super) const MILLIBAR: &str = "mb";

/// What the case of `word` decides, if it is the code of a unit: `("mw", "m")` for "mW", `("mw", "M")` for "MW". The
/// first part is the thing, and the second is the way in which it is written. Source of the codes: UCUM, case sensitive.
pub(super) fn unit_case(word: &str) -> Option<(String, &str)> {
    // The longest codes are those such as "Mibps". Most words are longer, and a code is ASCII.
    if !(2..=5).contains(&word.len()) || !word.is_ascii() {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    if word == MILLIBAR {
        return Some((lower, MILLIBAR));
    }
    if word == lower {
        return None;
    }
    let (multiple, unit) = lower.split_at(1);
    if MULTIPLES.contains(multiple) {
        let unit = unit.strip_prefix('i').unwrap_or(unit);
        let at = lower.len() - unit.len();
        if unit.strip_prefix('b').is_some_and(|rest| PER_SECOND.contains(&rest)) {
            return Some((lower, &word[at..=at]));
        }
    }
    (multiple == "m" && MILLI_OR_MEGA.contains(&unit)).then(|| (lower, &word[..1]))
}

#[cfg(test)]
mod tests {
    use super::unit_case;

    #[test]
    fn unit_case_of_code_is_the_letter_that_decides() {
        for (word, expected) in [
            ("mW", Some("m")),
            ("MW", Some("M")),
            ("MWh", Some("M")),
            ("mPa", Some("m")),
            ("Mb", Some("b")),
            ("MB", Some("B")),
            ("mb", Some("mb")),
            ("kB", Some("B")),
            ("KB", Some("B")),
            ("Gbps", Some("b")),
            ("MiB", Some("B")),
        ] {
            assert_eq!(unit_case(word).map(|(_, form)| form), expected, "{word}");
        }
    }

    #[test]
    fn unit_case_of_another_word_or_of_small_letters_is_none() {
        for word in ["gb", "ma", "mv", "Job", "MHz", "mL", "Map", "I", "Größe", "Maps"] {
            assert_eq!(unit_case(word), None, "{word}");
        }
    }
}
