//! A proxy between the functions and DynamoDB. It records every call and injects the faults that a test asks for.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use axum::body::Bytes;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mneme_model::clock::Clock;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::fault::{Fault, cancellation_body, error_body};
use crate::lag::{Lag, Lagging, entries_written};
use crate::limits::{CounterState, TokenBucket, batch_keys, concerns_counter, consumed_units, is_read, leave_keys};

/// One call to DynamoDB.
#[derive(Debug, Clone)]
pub struct Call {
    /// `GetItem`, `TransactWriteItems`, …
    pub operation: String,
    /// The request's body.
    pub request: Value,
    /// `ConsumedCapacity` of the reply; null where the engine reports none.
    pub capacity: Value,
    /// The fault that the call met.
    pub fault: Option<Fault>,
    /// True if the SDK marks the call as a retry of one that it sent before.
    pub is_repeat: bool,
    /// The time of arrival.
    pub began: Instant,
    /// The time of the reply.
    pub ended: Instant,
}

/// What the proxy does to a call that a test has chosen.
#[derive(Debug)]
enum Waiting {
    Fault(Fault),
    /// Reports the arrival on the first channel, and waits for the second one.
    Hold(oneshot::Sender<()>, oneshot::Receiver<()>),
}

/// A call that the proxy holds before it executes it.
#[derive(Debug)]
pub struct Held {
    arrived: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

impl Held {
    /// Waits until the call has arrived, and returns a function that releases it.
    pub async fn arrived(self) -> impl FnOnce() {
        self.arrived.await.expect("the call arrives");
        let release = self.release;
        move || release.send(()).expect("the call waits")
    }
}

/// Random faults. Each operation has its own sequence, which is the same for the same seed.
struct Chance {
    seed: u64,
    per_mille: u32,
    sequences: HashMap<String, fastrand::Rng>,
}

impl Chance {
    fn draw(&mut self, operation: &str) -> Option<Fault> {
        let rng = self.sequences.entry(operation.to_owned()).or_insert_with(|| {
            // The hasher's keys are fixed, so that hashes are the same in every run.
            let mut hasher = DefaultHasher::new();
            (self.seed, operation).hash(&mut hasher);
            fastrand::Rng::with_seed(hasher.finish())
        });
        // Both numbers are drawn each time, so that a sequence does not depend on the rate.
        let (hit, fault) = (rng.u32(..1000) < self.per_mille, rng.u64(..));
        let faults: Vec<Fault> = Fault::all().into_iter().filter(|fault| fault.applies_to(operation)).collect();
        hit.then(|| faults[(fault % faults.len() as u64) as usize].clone())
    }
}

#[derive(Default)]
struct Shared {
    upstream: String,
    calls: Vec<Call>,
    /// Operation, number of its calls to let pass first, and what happens to the call after them.
    waiting: VecDeque<(String, usize, Waiting)>,
    chance: Option<Chance>,
    indexes: Lagging,
    /// The delay before every call.
    pause: Duration,
    /// The number of mutations by [`Fault::Overtaken`].
    overtaken: u64,
    /// How far the clock of the replies is ahead.
    clock_ahead_secs: i64,
    /// The read capacity of the table; `None`: no limit.
    read_capacity: Option<TokenBucket>,
    /// What happens to calls that concern item 0.
    counter: watch::Sender<Option<CounterState>>,
    /// For the key of each empty page, the key where the next page really starts.
    empty_pages: HashMap<String, Value>,
}

impl Shared {
    /// Takes the action for the next call of `operation`.
    fn next_action(&mut self, operation: &str) -> Option<Waiting> {
        let next = self.waiting.iter().position(|(of, others, _)| of == operation && *others == 0);
        for (_, others, _) in self.waiting.iter_mut().filter(|(of, ..)| of == operation) {
            *others = others.saturating_sub(1);
        }
        if let Some((.., waiting)) = next.and_then(|at| self.waiting.remove(at)) {
            return Some(waiting);
        }
        self.chance.as_mut()?.draw(operation).map(Waiting::Fault)
    }
}

#[derive(Clone)]
struct Forwarder {
    shared: Arc<Mutex<Shared>>,
    client: reqwest::Client,
    /// The number of calls in progress.
    at_work: watch::Sender<usize>,
}

/// The reply to a call, or an order to reset its connection.
type Answer = Result<Response<Full<Bytes>>, Reset>;

#[derive(Debug)]
struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reset by the test")
    }
}

