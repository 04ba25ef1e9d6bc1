//! `lookup`: the exact layer, the semantic layer, and the reasons for a miss.

use aws_sdk_dynamodb::types::AttributeValue;
use insta::{assert_compact_json_snapshot, assert_json_snapshot};
use mneme_tests::{CounterState, Stack, masked, vector};
use serde_json::{Value, json};

use crate::questions::{QUESTION, REWORDED, variant};

/// cos(0.3) = 0.955, cos(0.7) = 0.765.
const NEAR: f64 = 0.3;
const FAR: f64 = 0.7;

async fn put(stack: &Stack, query: &str, response: &str, angle: f64) -> u64 {
    stack.put(json!({"query": query, "response": response, "embedding": vector(8, angle)})).await
}

async fn ask(stack: &Stack, angle: f64) -> Value {
    stack.lookup(json!({"query": REWORDED, "embedding": vector(8, angle)})).await
}

/// Stores an entry at the angle 0 and gives it `response`, which a put refuses. An earlier release or the Python library
/// may have stored such a response.
async fn put_failure(stack: &Stack, query: &str, response: &str) {
    let id = stack.put(json!({"query": query, "response": "A", "embedding": vector(8, 0.0)})).await;
    let mut row = stack.rows().await[&i128::from(id)].clone();
    row.insert("response".to_owned(), AttributeValue::S(response.to_owned()));
    stack.put_item(row).await;
}

