//! Queries without a vector: the configured embedder embeds them, and its failures cost a lookup nothing but the answer.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_tests::embedder::{EmbeddingService, KEPT_KEY, Mood, embedding};
use mneme_tests::{Stack, stack::Item, vector};
use serde_json::{Value, json};

async fn over(service: &EmbeddingService, more: &[(&str, &str)]) -> Stack {
    let embedder = service.embedder();
    let variables: Vec<(&str, &str)> =
        [("MNEME_EMBEDDER", embedder.as_str())].into_iter().chain(more.iter().copied()).collect();
    Stack::with(&variables).await
}

async fn started() -> (EmbeddingService, Stack) {
    let service = EmbeddingService::start().await;
    let stack = over(&service, &[]).await;
    (service, stack)
}

fn entry(query: &str) -> Value {
    json!({"query": query, "response": format!("answer to {query}")})
}

fn ask(query: &str) -> Value {
    json!({"query": query})
}

fn stored_vector(row: &Item) -> Vec<f32> {
    let bytes = row["embedding"].as_b().unwrap().as_ref().to_vec();
    bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}

fn near(found: &[f32], expected: &[f64]) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6)
}

#[tokio::test]
async fn text_in_hit_out() {
    let (service, stack) = started().await;
    let id = stack.put(entry("How do I pay? @0.1")).await;
    assert!(near(&stored_vector(&stack.rows().await[&i128::from(id)]), &embedding("@0.1", 8)));
    let hit = stack.lookup(ask("Which ways to pay are there? @0.2")).await;
    assert_eq!((&hit["outcome"], &hit["layer"], &hit["id"]), (&json!("hit"), &json!("semantic"), &json!(id)));
    assert!((hit["similarity"].as_f64().unwrap() - 0.1_f64.cos()).abs() < 1e-6);
    let miss = stack.lookup(ask("Is it raining? @1.6")).await;
    assert_eq!((&miss["outcome"], &miss["reason"]), (&json!("miss"), &json!("below_threshold")));
    // Over HTTP, and as a conversation, of which the last message is embedded.
    let messages = json!([{"role": "user", "content": "Tell me how people pay here @0.15"}]);
    let (status, hit) = stack.post("/v1/lookup", json!({"messages": messages})).await;
    assert_eq!((status, &hit["id"]), (200, &json!(id)));
    let texts = service.take_texts();
    assert_eq!(texts.last().unwrap(), &["Tell me how people pay here @0.15"]);
    assert_eq!(texts.len(), 4);

    let (_, stats) = stack.get("/v1/stats").await;
    assert_eq!((&stats["embedder_fingerprint"], &stats["embedder_dim"]), (&json!("openai:test/1"), &json!(8)));
}

#[tokio::test]
async fn an_exact_hit_waits_for_no_embedder() {
    let (service, stack) = started().await;
    let id = stack.put(entry("How do I pay? @0.1")).await;
    service.take_asked();
    service.set(Mood::Never);
    for _ in 0..2 {
        let hit = stack.lookup(ask("how do  i pay? @0.1")).await;
        assert_eq!((&hit["layer"], &hit["id"]), (&json!("exact"), &json!(id)));
    }
    // An entry of the Python library has no pointer: an instance finds it by its index or replica, and asks nobody either.
    let mut rows = stack.rows().await;
    let (mut row, mut counter) = (rows.remove(&i128::from(id)).unwrap(), rows.remove(&0).unwrap());
    row.insert("namespace".to_owned(), AttributeValue::S("python".to_owned()));
    row.insert("id".to_owned(), AttributeValue::N("2".to_owned()));
    stack.put_item(row).await;
    counter.insert("next_id".to_owned(), AttributeValue::N("3".to_owned()));
    counter.insert("version_counter".to_owned(), AttributeValue::N("2".to_owned()));
    stack.put_item(counter).await;
    let hit = stack.lookup(json!({"query": "How do I pay? @0.1", "namespace": "python"})).await;
    assert_eq!((&hit["layer"], &hit["id"]), (&json!("exact"), &json!(2)));
    assert!(service.take_asked().is_empty());
}

