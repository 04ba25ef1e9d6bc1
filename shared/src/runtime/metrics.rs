//! What an invocation records: figures that become CloudWatch metrics, and failures.

use std::collections::{BTreeMap, BTreeSet};

use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use serde::Serialize;
use serde_json::Value;
use strum::IntoStaticStr;

use crate::error_causes::causes;

/// A figure of an invocation, and the name of a metric in CloudWatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
pub enum Metric {
    /// Lookups that the exact layer answered.
    HitsExact,
    /// Lookups that the semantic layer answered.
    HitsSemantic,
    /// Lookups without an answer. Each of them is also counted under its reason.
    Misses,
    /// Misses because the namespace has no live entry to compare with.
    MissesNoEntry,
    /// Misses because the nearest entry is not similar enough.
    MissesBelowThreshold,
    /// Misses because the nearest entry that is similar enough has too low a confidence.
    MissesLowConfidence,
    /// Misses because the nearest entry that is similar enough holds a stored failure and no answer.
    MissesRejected,
    /// Misses because a caller has said that the nearest entry that is similar enough does not answer the question.
    MissesBarred,
    /// Misses because the nearest entry that is similar enough lacks a required tag.
    MissesMissingTag,
    /// Misses because the nearest entry that is similar enough contradicts the question.
    MissesVetoed,
    /// Misses without an exact match and without a vector to compare.
    MissesNoEmbedding,
    /// Misses without an exact match for which the embedder made no vector.
    MissesEmbedderFailure,
    /// Misses without an exact match for which the embedder could not read the text.
    MissesNotEmbeddable,
    /// Misses because personal questions are refused.
    MissesPersonal,
    /// Misses without an exact match in namespaces that allow the exact layer only.
    MissesExactOnly,
    /// Misses because the nearest entry that is similar enough is too old.
    MissesTooOld,
    /// Misses that the caller asked for.
    MissesBypass,
    /// Misses because the namespace could not be loaded into memory in time.
    MissesNotLoaded,
    /// Misses because the table did not answer in time.
    MissesUnavailable,
    /// The cosine similarity of the answer, or of the nearest entry if there is no answer.
    Similarity,
    /// Entries stored.
    EntriesStored,
    /// Entries that were not stored because of what they hold.
    EntriesSkipped,
    /// Entries of a batch that were not stored because of an error.
    EntriesFailed,
}

impl Metric {
    /// The name in CloudWatch.
    pub(super) fn name(self) -> &'static str {
        self.into()
    }

    /// The unit in CloudWatch.
    pub(super) fn unit(self) -> &'static str {
        if self == Self::Similarity { "None" } else { "Count" }
    }
}

/// What an invocation recorded while it ran.
#[derive(Debug, Default)]
pub(crate) struct InvocationRecord {
    /// The namespaces that it used.
    pub(crate) namespaces: BTreeSet<Namespace>,
    /// The sum of each of its figures.
    pub(crate) metrics: BTreeMap<Metric, f64>,
    /// The first failures that the caller did not cause and that are not the invocation's own error.
    pub(crate) failures: Vec<Failure>,
    /// The number of all such failures.
    pub(crate) failure_count: u32,
    /// The first results that it recorded, each a JSON object.
    pub(crate) results: Vec<Value>,
    /// The number of all results that it recorded.
    pub(crate) result_count: usize,
}

/// A failure as the log states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What could not be done.
    what: &'static str,
    /// The error's name.
    error: &'static str,
    /// The fact. It is left out of errors that the caller caused, because these may quote the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The causes, outermost first.
    #[serde(skip_serializing_if = "String::is_empty")]
    causes: String,
}

impl Failure {
    /// The failure of `what` with `error`.
    pub fn new(what: &'static str, error: &Error) -> Self {
        let detail = error.kind.is_ours().then(|| error.detail.clone());
        Self { what, error: error.kind.name(), detail, causes: causes(error) }
    }
}
