//! An entry to be stored, and the result of storing it.

use mneme_guard::ConversationSignature;
use mneme_model::context_key::ContextKey;
use mneme_model::entry_id::EntryId;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use mneme_store::key::RowKey;
use serde_json::{Map, Value};

use crate::embedders::new_vector::NewVector;

/// An entry to be stored.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Its namespace.
    pub namespace: Namespace,
    /// The hash of the normalised query. Namespace and hash together identify the entry.
    pub query_hash: QueryHash,
    /// Only questions with the same context key get this entry.
    pub context_key: Option<ContextKey>,
    /// What the guard compares. It is stored if the guard is on, and for every follow-up message.
    pub signature: ConversationSignature,
    /// The query; `None` if only its hash is stored.
    pub query: Option<String>,
    /// The answer.
    pub response: String,
    /// One vector, or during a move to another embedder one of each embedder. Without a vector, only the exact layer
    /// finds the entry.
    pub vectors: Vec<NewVector>,
    /// The caller's own data.
    pub metadata: Map<String, Value>,
    /// Seconds to live; `None`: no expiry.
    pub ttl_secs: Option<u64>,
    /// A factor of the confidence of each hit, from 0 to 1.
    pub confidence_score: f64,
    /// A put with the same key within 24 hours gets the first put's reply and stores nothing.
    pub idempotency_key: Option<String>,
}

impl NewEntry {
    /// The key of the pointer to the entry.
    pub(super) fn pointer_key(&self) -> RowKey {
        RowKey::pointer(&self.namespace, &self.query_hash)
    }

    /// The key of the idempotency record, if the entry has an idempotency key.
    pub(super) fn idempotency_record_key(&self) -> Option<RowKey> {
        self.idempotency_key.as_ref().map(|key| RowKey::idempotency_record(&self.namespace, key))
    }
}

/// A stored entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its id.
    pub id: EntryId,
    /// False when it replaced a live entry for the same query.
    pub created: bool,
    /// The namespace's quota at the time of the put; `None` also when an idempotency record answered.
    pub quota: Option<u64>,
    /// Whether an idempotency record answered and nothing was stored.
    pub replayed: bool,
}
