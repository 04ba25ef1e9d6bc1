//! The data files of the languages, and texts in the form in which they are compared.

/// The languages by their files: the phrases of refusals, and those of personal questions.
pub(crate) const LANGUAGES: [(&str, &str); 10] = [
    (include_str!("../languages/de.refusal.tsv"), include_str!("../languages/de.personal.tsv")),
    (include_str!("../languages/en.refusal.tsv"), include_str!("../languages/en.personal.tsv")),
    (include_str!("../languages/es.refusal.tsv"), include_str!("../languages/es.personal.tsv")),
    (include_str!("../languages/fr.refusal.tsv"), include_str!("../languages/fr.personal.tsv")),
    (include_str!("../languages/it.refusal.tsv"), include_str!("../languages/it.personal.tsv")),
    (include_str!("../languages/ja.refusal.tsv"), include_str!("../languages/ja.personal.tsv")),
    (include_str!("../languages/nl.refusal.tsv"), include_str!("../languages/nl.personal.tsv")),
    (include_str!("../languages/pt.refusal.tsv"), include_str!("../languages/pt.personal.tsv")),
    (include_str!("../languages/ru.refusal.tsv"), include_str!("../languages/ru.personal.tsv")),
    (include_str!("../languages/zh.refusal.tsv"), include_str!("../languages/zh.personal.tsv")),
];

/// The phrases of `kind` in a data file. A line is a kind, a tab, and phrases that ` | ` separates.
pub(crate) fn phrases<'f>(file: &'f str, kind: &'f str) -> impl Iterator<Item = &'f str> + Clone {
    let rows = file.lines().filter_map(|line| line.split_once('\t'));
    rows.filter(move |(own, _)| *own == kind).flat_map(|(_, phrases)| phrases.split(" | "))
}

/// `text` in lower case with single spaces and straight apostrophes.
pub(crate) fn folded(text: &str) -> String {
    let text = text.to_lowercase().replace(['’', '‘', 'ʼ'], "'");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What follows `phrase` at the beginning of `text`, if the text begins with the phrase as whole words.
pub(crate) fn after<'t>(text: &'t str, phrase: &str) -> Option<&'t str> {
    text.strip_prefix(phrase).filter(|rest| ends_word(phrase, rest))
}

/// Whether `text` contains `phrase` as whole words.
pub(crate) fn contains(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let begins = phrase.chars().next().is_none_or(is_unspaced) || !before.is_some_and(char::is_alphanumeric);
        begins && ends_word(phrase, &text[at + phrase.len()..])
    })
}

/// Whether a word ends between `phrase` and `rest`.
fn ends_word(phrase: &str, rest: &str) -> bool {
    let last = phrase.chars().next_back();
    last.is_none_or(is_unspaced) || !rest.starts_with(|c: char| c.is_alphanumeric() && !is_unspaced(c))
}

/// Whether `c` belongs to a script without spaces between words: kana or Han.
pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}')
}

/// The number of words. Two characters of a script without spaces count as one.
pub(crate) fn word_count(text: &str) -> usize {
    text.split_whitespace().count() + text.chars().filter(|c| is_unspaced(*c)).count() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_as_whole_words() {
        assert_eq!(after("sorry, no", "sorry"), Some(", no"));
        assert_eq!(after("sorrymore", "sorry"), None);
        assert_eq!(after("我无法回答", "我无法"), Some("回答"));
        assert!(contains("well, my order", "my") && !contains("army order", "my") && contains("请问我的订单", "我的"));
    }

    #[test]
    fn data_files_hold_folded_phrases_of_known_kinds() {
        for (refusal, personal) in LANGUAGES {
            let kinds = ["apology", "lead", "unable", "act", "refusal", "within", "failure", "explains"];
            for (file, kinds) in [(refusal, &kinds[..]), (personal, &["own", "thing", "general", "whole"][..])] {
                for line in file.lines().filter(|line| !line.starts_with('#')) {
                    let (kind, rest) = line.split_once('\t').unwrap_or_else(|| panic!("{line}"));
                    assert!(kinds.contains(&kind), "{line}");
                    assert!(rest.split(" | ").all(|phrase| !phrase.is_empty() && folded(phrase) == phrase), "{line}");
                }
            }
        }
    }
}
