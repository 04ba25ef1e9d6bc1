//! Expired entries are absent from every operation, even while their rows exist.

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::normalize::QueryHash;
use mneme_tests::{Stack, vector};
use serde_json::json;

use crate::questions::{QUESTION, REWORDED};

#[tokio::test]
async fn expired_entry_is_absent_from_every_operation() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    let semantic = json!({"query": REWORDED, "embedding": vector(4, 0.1)});
    let expiring = json!({"query": QUESTION, "response": "A", "embedding": vector(4, 0.0), "ttl_seconds": 60});
    let id = stack.put(expiring.clone()).await;
    assert_eq!(stack.lookup(semantic.clone()).await["outcome"], "hit");
    stack.backdate([id], 60).await;
    assert_eq!(stack.entry_ids().await, [id], "the row is still there");

    assert_eq!(stack.lookup(json!({"query": QUESTION})).await["reason"], "no_embedding");
    assert_eq!(stack.lookup(semantic.clone()).await["reason"], "no_entry");
    assert_eq!(stack.get(&format!("/v1/entries/{id}")).await.0, 404);
    let hash = QueryHash::of(QUESTION, true);
    assert_eq!(stack.get(&format!("/v1/namespaces/default/entries/{hash}")).await.0, 404);
    for order in ["id", "lru"] {
        assert_eq!(stack.get(&format!("/v1/entries?order={order}")).await.1["entries"], json!([]));
    }
    assert_eq!(stack.get("/v1/namespaces").await.1["namespaces"], json!([]));
    assert_eq!(stack.get("/v1/stats").await.1["entries"], 0);
    for function in ["touch", "delete"] {
        assert_eq!(stack.invoke(function, json!({"id": id})).await.unwrap_err().name, "NotFound");
    }
    assert_eq!(stack.invoke("clear", json!({"namespace": "none"})).await.unwrap()["deleted"], 0);

    // A put of the same query creates a new entry.
    let again = stack.invoke("put", expiring).await.unwrap();
    assert_eq!(again, json!({"id": id + 1, "created": true}));
    assert_eq!(stack.lookup(semantic).await["id"], json!(id + 1));
    assert_eq!(stack.entry_ids().await, [id + 1]);
}

#[tokio::test]
async fn clear_counts_only_live_entries() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    stack.put(json!({"query": "a", "response": "A", "ttl_seconds": 60})).await;
    stack.put(json!({"query": "b", "response": "B"})).await;
    stack.backdate([1], 60).await;
    assert_eq!(stack.invoke("clear", json!({"confirm": "all"})).await.unwrap()["deleted"], 1);
    assert!(stack.entry_ids().await.is_empty());
}

#[tokio::test]
async fn vacuum_removes_and_counts_expired_entries() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    for number in 0..60 {
        stack.put(json!({"query": format!("{number}"), "response": "A", "ttl_seconds": 60})).await;
    }
    stack.put(json!({"query": "stays", "response": "A", "ttl_seconds": 1000})).await;
    stack.backdate(1..=60, 60).await;
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!((&reply["expired"], &reply["examined"]), (&json!(60), &json!(61)));
    assert_eq!(stack.entry_ids().await, [61]);
    assert_eq!(stack.counter().await, (62, 121));
    assert_eq!(stack.get("/v1/stats").await.1["expirations"], 60);
}

#[tokio::test]
async fn put_stores_ttl_as_absolute_second_with_default() {
    let stack = Stack::builder().variables(&[("MNEME_DEFAULT_TTL_SECS", "1000")]).start().await;
    stack.put(json!({"query": "a", "response": "A"})).await;
    stack.put(json!({"query": "b", "response": "B", "ttl_seconds": 50})).await;
    let rows = stack.rows().await;
    let number = |id: i128, name: &str| rows[&id][name].as_n().unwrap().parse::<i64>().unwrap();
    assert_eq!(number(1, "ttl") - number(1, "created_at"), 1000);
    assert_eq!(number(2, "ttl") - number(2, "created_at"), 50);
}

#[tokio::test]
async fn ttl_duration_of_the_python_library_is_read_as_duration() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    stack.put(json!({"query": "q", "response": "A", "embedding": vector(4, 0.0)})).await;
    let mut row = stack.rows().await[&1].clone();
    let created: i64 = row["created_at"].as_n().unwrap().parse().unwrap();
    row.insert("ttl".to_owned(), AttributeValue::N("3600".to_owned()));
    stack.put_item(row.clone()).await;
    assert_eq!(stack.get("/v1/entries/1").await.1["expires_at"], created + 3600);
    row.insert("created_at".to_owned(), AttributeValue::N((created - 3601).to_string()));
    stack.put_item(row).await;
    assert_eq!(stack.get("/v1/entries/1").await.0, 404);
    assert_eq!(stack.lookup(json!({"query": "q"})).await["outcome"], "miss");
}

#[tokio::test]
async fn invalid_ttl_is_refused() {
    let stack = Stack::start().await;
    for bad in [json!(0), json!(-1), json!(1.5), json!("60"), json!(3_153_600_001u64)] {
        let error = stack.invoke("put", json!({"query": "q", "response": "A", "ttl_seconds": bad})).await.unwrap_err();
        assert_eq!(error.name, "InvalidRequest", "{bad}");
    }
}
