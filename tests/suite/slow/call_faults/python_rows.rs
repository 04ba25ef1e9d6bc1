//! Faults while the functions take over rows of the Python library, including duplicates from its races.

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_tests::Stack;
use mneme_tests::invariants::Snapshot;
use serde_json::{Value, json};

use super::{Case, assert_gone, assert_stored, entry_in, n};

/// Writes rows as the Python library does: without derived items, and with several rows per query after a race.
async fn put_as_python(stack: &Stack, query: &str, copies: u64) {
    let snapshot = Snapshot::read(stack).await;
    let mut row = snapshot.entries.values().next().unwrap().clone();
    row.insert("namespace".to_owned(), AttributeValue::S("python".to_owned()));
    let hash = mneme_model::normalize::QueryHash::of(query, true).to_string();
    row.insert("query_hash".to_owned(), AttributeValue::S(hash));
    for copy in 0..copies {
        row.insert("id".to_owned(), n(snapshot.next_id + i128::from(copy)));
        stack.put_item(row.clone()).await;
    }
    let mut counter = snapshot.counter().clone();
    counter.insert("next_id".to_owned(), n(snapshot.next_id + i128::from(copies)));
    counter.insert("version_counter".to_owned(), n(snapshot.version + i128::from(copies)));
    stack.put_item(counter).await;
}

#[tokio::test]
async fn put_over_a_row_without_pointer_with_any_fault_keeps_the_table_consistent() {
    let request = async |stack: &Stack, n: u64| {
        stack.invoke("clear", json!({"namespace": "python"})).await.unwrap();
        put_as_python(stack, &format!("q{n}"), 1).await;
        entry_in("python", &format!("Q{n}"), 0.0)
    };
    let effect = |n: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"id": before.next_id as u64 - 1, "created": false}), "the same vector keeps the id");
        assert_stored(after, "python", &format!("q{n}"), reply, &format!("answer to Q{n}"));
    };
    Case { inconsistent: Some("python"), ..Case::of("put") }.run(request, effect).await;
}

#[tokio::test]
async fn put_over_duplicate_rows_with_any_fault_keeps_the_table_consistent() {
    let request = async |stack: &Stack, n: u64| {
        stack.invoke("clear", json!({"namespace": "python"})).await.unwrap();
        put_as_python(stack, &format!("q{n}"), 3).await;
        entry_in("python", &format!("Q{n}"), 1.0)
    };
    let effect = |n: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"id": before.next_id as u64, "created": false}));
        assert_stored(after, "python", &format!("q{n}"), reply, &format!("answer to Q{n}"));
        assert_eq!(after.counts()["python"], 1);
    };
    Case { inconsistent: Some("python"), ..Case::of("put") }.run(request, effect).await;
}

#[tokio::test]
async fn delete_of_duplicate_rows_with_any_fault_keeps_the_table_consistent() {
    let request = async |stack: &Stack, n: u64| {
        stack.invoke("clear", json!({"namespace": "python"})).await.unwrap();
        put_as_python(stack, &format!("q{n}"), 2).await;
        json!({"namespace": "python", "query": format!("Q{n}")})
    };
    let effect = |_: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        let newest = before.next_id - 1;
        assert_eq!(reply, &json!({"id": newest as u64, "deleted": true}));
        assert_gone(before, after, &[newest - 1, newest]);
    };
    Case { inconsistent: Some("python"), mutations: 2..=2, ..Case::of("delete") }.run(request, effect).await;
}
