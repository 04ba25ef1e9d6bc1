//! `lookup`: finds the stored answer to a question, or to each of several.
//!
//! The exact layer compares the query hash. The semantic layer compares embeddings and serves the nearest entry that
//! reaches the threshold, has no veto of the guard, and reaches the confidence cutoff. The engine of both layers is
//! [`mneme_core::lookup`].
//!
//! - [`leases`]: who makes the answer after a miss.

pub mod leases;

use mneme_api::event::batch::{BatchResult, BatchShape, parse_item};
use mneme_api::event::{self, Reply, RequestFields};
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::lease::LeaseState;
use mneme_core::lookup::explain::Explanation;
use mneme_core::lookup::outcome::{Layer, LookupOutcome, Miss, MissReason};
use mneme_core::lookup::query::Query;
use mneme_core::lookup::record::{access_is_due, record_outcome};
use mneme_core::lookup::shared_engine::SharedEngine;
use mneme_core::maintain::access_buffer::AccessBuffer;
use mneme_core::maintain::stats_buffer::StatsBuffer;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_guard::VetoKind;
use mneme_model::confidence::Guard;
use mneme_model::embedding::Embedding;
use mneme_model::entry_id::EntryId;
use mneme_model::error::{Error, ErrorKind};
use mneme_model::limits::{MAX_REPLY_BYTES, escaped_answer_bytes, escaped_bytes};
use mneme_model::namespace::Namespace;
use mneme_model::question::{Message, Question};
use mneme_model::tag::Tags;
use mneme_screen::personal::is_personal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::leases::{LeaseRequest, Released};

/// A batch of questions.
const BATCH: BatchShape = BatchShape {
    list: "queries",
    shared: &["namespace", "context", "tags", "threshold", "guard", "bypass", "explain", "lease"],
    max_items: 100,
};

/// A question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The question's text.
    pub query: Option<String>,
    /// In place of `query`: a conversation that ends with the user's message.
    pub messages: Option<Vec<Message>>,
    /// Whatever else the answer depends on, such as the model and its parameters. It is matched exactly.
    pub context: Option<Map<String, Value>>,
    /// The namespace to search. Default: `default`.
    #[serde(default)]
    pub namespace: Namespace,
    /// The vector of the query, or of the last message.
    ///
    /// Without it, the configured embedder embeds the text if the exact layer has no answer. Without an embedder, only
    /// the exact layer runs.
    pub embedding: Option<Embedding>,
    /// Only an entry with all of these tags answers. Default: none.
    #[serde(default)]
    pub tags: Tags,
    /// Forces a miss. Nothing is read.
    #[serde(default)]
    pub bypass: bool,
    /// Raises the threshold of the namespace or the configuration for this question. A lower value has no effect, and the
    /// reply then says the threshold that was used.
    pub threshold: Option<f64>,
    /// Switches the guard for this question. `off` needs `MNEME_GUARD_PER_REQUEST`. Default: as set for the
    /// namespace, or else as configured.
    pub guard: Option<Guard>,
    /// Explains the outcome: what was compared, the nearest entries, and what decided. A caller that a claim binds to
    /// namespaces needs `MNEME_EXPLAIN=all`, because an explanation tells more of the stored questions than an answer.
    #[serde(default)]
    pub explain: bool,
    /// Asks for the lease of the question, if the lookup is a miss.
    pub lease: Option<LeaseRequest>,
}

/// The reply to one question, or to a batch.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// The outcome of a single question.
    One(Answer),
    /// The outcomes of a batch.
    Batch {
        /// One result per question, in the order of the request.
        results: Vec<BatchResult<Answer>>,
    },
    /// The result of releasing a lease.
    Released(Released),
}

