//! The demo as a caller of the HTTP API.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::api::{Api, ApiError};
use super::texts::Question;
use crate::embed::embed;

/// Where the demo keeps its entries.
const NAMESPACE: &str = "demo";

/// A request that was not answered as the contract says.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
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
    embedding: String,
    metadata: Value,
}

impl<'a> From<&'a Question> for Entry<'a> {
    fn from(question: &'a Question) -> Self {
        Self {
            query: &question.query,
            response: &question.response,
            namespace: NAMESPACE,
            embedding: on_the_wire(&question.query),
            metadata: json!({ "topic": question.topic }),
        }
    }
}

/// What a lookup found.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub(super) enum Answer {
    Hit { layer: Layer, id: u64, similarity: f64 },
    Miss { reason: String, best_similarity: Option<f64> },
}

impl Answer {
    /// The entry that was hit.
    pub(super) fn id(&self) -> Option<u64> {
        match self {
            Self::Hit { id, .. } => Some(*id),
            Self::Miss { .. } => None,
        }
    }
}

/// Which layer a hit is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Layer {
    Exact,
    Semantic,
}

#[derive(Deserialize)]
struct Results {
    results: Vec<Stored>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Id { id: u64 },
    Error { error: Value },
}

/// Calls the HTTP API at one base URL.
pub(super) struct Client {
    api: Api,
}

impl Client {
    pub(super) fn new(api: &str) -> Self {
        Self { api: Api::new(api) }
    }

    /// Stores the entries. Returns their ids, in order.
    pub(super) async fn put(&self, entries: &[Entry<'_>]) -> Result<Vec<u64>, Failure> {
        let Results { results } = self.api.post("/v1/entries", &json!({ "entries": entries })).await?;
        if results.len() != entries.len() {
            return Err(Failure::Miscounted { asked: entries.len(), answered: results.len() });
        }
        let ids = results.into_iter().zip(entries).map(|(stored, entry)| match stored {
            Stored::Id { id } => Ok(id),
            Stored::Error { error } => Err(Failure::NotStored { query: entry.query.to_owned(), error }),
        });
        ids.collect()
    }

    /// Looks the query up by itself and by its vector, `embedding`, from [`on_the_wire`].
    pub(super) async fn lookup(&self, query: &str, embedding: &str) -> Result<Answer, Failure> {
        let request = json!({ "query": query, "namespace": NAMESPACE, "embedding": embedding });
        Ok(self.api.post("/v1/lookup", &request).await?)
    }
}

/// A text's vector as the API takes it: base64 of little-endian float32.
pub(super) fn on_the_wire(text: &str) -> String {
    STANDARD.encode(embed(text).into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
}
