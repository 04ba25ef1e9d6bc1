//! The score of one entry as the answer to a question, and the outcome for all scored entries.

use std::sync::OnceLock;

use mneme_guard::{ConversationSignature, Verdict, VetoKind};
use mneme_model::confidence::{Guard, confidence, exact_values_agree, symbols_agree, verdict};
use mneme_model::embedding::Embedding;
use mneme_model::entry::Entry;
use mneme_model::long_text::Unread;
use mneme_model::pair_verdicts::PairVerdicts;

use super::exact::ExactRules;
use super::outcome::{Layer, LookupOutcome, Miss, MissReason, Objection};
use super::query::Query;
use super::rules::Rules;
use crate::embedders::query_vector::ReadEmbedder;
use crate::replica::{Nearest, similarity};

/// A live entry that was compared with the question.
#[derive(Debug)]
pub(super) struct ScoredEntry {
    pub(super) entry: Entry,
    pub(super) similarity: f32,
    /// The similarity on the scale of the reference.
    pub(super) scaled: f32,
    /// The probability that the answer is right, or the similarity with the guard off; 0 for an entry that contradicts
    /// the question.
    pub(super) probability: f64,
    /// In [0, 1]; 0 for an entry that contradicts the question.
    pub(super) confidence: f64,
    /// Why the entry is not served.
    pub(super) objection: Option<Objection>,
}

/// The question, and the rules by which entries are scored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scoring<'a> {
    pub(super) query: &'a Query,
    pub(super) embedding: &'a Embedding,
    pub(super) embedder: &'a ReadEmbedder,
    /// Whether the question's vector stands for a part of its text only.
    pub(super) is_cut: bool,
    /// The hash of what the embedder does not read of the question. It is computed when an entry needs it.
    pub(super) unread: &'a OnceLock<Option<Unread>>,
    pub(super) rules: &'a Rules,
    /// The question's signature, as `rules` compare it.
    pub(super) signature: &'a ConversationSignature,
    /// What callers said of the answers to the question.
    pub(super) verdicts: &'a PairVerdicts,
}

