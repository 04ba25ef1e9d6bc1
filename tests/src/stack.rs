//! The real function binaries over an embedded DynamoDB.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveSpecification};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mneme_local::{Dynamodb, Log, Options, Server};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::proxy::Proxy;

/// Row of the table as the SDK gives it.
pub type Item = HashMap<String, AttributeValue>;

/// The table's name in every stack; each has a DynamoDB of its own.
pub const TABLE: &str = "mneme";

/// URL of the DynamoDB that all stacks share instead, each with an access key of its own: DynamoDB Local keeps the
/// tables of each access key apart (DynamoDB Developer Guide, "DynamoDB local usage notes").
const ENGINE_VARIABLE: &str = "MNEME_TEST_DYNAMODB";

fn binaries() -> PathBuf {
    static BINARIES: OnceLock<PathBuf> = OnceLock::new();
    BINARIES.get_or_init(|| mneme_local::build_functions().expect("the function binaries build")).clone()
}

/// Whether the engine is DynamoDB Local, which counts transactional writes twice over: 24 units for a 4 KB item with two
/// keys-only indexes, where 2 × 4 for the item and 1 for each index are due (DynamoDB Developer Guide, "DynamoDB
/// transactions: how it works", "Capacity management for transactions").
pub fn overcounts_transactions() -> bool {
    std::env::var(ENGINE_VARIABLE).is_ok()
}

/// A vector of `dim` components that points at `angle` radians in the first two.
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

/// A running product.
pub struct Stack {
    /// The emulated AWS.
    pub server: Server,
    /// What stands between the functions and DynamoDB.
    pub proxy: Proxy,
    http: reqwest::Client,
    access_key: String,
    dynamodb: OnceLock<Client>,
    log: Mutex<UnboundedReceiver<String>>,
}

impl Stack {
    /// With the defaults of `mneme-local`.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With `variables` in the functions' environment.
    pub async fn with(variables: &[(&str, &str)]) -> Self {
        Self::alone(variables, Options::default()).await
    }

    /// With up to `instances` of each function at once, which have so long for an invocation that a slow machine refuses
    /// none.
    pub async fn crowded(instances: usize) -> Self {
        let timeout = Duration::from_secs(300);
        Self::alone(&[], Options { max_instances: instances, timeout, ..Options::default() }).await
    }

    /// With `variables`, and functions that have `timeout` for an invocation.
    pub async fn with_time(variables: &[(&str, &str)], timeout: Duration) -> Self {
        Self::alone(variables, Options { timeout, ..Options::default() }).await
    }

    /// With functions that have `memory_mib` of memory.
    pub async fn small(memory_mib: u32) -> Self {
        Self::alone(&[], Options { memory_mib, ..Options::default() }).await
    }

    /// Over a DynamoDB that no other stack uses.
    async fn alone(variables: &[(&str, &str)], options: Options) -> Self {
        let dynamodb = match std::env::var(ENGINE_VARIABLE) {
            Ok(url) => Dynamodb::Endpoint(url),
            Err(_) => Dynamodb::Embedded { port: 0, data: None },
        };
        let access_key = format!("{:016x}", fastrand::u64(..));
        Self::with_options(variables, Options { dynamodb, ..options }, access_key).await
    }

    /// With `variables`, over another stack's DynamoDB.
    pub async fn beside(other: &Self, variables: &[(&str, &str)]) -> Self {
        let dynamodb = Dynamodb::Endpoint(other.server.dynamodb_url().to_owned());
        Self::with_options(variables, Options { dynamodb, ..Options::default() }, other.access_key.clone()).await
    }

    /// Over another stack's DynamoDB, with functions that have `timeout` for an invocation.
    pub async fn hasty(other: &Self, timeout: Duration) -> Self {
        let dynamodb = Dynamodb::Endpoint(other.server.dynamodb_url().to_owned());
        Self::with_options(&[], Options { dynamodb, timeout, ..Options::default() }, other.access_key.clone()).await
    }

    async fn with_options(variables: &[(&str, &str)], options: Options, access_key: String) -> Self {
        let proxy = Proxy::start().await;
        let mut env: BTreeMap<String, String> = BTreeMap::from([
            ("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), proxy.url().to_owned()),
            ("AWS_ACCESS_KEY_ID".to_owned(), access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), "local".to_owned()),
            // Most tests send vectors that their queries do not have.
            ("MNEME_GUARD".to_owned(), "off".to_owned()),
        ]);
        env.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (sender, log) = unbounded_channel();
        let options = Options { binaries: binaries(), env, log: Log::Channel(sender), ..options };
        let server = Server::start(options).await.expect("the server starts");
        proxy.forward_to(server.dynamodb_url());
        let http = reqwest::Client::new();
        Self { server, proxy, http, access_key, dynamodb: OnceLock::new(), log: Mutex::new(log) }
    }

    /// What the functions printed since the last call, each line behind its instance's name, up to a line that
    /// `is_last` knows. Waits for it for ten seconds.
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

    /// An HTTP request of a caller whose token has `claims`: status and body.
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

    /// A direct invocation with a payload as it is.
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

    /// A client of the embedded DynamoDB, past the proxy.
    pub fn dynamodb(&self) -> Client {
        let make = || Client::from_conf(self.client_config().endpoint_url(self.server.dynamodb_url()).build());
        // To make one costs more than many calls.
        self.dynamodb.get_or_init(make).clone()
    }

    /// A client of the proxy that sends everything once.
    pub fn spoilt_dynamodb(&self) -> Client {
        let config = self.client_config().endpoint_url(self.proxy.url()).retry_config(RetryConfig::disabled());
        Client::from_conf(config.build())
    }

    fn client_config(&self) -> aws_sdk_dynamodb::config::Builder {
        aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(&self.access_key, "local", None, None, "tests"))
    }

    /// All rows of the table, by id.
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

    /// The ids of the entries' rows, expired ones included.
    pub async fn entry_ids(&self) -> Vec<u64> {
        self.rows().await.into_keys().filter_map(|id| u64::try_from(id).ok().filter(|id| *id > 0)).collect()
    }

    /// `next_id` and `version_counter` of item 0.
    pub async fn counter(&self) -> (u64, u64) {
        let rows = self.rows().await;
        let number = |name: &str| rows[&0][name].as_n().expect("a number").parse().expect("an integer");
        (number("next_id"), number("version_counter"))
    }

    /// Makes the table, without DynamoDB's own TTL: what has expired stays until the functions remove it. (DynamoDB
    /// takes hours to delete an expired item, DynamoDB Local seconds.)
    pub async fn provision_without_ttl(&self) {
        self.invoke("provision", serde_json::json!({})).await.expect("provisioned");
        let off = TimeToLiveSpecification::builder().enabled(false).attribute_name("ttl").build().expect("complete");
        let update = self.dynamodb().update_time_to_live().table_name(TABLE).time_to_live_specification(off);
        update.send().await.expect("switched off");
    }

    /// Writes an item past the functions.
    pub async fn put_item(&self, item: Item) {
        self.dynamodb().put_item().table_name(TABLE).set_item(Some(item)).send().await.expect("written");
    }

    /// Removes the item `id` past the functions.
    pub async fn delete_item(&self, id: i128) {
        let key = AttributeValue::N(id.to_string());
        self.dynamodb().delete_item().table_name(TABLE).key("id", key).send().await.expect("deleted");
    }
}

/// An HTTP API event as API Gateway forms it.
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