impl std::error::Error for Reset {}

/// A running proxy. It ends when dropped.
pub struct Proxy {
    url: String,
    shared: Arc<Mutex<Shared>>,
    at_work: watch::Receiver<usize>,
    task: JoinHandle<Infallible>,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Starts the proxy on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (sender, at_work) = watch::channel(0);
        let forwarder = Forwarder { shared: shared.clone(), client: reqwest::Client::new(), at_work: sender };
        Self { url, shared, at_work, task: tokio::spawn(serve(listener, forwarder)) }
    }

    /// The URL where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sets the URL that receives the calls.
    pub fn forward_to(&self, url: &str) {
        lock(&self.shared).upstream = url.to_owned();
    }

    /// Injects `fault` into the next call of `operation` that has no fault yet.
    pub fn inject_fault(&self, operation: &str, fault: Fault) {
        self.inject_nth(operation, 0, fault);
    }

    /// Injects `fault` into a call of `operation` after letting `skip` others pass.
    pub fn inject_nth(&self, operation: &str, skip: usize, fault: Fault) {
        lock(&self.shared).waiting.push_back((operation.to_owned(), skip, Waiting::Fault(fault)));
    }

    /// Holds a call of `operation`, after letting `skip` others pass, until the test releases it.
    pub fn hold_nth(&self, operation: &str, skip: usize) -> Held {
        let ((tell, arrived), (release, wait)) = (oneshot::channel(), oneshot::channel());
        lock(&self.shared).waiting.push_back((operation.to_owned(), skip, Waiting::Hold(tell, wait)));
        Held { arrived, release }
    }

    /// Injects faults into `per_mille` of a thousand calls from now on.
    pub fn inject_at_random(&self, seed: u64, per_mille: u32) {
        lock(&self.shared).chance = Some(Chance { seed, per_mille, sequences: HashMap::new() });
    }

    /// Discards all faults that have not met a call, and injects no random ones any more.
    pub fn clear_faults(&self) {
        let mut shared = lock(&self.shared);
        shared.waiting.clear();
        shared.chance = None;
    }

    /// Makes the indexes lag behind the writes that pass this proxy from now on.
    pub fn delay_indexes(&self, lag: Lag) {
        lock(&self.shared).indexes.set(lag);
    }

    /// Delays every call by `pause`, so that calls that are sent together overlap visibly.
    pub fn slow_down(&self, pause: Duration) {
        lock(&self.shared).pause = pause;
    }

    /// Makes the header `Date` of the replies `secs` later than it is, from now on.
    pub fn set_clock_ahead(&self, secs: i64) {
        lock(&self.shared).clock_ahead_secs = secs;
    }

    /// Limits reads to `units_per_second`, after a burst of `burst` units, from now on. A call without capacity is
    /// refused as DynamoDB refuses it, and a batch may leave keys unprocessed.
    pub fn limit_reads(&self, units_per_second: f64, burst: f64) {
        lock(&self.shared).read_capacity = Some(TokenBucket::new(units_per_second, burst));
    }

    /// Ends the limit of [`Proxy::limit_reads`].
    pub fn unlimit_reads(&self) {
        lock(&self.shared).read_capacity = None;
    }

    /// Puts item 0 into `state`, or makes it answer as usual again. Calls that hang are answered then.
    pub fn set_counter_state(&self, state: Option<CounterState>) {
        lock(&self.shared).counter.send_replace(state);
    }

    /// The number of faults and holds that have not met a call yet.
    pub fn pending_faults(&self) -> usize {
        lock(&self.shared).waiting.len()
    }

    /// The number of mutations that [`Fault::Overtaken`] has made.
    pub fn overtaken(&self) -> u64 {
        lock(&self.shared).overtaken
    }

    /// Waits until no call is in progress, not even one whose client has disconnected.
    pub async fn idle(&self) {
        self.at_work.clone().wait_for(|calls| *calls == 0).await.expect("the proxy runs");
    }

    /// The calls that were answered since the last call of this function.
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

