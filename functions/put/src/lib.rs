//! `put`: stores one answer, or a batch of answers.

use std::collections::BTreeMap;

use mneme_api::event::batch::{BatchResult, BatchShape, parse_item};
use mneme_api::event::{self, Reply, RequestFields};
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::embedders::entry_vectors::MadeVectors;
use mneme_core::maintain::eviction::enforce_caps;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::runtime::metrics::Metric;
use mneme_core::segments::write::write_range;
use mneme_core::write::put::{self, NewEntry};
use mneme_model::embedding::Embedding;
use mneme_model::entry_id::EntryId;
use mneme_model::error::{Error, ErrorKind};
use mneme_model::limits::{MAX_TTL_SECS, check_bytes};
use mneme_model::namespace::Namespace;
use mneme_model::question::{Message, Question};
use mneme_store::segments::RANGE_IDS;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::timeout_at;

/// A batch of entries.
const BATCH: BatchShape = BatchShape {
    list: "entries",
    shared: &["namespace", "context", "metadata", "ttl_seconds", "confidence_score"],
    max_items: 1000,
};
/// The largest size of an idempotency key.
const MAX_KEY_BYTES: usize = 128;

/// A request to store one entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryRequest {
    /// The question.
    pub query: Option<String>,
    /// In place of `query`: a conversation that ends with the user's message.
    pub messages: Option<Vec<Message>>,
    /// Whatever else the answer depends on, such as the model and its parameters. It is matched exactly.
    pub context: Option<Map<String, Value>>,
    /// The answer.
    pub response: String,
    /// The namespace. Default: `default`.
    #[serde(default)]
    pub namespace: Namespace,
    /// The vector of the query, or of the last message.
    ///
    /// Without it, the configured embedder embeds the text. Without an embedder, only the exact layer finds the entry.
    pub embedding: Option<Embedding>,
    /// An object that is stored with the answer and returned with it. Default: empty.
    pub metadata: Option<Map<String, Value>>,
    /// The time to live in seconds. Default: `MNEME_DEFAULT_TTL_SECS`, else unlimited.
    pub ttl_seconds: Option<u64>,
    /// How much the caller trusts the answer, in [0, 1]. Default: 1.
    #[serde(default = "full_confidence")]
    pub confidence_score: f64,
    /// A repeated put with the same key gets the first reply, for 24 hours.
    pub idempotency_key: Option<String>,
}

fn full_confidence() -> f64 {
    1.0
}

/// The reply to one entry, or to a batch.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// The result of a single entry.
    One(Stored),
    /// The results of a batch.
    Batch {
        /// One result per entry, in the order of the request.
        results: Vec<BatchResult<Stored>>,
    },
}

/// A stored entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// The entry's id.
    pub id: EntryId,
    /// False if the put replaced an entry of the same entry key.
    pub created: bool,
}

/// Stores entries.
#[derive(Debug)]
pub struct Put;

impl Operation for Put {
    const SPEC: &'static OperationSpec = &operations::PUT;
    type Request = RequestFields;
    type Response = Response;

    /// `request`: the fields of an [`EntryRequest`], or `entries`, a list of such objects.
    async fn handle(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        mut request: RequestFields,
    ) -> Result<Reply<Response>, Error> {
        let Some(entries) = BATCH.items(&mut request)? else {
            let mut entries = vec![check(cache, invocation, event::parse(request)?)];
            embed(cache, invocation, &mut entries).await;
            let stored = store_checked(cache, invocation, entries).await.pop();
            let stored = stored.ok_or_else(|| Error::internal("the store returned no result"))??;
            let response = Response::One(stored);
            return Ok(if stored.created { Reply::created(response) } else { Reply::ok(response) });
        };
        if entries.is_empty() {
            // Without an item, nothing else parses the shared fields. An item also needs a response.
            request.insert("response".to_owned(), "".into());
            event::parse::<EntryRequest>(request)?;
        }
        cache.open().await?;
        let checked = |entry| parse_item(entry).and_then(|entry| check(cache, invocation, entry));
        let mut entries: Vec<_> = entries.into_iter().map(checked).collect();
        embed(cache, invocation, &mut entries).await;
        let result = |result: Result<Stored, Error>| match result {
            Ok(stored) => BatchResult::Done(stored),
            Err(error) => {
                invocation.record(Metric::EntriesFailed, 1.0);
                invocation.record_failure("an entry of the batch", &error);
                BatchResult::Failed { error }
            }
        };
        let results = store_checked(cache, invocation, entries).await.into_iter().map(result).collect();
        Ok(Reply::ok(Response::Batch { results }))
    }
}

