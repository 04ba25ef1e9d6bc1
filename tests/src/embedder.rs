//! A fake embedding service. It speaks the APIs of OpenAI, Amazon Bedrock, Secrets Manager and Parameter Store, and
//! fails as a test demands.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::vector;

/// The API key that its Secrets Manager and its Parameter Store return.
pub const STORED_KEY: &str = "sk-stored-and-never-logged";

/// How the service answers embedding requests.
#[derive(Debug, Clone)]
pub enum Behavior {
    /// It returns vectors with this number of components.
    Embed(usize),
    /// It returns vectors as `narrow` makes them.
    EmbedNarrowly,
    /// It returns this status and body.
    Reply(u16, String),
    /// It never answers.
    Hang,
}

/// A request that the service received.
#[derive(Debug, Clone)]
pub struct Received {
    /// The texts to embed; empty for a request of another kind.
    pub texts: Vec<String>,
    /// The `authorization` header; empty if there was none.
    pub authorization: String,
}

#[derive(Debug)]
struct State {
    behavior: Behavior,
    received: Vec<Received>,
}

/// The service. It ends with the test's runtime.
#[derive(Debug)]
pub struct EmbeddingService {
    /// Its base URL.
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl EmbeddingService {
    /// Starts the service on a free port, with vectors of 8 components.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State { behavior: Behavior::Embed(8), received: Vec::new() }));
        let shared = Arc::clone(&state);
        let app = Router::new().fallback(move |request| answer(Arc::clone(&shared), request));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, state }
    }

    /// A service whose port refuses connections.
    pub async fn unreachable() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        Self { url, state: Arc::new(Mutex::new(State { behavior: Behavior::Hang, received: Vec::new() })) }
    }

    /// The value of `MNEME_EMBEDDER` for this service.
    pub fn embedder(&self) -> String {
        format!("openai:test@{}/v1", self.url)
    }

    /// Changes how the service answers from now on.
    pub fn set(&self, behavior: Behavior) {
        self.state().behavior = behavior;
    }

    /// The requests since the last call.
    pub fn take_received(&self) -> Vec<Received> {
        std::mem::take(&mut self.state().received)
    }

    /// The texts that it was asked to embed since the last call, one list per request, without those from which the
    /// functions learn its scale.
    pub fn take_texts(&self) -> Vec<Vec<String>> {
        let is_wanted = |texts: &Vec<String>| !texts.is_empty() && !texts.iter().all(|text| is_of_sample(text));
        self.take_received().into_iter().map(|request| request.texts).filter(is_wanted).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The questions from which a scale is learned.
const SAMPLE: &str = include_str!("../../shared/src/embedders/scale/texts.tsv");

/// Whether `text` is one of the questions from which a scale is learned.
pub(crate) fn is_of_sample(text: &str) -> bool {
    SAMPLE.lines().any(|line| line.split('\t').any(|one| one == text))
}

/// The difference between the angles of two texts that differ by one final dot, in radians.
const ANGLE_PER_DOT: f64 = 0.05;

/// `text` with as many dots at its end as give its vector this `angle`, a multiple of 0.05 above 0. The guard ignores
/// dots.
pub fn at(text: &str, angle: f64) -> String {
    format!("{text}{}", ".".repeat((angle / ANGLE_PER_DOT).round() as usize))
}

/// The vector of a text. Its angle comes from the dots at the end, else from a hash of the text.
fn embedding(text: &str, dim: usize) -> Vec<f64> {
    let dots = text.len() - text.trim_end_matches('.').len();
    let hash = text.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    vector(dim, if dots > 0 { dots as f64 * ANGLE_PER_DOT } else { f64::from(hash % 6283) / 1000.0 })
}

async fn answer(state: Arc<Mutex<State>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a whole request");
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(key) = stored_key(&head.headers) {
        return reply(200, key.to_string().into());
    }
    let texts: Vec<String> = match (&body["input"], &body["inputText"]) {
        (Value::Array(texts), _) => texts.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect(),
        (_, Value::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    };
    let authorization = head.headers.get("authorization").and_then(|value| value.to_str().ok());
    let received = Received { texts: texts.clone(), authorization: authorization.unwrap_or_default().to_owned() };
    let behavior = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.received.push(received);
        state.behavior.clone()
    };
    match behavior {
        Behavior::Hang => std::future::pending().await,
        Behavior::Reply(status, body) => reply(status, body.into()),
        Behavior::Embed(dim) if body["inputText"].is_string() => {
            let embedding = embedding(&texts[0], body["dimensions"].as_u64().map_or(dim, |dim| dim as usize));
            reply(200, json!({"embedding": embedding, "inputTextTokenCount": 1}).to_string().into())
        }
        Behavior::Embed(dim) => all_embedded(&texts, |text| embedding(text, dim)),
        Behavior::EmbedNarrowly => all_embedded(&texts, narrow),
    }
}

fn all_embedded(texts: &[String], embedding: impl Fn(&str) -> Vec<f64>) -> Response<Body> {
    let data = texts.iter().enumerate();
    let data: Vec<Value> = data.map(|(index, text)| json!({"index": index, "embedding": embedding(text)})).collect();
    reply(200, json!({"data": data}).to_string().into())
}

/// The similarity of two texts without a common topic, for `narrow`.
pub const UNRELATED: f64 = 0.9;

/// The similarity of two texts that say the same, for `narrow`.
pub const RELATED: f64 = 0.999;

/// How much of their similarity the five questions on a topic have from the topic, in the order of the file. The first and
/// the third say the same.
const OF_TOPIC: [f64; 5] = [RELATED - UNRELATED, 0.07, RELATED - UNRELATED, 0.09, 0.05];

/// The vector of a text by an embedder whose similarities are all high. Of the questions that a scale is learned from, the
/// file says which are on one topic. Other texts say the same if only the dots at their end differ.
fn narrow(text: &str) -> Vec<f64> {
    let place_of = |line: &&str| line.split('\t').skip(2).position(|one| one == text);
    let known = SAMPLE.lines().find_map(|line| Some((line, place_of(&line)?)));
    let (topic, place) = known.unwrap_or((text.trim_end_matches('.'), 0));
    let axis = |text: &str, from: usize, axes: usize| {
        let hash = text.bytes().fold(7usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        from + hash % axes
    };
    let mut vector = vec![0.0; 1 + 512 + 1024];
    vector[0] = UNRELATED.sqrt();
    vector[axis(topic, 1, 512)] = OF_TOPIC[place].sqrt();
    vector[axis(text, 513, 1024)] = (1.0 - UNRELATED - OF_TOPIC[place]).sqrt();
    vector
}

/// The reply of Secrets Manager or Parameter Store; `None` for a request to neither.
fn stored_key(headers: &HeaderMap) -> Option<Value> {
    match headers.get("x-amz-target")?.to_str().ok()?.rsplit('.').next()? {
        "GetSecretValue" => Some(json!({"Name": "key", "SecretString": STORED_KEY})),
        "GetParameter" => Some(json!({"Parameter": {"Type": "SecureString", "Value": STORED_KEY}})),
        _ => None,
    }
}

fn reply(status: u16, body: Bytes) -> Response<Body> {
    let reply = Response::builder().status(status).header("content-type", "application/json");
    reply.body(Body::from(body)).expect("well-formed")
}
