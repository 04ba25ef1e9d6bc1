//! Eviction for quotas and `MNEME_MAX_ENTRIES`: least recently used first, in batches, expired entries before live
//! ones.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_store::key::RowKey;
use mneme_tests::invariants::Snapshot;
use mneme_tests::{Lag, Stack};
use serde_json::json;

async fn put(stack: &Stack, namespace: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        stack.put(json!({"query": format!("{namespace} {number}"), "response": "r", "namespace": namespace})).await;
    }
}

async fn ids(stack: &Stack, namespace: &str) -> Vec<u64> {
    let page = stack.invoke("list", json!({"namespace": namespace, "limit": 1000})).await.unwrap();
    page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()).collect()
}

async fn set_quota(stack: &Stack, namespace: &str, max_entries: u64) {
    let set = json!({"action": "set", "namespace": namespace, "max_entries": max_entries});
    stack.invoke("quota", set).await.unwrap();
}

async fn namespace_stats(stack: &Stack, namespace: &str) -> HashMap<String, AttributeValue> {
    let key = RowKey::namespace_stats(&namespace.to_owned().try_into().unwrap()).attribute();
    stack.rows().await.into_values().find(|row| row["id"] == key).unwrap()
}

/// Copies the table's first entry to `ids`, and moves the counter behind them.
async fn copy_first(stack: &Stack, ids: std::ops::RangeInclusive<u64>) {
    let rows = stack.rows().await;
    let mut counter = rows[&0].clone();
    counter.insert("next_id".to_owned(), AttributeValue::N((ids.end() + 1).to_string()));
    stack.put_item(counter).await;
    let copy = |id: u64| {
        let mut row = rows[&1].clone();
        row.insert("id".to_owned(), AttributeValue::N(id.to_string()));
        row.insert("query_hash".to_owned(), AttributeValue::S(format!("{id:064x}")));
        row
    };
    stack.put_items(ids.map(copy)).await;
}

#[tokio::test]
async fn put_over_quota_evicts_the_least_recently_used() {
    let stack = Stack::start().await;
    set_quota(&stack, "a", 3).await;
    put(&stack, "b", 0..5).await;
    put(&stack, "a", 0..3).await;
    assert_eq!(ids(&stack, "a").await, [6, 7, 8]);
    stack.backdate(6..=8, 10).await;
    stack.invoke("touch", json!({"id": 6})).await.unwrap();
    put(&stack, "a", 3..4).await;
    assert_eq!(ids(&stack, "a").await, [6, 8, 9]);
    put(&stack, "a", 4..6).await;
    // 6 and 9 may have been used in the same second, so either may be evicted.
    assert_eq!(ids(&stack, "a").await.len(), 3);
    assert_eq!(ids(&stack, "b").await, [1, 2, 3, 4, 5]);
    assert_eq!(stack.get("/v1/stats?namespace=a").await.1["evictions"], 3);
    assert_eq!(stack.lookup(json!({"query": "a 1", "namespace": "a"})).await["outcome"], "miss");
}

#[tokio::test]
async fn put_over_quota_evicts_a_tenth() {
    let stack = Stack::start().await;
    set_quota(&stack, "a", 30).await;
    put(&stack, "a", 0..30).await;
    assert_eq!(ids(&stack, "a").await.len(), 30);
    put(&stack, "a", 30..31).await;
    assert_eq!(ids(&stack, "a").await, (4..=31).collect::<Vec<u64>>());
}

#[tokio::test]
async fn quota_and_cap_hold_against_batches() {
    let batch = |from: usize, namespace: &str| {
        let entry = |n: usize| json!({"query": format!("{namespace} {n}"), "response": "r", "namespace": namespace});
        json!({"entries": (from..from + 300).map(entry).collect::<Vec<_>>()})
    };
    let stack = Stack::start().await;
    set_quota(&stack, "a", 50).await;
    for round in 0..2 {
        stack.invoke("put", batch(300 * round, "a")).await.unwrap();
        let left = ids(&stack, "a").await;
        assert!(left.len() <= 50 && left.contains(&(300 * (round as u64 + 1))), "{left:?}");
    }
    let capped = Stack::builder().variables(&[("MNEME_MAX_ENTRIES", "50")]).start().await;
    capped.invoke("vacuum", json!({})).await.unwrap();
    for round in 0..2 {
        capped.invoke("put", batch(300 * round, "b")).await.unwrap();
        assert!(capped.entry_ids().await.len() <= 50);
    }
}

