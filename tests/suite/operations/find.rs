//! `find`: one entry by its query hash.

use mneme_model::normalize::QueryHash;
use mneme_tests::Stack;
use serde_json::json;

#[tokio::test]
async fn find_over_http_and_directly_returns_the_same_entry() {
    let stack = Stack::start().await;
    let id = stack.put(json!({"query": "Q?", "response": "A", "namespace": "a/b c"})).await;
    let hash = QueryHash::of("q?", true);
    let (status, entry) = stack.get(&format!("/v1/namespaces/a%2Fb%20c/entries/{hash}")).await;
    assert_eq!((status, &entry["id"]), (200, &json!(id)));
    let upper = hash.to_string().to_uppercase();
    let direct = stack.invoke("find", json!({"namespace": "a/b c", "query_hash": upper})).await.unwrap();
    assert_eq!(direct, entry);
    assert_eq!(stack.get(&format!("/v1/namespaces/other/entries/{hash}")).await.0, 404);
    assert_eq!(stack.get("/v1/namespaces/default/entries/abc").await.0, 400);
}

#[tokio::test]
async fn find_without_pointer_row_returns_the_entry() {
    let stack = Stack::start().await;
    let id = stack.put(json!({"query": "q", "response": "A"})).await;
    for key in stack.rows().await.into_keys().filter(|key| *key < 0) {
        stack.delete_item(key).await;
    }
    let hash = QueryHash::of("q", true);
    let (_, entry) = stack.get(&format!("/v1/namespaces/default/entries/{hash}")).await;
    assert_eq!(entry["id"], json!(id));
}
