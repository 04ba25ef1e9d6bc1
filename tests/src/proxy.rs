//! A proxy between the functions and DynamoDB: it notes every call, and spoils those that a test tells it to.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What is done to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is carried out, and the answer replaced by a server error.
    ReplyLost,
    /// It is not carried out; the answer is a server error.
    NotCarriedOut,
    /// The connection breaks before it is carried out.
    ResetBefore,
    /// It is carried out, and the connection breaks before the answer.
    ResetAfter,
    /// It is carried out that much later.
    Late(Duration),
    /// It is refused with this code.
    Refused(&'static str),
    /// Another transaction holds one of its items.
    Conflict,
    /// A transaction is cancelled with these codes, one per action; `None` for those that had no part in it.
    Cancelled(Vec<Option<&'static str>>),
    /// Half of a batch's keys are left unprocessed.
    Unprocessed,
    /// A page is empty and not the last, as when all its items were filtered out.
    EmptyPage,
}

impl Fault {
    /// Every kind that DynamoDB itself may come up with at any time.
    pub fn all() -> Vec<Self> {
        vec![
            Self::ReplyLost,
            Self::NotCarriedOut,
            Self::ResetBefore,
            Self::ResetAfter,
            Self::Late(Duration::from_millis(30)),
            Self::Refused("ProvisionedThroughputExceededException"),
            Self::Refused("ThrottlingException"),
            Self::Conflict,
            Self::Unprocessed,
            Self::EmptyPage,
        ]
    }

    /// Whether it can happen to a call of `operation`.
    pub fn fits(&self, operation: &str) -> bool {
        match self {
            Self::Conflict => ["TransactWriteItems", "UpdateItem", "PutItem", "DeleteItem"].contains(&operation),
            Self::Cancelled(_) => operation == "TransactWriteItems",
            Self::Unprocessed => operation == "BatchGetItem",
            Self::EmptyPage => ["Query", "Scan"].contains(&operation),
            Self::ReplyLost
            | Self::NotCarriedOut
            | Self::ResetBefore
            | Self::ResetAfter
            | Self::Late(_)
            | Self::Refused(_) => true,
        }
    }
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

/// Faults that come at random, the same ones for the same seed and calls.
struct Chance {
    rng: fastrand::Rng,
    per_mille: u32,
}

#[derive(Default)]
struct Shared {
    upstream: String,
    calls: Vec<Call>,
    /// For a call of this operation, the one that comes after so many others of it.
    faults: VecDeque<(String, usize, Fault)>,
    chance: Option<Chance>,
    /// How long the indexes do not show a new entry.
    index_lag: Duration,
    /// When entries were stored, as the transactions that stored them came by.
    stored: HashMap<String, Instant>,
    /// The keys of empty pages: where the next page really starts.
    empty_pages: HashMap<String, Value>,
}

impl Shared {
    /// The fault that a call of `operation` meets.
    fn fault(&mut self, operation: &str) -> Option<Fault> {
        let waiting = self.faults.iter().position(|(of, others, _)| of == operation && *others == 0);
        for (_, others, _) in self.faults.iter_mut().filter(|(of, ..)| of == operation) {
            *others = others.saturating_sub(1);
        }
        if let Some((.., fault)) = waiting.and_then(|at| self.faults.remove(at)) {
            return Some(fault);
        }
        let Chance { rng, per_mille } = self.chance.as_mut()?;
        if rng.u32(..1000) >= *per_mille {
            return None;
        }
        let fitting: Vec<Fault> = Fault::all().into_iter().filter(|fault| fault.fits(operation)).collect();
        rng.choice(fitting)
    }
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
        self.spoil_nth(operation, 0, fault);
    }

    /// Spoils the call of `operation` that comes after so many `others` of it.
    pub fn spoil_nth(&self, operation: &str, others: usize, fault: Fault) {
        lock(&self.shared).faults.push_back((operation.to_owned(), others, fault));
    }

    /// Spoils that many of a thousand calls from now on.
    pub fn spoil_at_random(&self, seed: u64, per_mille: u32) {
        lock(&self.shared).chance = Some(Chance { rng: fastrand::Rng::with_seed(seed), per_mille });
    }

    /// Spoils nothing from now on, whatever waits.
    pub fn spoil_nothing(&self) {
        let mut shared = lock(&self.shared);
        shared.faults.clear();
        shared.chance = None;
    }

    /// Hides entries from the indexes for that long after they were stored.
    pub fn delay_indexes(&self, lag: Duration) {
        lock(&self.shared).index_lag = lag;
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
        let start =
            request.get("ExclusiveStartKey").map(Value::to_string).and_then(|key| shared.empty_pages.remove(&key));
        match (start, request.as_object_mut()) {
            (Some(Value::Null), Some(fields)) => drop(fields.remove("ExclusiveStartKey")),
            (Some(start), Some(fields)) => drop(fields.insert("ExclusiveStartKey".to_owned(), start)),
            _ => {}
        }
        (shared.upstream.clone(), shared.fault(&operation))
    };
    let mut left = json!({});
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
            return cancelled(codes);
        }
        Some(Fault::ResetBefore) => {
            note(&request, Value::Null);
            return reset();
        }
        Some(Fault::Conflict) => {
            note(&request, Value::Null);
            if operation != "TransactWriteItems" {
                return error(StatusCode::BAD_REQUEST, "TransactionConflictException");
            }
            let mut codes = vec![None; request["TransactItems"].as_array().map_or(0, Vec::len)];
            codes[0] = Some("TransactionConflict");
            return cancelled(&codes);
        }
        Some(Fault::EmptyPage) => {
            note(&request, Value::Null);
            // A key that no item has; the page that starts there is the one that was asked for now.
            let key = json!({"id": {"N": format!("-{}", fastrand::u64(1_000_000_000..))}});
            let start = request.get("ExclusiveStartKey").cloned().unwrap_or_default();
            lock(&forwarder.shared).empty_pages.insert(key.to_string(), start);
            return reply(
                StatusCode::OK,
                &json!({"Items": [], "Count": 0, "ScannedCount": 0, "LastEvaluatedKey": key}),
            );
        }
        Some(Fault::Unprocessed) => left = leave_half(&mut request),
        Some(Fault::Late(time)) => tokio::time::sleep(*time).await,
        Some(Fault::ReplyLost | Fault::ResetAfter) | None => {}
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
    if status.is_success() && operation == "TransactWriteItems" {
        remember(&mut lock(&forwarder.shared), &request);
    }
    match fault {
        Some(Fault::ReplyLost) => return error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
        Some(Fault::ResetAfter) => return reset(),
        _ => {}
    }
    let mut value = value;
    if left.as_object().is_some_and(|left| !left.is_empty()) && status.is_success() {
        value["UnprocessedKeys"] = left;
        return reply(status, &value);
    }
    if request.get("IndexName").is_some() && hide_new(&lock(&forwarder.shared), &mut value) {
        return reply(status, &value);
    }
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .body(Body::from(bytes))
        .expect("a response")
}

