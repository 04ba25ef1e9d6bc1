//! Requests without a vector: the configured embedder embeds them, and its failure turns a lookup into a miss.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_tests::embedder::{Behavior, EmbeddingService, STORED_KEY, at};
use mneme_tests::{Stack, stack::Item, vector};
use serde_json::{Value, json};

use crate::questions::{QUESTION, REWORDED, order, order_reworded};

async fn over(service: &EmbeddingService, more: &[(&str, &str)]) -> Stack {
    let embedder = service.embedder();
    let variables: Vec<(&str, &str)> =
        [("MNEME_EMBEDDER", embedder.as_str())].into_iter().chain(more.iter().copied()).collect();
    Stack::builder().variables(&variables).start().await
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

/// A rewording of [`QUESTION`] at the angle 0.1; each `number` is another text.
fn reworded(number: usize) -> String {
    at(&format!("{REWORDED}{}", "?".repeat(number)), 0.1)
}

fn stored_vector(row: &Item) -> Vec<f32> {
    let bytes = row["embedding"].as_b().unwrap().as_ref().to_vec();
    bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}

fn near(found: &[f32], expected: &[f64]) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6)
}

#[tokio::test]
async fn text_queries_are_embedded_and_served() {
    let (service, stack) = started().await;
    let id = stack.put(entry(&at(QUESTION, 0.1))).await;
    assert!(near(&stored_vector(&stack.rows().await[&i128::from(id)]), &vector(8, 0.1)));
    let hit = stack.lookup(ask(&at(REWORDED, 0.2))).await;
    assert_eq!((&hit["outcome"], &hit["layer"], &hit["id"]), (&json!("hit"), &json!("semantic"), &json!(id)));
    assert!((hit["similarity"].as_f64().unwrap() - 0.1_f64.cos()).abs() < 1e-6);
    let miss = stack.lookup(ask(&at("Is it raining?", 1.6))).await;
    assert_eq!((&miss["outcome"], &miss["reason"]), (&json!("miss"), &json!("below_threshold")));
    // A conversation over HTTP: the last message is embedded.
    let message = at("How long do refunds to my card take, please?", 0.15);
    let messages = json!([{"role": "user", "content": message}]);
    let (status, hit) = stack.post("/v1/lookup", json!({"messages": messages})).await;
    assert_eq!((status, &hit["id"]), (200, &json!(id)));
    let texts = service.take_texts();
    assert_eq!(texts.last().unwrap(), &[message]);
    assert_eq!(texts.len(), 4);

    let (_, stats) = stack.get("/v1/stats").await;
    assert_eq!((&stats["embedder_fingerprint"], &stats["embedder_dim"]), (&json!("openai:test/1"), &json!(8)));
}

#[tokio::test]
async fn exact_hit_does_not_call_the_embedder() {
    let (service, stack) = started().await;
    let id = stack.put(entry(&at(QUESTION, 0.1))).await;
    service.take_received();
    service.set(Behavior::Hang);
    for _ in 0..2 {
        let hit = stack.lookup(ask(&at(QUESTION, 0.1).to_uppercase().replace(' ', "  "))).await;
        assert_eq!((&hit["layer"], &hit["id"]), (&json!("exact"), &json!(id)));
    }
    // An entry of the Python library has no pointer. The instance finds it in the index or the replica, without the
    // embedder.
    let mut rows = stack.rows().await;
    let (mut row, mut counter) = (rows.remove(&i128::from(id)).unwrap(), rows.remove(&0).unwrap());
    row.insert("namespace".to_owned(), AttributeValue::S("python".to_owned()));
    row.insert("id".to_owned(), AttributeValue::N("2".to_owned()));
    stack.put_item(row).await;
    counter.insert("next_id".to_owned(), AttributeValue::N("3".to_owned()));
    counter.insert("version_counter".to_owned(), AttributeValue::N("2".to_owned()));
    stack.put_item(counter).await;
    let hit = stack.lookup(json!({"query": at(QUESTION, 0.1), "namespace": "python"})).await;
    assert_eq!((&hit["layer"], &hit["id"]), (&json!("exact"), &json!(2)));
    assert!(service.take_received().is_empty());
}

