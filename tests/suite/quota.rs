//! `quota`: read, set, removed. What it does to a namespace: `eviction`.

use mneme_tests::Stack;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn goes_through_its_life_over_http_and_directly() {
    let stack = Stack::start().await;
    let path = "/v1/namespaces/a%20b/quota";
    assert_eq!(stack.get(path).await.0, 404);
    let set = json!({"namespace": "a b", "max_entries": 3});
    assert_eq!(stack.http(Method::PUT, path, Some(json!({"max_entries": 3}))).await, (200, set.clone()));
    assert_eq!(stack.get(path).await, (200, set.clone()));
    assert_eq!(stack.invoke("quota", json!({"action": "get", "namespace": "a b"})).await.unwrap(), set);
    stack.invoke("quota", json!({"action": "set", "namespace": "a b", "max_entries": 5})).await.unwrap();
    assert_eq!(stack.get(path).await.1["max_entries"], 5);
    let (status, gone) = stack.http(Method::DELETE, path, None).await;
    assert_eq!((status, gone), (200, json!({"namespace": "a b", "max_entries": null})));
    let delete = json!({"action": "delete", "namespace": "a b"});
    assert_eq!(stack.invoke("quota", delete).await.unwrap_err().name, "NotFound");
    // Three writes, one refused.
    assert_eq!(stack.counter().await, (1, 3));
}

#[tokio::test]
async fn bad_quotas_are_refused() {
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
