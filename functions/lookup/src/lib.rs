//! `lookup`: the cached answer to a question. First the exact normalised query, then the nearest stored embedding
//! of the namespace, served when it reaches the threshold and is still good.

mod judge;
mod search;

use std::collections::BTreeSet;
use std::time::Duration;

use mneme_core::cache::Cache;
use mneme_core::confidence::Guard;
use mneme_core::config::Config;
use mneme_core::embedding::Embedding;
use mneme_core::entry::Entry;
use mneme_core::error::{Error, ErrorKind};
use mneme_core::event::batch::{self, BatchResult};
use mneme_core::event::{self, Fields, Reply};
use mneme_core::invocation::Invocation;
use mneme_core::key::EntryId;
use mneme_core::limits::{MOST_REPLY_BYTES, escaped_bytes};
use mneme_core::namespace::Namespace;
use mneme_core::question::{Message, Question};
use mneme_core::recorder::Recorder;
use mneme_core::report::Metric;
use mneme_core::runtime::Operation;
use mneme_core::table::tally::Counts;
use mneme_guard::VetoKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use search::{Asked, Embedded, Found, Miss, View};

/// How long an answer that is there waits for its access to be written down.
const ACCESS_WRITE_LIMIT: Duration = Duration::from_millis(500);

/// The most questions in one batch.
const MAX_BATCH: usize = 100;

/// A question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The question's text.
    pub query: Option<String>,
    /// In place of `query`: a conversation that ends with the user's message.
    pub messages: Option<Vec<Message>>,
    /// What else decides the answer, such as the model and its parameters: matched exactly.
    pub context: Option<Map<String, Value>>,
    /// Where to look; `default` when absent.
    #[serde(default)]
    pub namespace: Namespace,
    /// The vector of the query, or of the last message; without one the configured embedder embeds it, where the exact layer has
    /// no answer. Without an embedder, only the exact layer runs.
    pub embedding: Option<Embedding>,
    /// Forces a miss: nothing is read.
    #[serde(default)]
    pub bypass: bool,
    /// Raises the configured threshold for this question; a lower one changes nothing.
    pub threshold: Option<f64>,
    /// `off`: similarity alone decides, where the configuration lets requests say so; `on`: the guard does in any case.
    pub guard: Option<Guard>,
}

/// Which layer answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The normalised queries are equal.
    Exact,
    /// The embeddings are close enough.
    Semantic,
}

/// Why a question was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MissReason {
    /// Nothing live in the namespace to compare with.
    NoEntry,
    /// The closest entry is not close enough.
    BelowThreshold,
    /// The closest entry that is close enough is not trusted enough.
    LowConfidence,
    /// The closest entry that is close enough holds no answer but a stored failure.
    Rejected,
    /// The closest entry that is close enough contradicts the question.
    Vetoed,
    /// No exact match, and no vector to go on with.
    NoEmbedding,
    /// No exact match, and the embedder made no vector.
    EmbedderFailure,
    /// The caller asked for a miss.
    Bypass,
}

/// The outcome. A miss is a result, never an error.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Answer {
    /// An answer.
    Hit {
        /// Which layer found it.
        layer: Layer,
        /// The entry.
        id: EntryId,
        /// The entry's namespace.
        namespace: Namespace,
        /// The answer.
        response: String,
        /// Cosine similarity; 1 for the exact layer.
        similarity: f32,
        /// p × confidence_score × 0.5^(age / half-life). p: 1 for the exact layer; with the guard the calibrated probability that
        /// the answer is right, without it the similarity.
        confidence: f32,
        /// Seconds since the entry was put.
        age_seconds: i64,
        /// What was stored with the answer.
        metadata: Map<String, Value>,
    },
    /// None.
    Miss {
        /// Why.
        reason: MissReason,
        /// How similar the closest entry is, where one is known.
        best_similarity: Option<f32>,
        /// How the closest entry contradicts the question, where that is why.
        #[serde(skip_serializing_if = "Option::is_none")]
        veto: Option<VetoKind>,
    },
}

/// The operation, with this instance's view of the table.
#[derive(Debug)]
pub struct Lookup {
    view: Mutex<View>,
    recorder: Recorder,
}

