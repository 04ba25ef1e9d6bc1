//! The real function binaries over an embedded DynamoDB, and clients of both.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, PutRequest, TimeToLiveSpecification, WriteRequest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mneme_local::{Dynamodb, Log, Options, Server};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::gate::Pass;
use crate::proxy::Proxy;

/// A row of the table as the SDK returns it.
pub type Item = HashMap<String, AttributeValue>;

/// The table's name in every stack. Stacks do not collide: each has its own DynamoDB or its own access key.
pub const TABLE: &str = "mneme";

/// Names a DynamoDB that all stacks share instead of the embedded one. Each stack has its own access key there:
/// DynamoDB Local separates the tables of access keys (DynamoDB Developer Guide, "DynamoDB local usage notes").
const ENGINE_VARIABLE: &str = "MNEME_TEST_DYNAMODB";

/// The directory of the product's binaries. Builds them first if this process has not done so.
pub fn binaries() -> PathBuf {
    static BINARIES: OnceLock<PathBuf> = OnceLock::new();
    BINARIES.get_or_init(|| mneme_local::build_functions().expect("the function binaries build")).clone()
}

/// True if the engine is DynamoDB Local. It reports too many units for transactional writes: 24 for a 4 KB item with
/// two keys-only indexes. The correct number is 2 × 4 for the item and 1 for each index (DynamoDB Developer Guide,
/// "DynamoDB transactions: how it works", "Capacity management for transactions").
pub fn is_dynamodb_local() -> bool {
    std::env::var(ENGINE_VARIABLE).is_ok()
}

/// A unit vector of `dim` components at `angle` radians in the plane of the first two.
pub fn vector(dim: usize, angle: f64) -> Vec<f64> {
    let mut vector = vec![0.0; dim];
    (vector[0], vector[1]) = (angle.cos(), angle.sin());
    vector
}

/// An error of a direct invocation.
#[derive(Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// `errorType`.
    pub name: String,
    /// `errorMessage`.
    pub message: String,
}

/// A running product: function binaries, a proxy, and a DynamoDB.
pub struct Stack {
    /// The emulated AWS.
    pub server: Server,
    /// The proxy between the functions and DynamoDB.
    pub proxy: Proxy,
    http: reqwest::Client,
    access_key: String,
    dynamodb: OnceLock<Client>,
    log: Mutex<UnboundedReceiver<String>>,
    _pass: Pass,
}

/// How long a function of a stack with many instances may run, and each of its lookups and embedders: so long that a slow
/// machine ends none of them.
const PATIENT_TIMEOUT: Duration = Duration::from_secs(300);

/// The settings of a [`Stack`]. Without any, the stack is the product with its defaults over a table of its own.
#[derive(Default)]
#[must_use]
pub struct StackBuilder<'a> {
    variables: Vec<(String, String)>,
    options: Options,
    table_of: Option<&'a Stack>,
    is_exclusive: bool,
}

impl<'a> StackBuilder<'a> {
    /// Adds `variables` to the functions' environment. A later value replaces an earlier one.
    pub fn variables(mut self, variables: &[(&str, &str)]) -> Self {
        self.variables.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    /// Switches the guard off. `_reason` tells the reader why the test needs that; it has no effect.
    pub fn without_guard(self, _reason: &'static str) -> Self {
        self.variables(&[("MNEME_GUARD", "off")])
    }

    /// Uses the table of `other`: its DynamoDB and its access key.
    pub fn over_table_of(mut self, other: &'a Stack) -> Self {
        self.table_of = Some(other);
        self
    }

    /// Allows up to `instances` of each function at a time, and 300 seconds for an invocation.
    pub fn max_instances(mut self, instances: usize) -> Self {
        self.options.max_instances = instances;
        self.timeout(PATIENT_TIMEOUT)
    }

    /// Ends an invocation after `timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// Tells the functions that they have `memory_mib` of memory.
    pub fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.options.memory_mib = memory_mib;
        self
    }

    /// Waits until no other test of this process has a stack, and keeps others from starting one.
    pub fn exclusive(mut self) -> Self {
        self.is_exclusive = true;
        self
    }

    /// Starts the stack. Builds the function binaries first if this process has not done so.
    pub async fn start(self) -> Stack {
        let pass = if self.is_exclusive { Pass::exclusive() } else { Pass::shared() };
        let dynamodb = match (self.table_of, std::env::var(ENGINE_VARIABLE)) {
            (Some(other), _) => Dynamodb::Endpoint(other.server.dynamodb_url().to_owned()),
            (None, Ok(url)) => Dynamodb::Endpoint(url),
            (None, Err(_)) => Dynamodb::Embedded { port: 0, data: None },
        };
        let access_key =
            self.table_of.map_or_else(|| format!("{:016x}", fastrand::u64(..)), |other| other.access_key.clone());
        let proxy = Proxy::start().await;
        let mut env: BTreeMap<String, String> = BTreeMap::from([
            ("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), proxy.url().to_owned()),
            ("AWS_ACCESS_KEY_ID".to_owned(), access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), "local".to_owned()),
            // So long that a slow machine changes no answer. Tests of these limits set their own.
            ("MNEME_LOOKUP_BUDGET_MS".to_owned(), PATIENT_TIMEOUT.as_millis().to_string()),
            ("MNEME_EMBEDDER_TIMEOUT_MS".to_owned(), PATIENT_TIMEOUT.as_millis().to_string()),
        ]);
        env.extend(self.variables);
        let (sender, log) = unbounded_channel();
        let options = Options { binaries: binaries(), env, log: Log::Channel(sender), dynamodb, ..self.options };
        let server = Server::start(options).await.expect("the server starts");
        proxy.forward_to(server.dynamodb_url());
        let (http, dynamodb, log) = (reqwest::Client::new(), OnceLock::new(), Mutex::new(log));
        Stack { server, proxy, http, access_key, dynamodb, log, _pass: pass }
    }
}

