//! Entries, and how a row of the table holds one.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use mneme_guard::{ConversationSignature, NumberFingerprint, Signature};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::embedders::{RowVectors, Serving};
use crate::embedding::{Embedding, encode_base64};
use crate::error::{Error, ErrorKind};
use crate::key::{EntryId, RowKey};
use crate::namespace::Namespace;
use crate::normalize::QueryHash;
use crate::question::Partition;

/// A row as the SDK gives and takes it.
pub type Item = HashMap<String, AttributeValue>;

/// The longest time to live that a caller may ask for: a hundred years.
pub const MAX_TTL_SECS: u64 = 3_153_600_000;

/// DynamoDB's limit for an item: 400 KB, names included
/// (DynamoDB Developer Guide, "Service, account, and table quotas").
const MAX_ITEM_BYTES: usize = 400 * 1024;

/// One stored answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// Its namespace.
    pub namespace: Namespace,
    /// The hash of its normalised query.
    pub query_hash: QueryHash,
    /// The query as it was put; `None` where only the hash is kept.
    pub query: Option<String>,
    /// The answer.
    pub response: String,
    /// Little-endian float32; the first one is shown, in base64.
    #[serde(rename = "embedding", serialize_with = "first_in_base64")]
    pub vectors: RowVectors,
    /// What the caller keeps with it.
    pub metadata: Map<String, Value>,
    /// How far the caller trusts the answer, 0 to 1.
    pub confidence_score: f64,
    /// Epoch seconds of the put.
    pub created_at: i64,
    /// Epoch seconds of the last recorded access.
    pub last_accessed_at: i64,
    /// Epoch second from which on the entry is absent.
    pub expires_at: Option<i64>,
    /// How many accesses were recorded.
    pub access_count: u64,
    /// What questions must have in common with it exactly. Not shown.
    #[serde(skip)]
    pub partition: Option<Partition>,
    /// What decides its answer, as [`mneme_guard::ConversationSignature`] writes it. Not shown.
    #[serde(skip)]
    pub signature: Option<Vec<u8>>,
}

fn first_in_base64<S: Serializer>(vectors: &RowVectors, serializer: S) -> Result<S::Ok, S::Error> {
    match &vectors.embedding {
        Some(bytes) => serializer.serialize_str(&encode_base64(bytes)),
        None => serializer.serialize_none(),
    }
}

/// Why a row is not an entry.
#[derive(Debug, thiserror::Error)]
#[error("row {id}: attribute {attribute} is missing or of the wrong type")]
pub struct RowError {
    id: String,
    attribute: &'static str,
}

impl From<RowError> for Error {
    fn from(error: RowError) -> Self {
        Error::internal(error)
    }
}

/// The whole number in `item`'s attribute `name`. DynamoDB returns numbers without an exponent up to 38 digits.
pub(crate) fn number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub(crate) fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

fn bytes(item: &Item, name: &str) -> Option<Vec<u8>> {
    Some(item.get(name)?.as_b().ok()?.as_ref().to_vec())
}

/// What numbers the question of the row `item` has, where its signature is kept. A put in place does not change it: the text of
/// an id stays the same but for case and white space.
pub(crate) fn exact_digest(item: &Item) -> Option<NumberFingerprint> {
    let signature = item.get("signature")?.as_b().ok()?;
    ConversationSignature::from_bytes(signature.as_ref()).ok()?.number_fingerprint()
}

/// The moment of expiry that a row's `ttl` and `created_at` mean.
///
/// Ours is the absolute epoch second. The Python library writes a duration, which is told by being smaller
/// than `created_at`.
pub(crate) fn expires_at(item: &Item) -> Option<i64> {
    let ttl: i64 = number(item, "ttl")?;
    let created_at: i64 = number(item, "created_at").unwrap_or(0);
    Some(if ttl < created_at { created_at.saturating_add(ttl) } else { ttl })
}

