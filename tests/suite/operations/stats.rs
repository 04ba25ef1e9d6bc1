//! `stats`: counts of lookups, which instances write with a delay.

mod series;

use std::time::Duration;

use insta::assert_json_snapshot;
use mneme_tests::{Stack, vector};
use serde_json::{Value, json};

use crate::questions::{QUESTION, REWORDED};

/// Asks until `done`. Instances write their counts a second after the first one.
async fn stats_when(stack: &Stack, namespace: Option<&str>, done: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..100 {
        let stats = stack.invoke("stats", json!({"namespace": namespace})).await.unwrap();
        if done(&stats) {
            return stats;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the counts did not arrive: {}", stack.invoke("stats", json!({})).await.unwrap());
}

async fn send_lookups(stack: &Stack) {
    stack.put(json!({"query": QUESTION, "response": "A", "embedding": vector(4, 0.0), "namespace": "a"})).await;
    stack.put(json!({"query": "q", "response": "A", "embedding": vector(4, 0.0), "namespace": "b"})).await;
    for _ in 0..2 {
        stack.lookup(json!({"query": QUESTION, "namespace": "a"})).await;
    }
    stack.lookup(json!({"query": REWORDED, "embedding": vector(4, 0.1), "namespace": "a"})).await;
    stack.lookup(json!({"query": "r", "embedding": vector(4, 2.0), "namespace": "b"})).await;
}

#[tokio::test]
async fn stats_after_lookups_returns_hits_and_misses_per_namespace() {
    let stack = Stack::start().await;
    send_lookups(&stack).await;
    let mut a = stats_when(&stack, Some("a"), |stats| stats["hits"] == 3).await;
    assert_eq!(a.as_object_mut().unwrap().remove("version"), Some(json!(env!("CARGO_PKG_VERSION"))));
    assert_json_snapshot!(a, @r#"
    {
      "embedder_dim": 4,
      "embedder_fingerprint": null,
      "entries": 1,
      "evictions": 0,
      "expirations": 0,
      "hits": 3,
      "hits_exact": 2,
      "hits_semantic": 1,
      "misses": 0,
      "namespace": "a",
      "namespaces": 1,
      "version_counter": 2
    }
    "#);
    let all = stats_when(&stack, None, |stats| stats["misses"] == 1).await;
    assert_eq!((&all["entries"], &all["namespaces"], &all["hits"]), (&json!(2), &json!(2), &json!(3)));
    assert_eq!(stack.get("/v1/stats?namespace=b").await.1["misses"], 1);
    assert_eq!(stack.get("/v1/stats?namespace=none").await.1["entries"], 0);
}

#[tokio::test]
async fn instance_shutdown_writes_pending_counts() {
    let stack = Stack::start().await;
    send_lookups(&stack).await;
    stack.server.recycle("lookup").await;
    let stats = stack.invoke("stats", json!({})).await.unwrap();
    assert_eq!((&stats["hits"], &stats["misses"]), (&json!(3), &json!(1)));
}

#[tokio::test]
async fn lookups_in_unknown_namespaces_create_one_shared_row() {
    let stack = Stack::start().await;
    for number in 0..5 {
        stack.lookup(json!({"query": "q", "namespace": format!("invented {number}")})).await;
    }
    let stats = stats_when(&stack, None, |stats| stats["misses"] == 5).await;
    assert_eq!(stats["namespaces"], 0);
    // The other row is the hour of the whole cache.
    assert_eq!(stack.rows().await.into_keys().filter(|key| *key < 0).count(), 2);
}