impl Lookup {
    /// An instance in a function of this configuration, which counts its outcomes with `recorder`.
    pub fn new(config: &Config, recorder: Recorder) -> Self {
        Self { view: Mutex::new(View::new(config)), recorder }
    }
}

/// What became of the question, or of each of several.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// Of one.
    One(Answer),
    /// Of each, in the order of the request.
    Batch {
        /// One per question.
        results: Vec<BatchResult<Answer>>,
    },
}

impl Operation for Lookup {
    const FUNCTION: &'static str = "lookup";
    type Request = Fields;
    type Response = Response;

    /// `request`: the fields of one question, or `queries`: a list of such.
    async fn handle(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        mut request: Fields,
    ) -> Result<Reply<Response>, Error> {
        let Some(queries) = request.remove("queries") else {
            let question = check(cache, invocation, event::parse(request)?)?;
            let answer = self.answer(cache, invocation, vec![Ok(question)]).await?.pop();
            let answer = answer.ok_or_else(|| Error::internal("nothing became of the question"))??;
            return Ok(Reply::ok(Response::One(answer)));
        };
        let questions = batch::items("queries", queries, &request, MAX_BATCH)?;
        let checked = |question| batch::parse_item(question).and_then(|question| check(cache, invocation, question));
        let answers = self.answer(cache, invocation, questions.into_iter().map(checked).collect()).await?;
        let mut bytes = 0;
        let mut fitting = |answer: Answer| match bytes > MOST_REPLY_BYTES {
            true => Err(too_much()),
            false => {
                bytes += answer.bytes();
                Ok(answer)
            }
        };
        let result = |answer: Result<Answer, Error>| match answer.and_then(&mut fitting) {
            Ok(answer) => BatchResult::Done(answer),
            Err(error) => {
                invocation.fail("a question of the batch", &error);
                BatchResult::Failed { error }
            }
        };
        Ok(Reply::ok(Response::Batch { results: answers.into_iter().map(result).collect() }))
    }
}

/// A batch's answers fill a reply before this one.
fn too_much() -> Error {
    Error::new(
        ErrorKind::EntryTooLarge,
        format!(
            "the answers to the questions before have more than {MOST_REPLY_BYTES} bytes, and one reply takes no more"
        ),
        "ask this question again, in another request",
    )
}

impl Answer {
    /// What it takes of a reply, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Hit { response, metadata, .. } => {
                escaped_bytes(response) + escaped_bytes(&Value::Object(metadata.clone()).to_string())
            }
            Self::Miss { .. } => 0,
        }
    }
}

impl Lookup {
    /// What becomes of each question that could be asked, in their order.
    async fn answer(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        questions: Vec<Result<Checked, Error>>,
    ) -> Result<Vec<Result<Answer, Error>>, Error> {
        let looked_for = questions.iter().flatten().filter(|question| !question.bypass);
        let asked: Vec<&Asked> = looked_for.map(|question| &question.asked).collect();
        let found = match asked.is_empty() {
            true => Vec::new(),
            false => self.view.lock().await.search(cache, &asked).await?,
        };
        let mut found = found.into_iter();
        let mut used = Vec::new();
        let answers = questions.into_iter().map(|question| {
            let Checked { asked, bypass } = question?;
            let found = match bypass {
                true => Found::Miss(Miss::of(MissReason::Bypass)),
                false => found.next().ok_or_else(|| Error::internal("a question was not looked for"))??,
            };
            if let Some(error) = asked.embed_error() {
                invocation.fail("embedding the query", error);
            }
            self.recorder.record(&asked.namespace, counts(&found));
            observe(invocation, &found);
            if let Found::Hit { entry, .. } = &found
                && is_due(cache, entry)
            {
                used.push(entry.id);
            }
            Ok(answer(found, asked.now_secs))
        });
        let answers = answers.collect();
        record_accesses(cache, invocation, used).await;
        Ok(answers)
    }
}

/// A question that can be asked.
struct Checked {
    asked: Asked,
    bypass: bool,
}

