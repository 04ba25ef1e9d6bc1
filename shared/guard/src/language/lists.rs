//! The word lists of `languages/`, embedded in the program, and the form of their rows.

/// The word lists of one language, one file each. Each file's first lines say what its rows are.
pub(super) struct WordLists {
    pub(super) classes: &'static str,
    pub(super) contractions: &'static str,
    pub(super) numbers: &'static str,
    pub(super) units: &'static str,
    pub(super) calendar: &'static str,
    pub(super) negation: &'static str,
    pub(super) inflection: &'static str,
    pub(super) irregular: &'static str,
    pub(super) frames: &'static str,
    pub(super) follow_up: &'static str,
    pub(super) unit_codes: &'static str,
    pub(super) currencies: &'static str,
    pub(super) unit_meanings: &'static str,
    pub(super) counts: &'static str,
    pub(super) bounds: &'static str,
    pub(super) symmetric: &'static str,
    pub(super) times: &'static str,
    pub(super) form: &'static str,
    pub(super) material: &'static str,
}

macro_rules! word_lists {
    ($folder:literal) => {
        WordLists {
            classes: include_str!(concat!("../../languages/", $folder, "/classes.tsv")),
            contractions: include_str!(concat!("../../languages/", $folder, "/contractions.tsv")),
            numbers: include_str!(concat!("../../languages/", $folder, "/numbers.tsv")),
            units: include_str!(concat!("../../languages/", $folder, "/units.tsv")),
            calendar: include_str!(concat!("../../languages/", $folder, "/calendar.tsv")),
            negation: include_str!(concat!("../../languages/", $folder, "/negation.tsv")),
            inflection: include_str!(concat!("../../languages/", $folder, "/inflection.tsv")),
            irregular: include_str!(concat!("../../languages/", $folder, "/irregular.tsv")),
            frames: include_str!(concat!("../../languages/", $folder, "/frames.tsv")),
            follow_up: include_str!(concat!("../../languages/", $folder, "/follow_up.tsv")),
            unit_codes: include_str!(concat!("../../languages/", $folder, "/unit_codes.tsv")),
            currencies: include_str!(concat!("../../languages/", $folder, "/currencies.tsv")),
            unit_meanings: include_str!(concat!("../../languages/", $folder, "/unit_meanings.tsv")),
            counts: include_str!(concat!("../../languages/", $folder, "/counts.tsv")),
            bounds: include_str!(concat!("../../languages/", $folder, "/bounds.tsv")),
            symmetric: include_str!(concat!("../../languages/", $folder, "/symmetric.tsv")),
            times: include_str!(concat!("../../languages/", $folder, "/times.tsv")),
            form: include_str!(concat!("../../languages/", $folder, "/form.tsv")),
            material: include_str!(concat!("../../languages/", $folder, "/material.tsv")),
        }
    };
}

/// The languages that the guard has word lists for. To add a language, add a folder and a line here.
pub(super) const LANGUAGES: [WordLists; 1] = [word_lists!("en")];

/// The rows of a list, split at the first tab. Empty lines and comments are no rows.
pub(super) fn rows(list: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> + Clone {
    list.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once('\t').unwrap_or((line, "")))
}

/// The words of the rows whose first column is `name`.
pub(super) fn words_of(list: &'static str, name: &'static str) -> impl Iterator<Item = &'static str> {
    rows(list).filter(move |(row, _)| *row == name).flat_map(|(_, words)| words.split(' '))
}

/// Each word of `words`, a list with spaces, with the list's first word.
pub(super) fn spellings(words: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let canonical = words.split(' ').next().unwrap_or(words);
    words.split(' ').map(move |word| (word, canonical))
}

/// The phrases of a row, separated by commas.
pub(super) fn phrases(row: &'static str) -> impl Iterator<Item = &'static str> {
    row.split(',').filter(|phrase| !phrase.is_empty())
}

/// The two columns of the rest of a row.
pub(super) fn columns(rest: &'static str) -> (&'static str, &'static str) {
    rest.split_once('\t').unwrap_or((rest, ""))
}
