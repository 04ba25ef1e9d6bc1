//! `chat`: the OpenAI API over the cache.

mod bedrock;
mod callers;
mod faults;
mod flight;
mod keys;
mod storing;

use mneme_tests::Stack;
use mneme_tests::embedder::EmbeddingService;
use mneme_tests::proxy::Call;
use mneme_tests::stack::StackBuilder;
use mneme_tests::upstream::{Behavior, Upstream, usage};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::questions::{QUESTION, REWORDED};

/// A stack whose functions have a budget that a slow machine does not exceed, over an upstream.
struct World {
    stack: Stack,
    upstream: Upstream,
    client: reqwest::Client,
}

/// A reply as a caller reads it.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: String,
}

impl Reply {
    async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().await.unwrap() }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The events of a stream but `[DONE]`, which must be the last one.
    fn events(&self) -> Vec<Value> {
        assert!(self.header("content-type").starts_with("text/event-stream"), "{self:?}");
        let mut data: Vec<&str> = self.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(data.pop(), Some("[DONE]"));
        data.into_iter().map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// The text of a reply in either form.
    fn text(&self) -> String {
        if !self.header("content-type").starts_with("text/event-stream") {
            return self.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        }
        let parts = self.events();
        parts.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
    }
}

impl World {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    async fn with(variables: &[(&str, &str)]) -> Self {
        Self::on(Stack::builder(), variables).await
    }

    async fn on(builder: StackBuilder<'_>, variables: &[(&str, &str)]) -> Self {
        let upstream = Upstream::start().await;
        let base_url = upstream.base_url();
        let own = [("MNEME_UPSTREAM", base_url.as_str()), ("MNEME_CHAT_BUDGET_MS", "300000")];
        let stack = builder.variables(&own).variables(variables).start().await;
        Self { stack, upstream, client: reqwest::Client::new() }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<String>) -> Reply {
        let mut request = self.client.request(method, format!("{}{path}", self.stack.server.api_url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body),
            None => request,
        };
        Reply::read(request.send().await.unwrap()).await
    }

    async fn chat_with(&self, headers: &[(&str, &str)], body: &Value) -> Reply {
        self.send(Method::POST, "/v1/chat/completions", headers, Some(body.to_string())).await
    }

    async fn chat(&self, body: &Value) -> Reply {
        self.chat_with(&[], body).await
    }

    /// The number of requests that the upstream received since the last call.
    fn calls(&self) -> usize {
        self.upstream.take_received().len()
    }

    /// The number of entries in the table.
    async fn entries(&self) -> usize {
        self.stack.entry_ids().await.len()
    }
}

fn ask(question: &str) -> Value {
    json!({"model": "model", "messages": [{"role": "user", "content": question}]})
}

fn stream(question: &str) -> Value {
    let mut request = ask(question);
    request["stream"] = json!(true);
    request
}

fn stream_with_usage(question: &str) -> Value {
    let mut request = stream(question);
    request["stream_options"] = json!({"include_usage": true});
    request
}

