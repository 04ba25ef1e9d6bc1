//! `put`: stores one answer, or a batch of answers.

use mneme_api::event::batch::{BatchResult, BatchShape, parse_item};
use mneme_api::event::{self, Reply, RequestFields};
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::embedders::new_vector::NewVector;
use mneme_core::lease;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::runtime::metrics::Metric;
use mneme_core::write::put::{
    EmbeddedEntry, IdempotencyKey, Lifetime, NewEntry, StoredEntry, UnembeddedEntry, embed_and_store,
};
use mneme_model::config::CallerVectors;
use mneme_model::embedding::Embedding;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::limits::{MAX_TTL_SECS, check_bytes};
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use mneme_model::question::{Message, Question};
use mneme_model::skip_reason::SkipReason;
use mneme_model::tag::Tags;
use mneme_model::usage::Usage;
use mneme_screen::finish_reason;
use mneme_screen::policy::Policy;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::timeout_at;

/// A batch of entries.
const BATCH: BatchShape = BatchShape {
    list: "entries",
    shared: &["namespace", "context", "metadata", "tags", "ttl_seconds", "confidence_score", "if_absent"],
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
    /// Why the model stopped, as the model's client says it. An answer that is not finished is not stored.
    pub finish_reason: Option<String>,
    /// The namespace. Default: `default`.
    #[serde(default)]
    pub namespace: Namespace,
    /// The vector of the query, or of the last message.
    ///
    /// Without it, the configured embedder embeds the text. Without an embedder, only the exact layer finds the entry.
    pub embedding: Option<Embedding>,
    /// An object that is stored with the answer and returned with it. Default: empty.
    pub metadata: Option<Map<String, Value>>,
    /// Up to 16 tags, by which the entry is found and deleted. Default: none.
    #[serde(default)]
    pub tags: Tags,
    /// What the answer cost. Hits of the entry add it to what the cache saved.
    pub usage: Option<Usage>,
    /// The time to live in seconds. Default: `MNEME_DEFAULT_TTL_SECS`, else unlimited.
    pub ttl_seconds: Option<u64>,
    /// How much the caller trusts the answer, in [0, 1]. Default: 1.
    #[serde(default = "full_confidence")]
    pub confidence_score: f64,
    /// Whether a live entry for the same question is kept and nothing is stored. Default: false.
    #[serde(default)]
    pub if_absent: bool,
    /// A repeated put with the same key gets the first reply, for 24 hours. The key belongs to this request.
    pub idempotency_key: Option<String>,
    /// The token of the lease under which the answer was made. The put ends that lease, stored or not, unless it fails. A
    /// token that holds no lease of this question changes nothing.
    pub lease_token: Option<String>,
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

/// The result of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Stored {
    /// The entry was stored.
    Entry {
        /// The entry's id.
        id: EntryId,
        /// False if the put replaced or kept an entry of the same entry key.
        created: bool,
        /// True if an entry of the same entry key was kept and nothing was stored; only with `if_absent`.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        kept: bool,
        /// False if the embedder cannot read the question, so that only the exact layer finds the entry. Left out
        /// otherwise.
        #[serde(skip_serializing_if = "Option::is_none")]
        semantic: Option<bool>,
    },
    /// The entry was not stored.
    Skipped {
        /// Always false.
        created: bool,
        /// Why it was not stored.
        skipped: SkipReason,
    },
}

impl From<EmbeddedEntry> for Stored {
    fn from(EmbeddedEntry { stored, is_embeddable }: EmbeddedEntry) -> Self {
        let StoredEntry { id, created, kept, .. } = stored;
        Self::Entry { id, created, kept, semantic: (!is_embeddable).then_some(false) }
    }
}

/// Stores entries.
#[derive(Debug)]
pub struct Put {
    policy: Policy,
}

impl Put {
    /// An operation that follows `policy`.
    pub fn new(policy: Policy) -> Self {
        Self { policy }
    }
}

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
            let entry = self.check(cache, invocation, event::parse(request)?);
            let stored = put_all(cache, invocation, vec![entry]).await.pop();
            let stored = stored.ok_or_else(|| Error::internal("the store returned no result"))??;
            let is_created = matches!(stored, Stored::Entry { created: true, .. });
            let response = Response::One(stored);
            return Ok(if is_created { Reply::created(response) } else { Reply::ok(response) });
        };
        if entries.is_empty() {
            // Without an item, nothing else parses the shared fields. An item also needs a response.
            request.insert("response".to_owned(), "".into());
            event::parse::<EntryRequest>(request)?;
        }
        cache.open().await?;
        let checked = |entry| parse_item(entry).and_then(|entry| self.check(cache, invocation, entry));
        let entries = cache.check_each(entries, checked);
        let result = |result: Result<Stored, Error>| match result {
            Ok(stored) => BatchResult::Done(stored),
            Err(error) => {
                invocation.record(Metric::EntriesFailed, 1.0);
                invocation.record_failure("an entry of the batch", &error);
                BatchResult::Failed { error }
            }
        };
        let results = put_all(cache, invocation, entries).await.into_iter().map(result).collect();
        Ok(Reply::ok(Response::Batch { results }))
    }
}