#[tokio::test]
async fn warm_lookup_reads_once_before_and_once_after_embedding() {
    let (_service, stack) = started().await;
    stack.put(entry(&at(QUESTION, 0.1))).await;
    stack.lookup(ask(&at(REWORDED, 0.1))).await;
    let reads = || {
        let operations = stack.proxy.take_operations();
        operations.into_iter().filter(|operation| operation != "UpdateItem").collect::<Vec<_>>()
    };
    reads();
    stack.lookup(ask(&at(REWORDED, 1.6))).await;
    assert_eq!(reads(), ["BatchGetItem"]);
    assert_eq!(stack.lookup(ask(&at(REWORDED, 0.15))).await["outcome"], "hit");
    assert_eq!(reads(), ["BatchGetItem", "BatchGetItem"]);
}

#[tokio::test]
async fn repeated_texts_are_embedded_once() {
    let (service, stack) = started().await;
    let entries: Vec<Value> = [0.1, 0.4, 0.1].iter().map(|angle| entry(&at(QUESTION, *angle))).collect();
    stack.invoke("put", json!({"entries": entries})).await.unwrap();
    assert_eq!(service.take_texts(), [[at(QUESTION, 0.1), at(QUESTION, 0.4)]]);
    let (near, second, far) = (at(REWORDED, 0.1), at(REWORDED, 0.4), at("Is it raining?", 2.0));
    let questions = [&near, &at(QUESTION, 0.1), &second, &near, &far].map(|query| ask(query));
    let reply = stack.invoke("lookup", json!({"queries": questions})).await.unwrap();
    let layers: Vec<&Value> = reply["results"].as_array().unwrap().iter().map(|result| &result["layer"]).collect();
    let (exact, semantic) = (json!("exact"), json!("semantic"));
    assert_eq!(layers, [&semantic, &exact, &semantic, &semantic, &Value::Null]);
    // One request embeds all texts without an exact hit, and later lookups embed none of them again.
    assert_eq!(service.take_texts(), [[near.clone(), second, far]]);
    stack.lookup(ask(&near)).await;
    assert!(service.take_received().is_empty());
}

#[tokio::test]
async fn request_with_vector_does_not_call_the_embedder() {
    let service = EmbeddingService::start().await;
    let stack = over(&service, &[("MNEME_CALLER_VECTORS", "trust"), ("MNEME_EMBEDDER_DIM", "8")]).await;
    service.set(Behavior::Hang);
    let id = stack.put(json!({"query": QUESTION, "response": "r", "embedding": vector(8, 0.3)})).await;
    let hit = stack.lookup(json!({"query": REWORDED, "embedding": vector(8, 0.31)})).await;
    assert_eq!(hit["id"], id);
    assert!(service.take_received().is_empty());
}

