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
    /// The match with a live `entry`, if there is one.
    pub(super) fn from_live(entry: Option<Entry>) -> Self {
        match entry {
            Some(entry) if is_servable(&entry.response) => Self::Entry(Box::new(entry)),
            Some(_) => Self::NotServable,
            None => Self::Nothing,
        }
    }

    /// The match with the first of the entries `ids` in `rows` that is live and has the query's entry key.
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

/// The hit for an exact match. Its confidence is that of the entry, halved with each half-life of its age.
pub(super) fn exact_hit(entry: Box<Entry>, query: &Query, half_life_secs: Option<f64>) -> LookupOutcome {
    let age_secs = query.now_secs - entry.created_at;
    let confidence = confidence(1.0, entry.confidence_score, age_secs, half_life_secs);
    LookupOutcome::Hit { layer: Layer::Exact, entry, similarity: 1.0, confidence }
}

#[cfg(test)]
mod tests {
    use mneme_model::config::Config;
    use mneme_model::namespace::Namespace;
    use mneme_model::question::Question;

    use super::*;

    fn query(now_secs: i64) -> Query {
        let question = Question::of(Some("q"), None, None, &Config::with(&[])).unwrap();
        Query::new(question, Namespace::default(), None, 0.9, None, now_secs)
    }

    fn entry(response: &str) -> Entry {
        Entry {
            response: response.to_owned(),
            confidence_score: 0.8,
            created_at: 1000,
            last_accessed_at: 1000,
            ..Entry::example(1)
        }
    }

    #[test]
    fn match_with_a_stored_failure_is_not_servable() {
        assert!(ExactMatch::from_live(Some(entry("R"))).is_answer());
        assert!(matches!(ExactMatch::from_live(Some(entry("[ERROR] 500"))), ExactMatch::NotServable));
        assert!(matches!(ExactMatch::from_live(None), ExactMatch::Nothing));
        assert!(matches!(ExactMatch::among(&query(1000), &[], &Rows::default()), ExactMatch::Nothing));
    }

    #[test]
    fn exact_hit_has_the_confidence_of_the_entry_halved_with_each_half_life() {
        for (half_life_secs, expected) in [(None, 0.8), (Some(100.0), 0.4)] {
            let outcome = exact_hit(Box::new(entry("R")), &query(1100), half_life_secs);
            let LookupOutcome::Hit { layer, similarity, confidence, .. } = outcome else { panic!("{outcome:?}") };
            assert_eq!((layer, similarity, confidence), (Layer::Exact, 1.0, expected));
        }
    }
}
