//! `touch`, and accesses that lookups record.

use insta::assert_compact_json_snapshot;
use mneme_tests::Stack;
use serde_json::json;

use crate::questions::{QUESTION, REWORDED};

#[tokio::test]
async fn touch_over_http_and_directly_records_an_access() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "A"})).await;
    stack.backdate([1], 10).await;
    let (_, before) = stack.get("/v1/entries/1").await;
    let reply = stack.http(reqwest::Method::POST, "/v1/entries/1/touch", None).await;
    assert_compact_json_snapshot!(reply, @r#"[200, {"id": 1, "touched": true}]"#);
    stack.invoke("touch", json!({"id": 1})).await.unwrap();
    let (_, after) = stack.get("/v1/entries/1").await;
    assert_eq!(after["access_count"], 2);
    assert!(after["last_accessed_at"].as_i64() > before["last_accessed_at"].as_i64());
    assert_eq!(stack.counter().await, (2, 3));
    assert_eq!(stack.invoke("touch", json!({"id": 9})).await.unwrap_err().name, "NotFound");
    assert_eq!(stack.counter().await, (2, 3));
}

#[tokio::test]
async fn lookup_soon_after_an_access_writes_no_access() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "A"})).await;
    for _ in 0..3 {
        assert_eq!(stack.lookup(json!({"query": "q"})).await["outcome"], "hit");
    }
    assert_eq!(stack.counter().await, (2, 1));
}

#[tokio::test]
async fn lookup_with_resolution_zero_writes_every_access() {
    let stack = Stack::builder().variables(&[("MNEME_ACCESS_RESOLUTION_SECS", "0")]).start().await;
    stack.put(json!({"query": QUESTION, "response": "A", "embedding": [1, 0]})).await;
    stack.lookup(json!({"query": QUESTION})).await;
    stack.lookup(json!({"query": REWORDED, "embedding": [1, 0]})).await;
    stack.lookup(json!({"query": "none", "embedding": [0, 1]})).await;
    assert_eq!(stack.get("/v1/entries/1").await.1["access_count"], 2);
    assert_eq!(stack.counter().await, (2, 3));
}