async fn serve(listener: TcpListener, forwarder: Forwarder) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        // A connection that is closed during a call is reset instead of shut down in order.
        let _ = stream.set_zero_linger();
        let forwarder = forwarder.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let forwarder = forwarder.clone();
            // The call runs on its own task, so that it is executed even if the client disconnects.
            async move { tokio::spawn(forwarder.answer_dated(request)).await.unwrap_or(Err(Reset)) }
        });
        connections.spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

fn reply(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    Ok(response.body(Full::new(body.into())).expect("a response"))
}

fn error(status: StatusCode, code: &str) -> Answer {
    reply(status, error_body(code).to_string())
}

/// Counts a call while it is in progress.
struct AtWork<'a>(&'a watch::Sender<usize>);

impl<'a> AtWork<'a> {
    fn begin(calls: &'a watch::Sender<usize>) -> Self {
        calls.send_modify(|calls| *calls += 1);
        Self(calls)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|calls| *calls -= 1);
    }
}

/// A call that the proxy is processing.
struct Passing {
    headers: HeaderMap,
    operation: String,
    request: Value,
    began: Instant,
    fault: Option<Fault>,
    upstream: String,
    /// The keys of a batch that stay unprocessed for a lack of capacity.
    left: Value,
}

/// A call was refused for a lack of capacity.
struct Throttled;

impl Forwarder {
    /// The answer with the date of the replies' clock.
    async fn answer_dated(self, request: Request<Incoming>) -> Answer {
        let shared = self.shared.clone();
        let mut answer = self.answer(request).await?;
        let ahead = lock(&shared).clock_ahead_secs;
        let date = DateTime::from_millis(Clock::System.now_ms() + 1000 * ahead);
        let date = date.fmt(DateTimeFormat::HttpDate).expect("a date");
        answer.headers_mut().insert("date", date.parse().expect("a header"));
        Ok(answer)
    }

    async fn answer(self, request: Request<Incoming>) -> Answer {
        let _at_work = AtWork::begin(&self.at_work);
        let (parts, body) = request.into_parts();
        match body.collect().await {
            Ok(body) => self.pass(parts.headers, &body.to_bytes()).await,
            // The client disconnected before it had sent the whole request.
            Err(_) => Err(Reset),
        }
    }

    async fn pass(&self, headers: HeaderMap, body: &[u8]) -> Answer {
        let began = Instant::now();
        let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let operation = target.split('.').nth(1).unwrap_or_default().to_owned();
        let mut request: Value = serde_json::from_slice(body).unwrap_or_default();
        let (upstream, met, pause) = {
            let mut shared = lock(&self.shared);
            let start =
                request.get("ExclusiveStartKey").map(Value::to_string).and_then(|key| shared.empty_pages.remove(&key));
            match (start, request.as_object_mut()) {
                (Some(Value::Null), Some(fields)) => drop(fields.remove("ExclusiveStartKey")),
                (Some(start), Some(fields)) => drop(fields.insert("ExclusiveStartKey".to_owned(), start)),
                _ => {}
            }
            (shared.upstream.clone(), shared.next_action(&operation), shared.pause)
        };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let left = match self.admit(&operation, &mut request).await {
            Ok(left) => left,
            Err(Throttled) => {
                let fault = Some(Fault::Refused("ProvisionedThroughputExceededException"));
                let refused = Passing { headers, operation, request, began, fault, upstream, left: json!({}) };
                let refusal = self.refusal(&refused).unwrap_or(Err(Reset));
                self.note(refused, Value::Null);
                return refusal;
            }
        };
        let fault = match met {
            Some(Waiting::Fault(fault)) => Some(fault),
            Some(Waiting::Hold(tell, wait)) => {
                let _ = tell.send(());
                let _ = wait.await;
                None
            }
            None => None,
        };
        let passing = Passing { headers, operation, request, began, fault, upstream, left };
        match self.refusal(&passing) {
            Some(refusal) => {
                self.note(passing, Value::Null);
                refusal
            }
            None => self.execute(passing).await,
        }
    }

