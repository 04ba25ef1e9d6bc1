//! What speaks for or against one entry as the answer to a question.

use mneme_guard::{Verdict, VetoKind};
use mneme_model::confidence::{Guard, confidence, is_servable, verdict};
use mneme_model::config::Config;
use mneme_model::embedder::ServedEmbedder;
use mneme_model::embedding::Embedding;
use mneme_model::entry::Entry;

use super::outcome::{Layer, LookupOutcome, Miss, MissReason};
use super::query::Query;
use crate::replica::{Nearest, similarity};

/// A live entry that is similar enough.
#[derive(Debug)]
pub(super) struct ScoredEntry {
    entry: Entry,
    similarity: f32,
    /// In [0, 1]; 0 for an entry that contradicts the question.
    confidence: f64,
    /// Why the entry is not served.
    objection: Option<MissReason>,
    /// How the entry contradicts the question.
    veto: Option<VetoKind>,
}

/// What entries are scored by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scoring<'a> {
    pub(super) query: &'a Query,
    pub(super) embedding: &'a Embedding,
    pub(super) served: &'a ServedEmbedder,
    pub(super) guard: Guard,
    pub(super) config: &'a Config,
}

impl Scoring<'_> {
    /// The score of `entry`. `None` if the entry cannot answer this question at all: it belongs to another namespace or context
    /// key, has no vector of this embedder and dimension, has expired, or is not similar enough.
    pub(super) fn score(&self, entry: Entry) -> Option<ScoredEntry> {
        let Self { query, embedding, served, guard, config } = *self;
        let vector = entry.vector(served).filter(|vector| vector.dim() == embedding.dim())?;
        let similarity = similarity(embedding.as_slice(), vector.as_slice());
        let is_own = entry.namespace == query.namespace && entry.context_key == query.question.context_key;
        if !is_own || entry.is_expired(query.now_secs) || similarity < query.threshold {
            return None;
        }
        let (p, veto) = match verdict(&query.question.signature, entry.signature().as_ref(), similarity, guard) {
            Verdict::Probability(p) => (p, None),
            Verdict::Vetoed(kind) => (0.0, Some(kind)),
        };
        let age_secs = query.now_secs - entry.created_at;
        let confidence = confidence(p, entry.confidence_score, age_secs, config.confidence_half_life_secs);
        let objection = if !is_servable(&entry.response) {
            Some(MissReason::Rejected)
        } else if veto.is_some() {
            Some(MissReason::Vetoed)
        } else if confidence < config.confidence_cutoff {
            Some(MissReason::LowConfidence)
        } else {
            None
        };
        Some(ScoredEntry { entry, similarity, confidence, objection, veto })
    }
}

/// The highest similarity of the entries that may be served.
pub(super) fn best_servable(scored: &[ScoredEntry]) -> Option<f32> {
    scored.iter().filter(|entry| entry.objection.is_none()).map(|entry| entry.similarity).reduce(f32::max)
}

/// The outcome of a comparison: the most similar entry without an objection, or a miss for the reason of the most similar
/// entry. Ties go to the lower id.
///
/// `rejected`: the reason that the exact layer has already found. `nearest`: tells what is known of the nearest entry where
/// nothing was similar enough.
pub(super) fn outcome_of(
    mut scored: Vec<ScoredEntry>,
    rejected: Option<MissReason>,
    nearest: impl FnOnce() -> Nearest,
) -> LookupOutcome {
    scored.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.entry.id.cmp(&b.entry.id)));
    let closest = scored.first().map(|entry| (entry.similarity, entry.objection, entry.veto));
    if let Some(answer) = scored.into_iter().find(|entry| entry.objection.is_none()) {
        let ScoredEntry { entry, similarity, confidence, .. } = answer;
        return LookupOutcome::Hit { layer: Layer::Semantic, entry: Box::new(entry), similarity, confidence };
    }
    let (otherwise, best_similarity) = match closest.map_or_else(nearest, |(best, ..)| Nearest::Similarity(best)) {
        Nearest::Similarity(similarity) => (MissReason::BelowThreshold, Some(similarity)),
        Nearest::Unknown => (MissReason::BelowThreshold, None),
        Nearest::Nothing => (MissReason::NoEntry, None),
    };
    let reason = rejected.or(closest.and_then(|(_, objection, _)| objection)).unwrap_or(otherwise);
    let veto = closest.and_then(|(.., veto)| veto).filter(|_| reason == MissReason::Vetoed);
    LookupOutcome::Miss(Miss { reason, best_similarity, veto })
}
