//! Whether a row that may be close enough answers the question.

use mneme_core::confidence::{Guard, confidence, is_servable, verdict};
use mneme_core::config::Config;
use mneme_core::embedders::Serving;
use mneme_core::embedding::Embedding;
use mneme_core::entry::Entry;
use mneme_core::replica::similarity;
use mneme_guard::{Verdict, VetoKind};

use crate::MissReason;
use crate::search::Asked;

/// A live row that is close enough.
pub(crate) struct Judged {
    pub(crate) entry: Entry,
    pub(crate) similarity: f32,
    /// In [0, 1]; 0 for a row that contradicts the question.
    pub(crate) confidence: f64,
    /// Why it is not served.
    pub(crate) against: Option<MissReason>,
    /// How it contradicts the question.
    pub(crate) veto: Option<VetoKind>,
}

impl Judged {
    /// `None` for a row that is none for this question: of another namespace, partition or dimension, expired, or not close
    /// enough. `guard`: whether it is to be compared by what it asks, too.
    pub(crate) fn of(
        entry: Entry,
        asked: &Asked,
        (embedding, serving): (&Embedding, &Serving),
        guard: Guard,
        config: &Config,
    ) -> Option<Self> {
        let vector = entry.vector(serving).filter(|vector| vector.dim() == embedding.dim())?;
        let similarity = similarity(embedding.as_slice(), vector.as_slice());
        let is_own = entry.namespace == asked.namespace && entry.partition == asked.question.partition;
        if !is_own || entry.is_expired(asked.now_secs) || similarity < asked.threshold {
            return None;
        }
        let (p, veto) = match verdict(&asked.question.signature, entry.signature().as_ref(), similarity, guard) {
            Verdict::Probability(p) => (p, None),
            Verdict::Vetoed(kind) => (0.0, Some(kind)),
        };
        let age_secs = asked.now_secs - entry.created_at;
        let confidence = confidence(p, entry.confidence_score, age_secs, config.confidence_half_life_secs);
        let against = if !is_servable(&entry.response) {
            Some(MissReason::Rejected)
        } else if veto.is_some() {
            Some(MissReason::Vetoed)
        } else if confidence < config.confidence_cutoff {
            Some(MissReason::LowConfidence)
        } else {
            None
        };
        Some(Self { entry, similarity, confidence, against, veto })
    }

    pub(crate) fn is_good(&self) -> bool {
        self.against.is_none()
    }
}