/// An answer whose connection breaks before its end.
fn reset() -> Response<Body> {
    let broken = futures::stream::iter([Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset))]);
    let body = Body::from_stream(broken);
    Response::builder().header("content-length", "100").body(body).expect("a response")
}

fn cancelled(codes: &[Option<&str>]) -> Response<Body> {
    let reasons: Vec<Value> = codes.iter().map(|code| json!({"Code": code.unwrap_or("None")})).collect();
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "message": "Transaction cancelled", "CancellationReasons": reasons,
    });
    reply(StatusCode::BAD_REQUEST, &body)
}

/// Takes every second key out of a batch, but for a batch of one, and returns what was taken.
fn leave_half(request: &mut Value) -> Value {
    let mut left = json!({});
    for (table, ask) in request["RequestItems"].as_object_mut().into_iter().flatten() {
        let keys = ask["Keys"].as_array().cloned().unwrap_or_default();
        if keys.len() < 2 {
            continue;
        }
        let (stay, go): (Vec<_>, Vec<_>) = keys.into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
        let only = |keys: Vec<(usize, Value)>| keys.into_iter().map(|(_, key)| key).collect::<Value>();
        left[table] = ask.clone();
        left[table]["Keys"] = only(go);
        ask["Keys"] = only(stay);
    }
    left
}

/// Notes when the entries of a transaction were stored.
fn remember(shared: &mut Shared, request: &Value) {
    for action in request["TransactItems"].as_array().into_iter().flatten() {
        if let Some(id) = action["Put"]["Item"]["id"]["N"].as_str().filter(|id| !id.starts_with('-')) {
            shared.stored.entry(id.to_owned()).or_insert_with(Instant::now);
        }
    }
}

/// Takes the entries out of an index's answer that it does not show yet. False when there are none.
fn hide_new(shared: &Shared, answer: &mut Value) -> bool {
    if shared.index_lag.is_zero() {
        return false;
    }
    let is_new = |item: &Value| {
        let stored = item["id"]["N"].as_str().and_then(|id| shared.stored.get(id));
        stored.is_some_and(|at| at.elapsed() < shared.index_lag)
    };
    let Some(items) = answer["Items"].as_array_mut() else { return false };
    items.retain(|item| !is_new(item));
    answer["Count"] = json!(items.len());
    true
}