#[tokio::test]
async fn a_warm_lookup_reads_once_before_the_embedder_and_once_after() {
    let (_service, stack) = started().await;
    stack.put(entry("How do I pay? @0.1")).await;
    stack.lookup(ask("warm @0.1")).await;
    let reads = || {
        let operations = stack.proxy.take_operations();
        operations.into_iter().filter(|operation| operation != "UpdateItem").collect::<Vec<_>>()
    };
    reads();
    stack.lookup(ask("a miss @1.6")).await;
    assert_eq!(reads(), ["BatchGetItem"]);
    assert_eq!(stack.lookup(ask("a hit @0.15")).await["outcome"], "hit");
    assert_eq!(reads(), ["BatchGetItem", "BatchGetItem"]);
}

#[tokio::test]
async fn texts_that_repeat_are_embedded_once() {
    let (service, stack) = started().await;
    let entries: Vec<Value> = [0.1, 0.4, 0.1].iter().map(|angle| entry(&format!("q @{angle}"))).collect();
    stack.invoke("put", json!({"entries": entries})).await.unwrap();
    assert_eq!(service.take_texts(), [["q @0.1", "q @0.4"]]);
    let questions = ["x @0.1", "q @0.1", "y @0.4", "x @0.1", "z @2"].map(ask);
    let reply = stack.invoke("lookup", json!({"queries": questions})).await.unwrap();
    let layers: Vec<&Value> = reply["results"].as_array().unwrap().iter().map(|result| &result["layer"]).collect();
    let (exact, semantic) = (json!("exact"), json!("semantic"));
    assert_eq!(layers, [&semantic, &exact, &semantic, &semantic, &Value::Null]);
    // All that the exact layer left, in one call; and none of it again.
    assert_eq!(service.take_texts(), [["x @0.1", "y @0.4", "z @2"]]);
    stack.lookup(ask("x @0.1")).await;
    assert!(service.take_asked().is_empty());
}

#[tokio::test]
async fn a_vector_that_is_sent_needs_no_embedder() {
    let (service, stack) = started().await;
    service.set(Mood::Never);
    let id = stack.put(json!({"query": "q", "response": "r", "embedding": vector(8, 0.3)})).await;
    let hit = stack.lookup(json!({"query": "other", "embedding": vector(8, 0.31)})).await;
    assert_eq!(hit["id"], id);
    assert!(service.take_asked().is_empty());
}

#[tokio::test]
async fn a_failing_embedder_makes_a_lookup_a_miss_and_a_put_an_error() {
    let (service, stack) = started().await;
    let id = stack.put(entry("How do I pay? @0.1")).await;
    let before = stack.rows().await;
    let failures = [
        (Mood::With(429, "{}".to_owned()), "EmbedderError", "throttled the request"),
        (Mood::With(500, "oops".to_owned()), "EmbedderError", "failed with HTTP status 500"),
        (Mood::With(401, "{}".to_owned()), "EmbedderError", "refused the API key"),
        (Mood::With(404, "{}".to_owned()), "EmbedderError", "knows no such model"),
        (Mood::With(200, "{\"data\": 7}".to_owned()), "EmbedderError", "not of the form"),
        (Mood::With(200, "<html>".to_owned()), "EmbedderError", "not of the form"),
        (Mood::Well(9), "EmbedderDimensionError", "9"),
        (Mood::With(400, "{}".to_owned()), "InvalidRequest", "refused the request with HTTP status 400"),
    ];
    for (nth, (mood, name, says)) in failures.into_iter().enumerate() {
        service.set(mood);
        let miss = stack.lookup(ask(&format!("paying {nth} @0.1"))).await;
        assert_eq!(miss, json!({"outcome": "miss", "reason": "embedder_failure", "best_similarity": null}), "{says}");
        let error = stack.invoke("put", entry(&format!("new {nth} @0.5"))).await.unwrap_err();
        assert_eq!(error.name, name, "{error:?}");
        assert!(error.message.contains(says) && error.message.contains("Remediation: "), "{error:?}");
        assert!(!error.message.contains("new "), "{error:?}");
        let reply = stack.invoke("put", json!({"entries": [entry(&format!("batch {nth} @0.5"))]})).await.unwrap();
        let problem = &reply["results"][0]["error"];
        assert_eq!(problem["type"], format!("urn:mneme:error:{name}"));
    }
    let entries: Vec<i128> = stack.rows().await.into_keys().filter(|id| *id > 0).collect();
    assert_eq!(entries, before.into_keys().filter(|id| *id > 0).collect::<Vec<_>>());
    // The same instances serve on.
    service.set(Mood::Well(8));
    assert_eq!(stack.lookup(ask("paying 6 @0.1")).await["id"], id, "what did not fit is not remembered");
    assert_eq!(stack.put(entry("new 6 @0.5")).await, id + 1);
    let (status, problem) = {
        service.set(Mood::With(503, String::new()));
        stack.post("/v1/entries", entry("over HTTP @0.7")).await
    };
    assert_eq!((status, &problem["title"]), (503, &json!("The query could not be embedded")));
}

