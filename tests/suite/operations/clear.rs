//! `clear`: removes one namespace or all.

use insta::assert_compact_json_snapshot;
use mneme_tests::{Stack, invariants, vector};
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

#[tokio::test]
async fn purge_leaves_nothing_of_the_namespace_and_everything_of_others() {
    let stack = Stack::builder().variables(&[("MNEME_MAX_ENTRIES", "100")]).start().await;
    let put = |namespace: &str, query: &str| {
        json!({
            "query": query, "response": "r", "namespace": namespace, "tags": [format!("user of {namespace}")],
            "idempotency_key": query, "embedding": vector(4, 0.0),
        })
    };
    for namespace in ["globex", "acme"] {
        stack.put(put(namespace, "a")).await;
        stack.put(put(namespace, "b")).await;
        stack.lookup(json!({"query": "a", "namespace": namespace})).await;
        stack.invoke("quota", json!({"action": "set", "namespace": namespace, "max_entries": 9})).await.unwrap();
        let guard = json!({"action": "set", "key": format!("guard:{namespace}"), "value": "off"});
        stack.invoke("meta", guard).await.unwrap();
    }
    let tag = json!({"namespace": "globex", "tag": "user of globex"});
    stack.invoke("delete", tag).await.unwrap();
    stack.put(put("globex", "c")).await;
    stack.server.recycle("lookup").await;
    let before = stack.rows().await;

    let (status, reply) = stack.http(Method::DELETE, "/v1/namespaces/globex?purge=true", None).await;
    assert_eq!((status, &reply["deleted"]), (200, &json!(1)), "{reply}");
    let after = stack.rows().await;
    for (id, row) in &after {
        assert!(!format!("{row:?}").contains("globex"), "{id}: {row:?}");
    }
    // Of globex: an entry, its pointer, the settings, the statistics, an hour, the deletion, three records, a tag block.
    assert_eq!(before.len() - after.len(), 10, "{reply}");
    // The pointer went with the entry.
    assert_eq!(reply["purged"], 8, "{reply}");
    let kept = stack.lookup(json!({"query": "b", "namespace": "acme"})).await;
    assert_eq!(kept["outcome"], "hit");
    assert_eq!(stack.invoke("quota", json!({"action": "get", "namespace": "acme"})).await.unwrap()["max_entries"], 9);
    invariants::check(&stack).await;
    let again = stack.http(Method::DELETE, "/v1/namespaces/globex?purge=true", None).await;
    assert_compact_json_snapshot!(again, @r#"[200, {"deleted": 0, "purged": 0}]"#);
}

#[tokio::test]
async fn purge_of_all_namespaces_is_refused() {
    let stack = Stack::start().await;
    for bad in [json!({"purge": true}), json!({"purge": true, "confirm": "all"})] {
        assert_eq!(stack.invoke("clear", bad.clone()).await.unwrap_err().name, "InvalidRequest", "{bad}");
    }
}
