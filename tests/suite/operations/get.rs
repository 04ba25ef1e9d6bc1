//! `get`: one entry by id.

use mneme_tests::Stack;
use serde_json::json;

#[tokio::test]
async fn get_over_http_and_directly_returns_the_same_entry() {
    let stack = Stack::start().await;
    let id = stack.put(json!({"query": "q", "response": "A", "embedding": [1, 0]})).await;
    let (status, entry) = stack.get(&format!("/v1/entries/{id}")).await;
    assert_eq!(status, 200);
    assert_eq!(entry, stack.invoke("get", json!({"id": id})).await.unwrap());
    let mut fields: Vec<&str> = entry.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    let expected = [
        "access_count",
        "confidence_score",
        "created_at",
        "embedding",
        "expires_at",
        "id",
        "last_accessed_at",
        "metadata",
        "namespace",
        "query",
        "query_hash",
        "response",
    ];
    assert_eq!(fields, expected);
}

#[tokio::test]
async fn get_of_a_missing_or_invalid_id_returns_an_error() {
    let stack = Stack::start().await;
    let (status, problem) = stack.get("/v1/entries/7").await;
    assert_eq!((status, &problem["type"]), (404, &json!("urn:mneme:error:NotFound")));
    assert_eq!(stack.invoke("get", json!({"id": 7})).await.unwrap_err().name, "NotFound");
    for id in ["0", "-1", "x", "1.5", "99999999999999999999"] {
        assert_eq!(stack.get(&format!("/v1/entries/{id}")).await.0, 400, "{id}");
    }
    assert_eq!(stack.invoke("get", json!({"id": 0})).await.unwrap_err().name, "InvalidRequest");
}
