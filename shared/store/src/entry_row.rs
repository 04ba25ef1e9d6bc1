//! Converts between entries and rows of the table, and reads single attributes of rows.

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_guard::{ConversationSignature, NumberFingerprint};
use mneme_model::answer::{AnswerStamp, ApartAnswer};
use mneme_model::context_key::ContextKey;
use mneme_model::embedder::{EmbedderGeneration, ServedEmbedder};
use mneme_model::embedding::Embedding;
use mneme_model::entry::{Entry, EntryHeader};
use mneme_model::entry_id::EntryId;
use mneme_model::error::{Error, ErrorKind};
use mneme_model::long_text::Unread;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use mneme_model::row_vectors::RowVectors;
use mneme_model::tag::Tags;
use serde_json::Value;

use crate::attribute as name;
use crate::item::{Item, MAX_ITEM_BYTES, b, bytes, flag, item_bytes, n, number, s, text};
use crate::key::RowKey;

/// A row is not an entry, because it lacks an attribute.
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

/// Reads the entry in `item`.
///
/// Errors: [`RowError`] if `id`, `namespace` or `query_hash` is missing. Other missing attributes get defaults. The
/// Python library does not write `query`, for example. An answer in an item of its own is left out.
pub fn entry_from_item(item: &Item) -> Result<Entry, RowError> {
    let missing = |attribute| RowError { id: format!("{:?}", item.get(name::ID)), attribute };
    Ok(Entry {
        id: entry_id(item).ok_or_else(|| missing(name::ID))?,
        namespace: namespace(item).ok_or_else(|| missing(name::NAMESPACE))?,
        query_hash: query_hash(item).ok_or_else(|| missing(name::QUERY_HASH))?,
        query: text(item, name::QUERY).filter(|query| !query.is_empty()),
        response: text(item, name::RESPONSE).unwrap_or_default(),
        apart: apart_answer(item),
        vectors: vectors(item),
        metadata: serde_json::from_str(&text(item, name::METADATA).unwrap_or_default()).unwrap_or_default(),
        tags: tags(item),
        usage: text(item, name::USAGE).and_then(|usage| serde_json::from_str(&usage).ok()),
        confidence_score: number(item, name::CONFIDENCE_SCORE).unwrap_or(1.0),
        created_at: number(item, name::CREATED_AT).unwrap_or(0),
        last_accessed_at: number(item, name::LAST_ACCESSED_AT).unwrap_or(0),
        expires_at: expires_at(item),
        access_count: number(item, name::ACCESS_COUNT).unwrap_or(0),
        stored_by: text(item, name::STORED_BY),
        context_key: context_key(item),
        signature: bytes(item, name::SIGNATURE).map(<[u8]>::to_vec),
    })
}

/// Reads the entry in `item`. If the row is not an entry, the log says so, and the result is `None`.
pub fn readable_entry(item: &Item) -> Option<Entry> {
    entry_from_item(item).inspect_err(|error| tracing::error!(%error, "a row is not an entry")).ok()
}

/// Reads the header of the entry in `item`, which needs only the small attributes. `None` if the row is not an entry.
pub fn header_from_item(item: &Item) -> Option<EntryHeader> {
    Some(EntryHeader {
        id: entry_id(item)?,
        namespace: namespace(item)?,
        query_hash: query_hash(item)?,
        created_at: number(item, name::CREATED_AT).unwrap_or(0),
        last_accessed_at: number(item, name::LAST_ACCESSED_AT).unwrap_or(0),
        expires_at: expires_at(item),
        tags: tags(item),
        has_answer_item: item.contains_key(name::ANSWER_STAMP),
    })
}

/// Makes the row of `entry`, without an answer that is in an item of its own. Its `ttl` is the absolute second of
/// expiry, by which DynamoDB's own TTL deletes.
///
/// Errors: `EntryTooLarge` if the row exceeds DynamoDB's 400 KB.
pub fn entry_to_item(entry: &Entry) -> Result<Item, Error> {
    let mut item = Item::from([
        (name::ID.to_owned(), RowKey::from(entry.id).attribute()),
        (name::NAMESPACE.to_owned(), s(entry.namespace.to_string())),
        (name::QUERY_HASH.to_owned(), s(entry.query_hash.to_string())),
        (name::CONFIDENCE_SCORE.to_owned(), n(entry.confidence_score)),
        (name::CREATED_AT.to_owned(), n(entry.created_at)),
        (name::LAST_ACCESSED_AT.to_owned(), n(entry.last_accessed_at)),
        (name::ACCESS_COUNT.to_owned(), n(entry.access_count)),
    ]);
    let optional = [
        (name::QUERY, entry.query.as_ref().map(s)),
        (name::STORED_BY, entry.stored_by.as_ref().map(s)),
        (name::TAGS, tags_value(&entry.tags)),
        (name::USAGE, entry.usage.as_ref().and_then(|usage| serde_json::to_string(usage).ok()).map(s)),
        (name::CONTEXT_KEY, entry.context_key.map(|key| b(*key.as_bytes()))),
        (name::SIGNATURE, entry.signature.clone().map(b)),
        (name::TTL, entry.expires_at.map(n)),
    ];
    let optional = optional.into_iter().chain(answer_attributes(entry)).chain(vector_attributes(&entry.vectors));
    item.extend(optional.filter_map(|(name, value)| Some((name.to_owned(), value?))));
    check_item_bytes(&item)?;
    Ok(item)
}