/// An entry that passed all checks and may still need its vector.
struct CheckedEntry {
    entry: NewEntry,
    /// The text to embed. `None`: the request has a vector, or no embedder is configured.
    text: Option<String>,
}

/// Embeds the texts of all entries that need a vector, in one call.
///
/// An entry that cannot be embedded gets its own error.
///
/// If the second embedder of a move fails, the entry is stored without that vector. The move adds it later.
async fn embed(cache: &Cache, invocation: &Invocation, entries: &mut [Result<CheckedEntry, Error>]) {
    let mut waiting = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        waiting.extend(entry.as_ref().ok().and_then(|checked| checked.text.clone()).map(|text| (at, text)));
    }
    if waiting.is_empty() {
        return;
    }
    let texts: Vec<&str> = waiting.iter().map(|(_, text)| text.as_str()).collect();
    let made = match embed_texts(cache, &texts).await {
        Ok(made) => made,
        Err(error) => return waiting.iter().for_each(|(at, _)| entries[*at] = Err(error.for_caller())),
    };
    for ((at, _), made) in waiting.iter().zip(made) {
        match (made, &mut entries[*at]) {
            (Err(error), entry) => *entry = Err(error),
            (Ok(MadeVectors { vectors, second_error }), Ok(checked)) => {
                checked.entry.vectors.extend(vectors);
                if let Some(error) = second_error {
                    invocation.record_failure("embedding by the second embedder of the move", &error);
                }
            }
            (Ok(_), Err(_)) => {}
        }
    }
}

/// Reads: the counter, if a second embedder is configured.
async fn embed_texts(cache: &Cache, texts: &[&str]) -> Result<Vec<Result<MadeVectors, Error>>, Error> {
    let embedders = cache.embedders();
    let counter = if embedders.need_counter() { Some(cache.counter().await?) } else { None };
    embedders.embed_entries(counter.as_ref(), texts).await
}

/// Stores the entries that passed the checks. The result of any other entry is its error.
async fn store_checked(
    cache: &Cache,
    invocation: &Invocation,
    entries: Vec<Result<CheckedEntry, Error>>,
) -> Vec<Result<Stored, Error>> {
    let mut accepted = Vec::new();
    let mut checked: Vec<Result<Option<String>, Error>> = Vec::new();
    for entry in entries {
        checked.push(entry.map(|CheckedEntry { entry, text }| {
            accepted.push(entry);
            text
        }));
    }
    let mut stored = store(cache, invocation, &accepted).await.into_iter();
    let result = |checked: Result<Option<String>, Error>| {
        let embedded = match checked {
            Ok(embedded) => embedded,
            Err(error) => return Some(Err(error)),
        };
        let stored = stored.next();
        let has_wrong_dimension = |stored: &Result<Stored, Error>| {
            stored.as_ref().is_err_and(|error| error.kind == ErrorKind::EmbedderDimensionError)
        };
        if let Some(text) = embedded.filter(|_| stored.as_ref().is_some_and(has_wrong_dimension)) {
            cache.embedders().forget(&text);
        }
        stored
    };
    checked.into_iter().filter_map(result).collect()
}

/// The ranges whose last id was given to one of the entries.
fn filled_ranges(results: &[Result<put::StoredEntry, Error>]) -> impl Iterator<Item = u64> {
    let ids = results.iter().flatten().filter(|stored| !stored.replayed).map(|stored| stored.id.get());
    ids.filter(|id| id.is_multiple_of(RANGE_IDS)).map(|id| id / RANGE_IDS - 1)
}