#[tokio::test]
async fn failing_embedder_returns_a_miss_for_lookup_and_an_error_for_put() {
    let (service, stack) = started().await;
    let id = stack.put(entry(&at(QUESTION, 0.1))).await;
    let before = stack.rows().await;
    let failures = [
        (Behavior::Reply(429, "{}".to_owned()), "EmbedderError", "throttled the request"),
        (Behavior::Reply(500, "oops".to_owned()), "EmbedderError", "failed with HTTP status 500"),
        (Behavior::Reply(401, "{}".to_owned()), "EmbedderError", "refused the API key"),
        (Behavior::Reply(404, "{}".to_owned()), "EmbedderError", "knows no such model"),
        (Behavior::Reply(200, "{\"data\": 7}".to_owned()), "EmbedderError", "not of the form"),
        (Behavior::Reply(200, "<html>".to_owned()), "EmbedderError", "not of the form"),
        (Behavior::Embed(9), "EmbedderDimensionError", "9"),
        (Behavior::Reply(400, "{}".to_owned()), "InvalidRequest", "refused the request with HTTP status 400"),
    ];
    for (nth, (behavior, name, says)) in failures.into_iter().enumerate() {
        service.set(behavior);
        let miss = stack.lookup(ask(&reworded(nth))).await;
        assert_eq!(miss, json!({"outcome": "miss", "reason": "embedder_failure", "best_similarity": null}), "{says}");
        let error = stack.invoke("put", entry(&at(&format!("new {nth}"), 0.5))).await.unwrap_err();
        assert_eq!(error.name, name, "{error:?}");
        assert!(error.message.contains(says) && error.message.contains("Remediation: "), "{error:?}");
        assert!(!error.message.contains("new "), "{error:?}");
        let reply = stack.invoke("put", json!({"entries": [entry(&at(&format!("batch {nth}"), 0.5))]})).await.unwrap();
        let problem = &reply["results"][0]["error"];
        assert_eq!(problem["type"], format!("urn:mneme:error:{name}"));
    }
    let entries: Vec<i128> = stack.rows().await.into_keys().filter(|id| *id > 0).collect();
    assert_eq!(entries, before.into_keys().filter(|id| *id > 0).collect::<Vec<_>>());
    // The same instances continue to serve.
    service.set(Behavior::Embed(8));
    assert_eq!(stack.lookup(ask(&reworded(6))).await["id"], id, "a vector of the wrong dimension is not cached");
    assert_eq!(stack.put(entry(&at("new 6", 0.5))).await, id + 1);
    let (status, problem) = {
        service.set(Behavior::Reply(503, String::new()));
        stack.post("/v1/entries", entry(&at("over HTTP", 0.7))).await
    };
    assert_eq!((status, &problem["title"]), (503, &json!("The query could not be embedded")));
}

#[tokio::test]
async fn batch_with_a_text_that_cannot_be_embedded_processes_the_others() {
    let (service, stack) = started().await;
    let entries = [entry(&at(QUESTION, 0.1)), entry(" \u{3000}"), entry(&at("two", 0.9))];
    let reply = stack.invoke("put", json!({"entries": entries})).await.unwrap();
    let results = reply["results"].as_array().unwrap();
    assert_eq!((&results[0]["id"], &results[2]["id"]), (&json!(1), &json!(2)));
    assert_eq!(results[1]["error"]["type"], "urn:mneme:error:InvalidRequest");
    let reply = stack.invoke("lookup", json!({"queries": [ask(&at(REWORDED, 0.15)), ask(" ")]})).await.unwrap();
    let results = reply["results"].as_array().unwrap();
    assert_eq!(results[0]["id"], 1);
    assert_eq!(results[1]["error"]["type"], "urn:mneme:error:InvalidRequest");
    assert_eq!(service.take_texts().len(), 2);
}

#[tokio::test]
async fn lookup_after_an_embedder_that_hung_does_not_ask_it_again() {
    let service = EmbeddingService::start().await;
    let embedder = service.embedder();
    let variables = [("MNEME_EMBEDDER", embedder.as_str()), ("MNEME_EMBEDDER_TIMEOUT_MS", "400")];
    let stack = Stack::builder().variables(&variables).start().await;
    service.set(Behavior::Hang);
    for requests in [2, 0] {
        let miss = stack.lookup(ask(&reworded(requests))).await;
        assert_eq!(miss["reason"], "embedder_failure", "{miss}");
        assert_eq!(service.take_received().len(), requests, "two attempts, and then none");
    }
}