/// The outcome of one question. A miss is a result, not an error.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Answer {
    /// A stored answer is served.
    Hit {
        /// The layer that found the entry.
        layer: Layer,
        /// The entry's id.
        id: EntryId,
        /// The entry's namespace.
        namespace: Namespace,
        /// The stored question; null if only its hash is stored.
        query: Option<String>,
        /// The stored answer.
        response: String,
        /// The cosine similarity. 1 for the exact layer.
        similarity: f32,
        /// The similarity on the scale of all-MiniLM-L6-v2, with which the threshold is compared. Left out if the
        /// embedder's similarities are compared as they are.
        #[serde(skip_serializing_if = "Option::is_none")]
        scaled_similarity: Option<f32>,
        /// p × `confidence_score` × 0.5^(age / half-life).
        ///
        /// p is 1 for the exact layer. For the semantic layer it is the calibrated probability that the answer is
        /// right, or the similarity if the guard is off.
        confidence: f32,
        /// Seconds since the put of the entry.
        age_seconds: i64,
        /// The metadata that was stored with the answer.
        metadata: Map<String, Value>,
        /// The tags of the entry. Left out if there are none.
        #[serde(skip_serializing_if = "Tags::is_empty")]
        tags: Tags,
        /// True if the right answer depends on the time of asking. Left out otherwise.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        volatile: bool,
        /// The threshold that was used, if the request asked for a lower one. Left out otherwise.
        #[serde(skip_serializing_if = "Option::is_none")]
        threshold: Option<f32>,
        /// Why this answer is served; only if the request asked for it.
        #[serde(skip_serializing_if = "Option::is_none")]
        explanation: Option<Box<Explanation>>,
    },
    /// No stored answer is served.
    Miss {
        /// The reason.
        reason: MissReason,
        /// The similarity of the nearest entry, if one is known.
        best_similarity: Option<f32>,
        /// How the nearest entry contradicts the question; only with the reason `vetoed`.
        #[serde(skip_serializing_if = "Option::is_none")]
        veto: Option<VetoKind>,
        /// The threshold that was used, if the request asked for a lower one. Left out otherwise, and if no rules were
        /// read: with `bypass`, for a personal question that is refused, and for the reason `unavailable`.
        #[serde(skip_serializing_if = "Option::is_none")]
        threshold: Option<f32>,
        /// Why nothing is served; only if the request asked for it. Left out if nothing was read: with `bypass`, and
        /// for a personal question that is refused.
        #[serde(skip_serializing_if = "Option::is_none")]
        explanation: Option<Box<Explanation>>,
        /// Who is to make the answer. Left out unless the request asked for a lease and could get one.
        #[serde(skip_serializing_if = "Option::is_none")]
        lease: Option<LeaseState>,
    },
}

impl Answer {
    /// The approximate number of bytes of the answer in a reply.
    fn wire_bytes(&self) -> usize {
        let of_explanation = |explanation: &Option<Box<Explanation>>| {
            let json = explanation.as_ref().and_then(|explanation| serde_json::to_string(explanation).ok());
            json.map_or(0, |json| escaped_bytes(&json))
        };
        match self {
            Self::Hit { query, response, metadata, explanation, .. } => {
                let query = query.as_deref().map_or(0, escaped_bytes);
                query + escaped_answer_bytes(response, metadata) + of_explanation(explanation)
            }
            Self::Miss { explanation, .. } => of_explanation(explanation),
        }
    }
}

/// Answers questions from this instance's replica and the table.
#[derive(Debug)]
pub struct Lookup {
    engine: SharedEngine,
    stats: StatsBuffer,
    accesses: AccessBuffer,
}

impl Lookup {
    /// An operation that counts its outcomes in `stats`, and records its accesses in `accesses`.
    pub fn new(engine: SharedEngine, stats: StatsBuffer, accesses: AccessBuffer) -> Self {
        Self { engine, stats, accesses }
    }
}

impl Operation for Lookup {
    const SPEC: &'static OperationSpec = &operations::LOOKUP;
    type Request = RequestFields;
    type Response = Response;