#[tokio::test]
async fn one_text_that_cannot_be_embedded_fails_alone() {
    let (service, stack) = started().await;
    let entries = [entry("one @0.1"), entry(" \u{3000}"), entry("two @0.9")];
    let reply = stack.invoke("put", json!({"entries": entries})).await.unwrap();
    let results = reply["results"].as_array().unwrap();
    assert_eq!((&results[0]["id"], &results[2]["id"]), (&json!(1), &json!(2)));
    assert_eq!(results[1]["error"]["type"], "urn:mneme:error:InvalidRequest");
    let reply = stack.invoke("lookup", json!({"queries": [ask("near one @0.11"), ask(" ")]})).await.unwrap();
    let results = reply["results"].as_array().unwrap();
    assert_eq!(results[0]["id"], 1);
    assert_eq!(results[1]["error"]["type"], "urn:mneme:error:InvalidRequest");
    assert_eq!(service.take_texts().len(), 2);
}

#[tokio::test]
async fn an_embedder_that_never_answers_is_given_up_within_the_functions_time() {
    let service = EmbeddingService::start().await;
    let embedder = service.embedder();
    let stack = Stack::with_time(&[("MNEME_EMBEDDER", embedder.as_str())], Duration::from_secs(4)).await;
    stack.put(entry("How do I pay? @0.1")).await;
    service.set(Mood::Never);
    assert_eq!(stack.lookup(ask("paying @0.1")).await["reason"], "embedder_failure");
    let error = stack.invoke("put", entry("new @0.5")).await.unwrap_err();
    assert_eq!(error.name, "EmbedderError");
    assert!(error.message.contains("did not answer in time"), "{error:?}");
    assert_eq!(stack.entry_ids().await, [1]);
}

#[tokio::test]
async fn nobody_listens() {
    let gone = EmbeddingService::unreachable().await;
    let stack = over(&gone, &[]).await;
    assert_eq!(stack.lookup(ask("q")).await["reason"], "embedder_failure");
    let error = stack.invoke("put", entry("q")).await.unwrap_err();
    assert!(error.name == "EmbedderError" && error.message.contains("could not be reached"), "{error:?}");
}

#[tokio::test]
async fn the_weights_of_minilm_are_not_there() {
    let stack = Stack::with(&[("MNEME_EMBEDDER", "minilm"), ("MNEME_MINILM_PATH", "/nowhere")]).await;
    assert_eq!(stack.lookup(ask("q")).await["reason"], "embedder_failure");
    let error = stack.invoke("put", entry("q")).await.unwrap_err();
    assert!(error.name == "EmbedderError" && error.message.contains("run shared/minilm/fetch"), "{error:?}");
    assert!(!error.message.contains("/nowhere"), "{error:?}");
    assert_eq!((stack.entry_ids().await.len(), stack.counter().await), (0, (1, 0)));
}

