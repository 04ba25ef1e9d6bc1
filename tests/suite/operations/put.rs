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
    assert_eq!(stack.post("/v1/entries", first.clone()).await, reply);
    assert_eq!(stack.counter().await, (2, 1));
    // Each namespace has its own idempotency keys.
    first["namespace"] = json!("b");
    assert_eq!(stack.invoke("put", first).await.unwrap(), json!({"id": 2, "created": true}));
}

#[tokio::test]
async fn put_with_idempotency_key_of_another_request_is_refused() {
    let stack = Stack::start().await;
    let with_key = |mut entry: Value| {
        entry["idempotency_key"] = json!("k");
        entry
    };
    stack.put(with_key(entry("q", "one", 0.0))).await;
    let mut expiring = entry("q", "one", 0.0);
    expiring["ttl_seconds"] = json!(60);
    for other in [entry("q", "two", 0.0), entry("r", "one", 0.0), entry("q", "one", 0.7), expiring] {
        let (status, problem) = stack.post("/v1/entries", with_key(other)).await;
        assert_eq!(
            (status, &problem["type"]),
            (409, &json!("urn:mneme:error:IdempotentParameterMismatch")),
            "{problem}"
        );
    }
    assert_eq!(stack.counter().await, (2, 1));
}

#[tokio::test]
async fn put_with_used_idempotency_key_stores_again_after_a_delete() {
    let stack = Stack::start().await;
    let mut first = entry("q", "one", 0.0);
    first["idempotency_key"] = json!("k");
    assert_eq!(stack.put(first.clone()).await, 1);
    stack.invoke("delete", json!({"id": 1})).await.unwrap();
    assert_eq!(stack.invoke("put", first.clone()).await.unwrap(), json!({"id": 2, "created": true}));
    assert_eq!(stack.lookup(json!({"query": "q"})).await["response"], "one");
    // From now on the key answers with the second entry.
    assert_eq!(stack.invoke("put", first).await.unwrap(), json!({"id": 2, "created": true}));
    assert_eq!(stack.counter().await, (3, 3));
}

#[tokio::test]
async fn put_with_if_absent_keeps_the_live_entry() {
    let stack = Stack::start().await;
    let if_absent = |response: &str, angle: f64| {
        let mut entry = entry("q", response, angle);
        entry["if_absent"] = json!(true);
        entry
    };
    assert_eq!(stack.post("/v1/entries", if_absent("one", 0.0)).await, (201, json!({"id": 1, "created": true})));
    let kept = json!({"id": 1, "created": false, "kept": true});
    assert_eq!(stack.post("/v1/entries", if_absent("two", 0.0)).await, (200, kept.clone()));
    let batch = json!({"if_absent": true, "entries": [entry("q", "three", 0.5), entry("new", "one", 0.0)]});
    let reply = stack.invoke("put", batch).await.unwrap();
    assert_eq!(reply["results"], json!([kept, {"id": 2, "created": true}]));
    assert_eq!(
        (stack.lookup(json!({"query": "q"})).await["response"].clone(), stack.counter().await),
        (json!("one"), (3, 2))
    );
    // An expired entry is none.
    let mut expiring = if_absent("soon gone", 0.0);
    expiring["query"] = json!("e");
    expiring["ttl_seconds"] = json!(60);
    assert_eq!(stack.put(expiring.clone()).await, 3);
    stack.backdate([3], 100).await;
    assert_eq!(stack.invoke("put", expiring).await.unwrap(), json!({"id": 4, "created": true}));
}

#[tokio::test]
async fn concurrent_puts_with_if_absent_store_one_entry() {
    let stack = Stack::start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    let put = |n: usize| {
        let mut entry = entry("q", &n.to_string(), 0.1 * n as f64);
        entry["if_absent"] = json!(true);
        stack.invoke("put", entry)
    };
    let replies = futures::future::join_all((0..4).map(put)).await;
    let created = replies.iter().filter(|reply| reply.as_ref().unwrap()["created"] == true).count();
    let kept = replies.iter().filter(|reply| reply.as_ref().unwrap()["kept"] == true).count();
    assert_eq!((created, kept), (1, 3), "{replies:?}");
    assert_eq!(stack.counter().await, (2, 1));
}

#[tokio::test]
async fn entry_names_the_caller_who_put_it() {
    let stack = Stack::start().await;
    let body = entry("q", "A", 0.0);
    let (status, _) = stack.http_as(&json!({"sub": "ann"}), reqwest::Method::POST, "/v1/entries", Some(body)).await;
    assert_eq!(status, 201);
    stack.put(entry("direct", "B", 0.3)).await;
    let hash = mneme_model::normalize::QueryHash::of("q", true);
    assert_eq!(stack.get("/v1/entries/1").await.1["stored_by"], "ann");
    assert_eq!(stack.get(&format!("/v1/namespaces/default/entries/{hash}")).await.1["stored_by"], "ann");
    let (_, page) = stack.get("/v1/entries").await;
    assert_eq!([&page["entries"][0]["stored_by"], &page["entries"][1]["stored_by"]], [&json!("ann"), &Value::Null]);
    // Whoever replaces the entry is its new author.
    let (_, reply) =
        stack.http_as(&json!({"sub": "bob"}), reqwest::Method::POST, "/v1/entries", Some(entry("q", "C", 0.0))).await;
    assert_eq!((&reply["id"], &stack.get("/v1/entries/1").await.1["stored_by"]), (&json!(1), &json!("bob")));
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
