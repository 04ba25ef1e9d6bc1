//! `put`: stores one answer, or a batch of them.

use std::collections::BTreeMap;

use mneme_api::event::batch::{self, BatchResult};
use mneme_api::event::{self, Fields, Reply};
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
use mneme_model::limits::MAX_TTL_SECS;
use mneme_model::limits::check_bytes;
use mneme_model::namespace::Namespace;
use mneme_model::question::{Message, Question};
use mneme_store::segments::RANGE_IDS;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::timeout_at;

/// The most entries in one batch.
const MAX_BATCH: usize = 1000;
/// The longest idempotency key.
const MAX_KEY_BYTES: usize = 128;

/// An entry to store.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryRequest {
    /// The question.
    pub query: Option<String>,
    /// In place of `query`: a conversation that ends with the user's message.
    pub messages: Option<Vec<Message>>,
    /// What else decides the answer, such as the model and its parameters: matched exactly.
    pub context: Option<Map<String, Value>>,
    /// The answer.
    pub response: String,
    /// Where; `default` when absent.
    #[serde(default)]
    pub namespace: Namespace,
    /// The vector of the query, or of the last message; without one the configured embedder embeds it. Without an embedder,
    /// only the exact layer finds the entry.
    pub embedding: Option<Embedding>,
    /// What to keep with the answer; null: nothing.
    pub metadata: Option<Map<String, Value>>,
    /// Seconds to live; absent: `MNEME_DEFAULT_TTL_SECS`, or for ever.
    pub ttl_seconds: Option<u64>,
    /// How far the answer is to be trusted, 0 to 1.
    #[serde(default = "full_confidence")]
    pub confidence_score: f64,
    /// The same key within 24 hours answers as the first time.
    pub idempotency_key: Option<String>,
}

fn full_confidence() -> f64 {
    1.0
}

/// What became of the entries.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// Of one.
    One(Stored),
    /// Of each of a batch, in the order of the request.
    Batch {
        /// One per entry.
        results: Vec<BatchResult<Stored>>,
    },
}

/// A stored entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Its id.
    pub id: EntryId,
    /// False when it replaced an entry for the same query.
    pub created: bool,
}

/// The operation.
#[derive(Debug)]
pub struct Put;

impl Operation for Put {
    const FUNCTION: &'static str = "put";
    type Request = Fields;
    type Response = Response;

    /// `request`: the fields of one entry, or `entries`: a list of such.
    async fn handle(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        mut request: Fields,
    ) -> Result<Reply<Response>, Error> {
        let Some(entries) = request.remove("entries") else {
            let mut entries = vec![check(cache, invocation, event::parse(request)?)];
            embed(cache, invocation, &mut entries).await;
            let stored = store_good(cache, invocation, entries).await.pop();
            let stored = stored.ok_or_else(|| Error::internal("nothing became of the entry"))??;
            let response = Response::One(stored);
            return Ok(if stored.created { Reply::created(response) } else { Reply::ok(response) });
        };
        let entries = batch::items("entries", entries, &request, MAX_BATCH)?;
        cache.open().await?;
        let checked = |entry| batch::parse_item(entry).and_then(|entry| check(cache, invocation, entry));
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
        let results = store_good(cache, invocation, entries).await.into_iter().map(result).collect();
        Ok(Reply::ok(Response::Batch { results }))
    }
}

/// An entry that can be stored, once it has its vector.
struct Checked {
    entry: NewEntry,
    /// The text to embed, where the entry came without a vector and an embedder is configured.
    text: Option<String>,
}

