//! Faults while a long answer is written, moved or removed: row and answer item stay together.

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_store::key::DerivedKind;
use mneme_tests::Stack;
use mneme_tests::invariants::Snapshot;
use serde_json::{Value, json};

use super::{Case, Failed, assert_gone, assert_stored, entry, entry_in};

/// An answer that is stored in an item of its own.
fn long(text: impl std::fmt::Display) -> String {
    format!("{text:>05000}")
}

fn with_answer(mut entry: Value, response: &str) -> Value {
    entry["response"] = json!(response);
    entry
}

fn answer_items(snapshot: &Snapshot) -> usize {
    snapshot.data(DerivedKind::Answer).count()
}

#[tokio::test]
async fn put_in_place_of_long_and_short_answers_with_any_fault_keeps_them_together() {
    // Two long answers follow each short one, so that each kind replaces each.
    let answer = |n: u64| if n.is_multiple_of(3) { n.to_string() } else { long(n) };
    let request = async |_: &Stack, n: u64| with_answer(entry("first", 0.0), &answer(n));
    let effect = |n: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"id": 1, "created": false}));
        assert_stored(after, "default", "first", reply, &answer(n));
        assert_eq!((after.next_id, answer_items(after)), (before.next_id, usize::from(!n.is_multiple_of(3))));
    };
    Case::of("put").run(request, effect).await;
}

#[tokio::test]
async fn put_of_a_long_answer_with_another_vector_with_any_fault_keeps_them_together() {
    let request = async |_: &Stack, n: u64| with_answer(entry("first", 0.1 * n as f64), &long(n));
    let effect = |n: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"id": before.next_id as u64, "created": false}));
        assert_stored(after, "default", "first", reply, &long(n));
        assert_eq!(answer_items(after), 1);
    };
    Case::of("put").run(request, effect).await;
}

#[tokio::test]
async fn delete_and_clear_of_a_long_answer_with_any_fault_remove_both_items() {
    let request = async |stack: &Stack, n: u64| json!({"id": stack.put(with_answer(entry(&format!("q{n}"), 0.1), &long(n))).await});
    let effect = |_: u64, _: &Value, before: &Snapshot, after: &Snapshot| {
        assert_gone(before, after, &[before.next_id - 1]);
        assert_eq!(answer_items(after) + 1, answer_items(before));
    };
    Case::of("delete").run(request, effect).await;
    let request = async |stack: &Stack, n: u64| {
        stack.put(with_answer(entry_in("cleared", &format!("q{n}"), 0.1), &long(n))).await;
        json!({"namespace": "cleared"})
    };
    let effect = |_: u64, _: &Value, _: &Snapshot, after: &Snapshot| assert_eq!(answer_items(after), 0);
    Case { mutations: 1..=20, leaves: Failed::Part, ..Case::of("clear") }.run(request, effect).await;
}

#[tokio::test]
async fn vacuum_that_moves_and_removes_answers_with_any_fault_keeps_them_together() {
    // One row has its answer as an older version stored it, and one answer item has no entry.
    let request = async |stack: &Stack, n: u64| {
        let old = stack.put(entry(&format!("old{n}"), 0.1)).await;
        let orphaned = stack.put(with_answer(entry(&format!("orphaned{n}"), 0.2), &long(n))).await;
        let rows = stack.rows().await;
        let mut row = rows[&i128::from(old)].clone();
        row.insert("response".to_owned(), AttributeValue::S(long(n)));
        stack.put_item(row).await;
        let mut row = rows[&i128::from(orphaned)].clone();
        row.retain(|name, _| !name.starts_with("answer"));
        for (name, value) in [("response", "short"), ("metadata", "{}")] {
            row.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
        }
        stack.put_item(row).await;
        json!({})
    };
    let effect = |n: u64, reply: &Value, _: &Snapshot, after: &Snapshot| {
        assert!(reply["answers_moved"].as_u64() >= Some(1) && reply["cursor"].is_null(), "{reply}");
        let rows = after.rows_of("default", &format!("old{n}"));
        assert!(rows[0].1.contains_key("answer"), "{:?}", rows[0].1.keys());
        assert_eq!(after.response(rows[0].0), long(n));
    };
    let case = Case { mutations: 0..=1, leaves: Failed::Part, inconsistent: Some("default"), ..Case::of("vacuum") };
    case.run(request, effect).await;
}