#[tokio::test]
async fn another_embedder_over_the_same_table_is_a_mismatch() {
    let (service, stack) = started().await;
    stack.put(entry("q @0.1")).await;
    let other = Stack::beside(&stack, &[("MNEME_EMBEDDER", &format!("openai:other@{}/v1", service.url))]).await;
    for function in ["lookup", "put"] {
        let payload = if function == "put" { entry("x @0.1") } else { ask("x @0.1") };
        let error = other.invoke(function, payload).await.unwrap_err();
        assert_eq!(error.name, "EmbedderMismatchError");
        assert!(error.message.contains("openai:test/1") && error.message.contains("openai:other/1"), "{error:?}");
    }
    // A stamp in other words is the operator's own.
    let renamed = [
        ("MNEME_EMBEDDER", format!("openai:other@{}/v1", service.url)),
        ("MNEME_EMBEDDER_FINGERPRINT", "openai:test/1".to_owned()),
    ];
    let renamed: Vec<(&str, &str)> = renamed.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(Stack::beside(&stack, &renamed).await.lookup(ask("x @0.1")).await["outcome"], "hit");
}

#[tokio::test]
async fn keys_are_sent_and_never_shown() {
    let service = EmbeddingService::start().await;
    for (key, sent) in [
        ("sk-of-the-environment", "sk-of-the-environment"),
        ("arn:aws:secretsmanager:us-east-1:123456789012:secret:embedder-AbCdEf", KEPT_KEY),
        ("arn:aws:ssm:us-east-1:123456789012:parameter/embedder", KEPT_KEY),
    ] {
        let endpoints =
            [("AWS_ENDPOINT_URL_SECRETS_MANAGER", service.url.as_str()), ("AWS_ENDPOINT_URL_SSM", &service.url)];
        let variables =
            [("MNEME_EMBEDDER_API_KEY", key), ("AWS_LAMBDA_LOG_LEVEL", "TRACE"), endpoints[0], endpoints[1]];
        let stack = over(&service, &variables).await;
        stack.put(entry("q @0.1")).await;
        let asked = service.take_asked();
        assert_eq!(asked.last().unwrap().authorization, format!("Bearer {sent}"));
        service.set(Mood::With(401, "{}".to_owned()));
        assert_eq!(stack.lookup(ask("x @0.1")).await["reason"], "embedder_failure");
        service.set(Mood::Well(8));
        let lines = stack.log_until(|line| line.contains("MissesEmbedderFailure")).await;
        assert!(lines.iter().any(|line| line.contains("embedding the query")), "{lines:#?}");
        assert!(lines.iter().all(|line| !line.contains(sent) && !line.contains("x @0.1")), "{lines:#?}");
    }
}

#[tokio::test]
async fn amazon_bedrock_embeds() {
    let service = EmbeddingService::start().await;
    let variables = [
        ("MNEME_EMBEDDER", "bedrock:amazon.titan-embed-text-v2:0:256"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", service.url.as_str()),
    ];
    let stack = Stack::with(&variables).await;
    let id = stack.put(entry("q @0.1")).await;
    assert!(near(&stored_vector(&stack.rows().await[&i128::from(id)]), &embedding("@0.1", 256)));
    assert_eq!(stack.lookup(ask("x @0.12")).await["id"], id);
    assert!(service.take_asked().iter().all(|asked| asked.authorization.contains("/us-east-1/bedrock/aws4_request")));
    let (_, health) = stack.get("/v1/health").await;
    assert_eq!(health["embedder_fingerprint"], "bedrock:amazon.titan-embed-text-v2:0:256/1");
}

#[tokio::test]
async fn pairs_are_calibrated_by_their_texts() {
    let (service, stack) = started().await;
    let pair = |nth: usize| {
        let same = nth.is_multiple_of(2);
        let angle = if same { 0.1 } else { 1.0 };
        json!({"a": format!("first {nth} @0"), "b": {"query": format!("second {nth} @{angle}")}, "same": same})
    };
    let pairs: Vec<Value> = (0..40).map(pair).collect();
    let reply = stack.invoke("calibrate", json!({"pairs": pairs, "cutoff": 0})).await.unwrap();
    assert!((reply["threshold"].as_f64().unwrap() - 0.1_f64.cos()).abs() < 1e-6, "{reply}");
    assert_eq!(service.take_texts().concat().len(), 80);
    service.set(Mood::With(500, String::new()));
    let mut unknown: Vec<Value> = (0..40).map(pair).collect();
    unknown[3]["b"] = json!("never seen");
    let error = stack.invoke("calibrate", json!({"pairs": unknown})).await.unwrap_err();
    assert!(error.name == "EmbedderError" && error.message.starts_with("pairs[3].b: "), "{error:?}");
}
