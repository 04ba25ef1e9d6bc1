//! `quota`: reading, setting and deleting. `eviction` tests the effect of quotas.

use insta::assert_compact_json_snapshot;
use mneme_tests::Stack;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn quota_can_be_set_read_and_deleted() {
    let stack = Stack::start().await;
    let path = "/v1/namespaces/a%20b/quota";
    assert_eq!(stack.get(path).await.0, 404);
    let set = stack.http(Method::PUT, path, Some(json!({"max_entries": 3}))).await;
    assert_compact_json_snapshot!(set, @r#"[200, {"max_entries": 3, "namespace": "a b"}]"#);
    assert_eq!(stack.get(path).await, set);
    assert_eq!(stack.invoke("quota", json!({"action": "get", "namespace": "a b"})).await.unwrap(), set.1);
    stack.invoke("quota", json!({"action": "set", "namespace": "a b", "max_entries": 5})).await.unwrap();
    assert_eq!(stack.get(path).await.1["max_entries"], 5);
    let deleted = stack.http(Method::DELETE, path, None).await;
    assert_compact_json_snapshot!(deleted, @r#"[200, {"max_entries": null, "namespace": "a b"}]"#);
    let delete = json!({"action": "delete", "namespace": "a b"});
    assert_eq!(stack.invoke("quota", delete).await.unwrap_err().name, "NotFound");
    // Three writes succeeded, and one was refused.
    assert_eq!(stack.counter().await, (1, 3));
}

#[tokio::test]
async fn invalid_quotas_are_refused() {
    let stack = Stack::start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    for bad in [
        json!({"max_entries": 0}),
        json!({"max_entries": -1}),
        json!({"max_entries": "3"}),
        json!({}),
        json!({"max_entries": 3, "x": 1}),
    ] {
        let (status, _) = stack.http(Method::PUT, "/v1/namespaces/a/quota", Some(bad.clone())).await;
        assert_eq!(status, 400, "{bad}");
    }
    let error =
        stack.invoke("quota", json!({"action": "set", "namespace": "a", "max_entries": "5"})).await.unwrap_err();
    assert!(error.message.starts_with("max_entries: a whole number from 0 is expected"), "{}", error.message);
    let with = json!({"action": "get", "namespace": "a", "max_entries": 5});
    assert_eq!(stack.invoke("quota", with).await.unwrap_err().name, "InvalidRequest");
    assert_eq!(stack.invoke("quota", json!({"namespace": "a"})).await.unwrap_err().name, "InvalidRequest");
    assert_eq!(stack.counter().await, (1, 0));
}
