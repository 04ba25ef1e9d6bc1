//! The exact layer: the live entry with the same namespace and query hash.

use mneme_model::confidence::{confidence, is_servable};
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_store::read::Rows;

use super::outcome::{Layer, LookupOutcome};
use super::query::Query;

/// The result of the exact layer.
#[derive(Debug)]
pub(super) enum ExactMatch {
    /// The entry answers the question.
    Entry(Box<Entry>),
    /// The entry exists and holds a stored failure.
    NotServable,
    /// There is no live entry.
    Nothing,
}

impl ExactMatch {
    /// The match that `entry` is, where there is one.
    pub(super) fn from_live(entry: Option<Entry>) -> Self {
        match entry {
            Some(entry) if is_servable(&entry.response) => Self::Entry(Box::new(entry)),
            Some(_) => Self::NotServable,
            None => Self::Nothing,
        }
    }

    /// The match among the entries `ids` of `rows`, the first live one of the query.
    pub(super) fn among(query: &Query, ids: &[EntryId], rows: &Rows) -> Self {
        let is_match =
            |entry: &Entry| entry.has_key(&query.namespace, &query.question.hash) && !entry.is_expired(query.now_secs);
        Self::from_live(ids.iter().filter_map(|id| rows.entry(*id)).find(is_match))
    }

    /// Whether the question is answered.
    pub(super) fn is_answer(&self) -> bool {
        matches!(self, Self::Entry(_))
    }
}

/// The hit that an exact match is. Its confidence is that of the entry, halved with each half-life of its age.
pub(super) fn exact_hit(entry: Box<Entry>, query: &Query, half_life_secs: Option<f64>) -> LookupOutcome {
    let age_secs = query.now_secs - entry.created_at;
    let confidence = confidence(1.0, entry.confidence_score, age_secs, half_life_secs);
    LookupOutcome::Hit { layer: Layer::Exact, entry, similarity: 1.0, confidence }
}
