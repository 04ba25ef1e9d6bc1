//! `namespaces`: the names with their counts of live entries.

use mneme_tests::Stack;
use serde_json::json;

#[tokio::test]
async fn namespaces_returns_sorted_names_with_live_counts() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    assert_eq!(stack.get("/v1/namespaces").await, (200, json!({"namespaces": []})));
    for (query, namespace) in [("1", "b"), ("2", "a"), ("3", "b"), ("4", "Z"), ("5", "é"), ("6", "empty")] {
        stack.put(json!({"query": query, "response": "r", "namespace": namespace})).await;
    }
    stack.put(json!({"query": "7", "response": "r", "namespace": "b", "ttl_seconds": 60})).await;
    stack.invoke("delete", json!({"id": 6})).await.unwrap();
    stack.backdate([7], 60).await;
    let expected = json!({"namespaces": [
        {"namespace": "Z", "entries": 1}, {"namespace": "a", "entries": 1}, {"namespace": "b", "entries": 2},
        {"namespace": "é", "entries": 1},
    ]});
    assert_eq!(stack.invoke("namespaces", json!({})).await.unwrap(), expected);
    assert_eq!(stack.get("/v1/namespaces").await.1, expected);
}
