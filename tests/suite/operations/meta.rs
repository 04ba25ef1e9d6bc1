//! `meta`: the map in item 0, and the size limit of item 0.

use insta::assert_compact_json_snapshot;
use mneme_tests::Stack;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn meta_can_be_set_and_read_over_http_and_directly() {
    let stack = Stack::start().await;
    assert_eq!(stack.get("/v1/meta/a.b%2Fc").await.0, 404);
    let set = stack.http(Method::PUT, "/v1/meta/a.b%2Fc", Some(json!({"value": "größer"}))).await;
    assert_compact_json_snapshot!(set, @r#"[200, {"key": "a.b/c", "value": "größer"}]"#);
    assert_eq!(stack.get("/v1/meta/a.b%2Fc").await, set);
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
async fn meta_over_64_kb_in_item_0_is_refused() {
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
    // The old value does not count when it is replaced.
    set("a", 44_000).await.unwrap();
}