/// Stores `entries`. Then enforces the quotas of their namespaces or the cap of the table, and writes the segment of each
/// range that they filled.
async fn store(cache: &Cache, invocation: &Invocation, entries: &[NewEntry]) -> Vec<Result<Stored, Error>> {
    let results = put::put_all(cache, entries).await;
    let mut quotas: BTreeMap<&Namespace, Option<u64>> = BTreeMap::new();
    for (entry, stored) in
        entries.iter().zip(&results).filter_map(|(entry, result)| Some((entry, result.as_ref().ok()?)))
    {
        if !stored.replayed {
            invocation.record(Metric::EntriesStored, 1.0);
        }
        let quota = quotas.entry(&entry.namespace).or_default();
        *quota = quota.or(stored.quota);
    }
    for (namespace, quota) in quotas {
        // The entries are stored already. If this fails, the next put or `vacuum` enforces the cap.
        if let Ok(Err(error)) = timeout_at(cache.reply_by(), enforce_caps(cache, namespace, quota)).await {
            invocation.record_failure("enforcing the cap", &error);
        }
    }
    // If this fails, `vacuum` writes the segment.
    for range in filled_ranges(&results) {
        if let Ok(Err(error)) = timeout_at(cache.reply_by(), write_range(cache, range)).await {
            invocation.record_failure("writing a segment", &error);
        }
    }
    let to_stored = |result: Result<put::StoredEntry, Error>| {
        result.map(|put::StoredEntry { id, created, .. }| Stored { id, created })
    };
    results.into_iter().map(to_stored).collect()
}

fn check(cache: &Cache, invocation: &Invocation, entry: EntryRequest) -> Result<CheckedEntry, Error> {
    invocation.authorize(&entry.namespace)?;
    let config = &cache.config;
    let EntryRequest { query, messages, context, .. } = &entry;
    let question = Question::of(query.as_deref(), messages.as_deref(), context.as_ref(), config)?;
    if let Some(limit) = config.max_response_bytes {
        check_bytes("response", entry.response.len(), limit, "MNEME_MAX_RESPONSE_BYTES")?;
    }
    let metadata = entry.metadata.unwrap_or_default();
    let metadata_bytes = serde_json::to_string(&metadata).map_err(Error::internal)?.len();
    check_bytes("metadata", metadata_bytes, config.max_metadata_bytes, "MNEME_MAX_METADATA_BYTES")?;
    if !(0.0..=1.0).contains(&entry.confidence_score) {
        return Err(Error::invalid(
            format!("confidence_score: {} is not between 0 and 1", entry.confidence_score),
            "send a number from 0 to 1, or leave the field out",
        ));
    }
    if let Some(secs) = entry.ttl_seconds.filter(|secs| !(1..=MAX_TTL_SECS).contains(secs)) {
        return Err(Error::invalid(
            format!("ttl_seconds: {secs} is not between 1 and {MAX_TTL_SECS}"),
            "send a whole number of seconds, at most a hundred years, or leave the field out",
        ));
    }
    if let Some(key) = entry.idempotency_key.as_ref().filter(|key| !(1..=MAX_KEY_BYTES).contains(&key.len())) {
        return Err(Error::invalid(
            format!("idempotency_key: it has {} bytes, and 1 to {MAX_KEY_BYTES} are allowed", key.len()),
            "send a key of an allowed length, or leave the field out",
        ));
    }
    let text = (entry.embedding.is_none() && cache.embedders().are_configured()).then(|| question.message.clone());
    let entry = NewEntry {
        query_hash: question.hash,
        context_key: question.context_key,
        signature: question.signature,
        namespace: entry.namespace,
        query: config.store_query.then_some(question.message),
        response: entry.response,
        vectors: entry.embedding.map(Into::into).into_iter().collect(),
        metadata,
        ttl_secs: entry.ttl_seconds.or(config.default_ttl_secs),
        // DynamoDB refuses positive numbers below 1E-130 (DynamoDB Developer Guide, "Naming rules and data types").
        confidence_score: if entry.confidence_score < 1e-100 { 0.0 } else { entry.confidence_score },
        idempotency_key: entry.idempotency_key,
    };
    Ok(CheckedEntry { entry, text })
}
