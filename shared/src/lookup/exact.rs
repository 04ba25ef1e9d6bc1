//! The exact layer: the live entry with the same namespace and query hash, or else the entry of another question that a
//! caller has confirmed as the answer.

use mneme_guard::ConversationSignature;
use mneme_model::confidence::{confidence, contradiction_of_equal_texts};
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::pair_verdicts::Alias;
use mneme_store::read::Rows;

use super::outcome::{Layer, LookupOutcome, MissReason, Objection};
use super::query::Query;
use super::rules::Rules;

/// The result of the exact layer.
#[derive(Debug)]
pub(super) enum ExactMatch {
    /// The entry answers the question, with this confidence.
    Entry(Box<Entry>, f64),
    /// There is a live entry, and it is not served.
    Refused(Objection),
    /// There is no live entry.
    Nothing,
}

/// The question, and the rules by which its exact match is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExactRules<'a> {
    pub(super) query: &'a Query,
    pub(super) rules: &'a Rules,
    /// The confirmed answer of another question, if there is one.
    pub(super) alias: Option<&'a Alias>,
}

impl ExactRules<'_> {
    /// The match with a live `entry`, if there is one.
    pub(super) fn judge(&self, entry: Option<Entry>) -> ExactMatch {
        let Some(entry) = entry else { return ExactMatch::Nothing };
        match self.refusal(&entry) {
            Some(objection) => ExactMatch::Refused(objection),
            None => {
                let confidence = self.confidence(&entry);
                ExactMatch::Entry(Box::new(entry), confidence)
            }
        }
    }

    /// Why a live entry of the same entry key, or the entry of the alias, is not served.
    pub(super) fn refusal(&self, entry: &Entry) -> Option<Objection> {
        if !entry.is_servable() {
            return Some(MissReason::Rejected.into());
        }
        self.objection(entry)
    }

    /// Why an entry of the same entry key, or the entry of the alias, does not answer the question: it lacks a required
    /// tag, the guard sees a difference that normalisation drops, the entry is too old, or the confidence is below the
    /// cutoff.
    ///
    /// An alias is compared by the question that was confirmed, and not by the question of its entry.
    pub(super) fn objection(&self, entry: &Entry) -> Option<Objection> {
        let Self { query, rules, .. } = *self;
        if !entry.tags.contains_all(&query.required_tags) {
            return Some(MissReason::MissingTag.into());
        }
        let confirmed = self.alias.filter(|_| self.is_confirmed(entry));
        let stored = match confirmed {
            Some(alias) => ConversationSignature::from_bytes(&alias.signature).ok(),
            None => entry.signature(),
        };
        let veto = contradiction_of_equal_texts(&query.question.signature, stored.as_ref(), rules.guard);
        if let Some(veto) = veto {
            return Some(Objection { reason: MissReason::Vetoed, veto: Some(veto) });
        }
        if rules.forbid_age_of(entry, query.now_secs) {
            return Some(MissReason::TooOld.into());
        }
        (self.confidence(entry) < rules.cutoff).then(|| MissReason::LowConfidence.into())
    }

    /// The confidence of an exact match: the entry's score, halved with each half-life of its age.
    pub(super) fn confidence(&self, entry: &Entry) -> f64 {
        let age_secs = self.query.now_secs - entry.created_at;
        confidence(1.0, entry.confidence_score, age_secs, self.rules.half_life)
    }

    /// The match with the first of the entries `ids` in `rows` that is live and has the query's entry key. If there is
    /// none, the match with the entry of the alias.
    pub(super) fn among(&self, ids: &[EntryId], rows: &Rows) -> ExactMatch {
        match self.own(ids, rows) {
            ExactMatch::Nothing => self.confirmed(rows),
            own => own,
        }
    }

    /// The match with the first of the entries `ids` in `rows` that is live and has the query's entry key.
    pub(super) fn own(&self, ids: &[EntryId], rows: &Rows) -> ExactMatch {
        self.judge(ids.iter().filter_map(|id| rows.entry(*id)).find(|entry| self.is_match(entry)))
    }

    /// The match with the live entry of the alias in `rows`.
    pub(super) fn confirmed(&self, rows: &Rows) -> ExactMatch {
        let entry = self.alias.and_then(|alias| rows.entry(alias.verdict.id));
        self.judge(entry.filter(|entry| self.is_confirmed(entry)))
    }

    /// Whether `entry` is live and is the confirmed answer of the query's question.
    pub(super) fn is_confirmed(&self, entry: &Entry) -> bool {
        let query = self.query;
        self.alias.is_some_and(|alias| entry.has_key(&query.namespace, &alias.verdict.query_hash))
            && entry.context_key == query.question.context_key
            && !entry.is_expired(query.now_secs)
    }

    /// Whether `entry` is live and has the query's entry key and context key. The hash covers the context key and the
    /// text without a separator, so it does not tell the two apart.
    pub(super) fn is_match(&self, entry: &Entry) -> bool {
        let query = self.query;
        entry.has_key(&query.namespace, &query.question.hash)
            && entry.context_key == query.question.context_key
            && !entry.is_expired(query.now_secs)
    }
}