#[tokio::test]
async fn lookup_of_a_stored_query_returns_an_exact_hit() {
    let stack = Stack::start().await;
    put(&stack, "Straße  und\tWeg", "A.", 0.0).await;
    let question = json!({"query": " STRASSE und weg ", "embedding": vector(8, 3.0)});
    let (status, hit) = stack.post("/v1/lookup", question.clone()).await;
    assert_eq!(status, 200);
    assert!(hit["age_seconds"].as_i64().unwrap() < 60);
    assert_json_snapshot!(masked(hit, &["age_seconds"]), @r#"
    {
      "age_seconds": "[age_seconds]",
      "confidence": 1.0,
      "id": 1,
      "layer": "exact",
      "metadata": {},
      "namespace": "default",
      "outcome": "hit",
      "query": "Straße  und\tWeg",
      "response": "A.",
      "similarity": 1.0
    }
    "#);
    assert_eq!(stack.lookup(question).await["layer"], "exact");
}

#[tokio::test]
async fn lookup_returns_the_nearest_entry_above_the_threshold() {
    let stack = Stack::start().await;
    put(&stack, &variant(1), "A", 0.0).await;
    let near = put(&stack, QUESTION, "B", 0.4).await;
    let hit = ask(&stack, 0.5).await;
    assert_eq!((&hit["layer"], &hit["id"]), (&json!("semantic"), &json!(near)));
    let similarity = hit["similarity"].as_f64().unwrap();
    assert!((similarity - 0.1f64.cos()).abs() < 1e-5, "{similarity}");

    let miss = ask(&stack, 0.4 + FAR).await;
    assert_eq!(miss["reason"], "below_threshold");
    assert!((miss["best_similarity"].as_f64().unwrap() - FAR.cos()).abs() < 1e-5);
}

#[tokio::test]
async fn lookup_without_guard_returns_the_similarity_as_confidence() {
    let stack = Stack::builder().without_guard("the confidence without the guard is tested").start().await;
    put(&stack, "a", "A", 0.0).await;
    let hit = ask(&stack, 0.1).await;
    assert_eq!((&hit["layer"], &hit["confidence"]), (&json!("semantic"), &hit["similarity"]));
}

#[tokio::test]
async fn lookup_miss_returns_its_reason() {
    let stack = Stack::start().await;
    assert_compact_json_snapshot!(
        ask(&stack, 0.0).await,
        @r#"{"best_similarity": null, "outcome": "miss", "reason": "no_entry"}"#
    );
    assert_compact_json_snapshot!(
        stack.lookup(json!({"query": "x"})).await,
        @r#"{"best_similarity": null, "outcome": "miss", "reason": "no_embedding"}"#
    );
    put_failure(&stack, QUESTION, "[ERROR] upstream").await;
    assert_compact_json_snapshot!(
        ask(&stack, 0.0).await,
        @r#"{"best_similarity": 1.0, "outcome": "miss", "reason": "rejected"}"#
    );
    assert_compact_json_snapshot!(
        stack.lookup(json!({"query": QUESTION})).await,
        @r#"{"best_similarity": null, "outcome": "miss", "reason": "rejected"}"#
    );
    let second = variant(1);
    stack.put(json!({"query": second, "response": "B", "embedding": vector(8, 2.0), "confidence_score": 0.5})).await;
    let low = ask(&stack, 2.0).await;
    assert_eq!(low["reason"], "low_confidence");
    assert!((low["best_similarity"].as_f64().unwrap() - 1.0).abs() < 1e-5);
    let exact = stack.lookup(json!({"query": second})).await;
    assert_eq!(exact["reason"], "low_confidence", "the cutoff holds in the exact layer, too");
    let bypass = json!({"query": second, "embedding": vector(8, 2.0), "bypass": true});
    assert_compact_json_snapshot!(
        stack.post("/v1/lookup", bypass).await,
        @r#"[200, {"best_similarity": null, "outcome": "miss", "reason": "bypass"}]"#
    );
    let elsewhere = json!({"query": second, "embedding": vector(8, 2.0), "namespace": "other"});
    assert_compact_json_snapshot!(
        stack.lookup(elsewhere).await,
        @r#"{"best_similarity": null, "outcome": "miss", "reason": "no_entry"}"#
    );
}

#[tokio::test]
async fn request_threshold_can_only_raise_the_configured_one() {
    let stack = Stack::start().await;
    put(&stack, QUESTION, "A", 0.0).await;
    let ask = async |angle: f64, threshold: f64| {
        stack.lookup(json!({"query": REWORDED, "embedding": vector(8, angle), "threshold": threshold})).await["outcome"]
            .clone()
    };
    assert_eq!(ask(NEAR, 0.95).await, "hit");
    assert_eq!(ask(NEAR, 0.96).await, "miss");
    assert_eq!(ask(FAR, 0.5).await, "miss");
    let error = stack.invoke("lookup", json!({"query": "x", "threshold": 1.5})).await.unwrap_err();
    assert_eq!(error.name, "InvalidRequest");
}

#[tokio::test]
async fn reply_says_the_threshold_if_the_request_asked_for_a_lower_one() {
    let stack = Stack::start().await;
    put(&stack, QUESTION, "A", 0.0).await;
    let ask = async |question: Value, threshold: f64| {
        let mut request = question;
        request["threshold"] = json!(threshold);
        stack.lookup(request).await["threshold"].clone()
    };
    let near = || json!({"query": REWORDED, "embedding": vector(8, NEAR)});
    let far = || json!({"query": REWORDED, "embedding": vector(8, FAR)});
    let exact = || json!({"query": QUESTION});
    for question in [near, far, exact] {
        assert_eq!(ask(question(), 0.5).await, 0.85);
        assert_eq!(ask(question(), 0.85).await, Value::Null, "it is the threshold");
        assert_eq!(ask(question(), 0.9).await, Value::Null, "it raises the threshold");
        assert_eq!(stack.lookup(question()).await["threshold"], Value::Null);
    }
    assert_eq!(ask(json!({"query": QUESTION, "bypass": true}), 0.5).await, Value::Null);
    let set = json!({"action": "set", "namespace": "default", "threshold": 0.93});
    stack.invoke("settings", set).await.unwrap();
    for question in [near, far, exact] {
        assert_eq!(ask(question(), 0.9).await, 0.93);
    }
    let batch = json!({"queries": [near(), far()], "threshold": 0.9});
    let results = stack.invoke("lookup", batch).await.unwrap()["results"].take();
    assert!(results.as_array().unwrap().iter().all(|result| result["threshold"] == 0.93), "{results}");
    // As long as item 0 cannot be read, the threshold is not known.
    stack.proxy.set_counter_state(Some(CounterState::Throttled));
    let miss = stack.lookup(json!({"query": "another", "threshold": 0.5})).await;
    assert_eq!((&miss["reason"], &miss["threshold"]), (&json!("unavailable"), &Value::Null));
}

#[tokio::test]
async fn lookup_with_half_life_lowers_confidence_with_age() {
    let stack = Stack::builder()
        .variables(&[
            ("MNEME_SIMILARITY_THRESHOLD", "0.7"),
            ("MNEME_CONFIDENCE_CUTOFF", "0"),
            ("MNEME_CONFIDENCE_HALF_LIFE_SECS", "0.5"),
        ])
        .without_guard("the test computes the confidence from the similarity")
        .start()
        .await;
    let id = put(&stack, QUESTION, "A", 0.0).await;
    stack.backdate([id], 1).await;
    let hit = ask(&stack, FAR).await;
    assert_eq!(hit["outcome"], "hit");
    let (age, confidence) = (hit["age_seconds"].as_f64().unwrap(), hit["confidence"].as_f64().unwrap());
    assert!((confidence - FAR.cos() * 0.5f64.powf(age / 0.5)).abs() < 1e-5, "{hit}");
}

#[tokio::test]
async fn lookup_returns_no_entry_of_another_namespace() {
    let stack = Stack::start().await;
    for name in ["a", "b"] {
        let entry = json!({"query": QUESTION, "response": name, "embedding": vector(8, 0.0), "namespace": name});
        stack.put(entry).await;
    }
    for name in ["a", "b"] {
        let exact = stack.lookup(json!({"query": QUESTION, "namespace": name})).await;
        let semantic = stack.lookup(json!({"query": REWORDED, "embedding": vector(8, 0.1), "namespace": name})).await;
        assert_eq!((&exact["response"], &semantic["response"]), (&json!(name), &json!(name)));
        assert_eq!((&exact["layer"], &semantic["layer"]), (&json!("exact"), &json!("semantic")));
    }
}

#[tokio::test]
async fn lookup_with_deleted_candidates_returns_the_live_one() {
    let stack = Stack::start().await;
    let live = put(&stack, QUESTION, "live", NEAR).await;
    let mut deleted = Vec::new();
    for number in 1..=12 {
        deleted.push(put(&stack, &variant(number), "deleted", 0.0).await);
    }
    // The replica is loaded before the deletes.
    assert_eq!(ask(&stack, 0.0).await["response"], "deleted");
    for id in deleted {
        stack.invoke("delete", json!({"id": id})).await.unwrap();
    }
    let hit = ask(&stack, 0.0).await;
    assert_eq!((&hit["id"], &hit["response"]), (&json!(live), &json!("live")));
}

#[tokio::test]
async fn lookup_skips_candidates_with_rejected_responses() {
    let stack = Stack::start().await;
    for (number, response) in ["", "  ", "[LLM Error] x", "[ERROR] y"].iter().enumerate() {
        put_failure(&stack, &variant(number + 1), response).await;
    }
    put(&stack, QUESTION, "good", NEAR).await;
    assert_eq!(ask(&stack, 0.0).await["response"], "good");
}

#[tokio::test]
async fn lookup_of_an_entry_without_vector_uses_the_exact_layer() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "A"})).await;
    assert_eq!(stack.lookup(json!({"query": "Q", "embedding": vector(8, 0.0)})).await["layer"], "exact");
    assert_eq!(ask(&stack, 0.0).await["reason"], "no_entry");
}

#[tokio::test]
async fn lookup_with_base64_vector_equals_array_vector() {
    let stack = Stack::start().await;
    put(&stack, QUESTION, "A", 0.0).await;
    let bytes: Vec<u8> = vector(8, 0.0).iter().flat_map(|v| (*v as f32 * 7.5).to_le_bytes()).collect();
    let question = json!({"query": REWORDED, "embedding": mneme_model::embedding::encode_base64(&bytes)});
    assert_eq!(stack.lookup(question).await["similarity"], 1.0);
}
