//! `get`: one entry by id.

use insta::assert_json_snapshot;
use mneme_tests::{Stack, masked};
use serde_json::json;

#[tokio::test]
async fn get_over_http_and_directly_returns_the_same_entry() {
    let stack = Stack::start().await;
    let id = stack.put(json!({"query": "q", "response": "A", "embedding": [1, 0]})).await;
    let (status, entry) = stack.get(&format!("/v1/entries/{id}")).await;
    assert_eq!(status, 200);
    assert_eq!(entry, stack.invoke("get", json!({"id": id})).await.unwrap());
    assert_json_snapshot!(masked(entry, &["created_at", "last_accessed_at"]), @r#"
    {
      "access_count": 0,
      "confidence_score": 1.0,
      "created_at": "[created_at]",
      "embedding": "AACAPwAAAAA=",
      "expires_at": null,
      "id": 1,
      "last_accessed_at": "[last_accessed_at]",
      "metadata": {},
      "namespace": "default",
      "query": "q",
      "query_hash": "8e35c2cd3bf6641bdb0e2050b76932cbb2e6034a0ddacc1d9bea82a6ba57f7cf",
      "response": "A",
      "stored_by": null,
      "tags": [],
      "usage": null
    }
    "#);
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