#[tokio::test]
async fn silent_embedder_times_out_within_the_function_timeout() {
    let service = EmbeddingService::start().await;
    let embedder = service.embedder();
    let stack = Stack::builder()
        .variables(&[("MNEME_EMBEDDER", embedder.as_str())])
        .timeout(Duration::from_secs(4))
        .start()
        .await;
    stack.put(entry(&at(QUESTION, 0.1))).await;
    service.set(Behavior::Hang);
    assert_eq!(stack.lookup(ask(&at(REWORDED, 0.1))).await["reason"], "embedder_failure");
    let error = stack.invoke("put", entry(&at("new", 0.5))).await.unwrap_err();
    assert_eq!(error.name, "EmbedderError");
    assert!(error.message.contains("did not answer in time"), "{error:?}");
    assert_eq!(stack.entry_ids().await, [1]);
}

#[tokio::test]
async fn unreachable_embedder_returns_embedder_error() {
    let unreachable = EmbeddingService::unreachable().await;
    let stack = over(&unreachable, &[]).await;
    assert_eq!(stack.lookup(ask("q")).await["reason"], "embedder_failure");
    let error = stack.invoke("put", entry("q")).await.unwrap_err();
    assert!(error.name == "EmbedderError" && error.message.contains("could not be reached"), "{error:?}");
}

#[tokio::test]
async fn minilm_without_weights_returns_embedder_error() {
    let stack =
        Stack::builder().variables(&[("MNEME_EMBEDDER", "minilm"), ("MNEME_MINILM_PATH", "/nowhere")]).start().await;
    assert_eq!(stack.lookup(ask("q")).await["reason"], "embedder_failure");
    let error = stack.invoke("put", entry("q")).await.unwrap_err();
    assert!(error.name == "EmbedderError" && error.message.contains("run shared/minilm/fetch"), "{error:?}");
    assert!(!error.message.contains("/nowhere"), "{error:?}");
    assert_eq!((stack.entry_ids().await.len(), stack.counter().await), (0, (1, 0)));
}

#[tokio::test]
async fn vector_of_a_caller_does_not_set_the_dimension_of_an_embedder() {
    let service = EmbeddingService::start().await;
    let stack = over(&service, &[("MNEME_CALLER_VECTORS", "trust")]).await;
    let careless = json!({"query": "careless", "response": "A", "embedding": [1, 2, 3]});
    let error = stack.invoke("put", careless.clone()).await.unwrap_err();
    assert!(error.name == "EmbedderDimensionError" && error.message.contains("without `embedding`"), "{error:?}");
    let id = stack.put(entry(&at(QUESTION, 0.1))).await;
    assert_eq!(stack.lookup(ask(&at(REWORDED, 0.1))).await["id"], id);
    let error = stack.invoke("put", careless).await.unwrap_err();
    assert!(error.message.contains("has 3 numbers, and the cache's have 8"), "{error:?}");
}

#[tokio::test]
async fn other_embedder_on_the_same_table_returns_mismatch_error() {
    let (service, stack) = started().await;
    stack.put(entry(&at(QUESTION, 0.1))).await;
    let other = Stack::builder()
        .over_table_of(&stack)
        .variables(&[("MNEME_EMBEDDER", &format!("openai:other@{}/v1", service.url))])
        .start()
        .await;
    for function in ["lookup", "put"] {
        let payload = if function == "put" { entry(&at(REWORDED, 0.1)) } else { ask(&at(REWORDED, 0.1)) };
        let error = other.invoke(function, payload).await.unwrap_err();
        assert_eq!(error.name, "EmbedderMismatchError");
        assert!(error.message.contains("openai:test/1") && error.message.contains("openai:other/1"), "{error:?}");
    }
    // An operator may set the fingerprint independently of the embedder.
    let renamed = [
        ("MNEME_EMBEDDER", format!("openai:other@{}/v1", service.url)),
        ("MNEME_EMBEDDER_FINGERPRINT", "openai:test/1".to_owned()),
    ];
    let renamed: Vec<(&str, &str)> = renamed.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(
        Stack::builder().over_table_of(&stack).variables(&renamed).start().await.lookup(ask(&at(REWORDED, 0.1))).await
            ["outcome"],
        "hit"
    );
}

