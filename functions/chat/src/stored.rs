//! The cache's side of a request: looking an answer up, and storing one.

use std::time::Duration;

use mneme_core::cache::Cache;
use mneme_core::lookup::outcome::{Layer, LookupOutcome, MissReason};
use mneme_core::lookup::query::Query;
use mneme_core::lookup::record::{access_is_due, record_outcome};
use mneme_core::lookup::shared_engine::SharedEngine;
use mneme_core::maintain::access_buffer::AccessBuffer;
use mneme_core::maintain::stats_buffer::StatsBuffer;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::runtime::metrics::Metric;
use mneme_core::write::put::{Lifetime, NewEntry, UnembeddedEntry, embed_and_store};
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::{Error, ErrorKind};
use mneme_model::limits::check_bytes;
use mneme_model::namespace::Namespace;
use mneme_model::question::Question;
use mneme_model::tag::Tags;
use mneme_model::usage::Usage;
use mneme_openai::completion::{Completion, Content};
use mneme_screen::policy::Policy;
use tokio::time::{Instant, timeout};

use crate::flight::Flight;

/// How long storing an answer may take. The caller has its answer, or waits for it.
const STORE_LIMIT: Duration = Duration::from_secs(2);

/// The stored answers.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) engine: SharedEngine,
    pub(crate) stats: StatsBuffer,
    pub(crate) accesses: AccessBuffer,
    pub(crate) policy: Policy,
}

/// A stored answer that serves a request.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) completion: Completion,
    pub(crate) id: EntryId,
    pub(crate) layer: Layer,
    pub(crate) similarity: f32,
    pub(crate) confidence: f64,
    pub(crate) age_secs: i64,
    /// For how long it will be served. `None`: it does not expire.
    pub(crate) ttl_secs: Option<i64>,
}

/// The outcome of looking a request up.
#[derive(Debug)]
pub(crate) enum Found {
    Hit(Box<Hit>),
    /// There is no answer, for this reason.
    Miss(MissReason),
    /// The stored answer is older than the caller allows.
    Stale,
    /// The stored answer calls tools, and may not be served here.
    ToolCalls,
    /// The cache failed, or took too long.
    Failed(&'static str),
}

/// What a caller allows to be served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed<'r> {
    /// The name of the model in the request.
    pub(crate) model: &'r str,
    /// The largest age in seconds.
    pub(crate) max_age_secs: Option<u64>,
    /// Whether calls of tools are stored and served.
    pub(crate) tool_calls: bool,
}

/// Where an answer is to be stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Destination<'r> {
    pub(crate) question: &'r Question,
    pub(crate) namespace: &'r Namespace,
    /// The time to live that the caller wants.
    pub(crate) ttl_secs: Option<u64>,
    /// The token of the lease under which the answer is made. Storing the answer ends the lease.
    pub(crate) lease_token: Option<&'r str>,
}

impl Stored {
    /// Looks `query` up. After a miss, if `shares_calls`, takes the lease of the question or waits for the answer of who
    /// has it, as [`Stored::join_flight`].
    ///
    /// Without a wait it takes at most `MNEME_CHAT_BUDGET_MS`. It never fails the request, and counts one outcome.
    pub(crate) async fn look_up(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        query: &Query,
        allowed: Allowed<'_>,
        shares_calls: bool,
    ) -> (Found, Flight) {
        let budget_until = Instant::now() + Duration::from_millis(cache.config.chat.budget_ms);
        let (outcome, flight) = match self.search(cache, invocation, query).await {
            Ok(outcome) if shares_calls => self.join_flight(cache, invocation, query, outcome, budget_until).await,
            searched => (searched, Flight::default()),
        };
        (outcome.map_or_else(|found| found, |outcome| self.found(cache, invocation, query, outcome, allowed)), flight)
    }

    /// One search of the engine. Takes at most `MNEME_CHAT_BUDGET_MS`. Errors: [`Found::Failed`].
    pub(crate) async fn search(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        query: &Query,
    ) -> Result<LookupOutcome, Found> {
        let budget = Duration::from_millis(cache.config.chat.budget_ms);
        let searched = timeout(budget, self.engine.search(&cache.within(budget), &[query])).await;
        let outcome = match searched {
            Err(_) => return Err(Found::Failed("timeout")),
            Ok(found) => found.and_then(|mut outcomes| {
                outcomes.pop().ok_or_else(|| Error::internal("the engine returned no outcome")).flatten()
            }),
        };
        outcome.map_err(|error| {
            invocation.record_failure("looking the request up", &error);
            Found::Failed(error.kind.name())
        })
    }

    /// Records `outcome`, and reads the answer in it.
    fn found(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        query: &Query,
        outcome: LookupOutcome,
        allowed: Allowed<'_>,
    ) -> Found {
        if let Some(error) = query.embedding_error() {
            invocation.record_failure("embedding the query", error);
        }
        record_outcome(invocation, &self.stats, &cache.config.prices, query, &outcome);
        match outcome {
            LookupOutcome::Miss(miss) => Found::Miss(miss.reason),
            LookupOutcome::Hit { layer, entry, similarity, confidence, .. } => {
                if access_is_due(cache, &entry) {
                    self.accesses.record(entry.id, query.now_secs);
                }
                found(*entry, layer, similarity, confidence, query.now_secs, allowed)
            }
        }
    }