impl Stack {
    /// A stack with the product's defaults.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// The settings of a stack that is not started yet.
    pub fn builder<'a>() -> StackBuilder<'a> {
        StackBuilder::default()
    }

    /// The lines that the functions printed since the last call, up to the first one that `is_last` accepts. Each line
    /// begins with its instance's name. Panics after ten seconds without a line.
    pub async fn log_until(&self, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let mut log = self.log.lock().await;
        let mut lines: Vec<String> = Vec::new();
        while !lines.last().is_some_and(|line| is_last(line)) {
            let line = timeout(Duration::from_secs(10), log.recv()).await;
            lines.push(line.unwrap_or_else(|_| panic!("no such line in {lines:#?}")).expect("instances print"));
        }
        lines
    }

    /// An HTTP request: status and body.
    pub async fn http(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        self.send(self.http.request(method, format!("{}{path}", self.server.api_url())), body).await
    }

    async fn send(&self, mut request: RequestBuilder, body: Option<Value>) -> (u16, Value) {
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("the API answers");
        let status = response.status().as_u16();
        (status, response.json().await.expect("a JSON body"))
    }

    /// An HTTP request with a body that need not be JSON: status, content type and body.
    pub async fn http_raw(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, String, Value) {
        let url = format!("{}{path}", self.server.api_url());
        let response = self.http.post(url).body(body).send().await.expect("the API answers");
        let status = response.status().as_u16();
        let content_type = response.headers()["content-type"].to_str().expect("text").to_owned();
        (status, content_type, response.json().await.expect("a JSON body"))
    }

    /// An HTTP request of a caller whose token contains `claims`: status and body.
    pub async fn http_as(&self, claims: &Value, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
        self.send(self.http.request(method, format!("{}{path}", self.server.api_url())).bearer_auth(token), body).await
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.http(Method::GET, path, None).await
    }

