//! `vacuum`: expired entries, limits, and repair of derived items.

use aws_sdk_dynamodb::types::AttributeValue;
use insta::assert_json_snapshot;
use mneme_tests::{Fault, Stack, vector};
use serde_json::{Value, json};

fn n(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[tokio::test]
async fn vacuum_of_a_consistent_table_changes_nothing() {
    let stack = Stack::start().await;
    for query in ["a", "b"] {
        stack.put(json!({"query": query, "response": "r", "embedding": vector(4, 0.0)})).await;
    }
    let before = stack.rows().await;
    let (status, reply) = stack.http(reqwest::Method::POST, "/v1/vacuum", None).await;
    assert_eq!(status, 200);
    assert_json_snapshot!(reply, @r#"
    {
      "answers_moved": 0,
      "basis_learned": false,
      "counter_moved": false,
      "cursor": null,
      "deleted_by_tag": 0,
      "derived_removed": 0,
      "duplicates": 0,
      "evicted": 0,
      "examined": 2,
      "expired": 0,
      "pointers_set": 0,
      "ranges_packed": 0,
      "ranges_thinned": 0,
      "tag_blocks_set": 0
    }
    "#);
    assert_eq!(stack.invoke("vacuum", json!({})).await.unwrap(), reply);
    assert_eq!(stack.rows().await, before);
}

#[tokio::test]
async fn vacuum_after_loss_of_derived_items_restores_pointers() {
    let stack = Stack::start().await;
    for query in ["a", "b", "c"] {
        stack.put(json!({"query": query, "response": query, "embedding": vector(4, 0.0)})).await;
    }
    let pointers = |rows: &std::collections::BTreeMap<i128, _>| rows.keys().filter(|key| **key < 0).count();
    let before = pointers(&stack.rows().await);
    for key in stack.rows().await.into_keys().filter(|key| *key < 0) {
        stack.delete_item(key).await;
    }
    assert_eq!(stack.lookup(json!({"query": "A"})).await["response"], "a");
    let again = stack.invoke("put", json!({"query": "b", "response": "B", "embedding": vector(4, 0.0)})).await;
    assert_eq!(again.unwrap(), json!({"id": 2, "created": false}));
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(reply["pointers_set"], 2, "{reply}");
    // All pointers are restored; the next insert restores the statistics.
    assert_eq!(pointers(&stack.rows().await), before - 1);
}

#[tokio::test]
async fn vacuum_repairs_pointers_duplicates_and_the_counter() {
    let stack = Stack::start().await;
    for query in ["a", "b"] {
        stack.put(json!({"query": query, "response": "r", "embedding": vector(4, 0.0)})).await;
    }
    // Races of the Python library leave further rows of one query hash, with ids above the counter.
    let mut copy = stack.rows().await[&1].clone();
    for id in [7, 8, 9] {
        copy.insert("id".to_owned(), n(id));
        stack.put_item(copy.clone()).await;
    }
    // DynamoDB's TTL leaves a pointer without its row.
    stack.delete_item(2).await;
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_json_snapshot!(reply, @r#"
    {
      "answers_moved": 0,
      "basis_learned": false,
      "counter_moved": true,
      "cursor": null,
      "deleted_by_tag": 0,
      "derived_removed": 1,
      "duplicates": 3,
      "evicted": 0,
      "examined": 4,
      "expired": 0,
      "pointers_set": 0,
      "ranges_packed": 0,
      "ranges_thinned": 0,
      "tag_blocks_set": 0
    }
    "#);
    assert_eq!(stack.entry_ids().await, [1]);
    assert_eq!(stack.put(json!({"query": "b", "response": "r"})).await, 10);
}

#[tokio::test]
async fn put_with_counter_behind_overwrites_no_entry() {
    let stack = Stack::start().await;
    for query in ["a", "b"] {
        stack.put(json!({"query": query, "response": query})).await;
    }
    let mut counter = stack.rows().await[&0].clone();
    counter.insert("next_id".to_owned(), n(2));
    stack.put_item(counter).await;
    let error = stack.invoke("put", json!({"query": "c", "response": "c"})).await.unwrap_err();
    assert_eq!(error.name, "StoreBackendError");
    assert!(error.message.contains("vacuum"), "{}", error.message);
    assert_eq!(stack.get("/v1/entries/2").await.1["response"], "b");
    assert_eq!(stack.invoke("vacuum", json!({})).await.unwrap()["counter_moved"], true);
    assert_eq!(stack.put(json!({"query": "c", "response": "c"})).await, 3);
}

#[tokio::test]
async fn vacuum_of_one_namespace_leaves_the_others() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    for namespace in ["a", "b"] {
        let entry = json!({"query": "q", "response": "r", "namespace": namespace, "ttl_seconds": 60});
        stack.put(entry).await;
    }
    stack.backdate(1..=2, 60).await;
    let reply = stack.invoke("vacuum", json!({"namespace": "b"})).await.unwrap();
    assert_eq!((&reply["expired"], &reply["examined"]), (&json!(1), &json!(1)));
    assert_eq!(stack.entry_ids().await, [1]);
    for bad in [json!({"cursor": "x"}), json!({"all": true})] {
        assert_eq!(stack.invoke("vacuum", bad).await.unwrap_err().name, "InvalidRequest");
    }
}

/// A stack with 40 expired entries of 2.4 MB together, and one over the same table with a timeout of 3 seconds.
async fn forty_expired() -> (Stack, Stack) {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    let entries: Vec<Value> =
        (0..40).map(|n| json!({"query": format!("{n}"), "response": "x".repeat(60_000), "ttl_seconds": 60})).collect();
    stack.invoke("put", json!({"entries": entries})).await.unwrap();
    stack.backdate(1..=40, 60).await;
    let short_timeout = Stack::builder().over_table_of(&stack).timeout(std::time::Duration::from_secs(3)).start().await;
    (stack, short_timeout)
}

#[tokio::test]
async fn vacuum_with_short_deadline_returns_a_cursor_to_continue() {
    let (stack, short_timeout) = forty_expired().await;
    let (mut request, mut calls, mut expired) = (json!({}), 0, 0);
    loop {
        let reply = short_timeout.invoke("vacuum", request).await.unwrap();
        calls += 1;
        expired += reply["expired"].as_u64().unwrap();
        if reply["cursor"].is_null() {
            break;
        }
        request = json!({"cursor": reply["cursor"]});
    }
    assert_eq!(expired, 40);
    assert!(calls > 1, "a deadline of 3 s allows one page a call");
    assert!(stack.entry_ids().await.is_empty());
}

#[tokio::test]
async fn scheduled_vacuum_continues_from_the_saved_cursor() {
    let (stack, short_timeout) = forty_expired().await;
    let schedule = json!({"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}});
    let kept = async || stack.rows().await.into_keys().filter(|key| *key == -(6i128 << 120)).count();
    let mut replies = vec![short_timeout.invoke("vacuum", schedule.clone()).await.unwrap()];
    assert_eq!((replies[0]["cursor"].is_string(), kept().await), (true, 1));
    while replies.last().unwrap()["cursor"].is_string() {
        replies.push(short_timeout.invoke("vacuum", schedule.clone()).await.unwrap());
    }
    let sum = |name: &str| replies.iter().map(|reply| reply[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("examined"), sum("expired"), kept().await), (40, 40, 0));
    let error = stack.invoke("vacuum", json!({"resume": true, "cursor": "start"})).await.unwrap_err();
    assert_eq!(error.name, "InvalidRequest");
}

#[tokio::test]
async fn vacuum_with_write_conflicts_completes() {
    let stack = Stack::builder().variables(&[("MNEME_MAX_ENTRIES", "10")]).start().await;
    for query in ["a", "b"] {
        stack.put(json!({"query": query, "response": "r"})).await;
    }
    for key in stack.rows().await.into_keys().filter(|key| *key < 0) {
        stack.delete_item(key).await;
    }
    // DynamoDB refuses a single write with this error while a transaction holds the item.
    for _ in 0..4 {
        stack.proxy.inject_fault("UpdateItem", Fault::Conflict);
    }
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!((&reply["pointers_set"], stack.proxy.pending_faults()), (&json!(2), 0), "{reply}");
}
