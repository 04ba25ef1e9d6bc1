//! A local server in an embedding service's place: it speaks OpenAI's API, Amazon Bedrock's and those that keep an API key, and
//! fails as a test says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::vector;

/// The key that the server's stores keep.
pub const KEPT_KEY: &str = "sk-kept-and-never-shown";

/// How it answers.
#[derive(Debug, Clone)]
pub enum Mood {
    /// With vectors of so many numbers.
    Well(usize),
    /// With this status and body.
    With(u16, String),
    /// Never.
    Never,
}

/// What it was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The texts to embed; empty for a request of another kind.
    pub texts: Vec<String>,
    /// The `authorization` header, or nothing.
    pub authorization: String,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    asked: Vec<Asked>,
}

/// The server; it ends with the test's runtime.
#[derive(Debug)]
pub struct EmbeddingService {
    /// Its base URL.
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl EmbeddingService {
    /// A server on a free port, with vectors of 8 numbers.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State { mood: Mood::Well(8), asked: Vec::new() }));
        let kept = Arc::clone(&state);
        let app = Router::new().fallback(move |request| answer(Arc::clone(&kept), request));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, state }
    }

    /// A place where nobody listens.
    pub async fn unreachable() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        Self { url, state: Arc::new(Mutex::new(State { mood: Mood::Never, asked: Vec::new() })) }
    }

    /// `MNEME_EMBEDDER` for it.
    pub fn embedder(&self) -> String {
        format!("openai:test@{}/v1", self.url)
    }

    /// Answers differently from now on.
    pub fn set(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// What it was asked since the last call.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().asked)
    }

    /// The texts that it was asked to embed since the last call, call by call.
    pub fn take_texts(&self) -> Vec<Vec<String>> {
        self.take_asked().into_iter().map(|asked| asked.texts).filter(|texts| !texts.is_empty()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The vector of a text: at the angle that stands behind its `@`, or at one that its bytes make.
pub fn embedding(text: &str, dim: usize) -> Vec<f64> {
    let told = text.rsplit_once('@').and_then(|(_, angle)| angle.trim().parse().ok());
    let of_bytes = || text.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    vector(dim, told.unwrap_or_else(|| f64::from(of_bytes() % 6283) / 1000.0))
}

async fn answer(state: Arc<Mutex<State>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a whole request");
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(kept) = kept_key(&head.headers) {
        return reply(200, kept.to_string().into());
    }
    let texts: Vec<String> = match (&body["input"], &body["inputText"]) {
        (Value::Array(texts), _) => texts.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect(),
        (_, Value::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    };
    let authorization = head.headers.get("authorization").and_then(|value| value.to_str().ok());
    let asked = Asked { texts: texts.clone(), authorization: authorization.unwrap_or_default().to_owned() };
    let mood = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked.push(asked);
        state.mood.clone()
    };
    match mood {
        Mood::Never => std::future::pending().await,
        Mood::With(status, body) => reply(status, body.into()),
        Mood::Well(dim) if body["inputText"].is_string() => {
            let embedding = embedding(&texts[0], body["dimensions"].as_u64().map_or(dim, |dim| dim as usize));
            reply(200, json!({"embedding": embedding, "inputTextTokenCount": 1}).to_string().into())
        }
        Mood::Well(dim) => {
            let data = texts.iter().enumerate();
            let data: Vec<Value> =
                data.map(|(index, text)| json!({"index": index, "embedding": embedding(text, dim)})).collect();
            reply(200, json!({"data": data}).to_string().into())
        }
    }
}

/// What Secrets Manager or Parameter Store answers; `None` for a request to neither.
fn kept_key(headers: &HeaderMap) -> Option<Value> {
    match headers.get("x-amz-target")?.to_str().ok()?.rsplit('.').next()? {
        "GetSecretValue" => Some(json!({"Name": "key", "SecretString": KEPT_KEY})),
        "GetParameter" => Some(json!({"Parameter": {"Type": "SecureString", "Value": KEPT_KEY}})),
        _ => None,
    }
}

fn reply(status: u16, body: Bytes) -> Response<Body> {
    let reply = Response::builder().status(status).header("content-type", "application/json");
    reply.body(Body::from(body)).expect("well-formed")
}