    /// `request`: the fields of a [`Request`]; or `queries`, a list of such objects; or with the `action` `release`, those
    /// of a [`leases::ReleaseRequest`].
    async fn handle(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        mut request: RequestFields,
    ) -> Result<Reply<Response>, Error> {
        if leases::is_release(&mut request)? {
            let released = leases::release(cache, invocation, event::parse(request)?).await?;
            return Ok(Reply::ok(Response::Released(released)));
        }
        let Some(questions) = BATCH.items(&mut request)? else {
            let question = check(cache, invocation, event::parse(request)?)?;
            let answer = self.answer(cache, invocation, vec![Ok(question)]).await?.pop();
            let answer = answer.ok_or_else(|| Error::internal("the engine returned no outcome"))??;
            return Ok(Reply::ok(Response::One(answer)));
        };
        if questions.is_empty() {
            // Without an item, nothing else parses the shared fields.
            event::parse::<Request>(request)?;
        }
        let checked = |question| parse_item(question).and_then(|question| check(cache, invocation, question));
        let answers = self.answer(cache, invocation, cache.check_each(questions, checked)).await?;
        let mut bytes = 0;
        let mut fitting = |answer: Answer| match bytes > MAX_REPLY_BYTES {
            true => Err(reply_is_full()),
            false => {
                bytes += answer.wire_bytes();
                Ok(answer)
            }
        };
        let result = |answer: Result<Answer, Error>| match answer.and_then(&mut fitting) {
            Ok(answer) => BatchResult::Done(answer),
            Err(error) => {
                invocation.record_failure("a question of the batch", &error);
                BatchResult::Failed { error }
            }
        };
        Ok(Reply::ok(Response::Batch { results: answers.into_iter().map(result).collect() }))
    }
}

/// The error of a question whose answer does not fit in the reply.
fn reply_is_full() -> Error {
    Error::new(
        ErrorKind::EntryTooLarge,
        format!("the answers to earlier questions have more than {MAX_REPLY_BYTES} bytes, the limit of one reply"),
        "ask this question again in another request",
    )
}

impl Lookup {
    /// The outcome of each question, in order. A question that failed the check keeps its error.
    ///
    /// Errors: those that concern all questions, such as a table that cannot be read.
    async fn answer(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        questions: Vec<Result<CheckedQuestion, Error>>,
    ) -> Result<Vec<Result<Answer, Error>>, Error> {
        let to_search = questions.iter().flatten().filter(|question| question.miss.is_none());
        let queries: Vec<&Query> = to_search.map(|question| &question.query).collect();
        let found = match queries.is_empty() {
            true => Vec::new(),
            false => self.engine.search(cache, &queries).await?,
        };
        let mut found = found.into_iter();
        let outcomes = questions.into_iter().map(|question| {
            let question = question?;
            let outcome = match question.miss {
                Some(reason) => LookupOutcome::Miss(Miss::without_comparison(reason)),
                None => found.next().ok_or_else(|| Error::internal("the engine skipped a question"))??,
            };
            Ok((question, outcome))
        });
        // All explanations of a batch share one budget.
        let explaining = cache.within_lookup_budget();
        let mut answered = Vec::new();
        for outcome in outcomes {
            answered.push(match outcome {
                // Its answer was not read, because those before fill the reply.
                Ok((_, LookupOutcome::Hit { entry, .. })) if entry.lacks_answer() => Err(reply_is_full()),
                Ok((question, outcome)) => {
                    self.record(cache, invocation, &question.query, &outcome);
                    let explanation = match question.explain && question.miss.is_none() {
                        true => Some(Box::new(self.engine.explain(&explaining, &question.query, &outcome).await?)),
                        false => None,
                    };
                    let threshold = self.raised_threshold(cache, &question, &outcome).await;
                    Ok((answer(outcome, &question.query, threshold, explanation), question))
                }
                Err(error) => Err(error),
            });
        }
        Ok(leases::take_missing(cache, invocation, answered).await)
    }