impl Entry {
    /// The entry in `item`.
    ///
    /// Errors: [`RowError`] without `id`, `namespace` or `query_hash`. What the Python library leaves out has
    /// its defaults: `confidence_score` 1, no `query`.
    pub fn from_item(item: &Item) -> Result<Self, RowError> {
        let lacks = |attribute| RowError { id: format!("{:?}", item.get("id")), attribute };
        let id = item.get("id").and_then(RowKey::from_attribute).and_then(RowKey::entry).ok_or_else(|| lacks("id"))?;
        let query_hash = text(item, "query_hash")
            .and_then(|hash| QueryHash::try_from(hash).ok())
            .ok_or_else(|| lacks("query_hash"))?;
        let metadata = text(item, "metadata").unwrap_or_default();
        Ok(Self {
            id,
            namespace: text(item, "namespace").map(Namespace::from_row).ok_or_else(|| lacks("namespace"))?,
            query_hash,
            query: text(item, "query").filter(|query| !query.is_empty()),
            response: text(item, "response").unwrap_or_default(),
            vectors: RowVectors::from_item(item),
            metadata: serde_json::from_str(&metadata).unwrap_or_default(),
            confidence_score: number(item, "confidence_score").unwrap_or(1.0),
            created_at: number(item, "created_at").unwrap_or(0),
            last_accessed_at: number(item, "last_accessed_at").unwrap_or(0),
            expires_at: expires_at(item),
            access_count: number(item, "access_count").unwrap_or(0),
            partition: Partition::in_row(item),
            signature: bytes(item, "signature"),
        })
    }

    /// The row that holds this entry. `ttl` is the absolute second, which DynamoDB's own TTL acts on.
    ///
    /// Errors: `EntryTooLarge` past DynamoDB's 400 KB.
    pub fn to_item(&self) -> Result<Item, Error> {
        let n = |value: String| AttributeValue::N(value);
        let mut item = Item::from([
            ("id".to_owned(), RowKey::from(self.id).attribute()),
            ("namespace".to_owned(), AttributeValue::S(self.namespace.to_string())),
            ("query_hash".to_owned(), AttributeValue::S(self.query_hash.to_string())),
            ("response".to_owned(), AttributeValue::S(self.response.clone())),
            ("metadata".to_owned(), AttributeValue::S(Value::Object(self.metadata.clone()).to_string())),
            ("confidence_score".to_owned(), n(self.confidence_score.to_string())),
            ("created_at".to_owned(), n(self.created_at.to_string())),
            ("last_accessed_at".to_owned(), n(self.last_accessed_at.to_string())),
            ("access_count".to_owned(), n(self.access_count.to_string())),
        ]);
        if let Some(query) = &self.query {
            item.insert("query".to_owned(), AttributeValue::S(query.clone()));
        }
        self.vectors.put_into(&mut item);
        if let Some(partition) = &self.partition {
            item.insert("partition".to_owned(), partition.attribute());
        }
        if let Some(signature) = &self.signature {
            item.insert("signature".to_owned(), AttributeValue::B(Blob::new(signature.clone())));
        }
        if let Some(expires_at) = self.expires_at {
            item.insert("ttl".to_owned(), n(expires_at.to_string()));
        }
        let bytes = item_bytes(&item);
        if bytes > MAX_ITEM_BYTES {
            return Err(Error::new(
                ErrorKind::EntryTooLarge,
                format!("the entry takes {bytes} bytes, and a DynamoDB item holds {MAX_ITEM_BYTES}"),
                "shorten the response or the metadata, or keep the response elsewhere and store a reference to it",
            ));
        }
        Ok(item)
    }

    /// The vector of the served embedder, where the row has a usable one.
    pub fn vector(&self, serving: &Serving) -> Option<Embedding> {
        Embedding::from_row(self.vectors.of(serving.era, serving.base)?)
    }

    /// What decides its answer, for the guard: as it was stored, or, where that is of no use to this version, derived from the
    /// query, which of a message that leans on others says too little to be served. `None` where neither is there, as in rows of
    /// the Python library.
    pub fn signature(&self) -> Option<ConversationSignature> {
        let stored = self.signature.as_ref().and_then(|bytes| ConversationSignature::from_bytes(bytes).ok());
        stored.or_else(|| Some(Signature::of(self.query.as_ref()?).into()))
    }

    /// Whether the entry is absent at `now_secs` because its time is over.
    pub fn is_expired(&self, now_secs: i64) -> bool {
        self.expires_at.is_some_and(|at| at <= now_secs)
    }

    /// Whether this is the entry of the pair: what a key that was computed from the pair must lead to.
    pub fn answers(&self, namespace: &Namespace, hash: &QueryHash) -> bool {
        self.namespace == *namespace && self.query_hash == *hash
    }
}

