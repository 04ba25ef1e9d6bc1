//! `clear`: removes one namespace or all.

use insta::assert_compact_json_snapshot;
use mneme_tests::{Stack, vector};
use reqwest::Method;
use serde_json::{Value, json};

use crate::questions::{order, order_reworded};

#[tokio::test]
async fn clear_removes_one_namespace_or_all() {
    let stack = Stack::start().await;
    let entries: Vec<Value> = (0..130)
        .map(|n| {
            let namespace = ["a", "b", "c/d"][n % 3];
            json!({"query": order(n), "response": "r", "embedding": vector(4, 0.0), "namespace": namespace})
        })
        .collect();
    stack.invoke("put", json!({"entries": entries})).await.unwrap();
    assert_eq!(stack.counter().await, (131, 130));
    // This instance holds all entries.
    let ask = |namespace: &str| {
        let number = ["a", "b", "c/d"].iter().position(|name| *name == namespace).unwrap();
        json!({"query": order_reworded(number), "embedding": vector(4, 0.1), "namespace": namespace})
    };
    assert_eq!(stack.lookup(ask("c/d")).await["outcome"], "hit");

    let reply = stack.http(Method::DELETE, "/v1/namespaces/c%2Fd", None).await;
    assert_compact_json_snapshot!(reply, @r#"[200, {"deleted": 43}]"#);
    assert_eq!(stack.counter().await, (131, 173));
    assert_eq!(stack.lookup(ask("c/d")).await["reason"], "no_entry");
    assert_eq!(stack.lookup(ask("a")).await["outcome"], "hit");
    assert_eq!(stack.invoke("clear", json!({"namespace": "c/d"})).await.unwrap(), json!({"deleted": 0}));

    assert_eq!(stack.http(Method::DELETE, "/v1/namespaces", None).await.0, 400);
    assert_eq!(stack.http(Method::DELETE, "/v1/namespaces?confirm=yes", None).await.0, 400);
    let reply = stack.http(Method::DELETE, "/v1/namespaces?confirm=all", None).await;
    assert_compact_json_snapshot!(reply, @r#"[200, {"deleted": 87}]"#);
    assert_eq!(stack.invoke("clear", json!({"confirm": "all"})).await.unwrap(), json!({"deleted": 0}));
    assert_eq!(stack.counter().await, (131, 260));
    assert!(stack.entry_ids().await.is_empty());
    assert_eq!(stack.lookup(ask("a")).await["reason"], "no_entry");
    let both = json!({"namespace": "a", "confirm": "all"});
    assert_eq!(stack.invoke("clear", both).await.unwrap_err().name, "InvalidRequest");
}