    /// `POST path` with `body`.
    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.http(Method::POST, path, Some(body)).await
    }

    /// A direct invocation through the Invoke API.
    pub async fn invoke(&self, function: &str, payload: Value) -> Result<Value, FunctionError> {
        self.invoke_raw(function, payload.to_string()).await
    }

    /// A direct invocation with a payload that need not be JSON.
    pub async fn invoke_raw(&self, function: &str, payload: String) -> Result<Value, FunctionError> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.server.api_url());
        let response = self.http.post(url).body(payload).send().await.expect("the API answers");
        assert_eq!(response.status(), 200);
        let failed = response.headers().contains_key("x-amz-function-error");
        let value: Value = response.json().await.expect("a JSON payload");
        if !failed {
            return Ok(value);
        }
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Err(FunctionError { name: text("errorType"), message: text("errorMessage") })
    }

    /// Stores one entry directly and returns its id.
    pub async fn put(&self, entry: Value) -> u64 {
        let reply = self.invoke("put", entry).await.expect("stored");
        reply["id"].as_u64().expect("an id")
    }

    /// Looks a question up directly.
    pub async fn lookup(&self, question: Value) -> Value {
        self.invoke("lookup", question).await.expect("answered")
    }

    /// A client of DynamoDB that bypasses the proxy.
    pub fn dynamodb(&self) -> Client {
        let make = || Client::from_conf(self.client_config().endpoint_url(self.server.dynamodb_url()).build());
        // Creating a client costs more than many calls.
        self.dynamodb.get_or_init(make).clone()
    }

    /// A client of the proxy that never retries.
    pub fn proxied_dynamodb(&self) -> Client {
        let config = self.client_config().endpoint_url(self.proxy.url()).retry_config(RetryConfig::disabled());
        Client::from_conf(config.build())
    }

    fn client_config(&self) -> aws_sdk_dynamodb::config::Builder {
        aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(&self.access_key, "local", None, None, "tests"))
    }

    /// All rows of the table by id, read with strong consistency.
    pub async fn rows(&self) -> BTreeMap<i128, Item> {
        let mut pages = self.dynamodb().scan().table_name(TABLE).consistent_read(true).into_paginator().send();
        let mut rows = BTreeMap::new();
        while let Some(page) = pages.next().await {
            for item in page.expect("a page").items.unwrap_or_default() {
                let id = item["id"].as_n().expect("a number").parse().expect("an integer");
                rows.insert(id, item);
            }
        }
        rows
    }

    /// The ids of all entries' rows, including expired ones.
    pub async fn entry_ids(&self) -> Vec<u64> {
        self.rows().await.into_keys().filter_map(|id| u64::try_from(id).ok().filter(|id| *id > 0)).collect()
    }

    /// `next_id` and `version_counter` of item 0.
    pub async fn counter(&self) -> (u64, u64) {
        let rows = self.rows().await;
        let number = |name: &str| rows[&0][name].as_n().expect("a number").parse().expect("an integer");
        (number("next_id"), number("version_counter"))
    }

    /// Creates the table with DynamoDB's TTL off, so that only the functions remove expired rows. DynamoDB takes hours
    /// to delete an expired item, DynamoDB Local seconds.
    pub async fn provision_without_ttl(&self) {
        self.invoke("provision", json!({})).await.expect("provisioned");
        let off = TimeToLiveSpecification::builder().enabled(false).attribute_name("ttl").build().expect("complete");
        let update = self.dynamodb().update_time_to_live().table_name(TABLE).time_to_live_specification(off);
        update.send().await.expect("switched off");
    }

    /// Writes an item directly to DynamoDB.
    pub async fn put_item(&self, item: Item) {
        self.dynamodb().put_item().table_name(TABLE).set_item(Some(item)).send().await.expect("written");
    }

    /// Makes the entries `ids` older by `secs`: subtracts it from the row's times, directly in DynamoDB. A test calls
    /// this instead of waiting.
    pub async fn backdate(&self, ids: impl IntoIterator<Item = u64>, secs: i64) {
        let rows = self.rows().await;
        for id in ids {
            let mut row = rows[&i128::from(id)].clone();
            for name in ["created_at", "last_accessed_at", "ttl"] {
                if let Some(time) = row.get_mut(name) {
                    let at: i64 = time.as_n().expect("a number").parse().expect("an integer");
                    *time = AttributeValue::N((at - secs).to_string());
                }
            }
            self.put_item(row).await;
        }
    }

    /// Writes items directly to DynamoDB, 25 per call.
    pub async fn put_items(&self, items: impl IntoIterator<Item = self::Item>) {
        let put = |item| PutRequest::builder().set_item(Some(item)).build().expect("complete");
        self.write(items.into_iter().map(|item| WriteRequest::builder().put_request(put(item)).build()).collect())
            .await;
    }

    /// Removes the items `ids` directly from DynamoDB, 25 per call.
    pub async fn delete_items(&self, ids: impl IntoIterator<Item = i128>) {
        let delete = |id: i128| DeleteRequest::builder().key("id", AttributeValue::N(id.to_string())).build();
        let request = |id| WriteRequest::builder().delete_request(delete(id).expect("complete")).build();
        self.write(ids.into_iter().map(request).collect()).await;
    }

    async fn write(&self, requests: Vec<WriteRequest>) {
        for some in requests.chunks(25) {
            let reply = self.dynamodb().batch_write_item().request_items(TABLE, some.to_vec()).send().await;
            let unprocessed = reply.expect("written").unprocessed_items.unwrap_or_default();
            assert!(unprocessed.is_empty(), "{unprocessed:?}");
        }
    }

    /// Removes all segments with their manifests and bases directly from DynamoDB, as if no put had packed anything.
    pub async fn delete_segments(&self) {
        let is_packed = |id: &i128| id.checked_neg().is_some_and(|low| (7..=9).contains(&(low >> 120)));
        let keys: Vec<i128> = self.rows().await.into_keys().filter(is_packed).collect();
        self.delete_items(keys).await;
    }

    /// Removes the item `id` directly from DynamoDB.
    pub async fn delete_item(&self, id: i128) {
        let key = AttributeValue::N(id.to_string());
        self.dynamodb().delete_item().table_name(TABLE).key("id", key).send().await.expect("deleted");
    }
}

/// `reply` with the values of `fields` replaced by `[field]`, for snapshots. Panics if a field is missing.
pub fn masked(mut reply: Value, fields: &[&str]) -> Value {
    for field in fields {
        *reply.get_mut(*field).unwrap_or_else(|| panic!("no field {field}")) = json!(format!("[{field}]"));
    }
    reply
}

/// An HTTP API event as API Gateway builds it.
pub fn http_event(method: &str, route: &str, path: &str, body: Option<&str>) -> Value {
    json!({
        "version": "2.0", "routeKey": format!("{method} {route}"), "rawPath": path, "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "accountId": "123456789012", "apiId": "api", "domainName": "example.com", "domainPrefix": "example",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "t"},
            "requestId": "id", "routeKey": format!("{method} {route}"), "stage": "$default",
            "time": "22/Nov/2026:12:00:00 +0000", "timeEpoch": 1_795_348_800_000u64,
        },
        "body": body, "isBase64Encoded": false,
    })
}
