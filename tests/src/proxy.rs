//! A proxy between the functions and DynamoDB: it notes every call, and spoils those that a test tells it to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What is done to a call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is carried out, and the answer replaced by a server error.
    ReplyLost,
    /// It is not carried out; the answer is a server error.
    NotCarriedOut,
    /// It is refused with this code.
    Refused(&'static str),
    /// A transaction is cancelled with these codes, one per action; `None` for those that had no part in it.
    Cancelled(Vec<Option<&'static str>>),
}

/// One call to DynamoDB.
#[derive(Debug, Clone)]
pub struct Call {
    /// `GetItem`, `TransactWriteItems`, …
    pub operation: String,
    /// Its body.
    pub request: Value,
    /// Capacity units that it consumed, where the engine reports them.
    pub capacity: Value,
}

#[derive(Default)]
struct Shared {
    upstream: String,
    calls: Vec<Call>,
    faults: VecDeque<(String, Fault)>,
}

#[derive(Clone)]
struct Forwarder {
    shared: Arc<Mutex<Shared>>,
    client: reqwest::Client,
}

/// A running proxy; it ends when dropped.
pub struct Proxy {
    url: String,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Starts on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Mutex::new(Shared::default()));
        let forwarder = Forwarder { shared: shared.clone(), client: reqwest::Client::new() };
        let router = Router::new().fallback(forward).layer(DefaultBodyLimit::disable()).with_state(forwarder);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { url, shared, task }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where calls go.
    pub fn forward_to(&self, url: &str) {
        lock(&self.shared).upstream = url.to_owned();
    }

    /// Spoils the next call of `operation` that has no fault waiting before it.
    pub fn spoil(&self, operation: &str, fault: Fault) {
        lock(&self.shared).faults.push_back((operation.to_owned(), fault));
    }

    /// The faults that have not met a call yet.
    pub fn faults_left(&self) -> usize {
        lock(&self.shared).faults.len()
    }

    /// The calls since the last time this was asked.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut lock(&self.shared).calls)
    }

    /// The operations of [`Proxy::take_calls`].
    pub fn take_operations(&self) -> Vec<String> {
        self.take_calls().into_iter().map(|call| call.operation).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn reply(status: StatusCode, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .body(Body::from(body.to_string()))
        .expect("a response")
}

fn error(status: StatusCode, code: &str) -> Response<Body> {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
    reply(status, &json!({"__type": kind, "message": "spoilt by the test", "Message": "spoilt by the test"}))
}

async fn forward(State(forwarder): State<Forwarder>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = target.split('.').nth(1).unwrap_or_default().to_owned();
    let mut request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (upstream, fault) = {
        let mut shared = lock(&forwarder.shared);
        let at = shared.faults.iter().position(|(of, _)| *of == operation);
        (shared.upstream.clone(), at.and_then(|at| shared.faults.remove(at)).map(|(_, fault)| fault))
    };
    let note = |request: &Value, capacity: Value| {
        let call = Call { operation: operation.clone(), request: request.clone(), capacity };
        lock(&forwarder.shared).calls.push(call);
    };
    match &fault {
        Some(Fault::NotCarriedOut) => {
            note(&request, Value::Null);
            return error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError");
        }
        Some(Fault::Refused(code)) => {
            note(&request, Value::Null);
            return error(StatusCode::BAD_REQUEST, code);
        }
        Some(Fault::Cancelled(codes)) => {
            note(&request, Value::Null);
            let reasons: Vec<Value> = codes.iter().map(|code| json!({"Code": code.unwrap_or("None")})).collect();
            let body = json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "message": "Transaction cancelled", "CancellationReasons": reasons,
            });
            return reply(StatusCode::BAD_REQUEST, &body);
        }
        Some(Fault::ReplyLost) | None => {}
    }
    if let Some(fields) = request.as_object_mut() {
        fields.insert("ReturnConsumedCapacity".to_owned(), json!("TOTAL"));
    }
    let mut forwarded = forwarder.client.post(&upstream).body(request.to_string());
    for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
        if let Some(value) = headers.get(name) {
            forwarded = forwarded.header(name, value);
        }
    }
    let answer = match forwarded.send().await {
        Ok(answer) => answer,
        Err(_) => return error(StatusCode::BAD_GATEWAY, "InternalServerError"),
    };
    let status = answer.status();
    let bytes = answer.bytes().await.unwrap_or_default();
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    note(&request, value["ConsumedCapacity"].clone());
    if let Some(Fault::ReplyLost) = fault {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError");
    }
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .body(Body::from(bytes))
        .expect("a response")
}