impl Scoring<'_> {
    /// The score of `entry`. `None` if the entry cannot answer this question at all: it belongs to another namespace or
    /// context key, has no vector of this embedder and dimension, has expired, or is not similar enough.
    pub(super) fn score(&self, entry: Entry) -> Option<ScoredEntry> {
        let similarity = self.similarity(&entry)?;
        (self.scaled(similarity) >= self.rules.threshold).then(|| self.judge(entry, similarity))
    }

    /// The similarity of question and `entry`. `None` if the two are not compared: the entry belongs to another
    /// namespace or context key, has no vector of this embedder and dimension, or has expired.
    pub(super) fn similarity(&self, entry: &Entry) -> Option<f32> {
        let Self { query, embedding, embedder, .. } = *self;
        let is_own = entry.namespace == query.namespace && entry.context_key == query.question.context_key;
        if !is_own || entry.is_expired(query.now_secs) {
            return None;
        }
        let vector = entry.vector(&embedder.served).filter(|vector| vector.dim() == embedding.dim())?;
        Some(similarity(embedding.as_slice(), vector.as_slice()))
    }

    /// The similarity on the scale of the reference.
    fn scaled(&self, similarity: f32) -> f32 {
        self.embedder.served.scale().scaled(similarity)
    }

    /// The score of an entry that is compared, whatever the threshold is.
    pub(super) fn judge(&self, entry: Entry, similarity: f32) -> ScoredEntry {
        let Self { query, rules, signature, .. } = *self;
        let guard = rules.guard;
        let scaled = self.scaled(similarity);
        let (probability, veto) = match verdict(signature, entry.signature().as_ref(), scaled, guard) {
            Verdict::Probability(_) if guard == Guard::On && !self.values_agree(&entry) => {
                (0.0, Some(VetoKind::Identifier))
            }
            Verdict::Probability(_) if guard == Guard::On && !self.symbols_agree(&entry) => (0.0, Some(VetoKind::Mark)),
            Verdict::Probability(p) => (p, None),
            Verdict::Vetoed(kind) => (0.0, Some(kind)),
        };
        let veto = veto.or_else(|| (!self.was_read_alike(&entry)).then_some(VetoKind::Material));
        let age_secs = query.now_secs - entry.created_at;
        let confidence = confidence(probability, entry.confidence_score, age_secs, rules.half_life);
        let objection = if self.verdicts.bars(&entry.query_hash) {
            Some(MissReason::Barred.into())
        } else if !entry.is_servable() {
            Some(MissReason::Rejected.into())
        } else if !entry.tags.contains_all(&query.required_tags) {
            Some(MissReason::MissingTag.into())
        } else if veto.is_some() {
            Some(Objection { reason: MissReason::Vetoed, veto })
        } else if entry.has_key(&query.namespace, &query.question.hash)
            && let Some(objection) = (ExactRules { query, rules, alias: None }).objection(&entry)
        {
            // The exact layer has refused the entry, and the vectors of equal texts are equal.
            Some(objection)
        } else if rules.forbid_age_of(&entry, query.now_secs) {
            Some(MissReason::TooOld.into())
        } else if confidence < rules.cutoff {
            Some(MissReason::LowConfidence.into())
        } else {
            None
        };
        ScoredEntry { entry, similarity, scaled, probability, confidence, objection }
    }

    /// Whether the numbers, identifiers and dates of both questions are equal as texts, and not only as hashes.
    fn values_agree(&self, entry: &Entry) -> bool {
        exact_values_agree(&self.query.question.message, entry.query.as_deref())
    }

    /// Whether questions with the same words have the same symbols, which embedders drop.
    fn symbols_agree(&self, entry: &Entry) -> bool {
        symbols_agree(&self.query.question.message, entry.query.as_deref())
    }

    /// Whether the vectors of question and entry stand for all of both texts, or what was not read is equal. An entry
    /// that does not say what was not read is not alike a question that was not read to its end.
    fn was_read_alike(&self, entry: &Entry) -> bool {
        match (self.is_cut, entry.vectors.unread) {
            (false, None) => true,
            (true, None) => false,
            (_, unread) => {
                let own = || self.embedder.unread_of(&self.query.question.message);
                *self.unread.get_or_init(own) == unread
            }
        }
    }
}

/// The highest similarity of the entries that may be served.
pub(super) fn best_servable(scored: &[ScoredEntry]) -> Option<f32> {
    scored.iter().filter(|entry| entry.objection.is_none()).map(|entry| entry.similarity).reduce(f32::max)
}

/// The outcome of a comparison: the most similar entry without an objection, or a miss for the reason of the most
/// similar entry. Ties go to the lower id.
///
/// `refused`: the objection that the exact layer has already found. `nearest`: returns what is known of the nearest
/// entry. It is called if nothing was similar enough.
pub(super) fn outcome_of(
    mut scored: Vec<ScoredEntry>,
    refused: Option<Objection>,
    nearest: impl FnOnce() -> Nearest,
) -> LookupOutcome {
    scored.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.entry.id.cmp(&b.entry.id)));
    let closest = scored.first().map(|scored| (scored.entry.id, scored.similarity, scored.objection));
    if let Some(answer) = scored.into_iter().find(|entry| entry.objection.is_none()) {
        let ScoredEntry { entry, similarity, scaled, confidence, .. } = answer;
        let scaled_similarity = (scaled != similarity).then_some(scaled);
        let (layer, entry) = (Layer::Semantic, Box::new(entry));
        return LookupOutcome::Hit { layer, entry, similarity, scaled_similarity, confidence };
    }
    let found = closest.map_or_else(nearest, |(id, similarity, _)| Nearest::Entry { id, similarity });
    let (otherwise, nearest, best_similarity) = match found {
        Nearest::Entry { id, similarity } => (MissReason::BelowThreshold, Some(id), Some(similarity)),
        Nearest::Unknown => (MissReason::BelowThreshold, None, None),
        Nearest::Nothing => (MissReason::NoEntry, None, None),
    };
    let objection = refused.or(closest.and_then(|(.., objection)| objection));
    let Objection { reason, veto } = objection.unwrap_or(otherwise.into());
    LookupOutcome::Miss(Miss { reason, best_similarity, nearest, veto })
}