/// `NotFound`: there is no live entry as it was asked for.
pub fn no_such_entry() -> Error {
    Error::not_found(
        "there is no such entry",
        "it may have been deleted, replaced or expired: look it up or put it again",
    )
}

/// The size of an item as DynamoDB counts it, rounded up where its rule is approximate
/// (DynamoDB Developer Guide, "DynamoDB item sizes and formats").
pub(crate) fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len() / 2 + 2,
        AttributeValue::B(blob) => blob.as_ref().len(),
        AttributeValue::M(map) => {
            3 + map.iter().map(|(name, value)| 1 + name.len() + value_bytes(value)).sum::<usize>()
        }
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|digits| digits.len() / 2 + 2).sum(),
        AttributeValue::Bs(blobs) => blobs.iter().map(|blob| blob.as_ref().len()).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedders::Era;

    fn entry() -> Entry {
        Entry {
            id: EntryId::new(7).unwrap(),
            namespace: Namespace::default(),
            query_hash: QueryHash::of("q", true),
            query: Some("q".to_owned()),
            response: "r".to_owned(),
            vectors: RowVectors { embedding: Some(vec![0, 0, 128, 63]), ..RowVectors::default() },
            metadata: Map::new(),
            confidence_score: 0.5,
            created_at: 1_700_000_000,
            last_accessed_at: 1_700_000_001,
            expires_at: Some(1_700_000_100),
            access_count: 3,
            partition: None,
            signature: None,
        }
    }

    #[test]
    fn a_duration_in_ttl_is_read_as_the_python_library_means_it() {
        let mut item = entry().to_item().unwrap();
        item.insert("ttl".to_owned(), AttributeValue::N("60".to_owned()));
        let read = Entry::from_item(&item).unwrap();
        assert_eq!(read.expires_at, Some(1_700_000_060));
        assert!(!read.is_expired(1_700_000_059));
        assert!(read.is_expired(1_700_000_060));
    }

    #[test]
    fn a_row_without_its_keys_is_not_an_entry() {
        for name in ["id", "namespace", "query_hash"] {
            let mut item = entry().to_item().unwrap();
            item.remove(name);
            assert!(Entry::from_item(&item).unwrap_err().to_string().contains(name));
        }
    }

    #[test]
    fn an_entry_over_an_item_is_refused() {
        let mut large = entry();
        large.response = "x".repeat(MAX_ITEM_BYTES);
        let error = large.to_item().unwrap_err();
        assert_eq!(error.kind, ErrorKind::EntryTooLarge);
        assert!(error.detail.contains("409600"), "{error}");
    }

    prop_compose! {
        fn any_entry()(
            id in 1u64..,
            namespace in "[a-z/ ]{1,20}",
            query in prop::option::of("\\PC{1,40}"),
            response in ".*",
            floats in prop::option::of(prop::collection::vec(any::<u8>(), 4..64)),
            eras in (prop::option::of(any::<u64>()), prop::option::of(any::<u64>())),
            score in 0.0f64..=1.0,
            created_at in 1_000_000_000i64..4_000_000_000,
            lives in prop::option::of(1i64..1_000_000),
            access_count in any::<u32>(),
            partition in prop::option::of(any::<[u8; 32]>()),
            signature in prop::option::of(prop::collection::vec(any::<u8>(), 1..64)),
        ) -> Entry {
            Entry {
                id: EntryId::new(id).unwrap(),
                namespace: Namespace::try_from(namespace).unwrap(),
                query_hash: QueryHash::of(query.as_deref().unwrap_or("x"), true),
                query,
                response,
                vectors: RowVectors {
                    embedding: floats.clone(),
                    own: eras.0.map(Era::new),
                    next: eras.1.map(Era::new).zip(floats),
                },
                metadata: Map::from_iter([("k".to_owned(), Value::from(score))]),
                confidence_score: score,
                created_at,
                last_accessed_at: created_at,
                expires_at: lives.map(|secs| created_at + secs),
                access_count: u64::from(access_count),
                partition: partition.and_then(|bytes| Partition::from_bytes(&bytes)),
                signature,
            }
        }
    }

    proptest! {
        #[test]
        fn rows_round_trip(entry in any_entry()) {
            let item = entry.to_item().unwrap();
            prop_assert_eq!(Entry::from_item(&item).unwrap(), entry);
        }
    }
}
