//! `namespaces`: the names with their counts of live entries.

use insta::{assert_compact_json_snapshot, assert_json_snapshot};
use mneme_tests::Stack;
use serde_json::json;

#[tokio::test]
async fn namespaces_returns_sorted_names_with_live_counts() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    assert_compact_json_snapshot!(stack.get("/v1/namespaces").await, @r#"[200, {"namespaces": []}]"#);
    for (query, namespace) in [("1", "b"), ("2", "a"), ("3", "b"), ("4", "Z"), ("5", "é"), ("6", "empty")] {
        stack.put(json!({"query": query, "response": "r", "namespace": namespace})).await;
    }
    stack.put(json!({"query": "7", "response": "r", "namespace": "b", "ttl_seconds": 60})).await;
    stack.invoke("delete", json!({"id": 6})).await.unwrap();
    stack.backdate([7], 60).await;
    let namespaces = stack.invoke("namespaces", json!({})).await.unwrap();
    assert_json_snapshot!(namespaces, @r#"
    {
      "namespaces": [
        {
          "entries": 1,
          "namespace": "Z"
        },
        {
          "entries": 1,
          "namespace": "a"
        },
        {
          "entries": 2,
          "namespace": "b"
        },
        {
          "entries": 1,
          "namespace": "é"
        }
      ]
    }
    "#);
    assert_eq!(stack.get("/v1/namespaces").await, (200, namespaces));
}
