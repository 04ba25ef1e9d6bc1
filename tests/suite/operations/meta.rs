//! `meta`: the map, where it is stored, and its size limits.

use aws_sdk_dynamodb::types::AttributeValue;
use insta::assert_compact_json_snapshot;
use mneme_tests::Stack;
use reqwest::Method;
use serde_json::json;

/// Adds `values` to the `meta` map of item 0, as an older version or the Python library does.
async fn write_in_item_0(stack: &Stack, values: &[(&str, &str)]) {
    let mut counter = stack.rows().await[&0].clone();
    let map = values.iter().map(|(key, value)| ((*key).to_owned(), AttributeValue::S((*value).to_owned()))).collect();
    counter.insert("meta".to_owned(), AttributeValue::M(map));
    stack.put_item(counter).await;
}

#[tokio::test]
async fn guard_key_can_be_set_read_and_deleted_as_a_setting() {
    let stack = Stack::start().await;
    assert_eq!(stack.get("/v1/meta/guard:a%2Fb").await.0, 404);
    let set = stack.http(Method::PUT, "/v1/meta/guard:a%2Fb", Some(json!({"value": "off"}))).await;
    assert_compact_json_snapshot!(set, @r#"[200, {"key": "guard:a/b", "value": "off"}]"#);
    assert_eq!(stack.get("/v1/meta/guard:a%2Fb").await, set);
    assert_eq!(stack.get("/v1/namespaces/a%2Fb/settings").await.1["settings"], json!({"guard": "off"}));
    assert!(stack.rows().await[&0]["meta"].as_m().unwrap().is_empty(), "item 0 stays small");
    let gone = json!({"key": "guard:a/b", "deleted": true});
    assert_eq!(stack.http(Method::DELETE, "/v1/meta/guard:a%2Fb", None).await, (200, gone));
    assert_eq!(stack.http(Method::DELETE, "/v1/meta/guard:a%2Fb", None).await.0, 404);
    assert_eq!(stack.counter().await, (1, 2));
}

#[tokio::test]
async fn unknown_meta_keys_and_invalid_requests_are_refused() {
    let stack = Stack::start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    for (bad, field) in [
        (json!({"action": "set", "key": "threshold:acme", "value": "0.9"}), "key: only keys that start with `guard:`"),
        (json!({"action": "set", "key": "guard:", "value": "on"}), "key: the namespace is empty"),
        (json!({"action": "set", "key": "guard:a", "value": "maybe"}), "value:"),
        (json!({"action": "set", "key": "guard:a", "value": 7}), "value: a text is expected"),
        (json!({"action": "set", "key": "guard:a"}), "missing field `value`"),
        (json!({"action": "set", "key": "", "value": "on"}), "key:"),
        (json!({"action": "get", "key": "k", "value": "v"}), "value:"),
        (json!({"action": "delete", "key": "k", "value": "v"}), "value:"),
        (json!({"action": "list", "key": "k"}), "key:"),
        (json!({"action": "get"}), "missing field `key`"),
        (json!({"action": "drop", "key": "k"}), "action: one of `get`, `set`, `delete`, `list` is expected"),
    ] {
        let error = stack.invoke("meta", bad).await.unwrap_err();
        assert!(error.name == "InvalidRequest" && error.message.starts_with(field), "{}", error.message);
    }
    assert_eq!(stack.counter().await, (1, 0));
}

#[tokio::test]
async fn meta_of_an_older_version_can_be_listed_and_deleted() {
    let stack = Stack::start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    write_in_item_0(&stack, &[("owner", "team"), ("guard:fun", "off")]).await;
    let (status, all) = stack.get("/v1/meta").await;
    assert_eq!((status, &all["values"]), (200, &json!({"owner": "team", "guard:fun": "off"})));
    assert_eq!(stack.get("/v1/meta/guard:fun").await.1["value"], "off");
    for key in ["owner", "guard:fun"] {
        let gone = json!({"key": key, "deleted": true});
        assert_eq!(stack.http(Method::DELETE, &format!("/v1/meta/{key}"), None).await, (200, gone));
        assert_eq!(stack.get(&format!("/v1/meta/{key}")).await.0, 404);
    }
    assert_eq!(stack.invoke("meta", json!({"action": "list"})).await.unwrap(), json!({"values": {}}));
    assert_eq!(stack.counter().await.1, 2);
}

#[tokio::test]
async fn meta_and_quotas_of_an_older_version_hold_and_are_moved_by_vacuum() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "r", "namespace": "a"})).await;
    let map = |pairs: &[(&str, AttributeValue)]| {
        AttributeValue::M(pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    };
    let mut counter = stack.rows().await[&0].clone();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    counter.insert("meta".to_owned(), map(&[("owner", text("team")), ("old", text("o")), ("guard:a", text("off"))]));
    let number = |n: u32| AttributeValue::N(n.to_string());
    counter.insert("quotas".to_owned(), map(&[("a", number(2)), ("b", number(7)), ("c", number(9))]));
    stack.put_item(counter).await;
    let quota = async |namespace: &str| stack.get(&format!("/v1/namespaces/{namespace}/quota")).await;
    assert_eq!(
        (quota("b").await.1["max_entries"].clone(), stack.get("/v1/meta/owner").await.1["value"].clone()),
        (json!(7), json!("team"))
    );
    for query in ["r", "s"] {
        stack.put(json!({"query": query, "response": "r", "namespace": "a"})).await;
    }
    assert_eq!(stack.entry_ids().await, [2, 3], "the quota in item 0 holds");
    // What is set or removed by this version leaves item 0.
    stack.http(Method::PUT, "/v1/namespaces/b/quota", Some(json!({"max_entries": 8}))).await;
    assert_eq!(stack.http(Method::DELETE, "/v1/namespaces/c/quota", None).await.0, 200);
    assert_eq!(stack.http(Method::DELETE, "/v1/meta/old", None).await.0, 200);
    stack.invoke("vacuum", json!({})).await.unwrap();
    let rows = stack.rows().await;
    assert!(rows[&0]["quotas"].as_m().unwrap().is_empty());
    assert!(rows[&0]["meta"].as_m().unwrap().is_empty());
    let (_, moved) = stack.get("/v1/namespaces/a/settings").await;
    assert_eq!(moved["settings"], json!({"guard": "off", "max_entries": 2}));
    for (namespace, max_entries) in [("a", json!(2)), ("b", json!(8))] {
        assert_eq!(quota(namespace).await.1["max_entries"], max_entries);
    }
    assert_eq!((quota("c").await.0, stack.get("/v1/meta/old").await.0), (404, 404));
    assert_eq!(stack.get("/v1/meta/owner").await.1["value"], "team");
    stack.put(json!({"query": "t", "response": "r", "namespace": "a"})).await;
    assert_eq!(stack.entry_ids().await, [3, 4], "the quota in its own item holds");
}

#[tokio::test]
async fn quotas_and_meta_of_a_table_shared_with_the_python_library_stay_in_item_0() {
    let stack = Stack::builder().variables(&[("MNEME_GSI_PROJECTION", "ALL")]).start().await;
    stack.invoke("quota", json!({"action": "set", "namespace": "a", "max_entries": 7})).await.unwrap();
    write_in_item_0(&stack, &[("owner", "team")]).await;
    stack.invoke("vacuum", json!({})).await.unwrap();
    let rows = stack.rows().await;
    assert_eq!(rows[&0]["quotas"].as_m().unwrap()["a"], AttributeValue::N("7".to_owned()));
    assert_eq!(rows[&0]["meta"].as_m().unwrap()["owner"], AttributeValue::S("team".to_owned()));
    assert_eq!(stack.get("/v1/namespaces/a/quota").await.1["max_entries"], 7);
}