    /// The threshold by which `outcome` was found, if the request asked for a lower one.
    async fn raised_threshold(
        &self,
        cache: &Cache,
        question: &CheckedQuestion,
        outcome: &LookupOutcome,
    ) -> Option<f32> {
        let asked = question.query.threshold.filter(|_| question.miss.is_none())?;
        let has_rules = !matches!(outcome, LookupOutcome::Miss(Miss { reason: MissReason::Unavailable, .. }));
        let used = if has_rules { self.engine.threshold(cache, &question.query).await } else { asked };
        (used > asked).then_some(used)
    }

    /// Counts the outcome, and records the access to the entry that is served.
    fn record(&self, cache: &Cache, invocation: &Invocation, query: &Query, outcome: &LookupOutcome) {
        if let Some(error) = query.embedding_error() {
            invocation.record_failure("embedding the query", error);
        }
        record_outcome(invocation, &self.stats, &cache.config.prices, query, outcome);
        if let LookupOutcome::Hit { entry, .. } = outcome
            && access_is_due(cache, entry)
        {
            self.accesses.record(entry.id, query.now_secs);
        }
    }
}

/// A question that passed all checks.
struct CheckedQuestion {
    query: Query,
    /// Why the question is a miss without a search.
    miss: Option<MissReason>,
    /// Whether the outcome is explained.
    explain: bool,
    /// For how many seconds a lease is asked for.
    lease_secs: Option<u64>,
}

fn check(cache: &Cache, invocation: &Invocation, request: Request) -> Result<CheckedQuestion, Error> {
    let Request { query, messages, context, namespace, embedding, tags, bypass, threshold, guard, explain, lease } =
        request;
    let question = Question::of(query.as_deref(), messages.as_deref(), context.as_ref(), &cache.config)?;
    if let Some(threshold) = threshold.filter(|threshold| !(-1.0..=1.0).contains(threshold)) {
        return Err(Error::invalid(
            format!("threshold: {threshold} is not a cosine similarity"),
            "send a number from -1 to 1, or leave the field out",
        ));
    }
    if guard == Some(Guard::Off) && !cache.config.guard_per_request {
        return Err(Error::invalid(
            "guard: a request may not switch the guard off",
            "leave the field out, or set MNEME_GUARD_PER_REQUEST=true",
        ));
    }
    if explain && invocation.is_bound() && !cache.config.explains_to_bound_callers {
        return Err(Error::invalid(
            "explain: a caller whose token names its namespaces may not have a lookup explained",
            "leave the field out, or set MNEME_EXPLAIN=all",
        ));
    }
    let lease_secs = lease.map(LeaseRequest::checked_secs).transpose()?;
    invocation.authorize(&namespace)?;
    let threshold = threshold.map(|threshold| threshold as f32);
    let query = Query::new(question, namespace, embedding, threshold, guard, cache.now_secs());
    let query = query.with_required_tags(tags);
    let is_refused = || cache.config.refuse_personal && is_personal(&query.question.message);
    let miss = if bypass { Some(MissReason::Bypass) } else { is_refused().then_some(MissReason::Personal) };
    Ok(CheckedQuestion { query, miss, explain, lease_secs })
}

fn answer(
    outcome: LookupOutcome,
    query: &Query,
    threshold: Option<f32>,
    explanation: Option<Box<Explanation>>,
) -> Answer {
    match outcome {
        LookupOutcome::Hit { layer, entry, similarity, scaled_similarity, confidence } => Answer::Hit {
            layer,
            id: entry.id,
            namespace: entry.namespace,
            query: entry.query,
            response: entry.response,
            similarity,
            scaled_similarity,
            confidence: confidence as f32,
            age_seconds: query.now_secs.saturating_sub(entry.created_at).max(0),
            metadata: entry.metadata,
            tags: entry.tags,
            volatile: query.question.signature.is_volatile(),
            threshold,
            explanation,
        },
        LookupOutcome::Miss(Miss { reason, best_similarity, veto, .. }) => {
            Answer::Miss { reason, best_similarity, veto, threshold, explanation, lease: None }
        }
    }
}
