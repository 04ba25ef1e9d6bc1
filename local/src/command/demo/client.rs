//! The demo's requests to the HTTP API.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strum::IntoStaticStr;

use super::super::api::{Api, ApiError};
use super::texts::Question;
use crate::embed::embed;

/// The namespace of the demo's entries.
const NAMESPACE: &str = "demo";

/// Why a request of the demo failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("`{query}` was not stored: {error}")]
    NotStored { query: String, error: Value },
    #[error("{asked} entries were sent and {answered} results came back")]
    Miscounted { asked: usize, answered: usize },
}

/// An entry of a `put` request.
#[derive(Debug, Serialize)]
pub(super) struct Entry<'a> {
    query: &'a str,
    response: &'a str,
    namespace: &'static str,
    /// `None`: the function embeds the query.
    embedding: Option<String>,
    metadata: Value,
}

/// The reply to a lookup.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub(super) enum Answer {
    Hit { layer: Layer, id: u64, similarity: f64 },
    Miss { reason: String, best_similarity: Option<f64> },
}

impl Answer {
    /// The id of the entry that was hit.
    pub(super) fn id(&self) -> Option<u64> {
        match self {
            Self::Hit { id, .. } => Some(*id),
            Self::Miss { .. } => None,
        }
    }
}

/// The layer that answered a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub(super) enum Layer {
    Exact,
    Semantic,
}

#[derive(Deserialize)]
struct PutReply {
    results: Vec<PutResult>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PutResult {
    Stored { id: u64 },
    Refused { error: Value },
}

/// Sends the demo's requests to the HTTP API at one base URL.
pub(super) struct Client {
    api: Api,
    /// Whether the demo embeds the queries itself.
    embeds: bool,
}

impl Client {
    pub(super) fn new(api: &str, embeds: bool) -> Self {
        Self { api: Api::new(api), embeds }
    }

    /// Returns the entry that stores a question.
    pub(super) fn entry<'a>(&self, question: &'a Question) -> Entry<'a> {
        Entry {
            query: &question.query,
            response: &question.response,
            namespace: NAMESPACE,
            embedding: self.embedding(&question.query),
            metadata: json!({ "topic": question.topic }),
        }
    }

    /// Returns the request that looks `query` up.
    pub(super) fn lookup_request(&self, query: &str) -> Value {
        json!({ "query": query, "namespace": NAMESPACE, "embedding": self.embedding(query) })
    }

    fn embedding(&self, text: &str) -> Option<String> {
        self.embeds.then(|| to_base64(&embed(text)))
    }

    /// Stores the entries. Returns their ids, in order.
    pub(super) async fn put(&self, entries: &[Entry<'_>]) -> Result<Vec<u64>, DemoError> {
        let PutReply { results } = self.api.post("/v1/entries", &json!({ "entries": entries })).await?;
        if results.len() != entries.len() {
            return Err(DemoError::Miscounted { asked: entries.len(), answered: results.len() });
        }
        let ids = results.into_iter().zip(entries).map(|(stored, entry)| match stored {
            PutResult::Stored { id } => Ok(id),
            PutResult::Refused { error } => Err(DemoError::NotStored { query: entry.query.to_owned(), error }),
        });
        ids.collect()
    }

    /// Sends a [`Self::lookup_request`].
    pub(super) async fn lookup(&self, request: &Value) -> Result<Answer, DemoError> {
        Ok(self.api.post("/v1/lookup", request).await?)
    }
}

/// A vector in the API's form: base64 of little-endian float32.
fn to_base64(vector: &[f32]) -> String {
    STANDARD.encode(vector.iter().copied().flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
}