/// Checks that `item`, which holds an entry or its answer, fits DynamoDB's 400 KB. Errors: `EntryTooLarge`.
pub(crate) fn check_item_bytes(item: &Item) -> Result<(), Error> {
    let size = item_bytes(item);
    if size <= MAX_ITEM_BYTES {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::EntryTooLarge,
        format!("the entry takes {size} bytes, and a DynamoDB item holds {MAX_ITEM_BYTES}"),
        "shorten the response or the metadata, or keep the response elsewhere and store a reference to it",
    ))
}

/// What the row says of an answer in an item of its own. `None` if the answer is in the row.
pub fn apart_answer(item: &Item) -> Option<ApartAnswer> {
    Some(ApartAnswer {
        stamp: bytes(item, name::ANSWER_STAMP).and_then(AnswerStamp::from_bytes)?,
        bytes: number(item, name::ANSWER_BYTES).unwrap_or(0),
        is_servable: !flag(item, name::ANSWER_REFUSED).unwrap_or(false),
    })
}

/// The attributes that hold the answer, or say where it is, always in the same order. `None` means that the attribute is
/// absent.
pub(crate) fn answer_attributes(entry: &Entry) -> [(&'static str, Option<AttributeValue>); 5] {
    let in_row = entry.apart.is_none();
    let refused = entry.apart.filter(|apart| !apart.is_servable);
    [
        (name::RESPONSE, in_row.then(|| s(&entry.response))),
        (name::METADATA, in_row.then(|| metadata_value(entry))),
        (name::ANSWER_STAMP, entry.apart.map(|apart| b(*apart.stamp.as_bytes()))),
        (name::ANSWER_BYTES, entry.apart.map(|apart| n(apart.bytes))),
        (name::ANSWER_REFUSED, refused.map(|_| AttributeValue::Bool(true))),
    ]
}

/// The metadata of the entry as a DynamoDB text.
pub(crate) fn metadata_value(entry: &Entry) -> AttributeValue {
    s(Value::Object(entry.metadata.clone()).to_string())
}

/// The id of the entry. `None` for the counter and for derived items.
pub fn entry_id(item: &Item) -> Option<EntryId> {
    item.get(name::ID).and_then(RowKey::from_attribute)?.entry()
}

/// The namespace of the row. `None` for items that are not entries.
pub fn namespace(item: &Item) -> Option<Namespace> {
    text(item, name::NAMESPACE).map(Namespace::from_row)
}

/// The query hash of the row. `None` if it is missing or malformed.
pub fn query_hash(item: &Item) -> Option<QueryHash> {
    text(item, name::QUERY_HASH).and_then(|hash| QueryHash::try_from(hash).ok())
}

/// The tags of the row.
pub fn tags(item: &Item) -> Tags {
    let tags = item.get(name::TAGS).and_then(|tags| tags.as_l().ok()).into_iter().flatten();
    Tags::from_row(tags.filter_map(|tag| tag.as_s().ok().cloned()))
}

/// `tags` as the value of a row's attribute. `None` means that the attribute is absent.
///
/// The value is a list and no set, because DynamoDB returns the elements of a set in any order.
pub fn tags_value(tags: &Tags) -> Option<AttributeValue> {
    let list: Vec<AttributeValue> = tags.iter().map(|tag| s(tag.as_str())).collect();
    (!list.is_empty()).then_some(AttributeValue::L(list))
}

/// The context key of the row. `None` for an entry that was put as a plain query.
pub fn context_key(item: &Item) -> Option<ContextKey> {
    ContextKey::from_bytes(bytes(item, name::CONTEXT_KEY)?)
}

/// The epoch second of expiry, from a row's `ttl` and `created_at`. `None` if the row has no `ttl`.
///
/// This cache writes the absolute epoch second to `ttl`. The Python library writes a duration. A `ttl` below
/// `created_at` is therefore a duration.
pub fn expires_at(item: &Item) -> Option<i64> {
    let ttl: i64 = number(item, name::TTL)?;
    let created_at: i64 = number(item, name::CREATED_AT).unwrap_or(0);
    Some(if ttl < created_at { created_at.saturating_add(ttl) } else { ttl })
}

/// The fingerprint of the numbers in the row's question. `None` if no signature is stored, or the question has none.
///
/// A put that keeps the id does not change the fingerprint, because the query hash stays the same. The query can then
/// change only in case and white space.
pub fn number_fingerprint(item: &Item) -> Option<NumberFingerprint> {
    ConversationSignature::from_bytes(bytes(item, name::SIGNATURE)?).ok()?.number_fingerprint()
}

/// The vectors in `item` with their generations. An empty binary value counts as absent.
pub fn vectors(item: &Item) -> RowVectors {
    let vector = |name| bytes(item, name).filter(|bytes| !bytes.is_empty()).map(<[u8]>::to_vec);
    RowVectors {
        embedding: vector(name::EMBEDDING),
        generation: generation(item, name::EMBEDDING_GENERATION),
        next: generation(item, name::NEXT_GENERATION).zip(vector(name::NEXT_EMBEDDING)),
        unread: bytes(item, name::UNREAD).and_then(Unread::from_bytes),
    }
}

/// The vector of the embedder `served` in the row `item`. `None` if the row has none, or one that is not a vector.
pub fn served_vector(item: &Item, served: &ServedEmbedder) -> Option<Embedding> {
    let first = generation(item, name::EMBEDDING_GENERATION).unwrap_or(served.base_generation);
    let attribute = if first == served.generation {
        name::EMBEDDING
    } else if generation(item, name::NEXT_GENERATION) == Some(served.generation) {
        name::NEXT_EMBEDDING
    } else {
        return None;
    };
    Embedding::from_row(bytes(item, attribute)?)
}

/// The attributes that hold `vectors`, always in the same order. `None` means that the attribute is absent.
pub fn vector_attributes(vectors: &RowVectors) -> [(&'static str, Option<AttributeValue>); 5] {
    let next = vectors.next.as_ref();
    [
        (name::EMBEDDING, vectors.embedding.clone().map(b)),
        (name::EMBEDDING_GENERATION, vectors.generation.map(generation_value)),
        (name::NEXT_EMBEDDING, next.map(|(_, bytes)| b(bytes.clone()))),
        (name::NEXT_GENERATION, next.map(|(generation, _)| generation_value(*generation))),
        (name::UNREAD, vectors.unread.map(|unread| b(*unread.as_bytes()))),
    ]
}

/// The generation in `item`'s attribute `name`. `None` if it is missing.
pub fn generation(item: &Item, name: &str) -> Option<EmbedderGeneration> {
    number(item, name).map(EmbedderGeneration::new)
}

/// A generation as a DynamoDB number.
pub fn generation_value(generation: EmbedderGeneration) -> AttributeValue {
    n(generation.get())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use mneme_model::usage::Usage;
    use serde_json::Map;

    use super::*;

    fn entry() -> Entry {
        Entry {
            id: EntryId::new(7).unwrap(),
            namespace: Namespace::default(),
            query_hash: QueryHash::of("q", true),
            query: Some("q".to_owned()),
            response: "r".to_owned(),
            apart: None,
            vectors: RowVectors { embedding: Some(vec![0, 0, 128, 63]), ..RowVectors::default() },
            metadata: Map::new(),
            tags: Tags::default(),
            usage: None,
            confidence_score: 0.5,
            created_at: 1_700_000_000,
            last_accessed_at: 1_700_000_001,
            expires_at: Some(1_700_000_100),
            access_count: 3,
            stored_by: None,
            context_key: None,
            signature: None,
        }
    }

    #[test]
    fn entry_with_duration_as_ttl_expires_that_long_after_creation() {
        let mut item = entry_to_item(&entry()).unwrap();
        item.insert(name::TTL.to_owned(), n(60));
        let read = entry_from_item(&item).unwrap();
        assert_eq!(read.expires_at, Some(1_700_000_060));
        assert!(!read.is_expired(1_700_000_059));
        assert!(read.is_expired(1_700_000_060));
    }

    #[test]
    fn entry_from_item_without_key_attribute_names_it() {
        for name in [name::ID, name::NAMESPACE, name::QUERY_HASH] {
            let mut item = entry_to_item(&entry()).unwrap();
            item.remove(name);
            assert!(entry_from_item(&item).unwrap_err().to_string().contains(name));
        }
    }

    #[test]
    fn entry_to_item_above_item_size_is_refused() {
        let mut large = entry();
        large.response = "x".repeat(MAX_ITEM_BYTES);
        let error = entry_to_item(&large).unwrap_err();
        assert_eq!(error.kind, ErrorKind::EntryTooLarge);
        assert!(error.detail.contains("409600"), "{error}");
    }

    fn put_into(vectors: &RowVectors, item: &mut Item) {
        item.extend(vector_attributes(vectors).into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }

    const BASE: EmbedderGeneration = EmbedderGeneration::new(2);
    const NEXT: EmbedderGeneration = EmbedderGeneration::new(4);

    /// Little-endian float32 of 1 and of -1.
    const ONE: [u8; 4] = [0, 0, 128, 63];
    const MINUS_ONE: [u8; 4] = [0, 0, 128, 191];

    fn served(generation: EmbedderGeneration) -> ServedEmbedder {
        ServedEmbedder { generation, base_generation: BASE, switches: 0, dim: Some(1), fingerprint: None, scale: None }
    }

    #[test]
    fn vectors_of_row_with_two_vectors_are_the_written_ones() {
        let row = RowVectors {
            embedding: Some(ONE.to_vec()),
            next: Some((NEXT, MINUS_ONE.to_vec())),
            ..RowVectors::default()
        };
        let mut item = Item::new();
        put_into(&row, &mut item);
        assert_eq!(vectors(&item), row);
        assert_eq!(served_vector(&item, &served(BASE)).unwrap().as_slice(), [1.0]);
        assert_eq!(served_vector(&item, &served(NEXT)).unwrap().as_slice(), [-1.0]);
        assert_eq!(served_vector(&item, &served(EmbedderGeneration::new(3))), None);
    }

    #[test]
    fn served_vector_of_first_vector_with_generation_ignores_base() {
        let row = RowVectors { embedding: Some(ONE.to_vec()), generation: Some(NEXT), ..RowVectors::default() };
        let mut item = Item::new();
        put_into(&row, &mut item);
        assert_eq!(served_vector(&item, &served(NEXT)).unwrap().as_slice(), [1.0]);
        assert_eq!(served_vector(&item, &served(BASE)), None);
    }

    prop_compose! {
        fn any_entry()(
            id in 1u64..,
            namespace in "[a-z/ ]{1,20}",
            query in prop::option::of("\\PC{1,40}"),
            response in ".*",
            floats in prop::option::of(prop::collection::vec(any::<u8>(), 4..64)),
            generations in (prop::option::of(any::<u64>()), prop::option::of(any::<u64>())),
            score in 0.0f64..=1.0,
            created_at in 1_000_000_000i64..4_000_000_000,
            ttl_secs in prop::option::of(1i64..1_000_000),
            access_count in any::<u32>(),
            context_key in prop::option::of(any::<[u8; 32]>()),
            signature in prop::option::of(prop::collection::vec(any::<u8>(), 1..64)),
            unread in prop::option::of(any::<[u8; 16]>()),
            tags in prop::collection::vec("[a-z:/é]{1,9}", 0..16),
        ) -> Entry {
            Entry {
                id: EntryId::new(id).unwrap(),
                namespace: Namespace::try_from(namespace).unwrap(),
                query_hash: QueryHash::of(query.as_deref().unwrap_or("x"), true),
                query,
                response,
                apart: None,
                vectors: RowVectors {
                    embedding: floats.clone(),
                    generation: generations.0.map(EmbedderGeneration::new),
                    next: generations.1.map(EmbedderGeneration::new).zip(floats),
                    unread: unread.and_then(|bytes| Unread::from_bytes(&bytes)),
                },
                metadata: Map::from_iter([("k".to_owned(), Value::from(score))]),
                tags: Tags::from_row(tags),
                usage: access_count.is_multiple_of(3).then(|| Usage { latency_ms: id, ..Usage::default() }),
                confidence_score: score,
                created_at,
                last_accessed_at: created_at,
                expires_at: ttl_secs.map(|secs| created_at + secs),
                access_count: u64::from(access_count),
                stored_by: access_count.is_multiple_of(2).then(|| "ann".to_owned()),
                context_key: context_key.map(ContextKey::from),
                signature,
            }
        }
    }

    proptest! {
        #[test]
        fn entry_from_item_of_entry_to_item_is_same_entry(entry in any_entry()) {
            let item = entry_to_item(&entry).unwrap();
            prop_assert_eq!(entry_from_item(&item).unwrap(), entry);
        }
    }
}