    /// Stores an answer that took the upstream the time `took`. Returns the entry's id, or a word that says why nothing was
    /// stored. Never fails the request.
    pub(crate) async fn store(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        destination: Destination<'_>,
        completion: &Completion,
        took: Duration,
    ) -> Result<EntryId, String> {
        let entry = self.entry(cache, invocation, destination, completion, took)?;
        let stored =
            timeout(STORE_LIMIT, embed_and_store(&cache.within(STORE_LIMIT), invocation, vec![Ok(entry)])).await;
        let result = stored.map_err(|_| "timeout".to_owned())?.pop();
        match result {
            Some(Ok(embedded)) => Ok(embedded.stored.id),
            Some(Err(error)) => {
                invocation.record_failure("storing the answer", &error);
                Err(error.kind.name().to_owned())
            }
            None => Err(ErrorKind::Internal.name().to_owned()),
        }
    }

    fn entry(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        destination: Destination<'_>,
        completion: &Completion,
        took: Duration,
    ) -> Result<UnembeddedEntry, String> {
        let Destination { question, namespace, ttl_secs, lease_token } = destination;
        let config = &cache.config;
        let is_text = matches!(completion.content, Content::Text(_));
        if !is_text && !config.chat.stores_tool_calls {
            return Err("tool-calls".to_owned());
        }
        let (response, metadata) = completion.to_entry();
        if let Some(reason) = self.policy.skip_reason(question, &response) {
            invocation.record(Metric::EntriesSkipped, 1.0);
            return Err(reason.name().to_owned());
        }
        let too_large = |error: Error| error.kind.name().to_owned();
        if let Some(limit) = config.max_response_bytes {
            check_bytes("response", response.len(), limit, "MNEME_MAX_RESPONSE_BYTES").map_err(too_large)?;
        }
        let metadata_bytes = serde_json::to_string(&metadata).map_or(usize::MAX, |text| text.len());
        check_bytes("metadata", metadata_bytes, config.max_metadata_bytes, "MNEME_MAX_METADATA_BYTES")
            .map_err(too_large)?;
        // Without a vector only the exact layer finds the entry: another question needs other arguments.
        let text = (is_text && cache.embedders().are_configured()).then(|| question.message.clone());
        let entry = NewEntry {
            query_hash: question.hash.clone(),
            context_key: question.context_key,
            signature: question.signature.clone(),
            namespace: namespace.clone(),
            vectors: Vec::new(),
            query: config.store_query.then(|| question.message.clone()),
            response,
            metadata,
            tags: Tags::default(),
            usage: Some(usage(completion, took)),
            lifetime: Lifetime {
                asked_secs: ttl_secs,
                longest_secs: self.policy.longest_secs(question, cache.now_secs()),
            },
            confidence_score: 1.0,
            if_absent: false,
            stored_by: invocation.principal().map(str::to_owned),
            idempotency: None,
            lease_token: lease_token.map(str::to_owned),
        };
        Ok(UnembeddedEntry { entry, text })
    }
}

/// What an answer cost that took the upstream the time `took`. Without a report of its tokens, only the time is known, and
/// no model is named, so that no cost is counted.
fn usage(completion: &Completion, took: Duration) -> Usage {
    let of_time = Usage { latency_ms: took.as_millis().try_into().unwrap_or(u64::MAX), ..Usage::default() };
    let tokens = |name: &str| completion.usage.as_ref()?.get(name)?.as_u64();
    let Some((prompt_tokens, completion_tokens)) = tokens("prompt_tokens").zip(tokens("completion_tokens")) else {
        return of_time;
    };
    let model = Some(completion.model.clone()).filter(|model| !model.is_empty());
    let usage = Usage { prompt_tokens, completion_tokens, model, ..of_time.clone() };
    if usage.check().is_ok() { usage } else { of_time }
}

fn found(entry: Entry, layer: Layer, similarity: f32, confidence: f64, now_secs: i64, allowed: Allowed<'_>) -> Found {
    let age_secs = now_secs.saturating_sub(entry.created_at).max(0);
    if allowed.max_age_secs.is_some_and(|max| u64::try_from(age_secs).is_ok_and(|age| age > max)) {
        return Found::Stale;
    }
    let (id, ttl_secs) = (entry.id, entry.expires_at.map(|at| at.saturating_sub(now_secs)));
    let Some(completion) = Completion::from_entry(entry.response, &entry.metadata, allowed.model) else {
        return Found::ToolCalls;
    };
    let is_text = matches!(completion.content, Content::Text(_));
    // A move to another embedder may have given the entry a vector.
    if !is_text && (layer == Layer::Semantic || !allowed.tool_calls) {
        return Found::ToolCalls;
    }
    Found::Hit(Box::new(Hit { completion, id, layer, similarity, confidence, age_secs, ttl_secs }))
}
