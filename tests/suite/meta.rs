//! `meta`: the map in item 0, and the limit of item 0.

use mneme_tests::Stack;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn reads_and_writes_over_http_and_directly() {
    let stack = Stack::start().await;
    assert_eq!(stack.get("/v1/meta/a.b%2Fc").await.0, 404);
    let pair = json!({"key": "a.b/c", "value": "größer"});
    let put = stack.http(Method::PUT, "/v1/meta/a.b%2Fc", Some(json!({"value": "größer"}))).await;
    assert_eq!(put, (200, pair.clone()));
    assert_eq!(stack.get("/v1/meta/a.b%2Fc").await, (200, pair));
    stack.invoke("meta", json!({"action": "set", "key": "k", "value": ""})).await.unwrap();
    assert_eq!(stack.invoke("meta", json!({"action": "get", "key": "k"})).await.unwrap()["value"], "");
    assert_eq!(stack.counter().await, (1, 2));
    for (bad, field) in [
        (json!({"action": "set", "key": "k", "value": 7}), "value: a text is expected"),
        (json!({"action": "set", "key": "k"}), "missing field `value`"),
        (json!({"action": "set", "key": "", "value": "v"}), "key:"),
        (json!({"action": "get", "key": "k", "value": "v"}), "value:"),
        (json!({"action": "delete", "key": "k"}), "action: one of `get`, `set` is expected"),
    ] {
        let error = stack.invoke("meta", bad).await.unwrap_err();
        assert!(error.name == "InvalidRequest" && error.message.starts_with(field), "{}", error.message);
    }
}

#[tokio::test]
async fn item_0_stays_below_64_kb() {
    let stack = Stack::start().await;
    let set = async |key: &str, bytes: usize| {
        stack.invoke("meta", json!({"action": "set", "key": key, "value": "x".repeat(bytes)})).await
    };
    set("a", 40_000).await.unwrap();
    let error = set("b", 30_000).await.unwrap_err();
    assert_eq!(error.name, "EntryTooLarge");
    assert!(error.message.contains("65536"), "{}", error.message);
    assert_eq!(stack.get("/v1/meta/b").await.0, 404);
    set("b", 20_000).await.unwrap();
    // What is replaced makes room for what replaces it.
    set("a", 44_000).await.unwrap();
}