    /// Waits for item 0, and refuses the call or takes keys out of a batch if capacity is lacking. Returns the keys
    /// that were taken out.
    async fn admit(&self, operation: &str, request: &mut Value) -> Result<Value, Throttled> {
        let mut counter = lock(&self.shared).counter.subscribe();
        let state = if concerns_counter(request) { *counter.borrow() } else { None };
        let mut left = json!({});
        match state {
            Some(CounterState::Slow(time)) => tokio::time::sleep(time).await,
            Some(CounterState::Hung) => {
                let _ = counter.wait_for(|state| *state != Some(CounterState::Hung)).await;
            }
            Some(CounterState::Throttled) if batch_keys(request) > 1 => {
                left = leave_keys(request, |_, key| *key != json!({"id": {"N": "0"}}));
            }
            Some(CounterState::Throttled) => return Err(Throttled),
            None => {}
        }
        let units = lock(&self.shared).read_capacity.as_mut().filter(|_| is_read(operation)).map(TokenBucket::level);
        match units {
            Some(units) if units <= 0.0 => Err(Throttled),
            // Each key costs at least half a unit.
            Some(units) if left == json!({}) && (batch_keys(request) as f64) > 2.0 * units => {
                Ok(leave_keys(request, |at, _| (at as f64) < (2.0 * units).max(1.0)))
            }
            _ => Ok(left),
        }
    }

    fn note(&self, passing: Passing, capacity: Value) {
        let Passing { headers, operation, request, began, fault, .. } = passing;
        let is_repeat = attempt(&headers) > 1;
        let call = Call { operation, request, capacity, fault, is_repeat, began, ended: Instant::now() };
        lock(&self.shared).calls.push(call);
    }