/// Gives the entries that came without a vector the configured embedder's, in one call. An entry that cannot be embedded fails
/// alone. If the second embedder of a move fails, the move adds its vectors later.
async fn embed(cache: &Cache, invocation: &Invocation, entries: &mut [Result<Checked, Error>]) {
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

/// Reads: item 0, where an embedder to move to is configured.
async fn embed_texts(cache: &Cache, texts: &[&str]) -> Result<Vec<Result<MadeVectors, Error>>, Error> {
    let embedders = cache.embedders();
    let counter = if embedders.need_counter() { Some(cache.counter().await?) } else { None };
    embedders.embed_entries(counter.as_ref(), texts).await
}

/// Stores the good ones of `entries`; what is wrong with another is what became of it.
async fn store_good(
    cache: &Cache,
    invocation: &Invocation,
    entries: Vec<Result<Checked, Error>>,
) -> Vec<Result<Stored, Error>> {
    let mut good = Vec::new();
    let mut checked: Vec<Result<Option<String>, Error>> = Vec::new();
    for entry in entries {
        checked.push(entry.map(|Checked { entry, text }| {
            good.push(entry);
            text
        }));
    }
    let mut stored = store(cache, invocation, &good).await.into_iter();
    let result = |checked: Result<Option<String>, Error>| {
        let embedded = match checked {
            Ok(embedded) => embedded,
            Err(error) => return Some(Err(error)),
        };
        let stored = stored.next();
        let misfit = |stored: &Result<Stored, Error>| {
            stored.as_ref().is_err_and(|error| error.kind == ErrorKind::EmbedderDimensionError)
        };
        if let Some(text) = embedded.filter(|_| stored.as_ref().is_some_and(misfit)) {
            cache.embedders().forget(&text);
        }
        stored
    };
    checked.into_iter().filter_map(result).collect()
}

/// The ranges whose last id one of the entries took.
fn filled_ranges(results: &[Result<put::StoredEntry, Error>]) -> impl Iterator<Item = u64> {
    let ids = results.iter().flatten().filter(|stored| !stored.replayed).map(|stored| stored.id.get());
    ids.filter(|id| id.is_multiple_of(RANGE_IDS)).map(|id| id / RANGE_IDS - 1)
}

/// Stores `entries`, then brings their namespaces, or the table, back under their caps, and packs a range that they
/// filled.
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
        // The entries are stored whatever comes of this; the next put, or `vacuum`, takes it up again.
        if let Ok(Err(error)) = timeout_at(cache.reply_by(), enforce_caps(cache, namespace, quota)).await {
            invocation.record_failure("enforcing the cap", &error);
        }
    }
    // Likewise.
    for range in filled_ranges(&results) {
        if let Ok(Err(error)) = timeout_at(cache.reply_by(), write_range(cache, range)).await {
            invocation.record_failure("packing a range", &error);
        }
    }
    let shown = |result: Result<put::StoredEntry, Error>| {
        result.map(|put::StoredEntry { id, created, .. }| Stored { id, created })
    };
    results.into_iter().map(shown).collect()
}

fn check(cache: &Cache, invocation: &Invocation, entry: EntryRequest) -> Result<Checked, Error> {
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
            "send a number from 0 to 1, or none",
        ));
    }
    if let Some(secs) = entry.ttl_seconds.filter(|secs| !(1..=MAX_TTL_SECS).contains(secs)) {
        return Err(Error::invalid(
            format!("ttl_seconds: {secs} is not between 1 and {MAX_TTL_SECS}"),
            "send whole seconds from 1 to a hundred years, or none",
        ));
    }
    if let Some(key) = entry.idempotency_key.as_ref().filter(|key| !(1..=MAX_KEY_BYTES).contains(&key.len())) {
        return Err(Error::invalid(
            format!("idempotency_key: {} bytes", key.len()),
            format!("send a key of 1 to {MAX_KEY_BYTES} bytes, or none"),
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
        // DynamoDB's numbers end at 1E-130; nobody trusts an answer that little.
        confidence_score: if entry.confidence_score < 1e-100 { 0.0 } else { entry.confidence_score },
        idempotency_key: entry.idempotency_key,
    };
    Ok(Checked { entry, text })
}
