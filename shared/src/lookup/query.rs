//! A question that is ready to be looked up.

use mneme_guard::NumberFingerprint;
use mneme_model::confidence::Guard;
use mneme_model::embedding::Embedding;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::question::Question;
use mneme_model::tag::Tags;
use mneme_store::key::RowKey;

use crate::embedders::query_vector::QueryVector;

/// A question that is ready to be looked up.
#[derive(Debug)]
pub struct Query {
    /// The question.
    pub question: Question,
    /// The namespace that is searched.
    pub namespace: Namespace,
    /// The lowest similarity of a semantic hit that the request asks for; `None`: the settings of the namespace decide.
    pub threshold: Option<f32>,
    /// What the request says about the guard; `None`: the namespace's setting decides.
    pub guard: Option<Guard>,
    /// The tags that an entry must have to answer. They are no part of the question: they only exclude entries.
    pub required_tags: Tags,
    /// The time of the lookup, in epoch seconds.
    pub now_secs: i64,
    pub(crate) vector: QueryVector,
    /// The fingerprint of the question's numbers and identifiers, if it has any.
    pub(super) fingerprint: Option<NumberFingerprint>,
}

impl Query {
    /// A query for `question`. `embedding`: the vector that the caller sent. Without one, the configured embedder makes
    /// it if the exact layer has no answer.
    pub fn new(
        question: Question,
        namespace: Namespace,
        embedding: Option<Embedding>,
        threshold: Option<f32>,
        guard: Option<Guard>,
        now_secs: i64,
    ) -> Self {
        let fingerprint = question.signature.number_fingerprint();
        let (required_tags, vector) = (Tags::default(), QueryVector::new(embedding));
        Self { question, namespace, threshold, guard, required_tags, now_secs, vector, fingerprint }
    }

    /// The same query, which only entries with all of `tags` may answer.
    pub fn with_required_tags(self, tags: Tags) -> Self {
        Self { required_tags: tags, ..self }
    }

    /// Why the embedder could not make the vector; `None` if it did, or was not called.
    pub fn embedding_error(&self) -> Option<&Error> {
        self.vector.error()
    }

    /// The key of the pointer to the entry with the same query.
    pub(super) fn pointer_key(&self) -> RowKey {
        RowKey::pointer(&self.namespace, &self.question.hash)
    }
}
