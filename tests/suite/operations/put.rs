//! `put`: new entries, replaced entries and batches.

use insta::assert_compact_json_snapshot;
use mneme_tests::{Stack, vector};
use serde_json::{Value, json};

fn entry(query: &str, response: &str, angle: f64) -> Value {
    json!({"query": query, "response": response, "embedding": vector(4, angle)})
}

#[tokio::test]
async fn put_over_http_and_directly_stores_an_entry() {
    let stack = Stack::start().await;
    let reply = stack.post("/v1/entries", entry("What is a?", "A.", 0.0)).await;
    assert_compact_json_snapshot!(reply, @r#"[201, {"created": true, "id": 1}]"#);
    let reply = stack.invoke("put", entry("What is b?", "B.", 1.0)).await.unwrap();
    assert_compact_json_snapshot!(reply, @r#"{"created": true, "id": 2}"#);
    assert_eq!(stack.counter().await, (3, 2));
}

#[tokio::test]
async fn put_of_a_known_query_keeps_the_id_only_with_the_same_vector() {
    let stack = Stack::start().await;
    stack.put(entry("q", "one", 0.0)).await;
    let reply = stack.post("/v1/entries", entry(" Q ", "two", 0.0)).await;
    assert_compact_json_snapshot!(reply, @r#"[200, {"created": false, "id": 1}]"#);
    assert_eq!(stack.counter().await, (2, 2));

    let reply = stack.post("/v1/entries", entry("q", "three", 0.5)).await;
    assert_compact_json_snapshot!(reply, @r#"[200, {"created": false, "id": 2}]"#);
    assert_eq!(stack.counter().await, (3, 3));
    assert_eq!(stack.entry_ids().await, [2]);
    assert_eq!(stack.lookup(json!({"query": "q"})).await["response"], "three");
}

#[tokio::test]
async fn put_batch_returns_results_in_request_order() {
    let stack = Stack::start().await;
    let batch = json!({"entries": [
        entry("a", "A", 0.0), {"query": "b"}, entry("c", "C", 1.0), {"query": "d", "response": "D", "embedding": [1, 2]},
        7, entry("A", "again", 0.0),
    ]});
    let (status, reply) = stack.post("/v1/entries", batch).await;
    assert_eq!(status, 200, "{reply}");
    let results = reply["results"].as_array().unwrap();
    assert_eq!(results[0], json!({"id": 1, "created": true}));
    assert_eq!(results[1]["error"]["type"], "urn:mneme:error:InvalidRequest");
    assert_eq!(results[2], json!({"id": 2, "created": true}));
    assert_eq!(results[3]["error"]["type"], "urn:mneme:error:EmbedderDimensionError");
    assert_eq!(results[4]["error"]["status"], 400);
    assert_eq!(results[5], json!({"id": 1, "created": false}));
    let direct = stack.invoke("put", json!({"entries": []})).await.unwrap();
    assert_eq!(direct, json!({"results": []}));
}

#[tokio::test]
async fn put_with_all_fields_stores_all_fields() {
    let stack = Stack::start().await;
    let metadata = json!({"model": "m", "nested": {"list": [1, 2.5, null, "ü"]}, "big": 9007199254740993u64});
    let mut stored = entry("Wie heißt du?", "Ich heiße…", 0.0);
    stored["namespace"] = json!("Größe/7");
    stored["metadata"] = metadata.clone();
    stored["confidence_score"] = json!(0.25);
    stored["ttl_seconds"] = json!(60);
    let id = stack.put(stored).await;
    let (_, read) = stack.get(&format!("/v1/entries/{id}")).await;
    assert_eq!(read["query"], "Wie heißt du?");
    assert_eq!(read["namespace"], "Größe/7");
    assert_eq!(read["metadata"], metadata);
    assert_eq!(read["confidence_score"], 0.25);
    assert_eq!(read["access_count"], 0);
    assert_eq!(read["expires_at"].as_i64().unwrap(), read["created_at"].as_i64().unwrap() + 60);
    assert_eq!(read["last_accessed_at"], read["created_at"]);
    let one: Vec<u8> = [1f32, 0.0, 0.0, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(read["embedding"], json!(mneme_model::embedding::encode_base64(&one)));
}

#[tokio::test]
async fn put_with_used_idempotency_key_returns_the_first_reply() {
    let stack = Stack::start().await;
    let mut first = entry("q", "one", 0.0);
    first["idempotency_key"] = json!("k1");
    let reply = stack.post("/v1/entries", first.clone()).await;
    assert_compact_json_snapshot!(reply, @r#"[201, {"created": true, "id": 1}]"#);
    assert_eq!(stack.post("/v1/entries", first).await, reply);
    let mut other = entry("q", "two", 0.7);
    other["idempotency_key"] = json!("k1");
    assert_eq!(stack.invoke("put", other.clone()).await.unwrap(), reply.1);
    assert_eq!(stack.counter().await, (2, 1));
    // Each namespace has its own idempotency keys.
    other["namespace"] = json!("b");
    assert_eq!(stack.invoke("put", other).await.unwrap(), json!({"id": 2, "created": true}));
}

#[tokio::test]
async fn put_with_store_query_off_stores_only_the_hash() {
    let stack = Stack::builder().variables(&[("MNEME_STORE_QUERY", "false")]).start().await;
    let id = stack.put(entry("a secret question", "A", 0.0)).await;
    assert!(!stack.rows().await[&i128::from(id)].contains_key("query"));
    assert_eq!(stack.get(&format!("/v1/entries/{id}")).await.1["query"], Value::Null);
    assert_eq!(stack.lookup(json!({"query": "A SECRET question"})).await["outcome"], "hit");
}

#[tokio::test]
async fn lookup_without_normalization_matches_only_the_same_text() {
    let stack = Stack::builder().variables(&[("MNEME_NORMALIZE", "false")]).start().await;
    stack.put(entry("Q", "A", 0.0)).await;
    assert_eq!(stack.lookup(json!({"query": "Q"})).await["outcome"], "hit");
    assert_eq!(stack.lookup(json!({"query": "q"})).await["outcome"], "miss");
}
