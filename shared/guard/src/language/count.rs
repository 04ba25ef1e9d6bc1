//! Words that are a number only in some places (`counts.tsv`).

use fnv::FnvHashMap as HashMap;

use super::lists::{columns, rows};

/// A word that is a number only in some places.
pub(super) struct Count {
    pub(super) value: f64,
    /// The words that must follow. Empty: any word that no class list holds.
    pub(super) before: Vec<&'static str>,
    /// The words that must not precede.
    pub(super) not_after: Vec<&'static str>,
}

/// Parses `counts.tsv`.
pub(super) fn parse_counts(list: &'static str) -> HashMap<&'static str, Count> {
    let words = |column: &'static str, none| column.split(' ').filter(|word| *word != none).collect();
    rows(list)
        .filter_map(|(word, rest)| {
            let (value, rest) = columns(rest);
            let (before, not_after) = columns(rest);
            let value = value.parse().ok()?;
            Some((word, Count { value, before: words(before, "*"), not_after: words(not_after, "-") }))
        })
        .collect()
}