fn check(cache: &Cache, invocation: &Invocation, request: Request) -> Result<Checked, Error> {
    let Request { query, messages, context, namespace, embedding, bypass, threshold, guard } = request;
    let question = Question::of(query.as_deref(), messages.as_deref(), context.as_ref(), &cache.config)?;
    let threshold = threshold.unwrap_or(-1.0);
    if !(-1.0..=1.0).contains(&threshold) {
        return Err(Error::invalid(
            format!("threshold: {threshold} is not a cosine similarity"),
            "send a number from -1 to 1, or none",
        ));
    }
    if guard == Some(Guard::Off) && !cache.config.guard_per_request {
        return Err(Error::invalid(
            "guard: requests may not switch it off",
            "leave the field out, or set MNEME_GUARD_PER_REQUEST=true",
        ));
    }
    invocation.enter(&namespace)?;
    let digest = question.signature.number_fingerprint();
    let threshold = (threshold as f32).max(cache.config.similarity_threshold);
    Ok(Checked {
        asked: Asked {
            question,
            namespace,
            embedding,
            embedded: Embedded::default(),
            threshold,
            guard,
            digest,
            now_secs: cache.now_secs(),
        },
        bypass,
    })
}

fn counts(found: &Found) -> Counts {
    match found {
        Found::Hit { layer: Layer::Exact, .. } => Counts { hits_exact: 1, ..Counts::default() },
        Found::Hit { layer: Layer::Semantic, .. } => Counts { hits_semantic: 1, ..Counts::default() },
        Found::Miss(_) => Counts { misses: 1, ..Counts::default() },
    }
}

fn observe(invocation: &Invocation, found: &Found) {
    let (metrics, similarity): (&[Metric], _) = match found {
        Found::Hit { layer: Layer::Exact, .. } => (&[Metric::HitsExact], None),
        Found::Hit { layer: Layer::Semantic, similarity, .. } => (&[Metric::HitsSemantic], Some(*similarity)),
        Found::Miss(Miss { reason, best_similarity, .. }) => (
            match reason {
                MissReason::NoEntry => &[Metric::Misses, Metric::MissesNoEntry],
                MissReason::BelowThreshold => &[Metric::Misses, Metric::MissesBelowThreshold],
                MissReason::LowConfidence => &[Metric::Misses, Metric::MissesLowConfidence],
                MissReason::Rejected => &[Metric::Misses, Metric::MissesRejected],
                MissReason::Vetoed => &[Metric::Misses, Metric::MissesVetoed],
                MissReason::NoEmbedding => &[Metric::Misses, Metric::MissesNoEmbedding],
                MissReason::EmbedderFailure => &[Metric::Misses, Metric::MissesEmbedderFailure],
                MissReason::Bypass => &[Metric::Misses, Metric::MissesBypass],
            },
            *best_similarity,
        ),
    };
    metrics.iter().for_each(|metric| invocation.observe(*metric, 1.0));
    if let Some(similarity) = similarity {
        invocation.observe(Metric::Similarity, similarity.into());
    }
}

/// Whether the entry's last recorded access is older than the configured resolution.
fn is_due(cache: &Cache, entry: &Entry) -> bool {
    let since = cache.now_secs().saturating_sub(entry.last_accessed_at);
    u64::try_from(since).is_ok_and(|since| since >= cache.config.access_resolution_secs)
}

/// Writes accesses down, one after the other as each is a change of the counter, as far as the time goes. The answers are good
/// whether or not this succeeds.
async fn record_accesses(cache: &Cache, invocation: &Invocation, used: Vec<EntryId>) {
    let used: BTreeSet<EntryId> = used.into_iter().collect();
    let until = Instant::now() + ACCESS_WRITE_LIMIT;
    for id in used {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        if let Err(error) = cache.within(left).touch(id).await {
            invocation.fail("recording the access", &error);
        }
    }
}

fn answer(found: Found, now_secs: i64) -> Answer {
    match found {
        Found::Hit { layer, entry, similarity, confidence } => Answer::Hit {
            layer,
            id: entry.id,
            namespace: entry.namespace,
            response: entry.response,
            similarity,
            confidence: confidence as f32,
            age_seconds: now_secs.saturating_sub(entry.created_at).max(0),
            metadata: entry.metadata,
        },
        Found::Miss(Miss { reason, best_similarity, veto }) => Answer::Miss { reason, best_similarity, veto },
    }
}
