//! Faults in puts with tags and in deletions by a tag.

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::namespace::Namespace;
use mneme_model::tag::Tag;
use mneme_store::key::RowKey;
use mneme_tests::Stack;
use mneme_tests::invariants::Snapshot;
use serde_json::{Value, json};

use super::{Case, Failed, assert_gone, assert_stored, entry, n};

fn tagged(query: &str, tags: &[&str]) -> Value {
    let mut entry = entry(query, 0.1);
    entry["tags"] = json!(tags);
    entry
}

#[tokio::test]
async fn put_with_tags_with_any_fault_keeps_the_tag_blocks_complete() {
    let request = async |_: &Stack, n: u64| tagged(&format!("q{n}"), &["a", "b"]);
    let effect = |n: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"id": before.next_id as u64, "created": true}));
        assert_stored(after, "default", &format!("q{n}"), reply, &format!("answer to q{n}"));
    };
    Case::of("put").run(request, effect).await;
}

#[tokio::test]
async fn put_in_place_with_other_tags_with_any_fault_keeps_the_tag_blocks_complete() {
    let request = async |_: &Stack, n: u64| {
        let mut first = entry("first", 0.0);
        first["tags"] = json!([n.to_string()]);
        first
    };
    let effect = |n: u64, reply: &Value, _: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"id": 1, "created": false}));
        let tags = after.entries[&1]["tags"].as_l().unwrap();
        assert_eq!(tags[0].as_s().unwrap(), &n.to_string());
    };
    Case::of("put").run(request, effect).await;
}

#[tokio::test]
async fn delete_by_tag_with_any_fault_keeps_the_table_consistent() {
    let request = async |stack: &Stack, n: u64| {
        let tag = n.to_string();
        stack.put(tagged(&format!("a{n}"), &[&tag])).await;
        stack.put(tagged(&format!("b{n}"), &[&tag, "other"])).await;
        json!({"namespace": "default", "tag": tag})
    };
    let effect = |_: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!(reply, &json!({"deleted_entries": 2, "cursor": null}));
        assert_gone(before, after, &[before.next_id - 2, before.next_id - 1]);
    };
    Case { mutations: 2..=2, leaves: Failed::Part, ..Case::of("delete") }.run(request, effect).await;
}

/// Stores the record of a deletion by `tag` that was asked for now and removed nothing.
async fn record_deletion(stack: &Stack, tag: &str) {
    let key = RowKey::tag_deletion(&Namespace::default(), &Tag::try_from(tag.to_owned()).unwrap());
    let next_id = stack.counter().await.0;
    let item = [
        ("id", key.attribute()),
        ("name", AttributeValue::S("default".to_owned())),
        ("tag", AttributeValue::S(tag.to_owned())),
        ("before_id", n(next_id)),
        ("asked_at", n(4_000_000_000_u64)),
    ];
    stack.put_item(item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()).await;
}

#[tokio::test]
async fn vacuum_that_finishes_a_deletion_by_tag_with_any_fault_keeps_the_table_consistent() {
    let request = async |stack: &Stack, n: u64| {
        let tag = n.to_string();
        stack.put(tagged(&format!("a{n}"), &[&tag])).await;
        record_deletion(stack, &tag).await;
        json!({})
    };
    let effect = |_: u64, reply: &Value, before: &Snapshot, after: &Snapshot| {
        assert_eq!((&reply["deleted_by_tag"], &reply["cursor"]), (&json!(1), &Value::Null), "{reply}");
        assert_gone(before, after, &[before.next_id - 1]);
    };
    Case { leaves: Failed::Part, ..Case::of("vacuum") }.run(request, effect).await;
}