#[tokio::test]
async fn quota_set_on_a_full_namespace_applies_at_the_next_put() {
    let stack = Stack::start().await;
    put(&stack, "a", 0..10).await;
    set_quota(&stack, "a", 4).await;
    assert_eq!(ids(&stack, "a").await.len(), 10, "a quota holds from the next put on");
    put(&stack, "a", 10..11).await;
    assert_eq!(ids(&stack, "a").await, [8, 9, 10, 11]);
}

#[tokio::test]
async fn vacuum_over_quota_evicts_the_excess() {
    let stack = Stack::start().await;
    put(&stack, "a", 0..10).await;
    set_quota(&stack, "a", 4).await;
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(reply["evicted"], 6);
    assert_eq!(ids(&stack, "a").await, [7, 8, 9, 10]);
}

#[tokio::test]
async fn put_over_quota_removes_expired_entries_first() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    set_quota(&stack, "a", 3).await;
    put(&stack, "a", 0..2).await;
    stack.put(json!({"query": "expiring", "response": "r", "namespace": "a", "ttl_seconds": 60})).await;
    stack.backdate([3], 60).await;
    put(&stack, "a", 2..3).await;
    assert_eq!(ids(&stack, "a").await, [1, 2, 4]);
    assert_eq!(stack.entry_ids().await, [1, 2, 4]);
    let stats = stack.get("/v1/stats?namespace=a").await.1;
    assert_eq!((&stats["evictions"], &stats["expirations"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn put_over_max_entries_evicts_only_from_namespaces_without_quota() {
    let stack = Stack::builder().variables(&[("MNEME_MAX_ENTRIES", "6")]).start().await;
    set_quota(&stack, "q", 10).await;
    put(&stack, "a", 0..3).await;
    put(&stack, "b", 0..3).await;
    put(&stack, "a", 3..4).await;
    assert_eq!(stack.entry_ids().await, [2, 3, 4, 5, 6, 7]);
    // The limit of the table does not apply to a namespace with a quota.
    put(&stack, "q", 0..2).await;
    assert_eq!(stack.entry_ids().await.len(), 8);
    put(&stack, "b", 3..4).await;
    assert_eq!(stack.entry_ids().await, [5, 6, 7, 8, 9, 10]);
}

#[tokio::test]
async fn vacuum_with_new_max_entries_evicts_the_excess() {
    let stack = Stack::start().await;
    put(&stack, "a", 0..6).await;
    let capped = Stack::builder().over_table_of(&stack).variables(&[("MNEME_MAX_ENTRIES", "4")]).start().await;
    put(&capped, "b", 0..1).await;
    assert_eq!(stack.entry_ids().await.len(), 7);
    assert_eq!(capped.invoke("vacuum", json!({})).await.unwrap()["evicted"], 3);
    assert_eq!(stack.entry_ids().await, [4, 5, 6, 7]);
    put(&capped, "b", 1..2).await;
    assert_eq!(stack.entry_ids().await, [5, 6, 7, 8]);
}

#[tokio::test]
async fn put_under_quota_reads_no_index() {
    let stack = Stack::start().await;
    set_quota(&stack, "a", 100).await;
    put(&stack, "a", 0..2).await;
    stack.proxy.take_operations();
    put(&stack, "a", 2..3).await;
    let operations = stack.proxy.take_operations();
    assert_eq!(operations.iter().filter(|operation| *operation == "Query").count(), 1, "{operations:?}");
}

#[tokio::test]
async fn put_with_outdated_stats_evicts_nothing() {
    let stack = Stack::start().await;
    set_quota(&stack, "a", 10).await;
    put(&stack, "a", 0..10).await;
    // The Python library and DynamoDB's TTL delete rows without updating the statistics.
    for id in 1..=8 {
        stack.delete_item(id).await;
    }
    put(&stack, "a", 10..13).await;
    assert_eq!(ids(&stack, "a").await, [9, 10, 11, 12, 13]);
}

#[tokio::test]
async fn max_entries_holds_after_loss_of_derived_items() {
    let stack = Stack::builder().variables(&[("MNEME_MAX_ENTRIES", "5")]).start().await;
    put(&stack, "a", 0..5).await;
    stack.invoke("vacuum", json!({})).await.unwrap();
    for key in stack.rows().await.into_keys().filter(|key| *key < 0) {
        stack.delete_item(key).await;
    }
    stack.invoke("vacuum", json!({})).await.unwrap();
    put(&stack, "b", 0..3).await;
    assert_eq!(stack.entry_ids().await, [4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn vacuum_far_over_quota_evicts_everything_over_it() {
    let stack = Stack::start().await;
    put(&stack, "a", 0..1).await;
    copy_first(&stack, 2..=1300).await;
    set_quota(&stack, "a", 100).await;
    let (mut request, mut evicted) = (json!({}), 0);
    loop {
        let reply = stack.invoke("vacuum", request).await.unwrap();
        evicted += reply["evicted"].as_u64().unwrap();
        if reply["cursor"].is_null() {
            break;
        }
        request = json!({"cursor": reply["cursor"]});
    }
    assert_eq!(evicted, 1200);
    assert_eq!(ids(&stack, "a").await, (1201..=1300).collect::<Vec<u64>>());
}

#[tokio::test]
async fn namespace_stats_record_whether_entries_expire() {
    let stack = Stack::start().await;
    for (namespace, ttl_seconds) in [("never", json!(null)), ("sometimes", json!(1000))] {
        // The first put triggers a count of the namespace; the second one only adds to it.
        set_quota(&stack, namespace, 10).await;
        for query in ["1", "2"] {
            let entry = json!({"query": query, "response": "r", "namespace": namespace, "ttl_seconds": ttl_seconds});
            stack.put(entry).await;
        }
        let stats = namespace_stats(&stack, namespace).await;
        assert_eq!(stats["entries"], AttributeValue::N("2".to_owned()));
        assert_eq!(stats["counted"], AttributeValue::Bool(true));
        assert_eq!(stats.contains_key("has_ttl"), namespace == "sometimes");
    }
}

#[tokio::test]
async fn put_far_over_quota_evicts_at_most_200() {
    let stack = Stack::start().await;
    put(&stack, "a", 0..1).await;
    copy_first(&stack, 2..=600).await;
    set_quota(&stack, "a", 100).await;
    for left in [401, 202, 100] {
        put(&stack, "a", left..left + 1).await;
        assert_eq!(ids(&stack, "a").await.len(), left as usize);
    }
}

#[tokio::test]
async fn put_in_a_large_namespace_reads_at_most_5000_keys() {
    // DynamoDB Local limits a page of an index by the size of whole rows; with signatures these keys fill two pages.
    let stack = Stack::builder().without_guard("rows without a signature are smaller").start().await;
    put(&stack, "a", 0..1).await;
    copy_first(&stack, 2..=5100).await;
    set_quota(&stack, "a", 5900).await;
    let limits = async |number: u32| {
        stack.proxy.take_calls();
        put(&stack, "a", number..number + 1).await;
        let calls = stack.proxy.take_calls().into_iter().filter(|call| call.request["IndexName"] == "gsi_lru");
        calls.map(|call| call.request["Limit"].as_u64()).collect::<Vec<_>>()
    };
    // A put does not count a namespace of this size; `vacuum` does.
    assert_eq!(limits(1).await, []);
    let mut stats = namespace_stats(&stack, "a").await;
    stats.insert("entries".to_owned(), AttributeValue::N("5101".to_owned()));
    stats.insert("counted".to_owned(), AttributeValue::Bool(true));
    stack.put_item(stats).await;
    assert_eq!(limits(2).await, []);
    set_quota(&stack, "a", 5000).await;
    assert_eq!(limits(3).await, [Some(5000)]);
    assert_eq!(stack.entry_ids().await.len(), 5103 - 200);
}

#[tokio::test]
async fn put_over_max_entries_with_many_namespaces_reads_a_sample() {
    let stack = Stack::builder().variables(&[("MNEME_MAX_ENTRIES", "40")]).start().await;
    for number in 0..40 {
        put(&stack, &format!("n{number}"), 0..1).await;
    }
    stack.proxy.take_calls();
    put(&stack, "late", 0..1).await;
    let queries = stack.proxy.take_calls().into_iter().filter(|call| call.request["IndexName"] == "gsi_lru").count();
    assert_eq!((stack.entry_ids().await.len(), queries), (37, 32));
}

async fn live_entries(stack: &Stack) -> i128 {
    Snapshot::read(stack).await.counts().get("a").copied().unwrap_or(0)
}

#[tokio::test]
async fn namespace_stats_with_lagging_index_stay_correct() {
    let stack = Stack::start().await;
    set_quota(&stack, "a", 3).await;
    stack.proxy.delay_indexes(Lag::Writes(2));
    for number in 0..8 {
        stack.put(json!({"query": format!("{number}"), "response": "r", "namespace": "a"})).await;
        Snapshot::read(&stack).await.check_namespace_stats(|_| false);
    }
}

#[tokio::test]
async fn put_over_quota_with_expiring_entries_evicts_only_the_excess() {
    let stack = Stack::start().await;
    set_quota(&stack, "a", 10).await;
    for number in 0..10 {
        let entry = json!({"query": format!("{number}"), "response": "r", "namespace": "a", "ttl_seconds": 1000});
        stack.put(entry).await;
    }
    stack.proxy.delay_indexes(Lag::Writes(4));
    for number in 10..20 {
        let entry = json!({"query": format!("{number}"), "response": "r", "namespace": "a", "ttl_seconds": 1000});
        stack.put(entry).await;
        assert!(live_entries(&stack).await >= 9, "{} live entries after {number}", live_entries(&stack).await);
    }
}

/// The names in the directory.
async fn registered(stack: &Stack) -> Vec<String> {
    Snapshot::read(stack).await.directory_names().into_iter().collect()
}

#[tokio::test]
async fn directory_loses_the_namespaces_without_entries() {
    let stack = Stack::builder().variables(&[("MNEME_MAX_ENTRIES", "1000")]).start().await;
    for namespace in ["a", "b", "c", "d"] {
        put(&stack, namespace, 0..2).await;
    }
    stack.invoke("clear", json!({"namespace": "a"})).await.unwrap();
    // DynamoDB's TTL deletes rows and leaves the statistics.
    for id in ids(&stack, "b").await {
        stack.delete_item(id.into()).await;
    }
    stack.invoke("vacuum", json!({"namespace": "c"})).await.unwrap();
    assert_eq!(registered(&stack).await, ["a", "b", "c", "d"], "a pass over one namespace does not see the others");
    stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(registered(&stack).await, ["c", "d"]);
    // The instance of `put` takes the namespace for registered. `vacuum` adds it.
    put(&stack, "a", 0..1).await;
    stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(registered(&stack).await, ["a", "c", "d"]);
}

#[tokio::test]
async fn namespace_that_gets_an_entry_while_it_leaves_the_directory_is_in_it() {
    let stack = Stack::builder().variables(&[("MNEME_MAX_ENTRIES", "1000")]).start().await;
    put(&stack, "a", 0..1).await;
    stack.invoke("clear", json!({"namespace": "a"})).await.unwrap();
    // The last update of an item by `vacuum` takes the name out. The put before it finds the name in the directory.
    let held = stack.proxy.hold_nth("UpdateItem", 0);
    let others = async {
        let release = held.arrived().await;
        put(&stack, "a", 1..2).await;
        release();
    };
    let (vacuumed, ()) = futures::join!(stack.invoke("vacuum", json!({})), others);
    vacuumed.unwrap();
    assert_eq!(registered(&stack).await, ["a"]);
}