/// An entry that passed all checks.
enum Checked {
    /// It is to be stored.
    Accepted(Box<UnembeddedEntry>),
    /// It is not stored.
    Skipped(SkipReason, Option<UsedLease>),
}

/// The lease under which an answer was made.
struct UsedLease {
    namespace: Namespace,
    query_hash: QueryHash,
    token: String,
}

impl UsedLease {
    fn of(entry: &NewEntry) -> Option<Self> {
        let NewEntry { namespace, query_hash, lease_token, .. } = entry;
        let token = lease_token.clone()?;
        Some(Self { namespace: namespace.clone(), query_hash: query_hash.clone(), token })
    }
}

/// Stores the accepted ones of `entries`, and ends the leases of those that were not stored. Returns a result for each,
/// in their order.
async fn put_all(
    cache: &Cache,
    invocation: &Invocation,
    entries: Vec<Result<Checked, Error>>,
) -> Vec<Result<Stored, Error>> {
    let mut results: Vec<Option<Result<Stored, Error>>> = Vec::new();
    let mut accepted = Vec::new();
    let mut leases = Vec::new();
    let mut unused = Vec::new();
    for entry in entries {
        results.push(match entry {
            Ok(Checked::Accepted(entry)) => {
                leases.push(UsedLease::of(&entry.entry));
                accepted.push(Ok(*entry));
                None
            }
            Ok(Checked::Skipped(skipped, lease)) => {
                unused.extend(lease);
                invocation.record(Metric::EntriesSkipped, 1.0);
                Some(Ok(Stored::Skipped { created: false, skipped }))
            }
            Err(error) => Some(Err(error)),
        });
    }
    let stored = if accepted.is_empty() { Vec::new() } else { embed_and_store(cache, invocation, accepted).await };
    let is_without_write =
        |result: &Result<EmbeddedEntry, Error>| result.as_ref().is_ok_and(|it| !it.stored.is_stored());
    let kept = leases.into_iter().zip(&stored).filter(|(_, result)| is_without_write(result));
    unused.extend(kept.filter_map(|(lease, _)| lease));
    release_all(cache, invocation, &unused).await;
    let mut stored = stored.into_iter().map(|result| result.map(Stored::from));
    results.into_iter().filter_map(|known| known.or_else(|| stored.next())).collect()
}

/// Ends `leases`. If that fails, each ends at its time.
async fn release_all(cache: &Cache, invocation: &Invocation, leases: &[UsedLease]) {
    for UsedLease { namespace, query_hash, token } in leases {
        match timeout_at(cache.reply_by(), lease::release(cache, namespace, query_hash, token)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => invocation.record_failure("releasing a lease", &error),
            Err(_) => break,
        }
    }
}

impl Put {
    fn check(&self, cache: &Cache, invocation: &Invocation, entry: EntryRequest) -> Result<Checked, Error> {
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
        if let Some(token) = &entry.lease_token {
            lease::check_token(token)?;
        }
        entry.usage.as_ref().map_or(Ok(()), Usage::check)?;
        let unfinished = entry.finish_reason.as_deref().map_or(Ok(None), finish_reason::skip_reason)?;
        if let Some(reason) = unfinished.or_else(|| self.policy.skip_reason(&question, &entry.response)) {
            let lease = entry.lease_token.map(|token| UsedLease {
                namespace: entry.namespace,
                query_hash: question.hash,
                token,
            });
            return Ok(Checked::Skipped(reason, lease));
        }
        let longest_secs = self.policy.longest_secs(&question, cache.now_secs());
        let has_embedder = cache.embedders().are_configured();
        if has_embedder && entry.embedding.is_some() && config.caller_vectors == CallerVectors::Refuse {
            return Err(Error::invalid(
                "embedding: callers send no vectors to this cache",
                "leave the field out: the cache embeds the text; or set MNEME_CALLER_VECTORS to check or trust",
            ));
        }
        let is_trusted = entry.embedding.is_some() && config.caller_vectors == CallerVectors::Trust;
        let text = (has_embedder && !is_trusted).then(|| question.message.clone());
        let vector = entry.embedding.map(|embedding| NewVector::of_caller(embedding, &question.message, config));
        let mut new = NewEntry {
            query_hash: question.hash,
            context_key: question.context_key,
            signature: question.signature,
            namespace: entry.namespace,
            vectors: vector.into_iter().collect(),
            query: config.store_query.then_some(question.message),
            response: entry.response,
            metadata,
            tags: entry.tags,
            usage: entry.usage,
            lifetime: Lifetime { asked_secs: entry.ttl_seconds, longest_secs },
            // DynamoDB refuses positive numbers below 1E-130 (DynamoDB Developer Guide, "Naming rules and data types").
            confidence_score: if entry.confidence_score < 1e-100 { 0.0 } else { entry.confidence_score },
            if_absent: entry.if_absent,
            stored_by: invocation.principal().map(str::to_owned),
            idempotency: None,
            lease_token: entry.lease_token,
        };
        new.idempotency = entry.idempotency_key.map(|key| IdempotencyKey::new(key, &new));
        Ok(Checked::Accepted(Box::new(UnembeddedEntry { entry: new, text })))
    }
}