#[tokio::test]
async fn api_keys_are_sent_and_never_logged() {
    let service = EmbeddingService::start().await;
    for (key, sent) in [
        ("sk-of-the-environment", "sk-of-the-environment"),
        ("arn:aws:secretsmanager:us-east-1:123456789012:secret:embedder-AbCdEf", STORED_KEY),
        ("arn:aws:ssm:us-east-1:123456789012:parameter/embedder", STORED_KEY),
    ] {
        let endpoints =
            [("AWS_ENDPOINT_URL_SECRETS_MANAGER", service.url.as_str()), ("AWS_ENDPOINT_URL_SSM", &service.url)];
        let variables =
            [("MNEME_EMBEDDER_API_KEY", key), ("AWS_LAMBDA_LOG_LEVEL", "TRACE"), endpoints[0], endpoints[1]];
        let stack = over(&service, &variables).await;
        stack.put(entry(&at(QUESTION, 0.1))).await;
        let asked = service.take_received();
        assert_eq!(asked.last().unwrap().authorization, format!("Bearer {sent}"));
        service.set(Behavior::Reply(401, "{}".to_owned()));
        assert_eq!(stack.lookup(ask(&at(REWORDED, 0.1))).await["reason"], "embedder_failure");
        service.set(Behavior::Embed(8));
        let lines = stack.log_until(|line| line.contains("MissesEmbedderFailure")).await;
        assert!(lines.iter().any(|line| line.contains("embedding the query")), "{lines:#?}");
        assert!(lines.iter().all(|line| !line.contains(sent) && !line.contains(REWORDED)), "{lines:#?}");
    }
}

#[tokio::test]
async fn bedrock_embedder_stores_and_serves_vectors() {
    let service = EmbeddingService::start().await;
    let variables = [
        ("MNEME_EMBEDDER", "bedrock:amazon.titan-embed-text-v2:0:256"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", service.url.as_str()),
    ];
    let stack = Stack::builder().variables(&variables).start().await;
    let id = stack.put(entry(&at(QUESTION, 0.1))).await;
    assert!(near(&stored_vector(&stack.rows().await[&i128::from(id)]), &vector(256, 0.1)));
    assert_eq!(stack.lookup(ask(&at(REWORDED, 0.15))).await["id"], id);
    assert!(
        service.take_received().iter().all(|asked| asked.authorization.contains("/us-east-1/bedrock/aws4_request"))
    );
    let (_, health) = stack.get("/v1/health").await;
    assert_eq!(health["embedder_fingerprint"], "bedrock:amazon.titan-embed-text-v2:0:256/1");
}

#[tokio::test]
async fn calibrate_with_texts_embeds_them() {
    let (service, stack) = started().await;
    let pair = |nth: usize| {
        let same = nth.is_multiple_of(2);
        let angle = if same { 0.15 } else { 1.05 };
        json!({"a": at(&order(nth), 0.05), "b": {"query": at(&order_reworded(nth), angle)}, "same": same})
    };
    let pairs: Vec<Value> = (0..40).map(pair).collect();
    let reply = stack.invoke("calibrate", json!({"pairs": pairs, "cutoff": 0})).await.unwrap();
    assert!((reply["threshold"].as_f64().unwrap() - 0.1_f64.cos()).abs() < 1e-6, "{reply}");
    assert_eq!(service.take_texts().concat().len(), 80);
    service.set(Behavior::Reply(500, String::new()));
    let mut unknown: Vec<Value> = (0..40).map(pair).collect();
    unknown[3]["b"] = json!("never seen");
    let error = stack.invoke("calibrate", json!({"pairs": unknown})).await.unwrap_err();
    assert!(error.name == "EmbedderError" && error.message.starts_with("pairs[3].b: "), "{error:?}");
}
