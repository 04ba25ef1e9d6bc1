//! Entries: the stored answers of the cache, and the errors about them.

use mneme_guard::{Conversation, ConversationSignature};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::answer::ApartAnswer;
use crate::confidence::is_servable;
use crate::context_key::ContextKey;
use crate::embedder::ServedEmbedder;
use crate::embedding::{Embedding, encode_base64};
use crate::entry_id::EntryId;
use crate::error::Error;
use crate::namespace::Namespace;
use crate::normalize::QueryHash;
use crate::row_vectors::RowVectors;
use crate::tag::Tags;
use crate::usage::Usage;

/// One stored answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The id, which is the primary key of the row.
    pub id: EntryId,
    /// The first part of the entry key.
    pub namespace: Namespace,
    /// The second part of the entry key: the hash of the normalised query.
    pub query_hash: QueryHash,
    /// The query as the caller sent it. `None` if only the hash is stored.
    pub query: Option<String>,
    /// The stored answer. Empty if it is in an item of its own and was not read ([`Entry::lacks_answer`]).
    pub response: String,
    /// What the row says of an answer in an item of its own; `None` if the answer is in the row. The JSON form leaves it
    /// out.
    #[serde(skip)]
    pub apart: Option<ApartAnswer>,
    /// Little-endian float32. The JSON form shows the first vector in base64.
    #[serde(rename = "embedding", serialize_with = "serialize_first_vector")]
    pub vectors: RowVectors,
    /// A JSON object that the caller stored with the answer, and that is stored where the answer is.
    pub metadata: Map<String, Value>,
    /// The tags that the caller attached.
    pub tags: Tags,
    /// What the answer cost, as the caller stated it.
    pub usage: Option<Usage>,
    /// The caller's trust in the answer, from 0 to 1.
    pub confidence_score: f64,
    /// Epoch seconds of the put.
    pub created_at: i64,
    /// Epoch seconds of the last recorded access.
    pub last_accessed_at: i64,
    /// Epoch second from which on the entry is absent.
    pub expires_at: Option<i64>,
    /// The number of recorded accesses.
    pub access_count: u64,
    /// Who put the entry: the subject of a token, or the ARN of an IAM user or role. `None` if it is not known, as of
    /// direct invocations.
    pub stored_by: Option<String>,
    /// The context key of the question. `None` for a plain query. The JSON form leaves it out.
    #[serde(skip)]
    pub context_key: Option<ContextKey>,
    /// The encoded [`ConversationSignature`] for the guard. The JSON form leaves it out.
    #[serde(skip)]
    pub signature: Option<Vec<u8>>,
}

fn serialize_first_vector<S: Serializer>(vectors: &RowVectors, serializer: S) -> Result<S::Ok, S::Error> {
    match &vectors.embedding {
        Some(bytes) => serializer.serialize_str(&encode_base64(bytes)),
        None => serializer.serialize_none(),
    }
}

impl Entry {
    /// A plain entry of the query `q` in the default namespace with the answer `A`, for tests. It stores no query and no
    /// vector. Panics if `id` is not an entry's id.
    ///
    /// No feature of the crate guards it, because `cargo test` would then build every crate twice, with and without.
    #[doc(hidden)]
    pub fn example(id: u64) -> Self {
        Self {
            id: EntryId::new(id).expect("an id from 1"),
            namespace: Namespace::default(),
            query_hash: QueryHash::of("q", true),
            query: None,
            response: "A".to_owned(),
            apart: None,
            vectors: RowVectors::default(),
            metadata: Map::new(),
            tags: Tags::default(),
            usage: None,
            confidence_score: 1.0,
            created_at: 1,
            last_accessed_at: 1,
            expires_at: None,
            access_count: 0,
            stored_by: None,
            context_key: None,
            signature: None,
        }
    }

    /// The vector of the embedder `served`. `None` if the row has none, or one that is not a vector.
    pub fn vector(&self, served: &ServedEmbedder) -> Option<Embedding> {
        Embedding::from_row(self.vectors.of(served.generation, served.base_generation)?)
    }

    /// The signature that the guard compares.
    ///
    /// Falls back to a signature computed from the query if no signature is stored or this version cannot read it. For
    /// a follow-up message that fallback lacks the history, so the guard vetoes it. The part of the last message is
    /// computed again if an earlier version of the guard made it. `None` if neither a signature nor a
    /// query is stored, as in rows of the Python library.
    pub fn signature(&self) -> Option<ConversationSignature> {
        let stored = self.signature.as_ref().and_then(|bytes| ConversationSignature::from_bytes(bytes).ok());
        match (stored, &self.query) {
            (Some(stored), Some(query)) => Some(stored.renewed(query)),
            (stored, query) => stored.or_else(|| Some(Conversation::of_query(query.as_ref()?).signature)),
        }
    }

    /// Whether response and metadata are in an item of their own and were not read.
    pub fn lacks_answer(&self) -> bool {
        self.apart.is_some() && self.response.is_empty() && self.metadata.is_empty()
    }

    /// Whether the response may be served, also if it was not read: it is neither empty nor a stored failure.
    pub fn is_servable(&self) -> bool {
        self.apart.map_or_else(|| is_servable(&self.response), |apart| apart.is_servable)
    }

    /// Whether the entry has expired at `now_secs` and counts as absent.
    pub fn is_expired(&self, now_secs: i64) -> bool {
        self.expires_at.is_some_and(|at| at <= now_secs)
    }

    /// Whether the entry has the entry key of `namespace` and `hash`. A reader that found the row by a pointer checks
    /// this, because the keys of pointers are hashes and may collide.
    pub fn has_key(&self, namespace: &Namespace, hash: &QueryHash) -> bool {
        self.namespace == *namespace && self.query_hash == *hash
    }
}

/// The small attributes of an entry, which suffice to remove, count or evict it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryHeader {
    /// The id, which is the primary key of the row.
    pub id: EntryId,
    /// The first part of the entry key.
    pub namespace: Namespace,
    /// The second part of the entry key: the hash of the normalised query.
    pub query_hash: QueryHash,
    /// Epoch seconds of the put.
    pub created_at: i64,
    /// Epoch seconds of the last recorded access.
    pub last_accessed_at: i64,
    /// Epoch second from which on the entry is absent.
    pub expires_at: Option<i64>,
    /// The tags that the caller attached.
    pub tags: Tags,
    /// Whether the answer is in an item of its own.
    pub has_answer_item: bool,
}

impl EntryHeader {
    /// Whether the entry has expired at `now_secs` and counts as absent.
    pub fn is_expired(&self, now_secs: i64) -> bool {
        self.expires_at.is_some_and(|at| at <= now_secs)
    }
}

impl From<&Entry> for EntryHeader {
    fn from(entry: &Entry) -> Self {
        Self {
            id: entry.id,
            namespace: entry.namespace.clone(),
            query_hash: entry.query_hash.clone(),
            created_at: entry.created_at,
            last_accessed_at: entry.last_accessed_at,
            expires_at: entry.expires_at,
            tags: entry.tags.clone(),
            has_answer_item: entry.apart.is_some(),
        }
    }
}

/// An error of kind `NotFound`: no live entry has the id or the entry key that the caller sent.
pub fn no_such_entry() -> Error {
    Error::not_found(
        "there is no such entry",
        "it may have been deleted, replaced or expired: look it up or put it again",
    )
}