impl ExactMatch {
    /// Whether the question is answered.
    pub(super) fn is_answer(&self) -> bool {
        matches!(self, Self::Entry(..))
    }
}

/// The hit for an exact match.
pub(super) fn exact_hit(entry: Box<Entry>, confidence: f64) -> LookupOutcome {
    LookupOutcome::Hit { layer: Layer::Exact, entry, similarity: 1.0, scaled_similarity: None, confidence }
}

#[cfg(test)]
mod tests {
    use mneme_guard::VetoKind;
    use mneme_model::confidence::Guard;
    use mneme_model::config::Config;
    use mneme_model::namespace::Namespace;
    use mneme_model::namespace_settings::NamespaceSettings;
    use mneme_model::question::Question;

    use super::*;

    fn query(text: &str, now_secs: i64) -> Query {
        let question = Question::of(Some(text), None, None, &Config::with(&[])).unwrap();
        Query::new(question, Namespace::default(), None, None, None, now_secs)
    }

    fn entry(query: Option<&str>, response: &str) -> Entry {
        Entry {
            query: query.map(str::to_owned),
            response: response.to_owned(),
            confidence_score: 0.8,
            created_at: 1000,
            last_accessed_at: 1000,
            ..Entry::example(1)
        }
    }

    fn judge(asked: &str, stored: Entry, guard: Guard, config: &[(&str, &str)]) -> ExactMatch {
        let query = query(asked, 1100);
        let settings = NamespaceSettings { guard: Some(guard), ..NamespaceSettings::default() };
        let rules = Rules::new(&query, &settings, &Config::with(config));
        ExactRules { query: &query, rules: &rules, alias: None }.judge(Some(stored))
    }

    #[test]
    fn match_with_a_stored_failure_is_refused() {
        let judged = |response| judge("q", entry(None, response), Guard::On, &[]);
        assert!(judged("R").is_answer());
        assert!(
            matches!(judged("[ERROR] 500"), ExactMatch::Refused(objection) if objection == MissReason::Rejected.into())
        );
        let query = query("q", 1000);
        let rules = Rules::new(&query, &NamespaceSettings::default(), &Config::with(&[]));
        let rules = ExactRules { query: &query, rules: &rules, alias: None };
        assert!(matches!(rules.judge(None), ExactMatch::Nothing));
        assert!(matches!(rules.among(&[], &Rows::default()), ExactMatch::Nothing));
    }

    #[test]
    fn match_has_the_confidence_of_the_entry_halved_with_each_half_life_and_the_cutoff_holds() {
        let off = ("MNEME_CONFIDENCE_CUTOFF", "0");
        let half_life = ("MNEME_CONFIDENCE_HALF_LIFE_SECS", "100");
        for (config, expected) in [(&[off][..], 0.8), (&[off, half_life], 0.4)] {
            let judged = judge("q", entry(None, "R"), Guard::Off, config);
            let ExactMatch::Entry(_, confidence) = judged else { panic!("{judged:?}") };
            assert_eq!(confidence, expected);
        }
        let judged = judge("q", entry(None, "R"), Guard::Off, &[half_life]);
        let low = Objection::from(MissReason::LowConfidence);
        assert!(matches!(judged, ExactMatch::Refused(objection) if objection == low), "{judged:?}");
    }

    #[test]
    fn match_that_differs_in_a_dropped_form_is_refused_unless_the_guard_is_off() {
        let (asked, stored) = ("What does grep -V do?", "What does grep -v do?");
        let veto = Objection { reason: MissReason::Vetoed, veto: Some(VetoKind::Case) };
        for known in [Some(stored), None] {
            let judged = judge(asked, entry(known, "R"), Guard::On, &[]);
            assert!(matches!(judged, ExactMatch::Refused(objection) if objection == veto), "{known:?}: {judged:?}");
            assert!(judge(asked, entry(known, "R"), Guard::Off, &[]).is_answer());
        }
        assert!(judge(asked, entry(Some(asked), "R"), Guard::On, &[]).is_answer());
    }
}
