//! Faults during eviction and repair: the next run does the rest.

use mneme_store::key::RowKey;
use mneme_tests::Stack;
use mneme_tests::invariants::Snapshot;
use serde_json::{Value, json};

use super::{Case, Failed, assert_gone, assert_stored, entry_in, n, number, put_two};

async fn set_quota(stack: &Stack, namespace: &str, max_entries: u64) {
    let set = json!({"action": "set", "namespace": namespace, "max_entries": max_entries});
    stack.invoke("quota", set).await.unwrap();
}

#[tokio::test]
async fn vacuum_that_evicts_with_any_fault_keeps_the_table_consistent() {
    // The quota is set after the puts, so that `vacuum` evicts entries.
    let request = async |stack: &Stack, n: u64| {
        let _ = stack.invoke("quota", json!({"action": "delete", "namespace": "small"})).await;
        put_two(stack, "small", n).await;
        set_quota(stack, "small", 1).await;
        json!({})
    };
    let effect = |_: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(i128::from(reply["evicted"].as_i64().unwrap()), before.counts()["small"] - 1);
        assert!(after.counts()["small"] == 1 && after.entries.contains_key(&(before.next_id - 1)));
        // Another writer may have added one mutation.
        let evicted = before.counts()["small"] - 1;
        assert!((evicted..=evicted + 1).contains(&(after.version - before.version)));
    };
    Case { mutations: 1..=4, leaves: Failed::Part, ..Case::of("vacuum") }.run(request, effect).await;
}

/// Makes the namespace `inconsistent`: an expired entry, a pointer without its entry, an entry without a pointer, and a
/// counter at an id in use.
async fn make_inconsistent(stack: &Stack, run: u64) {
    stack.invoke("vacuum", json!({})).await.unwrap();
    let entries = ["expired", "deleted", "without pointer", "last"]
        .map(|query| entry_in("inconsistent", &format!("{query} {run}"), 0.1));
    stack.invoke("put", json!({"entries": entries})).await.unwrap();
    let snapshot = Snapshot::read(stack).await;
    let ids: Vec<i128> = (snapshot.next_id - 4..snapshot.next_id).collect();
    let mut expired = snapshot.entries[&ids[0]].clone();
    let created = number(&expired, "created_at");
    expired.insert("created_at".to_owned(), n(created - 100));
    expired.insert("ttl".to_owned(), n(created - 50));
    stack.put_item(expired).await;
    stack.delete_item(ids[1]).await;
    let hash = mneme_model::normalize::QueryHash::of(&format!("without pointer {run}"), true);
    let namespace = mneme_model::namespace::Namespace::try_from("inconsistent".to_owned()).unwrap();
    let pointer = RowKey::pointer(&namespace, &hash).attribute();
    stack.delete_item(pointer.as_n().unwrap().parse().unwrap()).await;
    let mut counter = snapshot.counter().clone();
    counter.insert("next_id".to_owned(), n(ids[3]));
    stack.put_item(counter).await;
}

#[tokio::test]
async fn vacuum_that_repairs_with_any_fault_keeps_the_table_consistent() {
    let request = async |stack: &Stack, n: u64| {
        if n == 1 {
            stack.provision_without_ttl().await;
        }
        make_inconsistent(stack, n).await;
        json!({})
    };
    let effect = |_: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!((&reply["cursor"], after.next_id), (&json!(null), before.next_id + 1));
        assert_gone(before, after, &[before.next_id - 3]);
    };
    let case = Case { leaves: Failed::Part, inconsistent: Some("inconsistent"), ..Case::of("vacuum") };
    case.run(request, effect).await;
}

#[tokio::test]
async fn put_that_evicts_with_any_fault_keeps_the_table_consistent() {
    // The quota is 1, so each put evicts the entry before it.
    let request = async |stack: &Stack, n: u64| {
        if n == 1 {
            set_quota(stack, "small", 1).await;
            stack.put(entry_in("small", "before", 0.1)).await;
        }
        entry_in("small", &format!("b{n}"), 0.1)
    };
    // If this put cannot evict, the next one does.
    let effect = |n: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_stored(after, "small", &format!("b{n}"), reply, &format!("answer to b{n}"));
        let evicted = after.sum_of("evictions") - before.sum_of("evictions");
        assert_eq!(after.counts()["small"], before.counts()["small"] + 1 - evicted);
        // Another writer may have added one mutation.
        assert!((1 + evicted..=2 + evicted).contains(&(after.version - before.version)));
    };
    Case { mutations: 1..=4, ..Case::of("put") }.run(request, effect).await;
}
