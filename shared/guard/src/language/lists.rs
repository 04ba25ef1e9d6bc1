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
    pub(super) notation: &'static str,
    /// Opposites that are not in the packed table.
    pub(super) opposites: &'static str,
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
            notation: "",
            opposites: "",
        }
    };
}

/// The lists of a language that has one file, `words.tsv`, and those rows of its small talk that show a follow-up. The
/// codes of units and the currencies are those of English.
macro_rules! one_file {
    ($folder:literal) => {
        WordLists::of(include_str!(concat!("../../languages/", $folder, "/words.tsv")), "")
    };
    ($folder:literal, with small talk) => {
        WordLists::of(
            include_str!(concat!("../../languages/", $folder, "/words.tsv")),
            include_str!(concat!("../../languages/", $folder, "/small_talk.tsv")),
        )
    };
}

impl WordLists {
    fn of(words: &'static str, follow_up: &'static str) -> Self {
        let section = |name: &str| section(words, name);
        Self {
            classes: section("classes"),
            contractions: section("contractions"),
            numbers: section("numbers"),
            units: section("units"),
            calendar: section("calendar"),
            negation: section("negation"),
            inflection: section("inflection"),
            irregular: "",
            frames: section("frames"),
            follow_up,
            unit_codes: ENGLISH.unit_codes,
            currencies: ENGLISH.currencies,
            unit_meanings: ENGLISH.unit_meanings,
            counts: section("counts"),
            bounds: "",
            symmetric: section("symmetric"),
            times: section("times"),
            form: section("form"),
            material: section("material"),
            notation: section("notation"),
            opposites: section("opposites"),
        }
    }
}

/// The rows between the line `[name]` and the next line in brackets.
fn section(words: &'static str, name: &str) -> &'static str {
    let rest = words.split("\n[").find_map(|part| part.strip_prefix(name)?.strip_prefix("]\n"));
    rest.unwrap_or("")
}

/// Trade names, separated by spaces.
pub(super) const NAMES: &str = include_str!("../../languages/en/names.tsv");

/// The lists of English. Their units are read in every language.
pub(super) const ENGLISH: WordLists = word_lists!("en");

/// The languages that the guard has word lists for, English first. A signature stores the index of its language, so the
/// order must not change. To add a language, add a folder, and a line at the end.
pub(super) fn languages() -> [WordLists; 14] {
    [
        ENGLISH,
        one_file!("de", with small talk),
        one_file!("fr", with small talk),
        one_file!("es", with small talk),
        one_file!("pt", with small talk),
        one_file!("it", with small talk),
        one_file!("nl", with small talk),
        one_file!("ja"),
        one_file!("zh"),
        one_file!("ru", with small talk),
        one_file!("hi"),
        one_file!("ar"),
        one_file!("ko"),
        one_file!("pl", with small talk),
    ]
}

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
