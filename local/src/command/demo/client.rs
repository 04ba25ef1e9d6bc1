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
    /// `None`: the functions embed the query.
    embedding: Option<String>,
    metadata: Value,
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
    /// Whether the queries' vectors are made here.
    embeds: bool,
}

impl Client {
    pub(super) fn new(api: &str, embeds: bool) -> Self {
        Self { api: Api::new(api), embeds }
    }

    /// The entry of a question.
    pub(super) fn entry<'a>(&self, question: &'a Question) -> Entry<'a> {
        Entry {
            query: &question.query,
            response: &question.response,
            namespace: NAMESPACE,
            embedding: self.embedding(&question.query),
            metadata: json!({ "topic": question.topic }),
        }
    }

    /// The request that looks `query` up.
    pub(super) fn question(&self, query: &str) -> Value {
        json!({ "query": query, "namespace": NAMESPACE, "embedding": self.embedding(query) })
    }

    fn embedding(&self, text: &str) -> Option<String> {
        self.embeds.then(|| on_the_wire(text))
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

    /// What there is for a [`Self::question`].
    pub(super) async fn lookup(&self, question: &Value) -> Result<Answer, Failure> {
        Ok(self.api.post("/v1/lookup", question).await?)
    }
}

/// A text's vector as the API takes it: base64 of little-endian float32.
fn on_the_wire(text: &str) -> String {
    STANDARD.encode(embed(text).into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
}