#[tokio::test]
async fn chat_asked_twice_calls_the_upstream_once() {
    let world = World::start().await;
    let miss = world.chat(&ask("Why is the sky blue?")).await;
    assert_eq!((miss.status, miss.text().as_str()), (200, "Hello."));
    assert_eq!(miss.header("cache-status"), "mneme; fwd=miss; stored; detail=no_embedding");
    let hit = world.chat(&ask("Why is the sky blue?")).await;
    assert_eq!(hit.header("cache-status"), "mneme; hit");
    assert_eq!((hit.header("x-mneme-layer"), hit.header("x-mneme-similarity")), ("exact", "1.0000"));
    assert_eq!((hit.header("x-mneme-saved-tokens"), hit.header("x-mneme-entry-id")), ("12", "1"));
    assert!(hit.header("age").parse::<u64>().unwrap() < 60);
    let (mut first, mut second) = (miss.json(), hit.json());
    assert_ne!(first["id"], second["id"]);
    for reply in [&mut first, &mut second] {
        reply["id"] = Value::Null;
        reply["created"] = Value::Null;
    }
    assert_eq!(first, second);
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn chat_in_other_words_is_answered_by_the_semantic_layer() {
    let service = EmbeddingService::start().await;
    service.set(mneme_tests::embedder::Behavior::Embed(8));
    let embedder = service.embedder();
    let variables = [("MNEME_EMBEDDER", embedder.as_str()), ("MNEME_GUARD", "off")];
    let world = World::with(&variables).await;
    let (asked, reworded) = (format!("{QUESTION}."), format!("{REWORDED}.."));
    world.chat(&stream(&asked)).await;
    let hit = world.chat(&stream(&reworded)).await;
    assert_eq!(hit.header("x-mneme-layer"), "semantic", "{hit:?}");
    assert_eq!((hit.text().as_str(), world.calls()), ("Hello.", 1));
}

#[tokio::test]
async fn one_stored_answer_serves_both_forms() {
    let world = World::start().await;
    world.upstream.set(Behavior::Say("Grüße aus 東京 👋, one two three four five six seven eight nine.".to_owned()));
    let first = world.chat(&stream_with_usage("Wie geht es?")).await;
    assert_eq!(first.header("cache-status"), "mneme; fwd=miss; detail=no_embedding");
    let streamed = world.chat(&stream_with_usage("Wie geht es?")).await;
    let whole = world.chat(&ask("Wie geht es?")).await;
    for hit in [&streamed, &whole] {
        assert_eq!((hit.header("cache-status"), hit.text()), ("mneme; hit", first.text()));
    }
    assert_eq!((&whole.json()["usage"], &whole.json()["model"]), (&usage(), &json!("model-2026")));
    let events = streamed.events();
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(events.last().unwrap()["usage"], usage());
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "stop");
    assert!(events.iter().all(|event| event["id"] == events[0]["id"] && event["id"] != "chatcmpl-upstream"));
    assert!(!world.chat(&stream("Wie geht es?")).await.body.contains("usage"));
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn upstream_gets_the_body_as_it_came() {
    let world = World::start().await;
    let body =
        r#"{ "messages":[{"role":"user","content":"A \u00e9?"}],"model":"m", "temperature":1.0, "brand_new": [1] }"#;
    let headers =
        [("authorization", "Bearer sk-own"), ("openai-project", "p"), ("cookie", "a=b"), ("x-mneme-ttl", "60")];
    let reply = world.send(Method::POST, "/v1/chat/completions", &headers, Some(body.to_owned())).await;
    assert_eq!((reply.status, reply.header("x-request-id"), reply.header("set-cookie")), (200, "req_1", ""));
    let received = world.upstream.take_received().pop().unwrap();
    assert_eq!((received.route.as_str(), &received.body[..]), ("POST /v1/chat/completions", body.as_bytes()));
    assert_eq!(
        (&received.headers["authorization"], &received.headers["openai-project"]),
        (&"Bearer sk-own".parse().unwrap(), &"p".parse().unwrap())
    );
    assert!(!received.headers.contains_key("cookie") && !received.headers.contains_key("x-mneme-ttl"));
}

#[tokio::test]
async fn parameters_that_change_the_answer_are_compared_and_others_are_not() {
    let world = World::start().await;
    let with = |fields: Value| {
        let mut request = ask("Why is the sky blue?");
        request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        request
    };
    world.chat(&with(json!({"temperature": 1, "top_p": 0.5}))).await;
    for same in [
        json!({"top_p": 0.5, "temperature": 1.0, "seed": null}),
        json!({"temperature": 1, "top_p": 0.5, "user": "u", "metadata": {"a": "b"}, "store": true, "service_tier": "flex",
               "safety_identifier": "s", "prompt_cache_key": "k", "stream": true}),
    ] {
        let hit = world.chat(&with(same.clone())).await;
        assert_eq!(hit.header("cache-status"), "mneme; hit", "{same}");
    }
    for other in [
        json!({"temperature": 0.9, "top_p": 0.5}),
        json!({"temperature": 1}),
        json!({"temperature": 1, "top_p": 0.5, "model": "other"}),
        json!({"temperature": 1, "top_p": 0.5, "brand_new": true}),
        json!({"temperature": 1, "top_p": 0.5, "response_format": {"type": "json_object"}}),
    ] {
        let miss = world.chat(&with(other.clone())).await;
        assert!(miss.header("cache-status").starts_with("mneme; fwd=miss"), "{other}");
    }
}

#[tokio::test]
async fn embeddings_and_models_are_passed_through() {
    let world = World::start().await;
    let body = json!({"model": "e", "input": "a"});
    let embeddings = world.send(Method::POST, "/v1/embeddings", &[], Some(body.to_string())).await;
    let models = world.send(Method::GET, "/v1/models", &[], None).await;
    for reply in [&embeddings, &models] {
        assert_eq!((reply.status, reply.header("cache-status")), (200, "mneme; fwd=bypass"));
    }
    let received = world.upstream.take_received();
    let routes: Vec<&str> = received.iter().map(|request| request.route.as_str()).collect();
    assert_eq!(routes, ["POST /v1/embeddings", "GET /v1/models"]);
    assert_eq!(received[0].body, body.to_string());
}

#[tokio::test]
async fn chat_without_an_upstream_says_so_by_name() {
    let stack = Stack::start().await;
    let (status, problem) = stack.post("/v1/chat/completions", ask("Why?")).await;
    assert_eq!((status, &problem["type"]), (502, &json!("urn:mneme:error:UpstreamError")));
    assert!(problem["error"]["message"].as_str().unwrap().contains("MNEME_UPSTREAM"), "{problem}");
    assert_eq!(
        (&problem["error"]["type"], &problem["error"]["code"]),
        (&json!("server_error"), &json!("UpstreamError"))
    );
}

/// Whether a call takes or releases a lease.
fn concerns_lease(call: &Call) -> bool {
    call.operation == "UpdateItem" && call.request["UpdateExpression"].as_str().unwrap().contains("#lease_token")
}

/// The calls on the requests' path, sorted. Counts and access times are written in the background.
fn calls_on_the_path(stack: &Stack) -> Vec<String> {
    let mut calls = stack.proxy.take_calls();
    calls.retain(|call| call.operation != "UpdateItem" || concerns_lease(call));
    let mut operations: Vec<String> = calls.into_iter().map(|call| call.operation).collect();
    operations.sort();
    operations
}

#[tokio::test]
async fn hit_costs_a_lookup_and_miss_costs_a_lookup_a_lease_and_a_put() {
    let world = World::start().await;
    let stack = &world.stack;
    let asked = |question: &str| json!({"messages": ask(question)["messages"], "context": {"model": "model"}});
    for question in ["first", "second"] {
        // The second round meets instances that know the table.
        world.chat(&ask(question)).await;
        stack.lookup(asked(question)).await;
        stack.invoke("put", json!({"query": question, "response": "A"})).await.unwrap();
    }
    calls_on_the_path(stack);
    assert_eq!(stack.lookup(asked("first")).await["outcome"], "hit");
    let lookup_hit = calls_on_the_path(stack);
    assert_eq!(world.chat(&ask("first")).await.header("cache-status"), "mneme; hit");
    assert_eq!(calls_on_the_path(stack), lookup_hit);
    let mut leased = asked("third");
    leased["lease"] = json!({"seconds": 900});
    let token = stack.lookup(leased).await["lease"]["token"].clone();
    assert!(token.is_string());
    let mut lookup_lease_and_put = calls_on_the_path(stack);
    let mut put = asked("third");
    put["response"] = json!("A");
    put["lease_token"] = token;
    stack.invoke("put", put).await.unwrap();
    lookup_lease_and_put.extend(calls_on_the_path(stack));
    lookup_lease_and_put.sort();
    assert!(world.chat(&ask("fourth")).await.header("cache-status").contains("stored"));
    assert_eq!(calls_on_the_path(stack), lookup_lease_and_put);
    assert_eq!(lookup_lease_and_put.iter().filter(|call| *call == "UpdateItem").count(), 1, "the lease");
}
