//! The result of a lookup.

use mneme_guard::VetoKind;
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use serde::Serialize;
use strum::IntoStaticStr;

/// Which layer answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The normalised queries are equal.
    Exact,
    /// The embeddings are similar enough.
    Semantic,
}

/// Why a question was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MissReason {
    /// The namespace has no live entry to compare with.
    NoEntry,
    /// The nearest entry is not similar enough.
    BelowThreshold,
    /// The nearest entry that is similar enough has too low a confidence.
    LowConfidence,
    /// The nearest entry that is similar enough holds a stored failure and no answer.
    Rejected,
    /// A caller has said that the nearest entry that is similar enough does not answer the question.
    Barred,
    /// The nearest entry that is similar enough lacks a tag that the caller requires.
    MissingTag,
    /// The nearest entry that is similar enough contradicts the question.
    Vetoed,
    /// There is no exact match, and no vector to compare.
    NoEmbedding,
    /// There is no exact match, and the embedder made no vector.
    EmbedderFailure,
    /// There is no exact match, and the embedder's vocabulary lacks too much of the text.
    NotEmbeddable,
    /// The question is personal, and `MNEME_PERSONAL` is `refuse`. Nothing was read.
    Personal,
    /// There is no exact match, and the settings of the namespace allow the exact layer only.
    ExactOnly,
    /// The nearest entry that is similar enough is older than the settings of the namespace allow.
    TooOld,
    /// The caller asked for a miss.
    Bypass,
    /// There is no exact match, and the namespace could not be loaded into memory in time.
    NotLoaded,
    /// The table did not answer in time.
    Unavailable,
}

impl MissReason {
    /// The name that callers get.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether the lease of the question may be taken after such a miss: an answer to it is stored and found, and the table
    /// is worth asking.
    pub fn is_leased(self) -> bool {
        !matches!(self, Self::Bypass | Self::Personal | Self::Unavailable)
    }

    /// Whether the lookup ran out of time, so that nothing is known of an answer.
    pub fn is_for_lack_of_time(self) -> bool {
        matches!(self, Self::NotLoaded | Self::Unavailable)
    }
}

/// Why an entry is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Objection {
    /// The reason of a miss.
    pub(super) reason: MissReason,
    /// How the entry contradicts the question, where that is the reason.
    pub(super) veto: Option<VetoKind>,
}

impl From<MissReason> for Objection {
    /// An objection that is no veto.
    fn from(reason: MissReason) -> Self {
        Self { reason, veto: None }
    }
}

/// The result of a lookup.
#[derive(Debug)]
pub enum LookupOutcome {
    /// An entry answers the question.
    Hit {
        /// The layer that found it.
        layer: Layer,
        /// The entry.
        entry: Box<Entry>,
        /// Cosine similarity of question and entry; 1 in the exact layer.
        similarity: f32,
        /// The similarity on the scale of the reference, if the embedder has a scale that changes it.
        scaled_similarity: Option<f32>,
        /// In [0, 1].
        confidence: f64,
    },
    /// No entry answers the question.
    Miss(Miss),
}

impl LookupOutcome {
    /// The entry of a hit.
    pub(super) fn entry_mut(&mut self) -> Option<&mut Entry> {
        match self {
            Self::Hit { entry, .. } => Some(entry),
            Self::Miss(_) => None,
        }
    }
}

/// A lookup without an answer.
#[derive(Debug, PartialEq)]
pub struct Miss {
    /// Why there is no answer.
    pub reason: MissReason,
    /// The similarity of the nearest entry, where it is known.
    pub best_similarity: Option<f32>,
    /// The nearest entry, where it is known.
    pub nearest: Option<EntryId>,
    /// How the nearest entry contradicts the question, where that is the reason.
    pub veto: Option<VetoKind>,
}

impl Miss {
    /// A miss for which nothing was compared.
    pub fn without_comparison(reason: MissReason) -> Self {
        Self { reason, best_similarity: None, nearest: None, veto: None }
    }
}