    /// The reply to a call that is not executed; `None` if it is executed.
    fn refusal(&self, passing: &Passing) -> Option<Answer> {
        let actions = || passing.request["TransactItems"].as_array().map_or(1, Vec::len);
        let for_one = |at: usize, code: &'static str| {
            let mut codes = vec![None; actions()];
            codes[at] = Some(code);
            reply(StatusCode::BAD_REQUEST, cancellation_body(&codes).to_string())
        };
        Some(match passing.fault.as_ref()? {
            Fault::NotExecuted => error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
            Fault::Refused(code) => error(StatusCode::BAD_REQUEST, code),
            Fault::Cancelled(codes) => reply(StatusCode::BAD_REQUEST, cancellation_body(codes).to_string()),
            Fault::CancelledFor(code) => for_one(actions() - 1, code),
            Fault::Conflict if passing.operation == "TransactWriteItems" => for_one(0, "TransactionConflict"),
            Fault::Conflict => error(StatusCode::BAD_REQUEST, "TransactionConflictException"),
            Fault::ResetBefore => Err(Reset),
            Fault::EmptyPage => {
                // No item has this key. The page that starts there is the page of this request.
                let key = json!({"id": {"N": format!("-{}", fastrand::u64(1_000_000_000..))}});
                let start = passing.request.get("ExclusiveStartKey").cloned().unwrap_or_default();
                lock(&self.shared).empty_pages.insert(key.to_string(), start);
                let page = json!({"Items": [], "Count": 0, "ScannedCount": 0, "LastEvaluatedKey": key});
                reply(StatusCode::OK, page.to_string())
            }
            Fault::ReplyLost | Fault::ResetAfter | Fault::Late(_) | Fault::Overtaken | Fault::Unprocessed => {
                return None;
            }
        })
    }

    async fn execute(&self, mut passing: Passing) -> Answer {
        let mut left = passing.left.take();
        match &passing.fault {
            Some(Fault::Unprocessed) => left = leave_half(&mut passing.request),
            Some(Fault::Late(time)) => tokio::time::sleep(*time).await,
            Some(Fault::Overtaken) => self.overtake(&passing).await,
            _ => {}
        }
        let table_left = left.as_object().is_some_and(|left| !left.is_empty());
        if let (true, Some(tables)) = (table_left, passing.request["RequestItems"].as_object_mut()) {
            tables.retain(|_, ask| ask["Keys"].as_array().is_some_and(|keys| !keys.is_empty()));
            if tables.is_empty() {
                let answer = json!({"Responses": {}, "UnprocessedKeys": left});
                self.note(passing, Value::Null);
                return reply(StatusCode::OK, answer.to_string());
            }
        }
        if let Some(fields) = passing.request.as_object_mut() {
            fields.insert("ReturnConsumedCapacity".to_owned(), json!("TOTAL"));
        }
        let changing = self.changes(&passing).await;
        let call = changing.map(|changes| lock(&self.shared).indexes.begin(changes));
        let Some((status, bytes)) = self.send(&passing, &passing.operation, &passing.request).await else {
            return error(StatusCode::BAD_GATEWAY, "InternalServerError");
        };
        match call {
            Some(call) if !status.is_success() => lock(&self.shared).indexes.undo(call),
            Some(_) => lock(&self.shared).indexes.count_write(),
            None => {}
        }
        let mut value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let (fault, is_index_read) = (passing.fault.clone(), passing.request.get("IndexName").is_some());
        let mut changed = false;
        if table_left && status.is_success() {
            value["UnprocessedKeys"] = left;
            changed = true;
        }
        if is_index_read && status.is_success() && lock(&self.shared).indexes.is_on() {
            lock(&self.shared).indexes.apply(&passing.request, &mut value);
            changed = true;
        }
        if let Some(bucket) = lock(&self.shared).read_capacity.as_mut().filter(|_| is_read(&passing.operation)) {
            bucket.spend(consumed_units(&value["ConsumedCapacity"]));
        }
        self.note(passing, value["ConsumedCapacity"].clone());
        match fault {
            Some(Fault::ReplyLost) => error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
            Some(Fault::ResetAfter) => Err(Reset),
            _ if changed => reply(status, value.to_string()),
            _ => reply(status, bytes),
        }
    }

    /// The current rows that a call is about to change; `None` if the indexes do not lag.
    async fn changes(&self, passing: &Passing) -> Option<Vec<(String, Option<Value>)>> {
        if !lock(&self.shared).indexes.is_on() {
            return None;
        }
        let (table, ids) = entries_written(&passing.operation, &passing.request)?;
        let keys: Vec<Value> = ids.iter().map(|id| json!({"id": {"N": id}})).collect();
        let ask = json!({"RequestItems": {table.clone(): {"Keys": keys, "ConsistentRead": true}}});
        let (_, bytes) = self.send(passing, "BatchGetItem", &ask).await?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let rows = answer["Responses"][&table].as_array().cloned().unwrap_or_default();
        let row = |id: &str| rows.iter().find(|row| row["id"]["N"].as_str() == Some(id)).cloned();
        Some(ids.into_iter().map(|id| (id.clone(), row(&id))).collect())
    }

    /// Commits a mutation that changes only the version.
    async fn overtake(&self, passing: &Passing) {
        let table = passing.request["TransactItems"][0].as_object().and_then(|action| action.values().next());
        let ask = json!({
            "TableName": table.expect("an action")["TableName"], "Key": {"id": {"N": "0"}},
            "UpdateExpression": "ADD version_counter :one", "ExpressionAttributeValues": {":one": {"N": "1"}},
        });
        let (status, _) = self.send(passing, "UpdateItem", &ask).await.expect("DynamoDB answers");
        assert!(status.is_success(), "the version was raised");
        lock(&self.shared).overtaken += 1;
    }

    /// Sends a call to DynamoDB with the credentials of the incoming call.
    async fn send(&self, passing: &Passing, operation: &str, request: &Value) -> Option<(StatusCode, Bytes)> {
        let mut forwarded = self
            .client
            .post(&passing.upstream)
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .body(request.to_string());
        for name in ["content-type", "authorization", "x-amz-date"] {
            if let Some(value) = passing.headers.get(name) {
                forwarded = forwarded.header(name, value);
            }
        }
        let answer = forwarded.send().await.ok()?;
        Some((answer.status(), answer.bytes().await.ok()?))
    }
}

/// Removes every second key from a batch, or its single key, and returns the removed part of the request.
fn leave_half(request: &mut Value) -> Value {
    let stays = usize::from(batch_keys(request) > 1);
    leave_keys(request, |at, _| at % 2 < stays)
}

/// The number of this attempt, from 1, according to the client; 0 if the client does not say. The SDK's header is
/// `amz-sdk-request: ttl=…; attempt=1; max=3` (crate `aws-runtime`, `request_info`).
fn attempt(headers: &HeaderMap) -> u32 {
    let header = headers.get("amz-sdk-request").and_then(|value| value.to_str().ok()).unwrap_or_default();
    header.split("; ").find_map(|part| part.strip_prefix("attempt=")?.parse().ok()).unwrap_or_default()
}