#[cfg(test)]
mod tests {
    use mneme_model::entry_id::EntryId;

    use super::*;

    fn scored(id: u64, similarity: f32, objection: Option<MissReason>) -> ScoredEntry {
        let entry = Entry { response: "R".to_owned(), ..Entry::example(id) };
        let objection = objection.map(|reason| {
            let veto = (reason == MissReason::Vetoed).then_some(VetoKind::Number);
            Objection { reason, veto }
        });
        ScoredEntry { entry, similarity, scaled: similarity, probability: 0.9, confidence: 0.9, objection }
    }

    fn not_called() -> Nearest {
        panic!("an entry was similar enough");
    }

    fn hit_id(outcome: LookupOutcome) -> u64 {
        match outcome {
            LookupOutcome::Hit { layer: Layer::Semantic, entry, .. } => entry.id.get(),
            outcome => panic!("{outcome:?}"),
        }
    }

    fn miss(outcome: LookupOutcome) -> Miss {
        match outcome {
            LookupOutcome::Miss(miss) => miss,
            outcome => panic!("{outcome:?}"),
        }
    }

    #[test]
    fn outcome_with_servable_entries_is_the_most_similar_one_and_ties_go_to_the_lower_id() {
        let entries = vec![
            scored(3, 0.9, None),
            scored(1, 0.99, Some(MissReason::LowConfidence)),
            scored(2, 0.9, None),
            scored(4, 0.8, None),
        ];
        assert_eq!(best_servable(&entries), Some(0.9));
        assert_eq!(hit_id(outcome_of(entries, None, not_called)), 2);
        assert_eq!(hit_id(outcome_of(vec![scored(1, 0.9, None)], Some(MissReason::Rejected.into()), not_called)), 1);
    }

    #[test]
    fn outcome_without_servable_entry_has_the_reason_of_the_most_similar_one() {
        let entries =
            || vec![scored(1, 0.9, Some(MissReason::LowConfidence)), scored(2, 0.95, Some(MissReason::Vetoed))];
        assert_eq!(best_servable(&entries()), None);
        let nearest = EntryId::new(2);
        let veto = Some(VetoKind::Number);
        let expected = Miss { reason: MissReason::Vetoed, best_similarity: Some(0.95), nearest, veto };
        assert_eq!(miss(outcome_of(entries(), None, not_called)), expected);
        let rejected = miss(outcome_of(entries(), Some(MissReason::Rejected.into()), not_called));
        let expected = Miss { reason: MissReason::Rejected, best_similarity: Some(0.95), nearest, veto: None };
        assert_eq!(rejected, expected, "the reason of the exact layer comes first");
    }

    #[test]
    fn outcome_without_similar_entry_depends_on_the_nearest_one() {
        let id = EntryId::new(5).unwrap();
        let known = Nearest::Entry { id, similarity: 0.4 };
        for (found, rejected, reason, best_similarity) in [
            (Nearest::Nothing, None, MissReason::NoEntry, None),
            (Nearest::Unknown, None, MissReason::BelowThreshold, None),
            (known, None, MissReason::BelowThreshold, Some(0.4)),
            (known, Some(MissReason::Rejected), MissReason::Rejected, Some(0.4)),
        ] {
            let nearest = best_similarity.map(|_| id);
            let found = miss(outcome_of(Vec::new(), rejected.map(Objection::from), || found));
            assert_eq!(found, Miss { reason, best_similarity, nearest, veto: None });
        }
    }
}
