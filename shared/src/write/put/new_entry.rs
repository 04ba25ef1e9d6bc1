//! An entry to be stored, and the result of storing it.

use mneme_guard::ConversationSignature;
use mneme_model::context_key::ContextKey;
use mneme_model::entry_id::EntryId;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use mneme_model::tag::Tags;
use mneme_model::usage::Usage;
use mneme_store::idempotency_record::RequestDigest;
use mneme_store::key::RowKey;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

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
    /// The tags by which the entry is found and deleted.
    pub tags: Tags,
    /// What the answer cost. It is no part of the request that an idempotency key belongs to.
    pub usage: Option<Usage>,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// A factor of the confidence of each hit, from 0 to 1.
    pub confidence_score: f64,
    /// Whether a live entry for the same query is kept and nothing is stored.
    pub if_absent: bool,
    /// Who puts the entry, if that is known.
    pub stored_by: Option<String>,
    /// A put with the same key within 24 hours gets the first put's reply and stores nothing, as long as an entry for its
    /// query exists.
    pub idempotency: Option<IdempotencyKey>,
    /// The token of the lease under which the answer was made. The put ends the lease, if the token still holds it.
    pub lease_token: Option<String>,
}

/// How long an entry lives, before the settings of its namespace are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// The seconds that the put asks for.
    pub asked_secs: Option<u64>,
    /// The most seconds that the entry lives if the put asks for none. `None`: for ever.
    pub longest_secs: Option<u64>,
}

impl Lifetime {
    /// The seconds to live. `None`: no expiry. `default_secs`: what holds in the namespace if the put asks for none.
    pub(super) fn secs(self, default_secs: Option<u64>) -> Option<u64> {
        self.asked_secs.or(match self.longest_secs {
            Some(longest) => Some(default_secs.map_or(longest, |default| default.min(longest))),
            None => default_secs,
        })
    }
}

/// The idempotency key of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The caller's text.
    pub key: String,
    /// The digest of the request that the key belongs to.
    pub request: RequestDigest,
}

impl IdempotencyKey {
    /// The key `key` of a put that asks to store `entry`.
    pub fn new(key: String, entry: &NewEntry) -> Self {
        let metadata = serde_json::to_string(&entry.metadata).unwrap_or_default();
        let vectors: Vec<u8> = entry.vectors.iter().flat_map(|vector| vector.embedding.to_bytes()).collect();
        let tags = serde_json::to_vec(&entry.tags).unwrap_or_default();
        let mut hash = Sha256::new();
        for part in [
            entry.query_hash.to_string().as_bytes(),
            entry.response.as_bytes(),
            metadata.as_bytes(),
            &vectors,
            &entry.lifetime.asked_secs.unwrap_or(0).to_be_bytes(),
            &entry.confidence_score.to_be_bytes(),
            &[u8::from(entry.if_absent)],
            &tags,
        ] {
            // The length tells where a part ends.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let [request @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _]: [u8; 32] = hash.finalize().into();
        Self { key, request }
    }
}

impl NewEntry {
    /// The key of the pointer to the entry.
    pub(super) fn pointer_key(&self) -> RowKey {
        RowKey::pointer(&self.namespace, &self.query_hash)
    }

    /// The key of the idempotency record, if the entry has an idempotency key.
    pub(super) fn idempotency_record_key(&self) -> Option<RowKey> {
        self.idempotency.as_ref().map(|of| RowKey::idempotency_record(&self.namespace, &of.key))
    }

    /// The key of the entry's lease, if it was made under one.
    pub(super) fn lease_key(&self) -> Option<RowKey> {
        self.lease_token.as_ref().map(|_| RowKey::lease(&self.namespace, &self.query_hash))
    }
}

/// A stored entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its id.
    pub id: EntryId,
    /// False when it replaced a live entry for the same query, or when that entry was kept.
    pub created: bool,
    /// The quota of the namespace. `None` if it has none, and when nothing was stored.
    pub max_entries: Option<u64>,
    /// Whether an idempotency record answered and nothing was stored.
    pub replayed: bool,
    /// Whether a live entry was kept and nothing was stored.
    pub kept: bool,
}

impl StoredEntry {
    /// Whether the put stored something.
    pub fn is_stored(&self) -> bool {
        !self.replayed && !self.kept
    }
}
