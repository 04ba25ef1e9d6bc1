//! Tags: stored with entries, required by lookups, and the handle for deleting many entries.

use mneme_model::namespace::Namespace;
use mneme_model::tag::Tag;
use mneme_store::key::{DerivedKind, RowKey};
use mneme_tests::invariants::Snapshot;
use mneme_tests::{Stack, vector};
use reqwest::Method;
use serde_json::{Value, json};

use crate::questions::{order, order_reworded};

fn tagged(query: &str, tags: &[&str]) -> Value {
    json!({"query": query, "response": format!("answer to {query}"), "tags": tags, "embedding": vector(4, 0.0)})
}

/// Deletes by the tag `tag` of the namespace `default` to the end, and returns the numbers of deleted entries.
async fn delete_all(stack: &Stack, tag: &str) -> Vec<u64> {
    let mut deleted = Vec::new();
    let mut request = json!({"namespace": "default", "tag": tag});
    loop {
        let reply = stack.invoke("delete", request.clone()).await.unwrap();
        deleted.push(reply["deleted_entries"].as_u64().unwrap());
        if reply["cursor"].is_null() {
            return deleted;
        }
        request["cursor"] = reply["cursor"].clone();
    }
}

fn block_ids(snapshot: &Snapshot, tag: &str) -> usize {
    let key = RowKey::tag_block(&Namespace::default(), &Tag::try_from(tag.to_owned()).unwrap(), 0).attribute();
    let block = snapshot.data(DerivedKind::TagBlock).find(|item| item["id"] == key);
    block.map_or(0, |item| item["positions"].as_ns().unwrap().len())
}

#[tokio::test]
async fn tags_of_an_entry_are_in_each_reply_sorted_and_once() {
    let stack = Stack::start().await;
    stack.put(tagged("a", &["user:7", "doc:handbook", "user:7"])).await;
    let tags = json!(["doc:handbook", "user:7"]);
    assert_eq!(stack.get("/v1/entries/1").await.1["tags"], tags);
    assert_eq!(stack.get("/v1/entries").await.1["entries"][0]["tags"], tags);
    assert_eq!(stack.lookup(json!({"query": "A"})).await["tags"], tags);
    stack.put(json!({"query": "b", "response": "r"})).await;
    assert_eq!(stack.get("/v1/entries/2").await.1["tags"], json!([]));
    assert_eq!(stack.lookup(json!({"query": "b"})).await.get("tags"), None);
}

#[tokio::test]
async fn tags_that_are_invalid_are_refused_by_name() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
    for (tags, named) in [
        (json!([""]), "the tag is empty"),
        (json!(["x".repeat(129)]), "the tag has 129 bytes"),
        (json!(["a\u{7}"]), "U+0007"),
        (json!(many), "there are 17 tags, and 16 are allowed"),
        (json!("a"), "tags"),
    ] {
        for (function, mut request) in
            [("put", json!({"query": "q", "response": "r"})), ("lookup", json!({"query": "q"}))]
        {
            request["tags"] = tags.clone();
            let error = stack.invoke(function, request).await.unwrap_err();
            assert_eq!(error.name, "InvalidRequest", "{tags}");
            assert!(error.message.contains(named), "{named}: {error:?}");
        }
    }
    assert!(stack.entry_ids().await.is_empty());
}

#[tokio::test]
async fn lookup_with_required_tags_is_answered_by_entries_with_all_of_them() {
    let stack = Stack::builder().without_guard("the questions differ in their numbers only").start().await;
    let put = |n: usize, angle: f64, tags: Value| json!({"query": order(n), "response": n.to_string(), "tags": tags, "embedding": vector(4, angle)});
    stack.put(put(1, 0.0, json!(["eu", "v1"]))).await;
    stack.put(put(2, 0.05, json!(["eu", "v2"]))).await;
    let ask = |tags: Value| json!({"query": order_reworded(9), "embedding": vector(4, 0.0), "tags": tags});
    for (tags, response) in [(json!([]), "1"), (json!(["eu"]), "1"), (json!(["v2"]), "2"), (json!(["eu", "v2"]), "2")] {
        assert_eq!(stack.lookup(ask(tags.clone())).await["response"], response, "{tags}");
    }
    let miss = stack.lookup(ask(json!(["v1", "v2"]))).await;
    assert_eq!((&miss["reason"], miss["best_similarity"].as_f64()), (&json!("missing_tag"), Some(1.0)), "{miss}");
    // An exact match without the tag does not answer. The semantic layer still may.
    let exact = |tags: Value| json!({"query": order(1), "embedding": vector(4, 0.0), "tags": tags});
    let hit = stack.lookup(exact(json!(["v1"]))).await;
    assert_eq!((&hit["layer"], &hit["id"]), (&json!("exact"), &json!(1)));
    let hit = stack.lookup(exact(json!(["v2"]))).await;
    assert_eq!((&hit["layer"], &hit["id"]), (&json!("semantic"), &json!(2)));
    let miss = stack.lookup(json!({"query": order(1), "tags": ["v2"]})).await;
    assert_eq!(miss["reason"], "missing_tag");
    let shared = json!({"queries": [{"query": order(1)}, {"query": order(2)}], "tags": ["v2"]});
    let reply = stack.lookup(shared).await;
    assert_eq!((&reply["results"][0]["outcome"], &reply["results"][1]["id"]), (&json!("miss"), &json!(2)));
}

#[tokio::test]
async fn delete_by_tag_removes_exactly_the_entries_of_the_namespace_with_the_tag() {
    let stack = Stack::start().await;
    for (query, tags) in [("a", &["x"][..]), ("b", &["y", "x"]), ("c", &["y"]), ("d", &[])] {
        stack.put(tagged(query, tags)).await;
    }
    let mut elsewhere = tagged("a", &["x"]);
    elsewhere["namespace"] = json!("other");
    stack.put(elsewhere).await;
    assert_eq!(stack.lookup(json!({"query": "b"})).await["outcome"], "hit");
    let before = Snapshot::read(&stack).await;
    stack.proxy.take_calls();
    let reply = stack.post("/v1/entries/delete", json!({"namespace": "default", "tag": "x"})).await;
    assert_eq!(reply, (200, json!({"deleted_entries": 2, "cursor": null})));
    let operations = stack.proxy.take_operations();
    assert!(!operations.iter().any(|operation| operation == "Scan" || operation == "Query"), "{operations:?}");
    let after = Snapshot::read(&stack).await;
    after.check();
    assert_eq!(after.entries.keys().copied().collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!((after.version, after.next_id), (before.version + 2, before.next_id));
    assert_eq!((block_ids(&after, "x"), block_ids(&after, "y")), (0, 2), "vacuum takes 2 out of the block of y");
    assert_eq!(stack.lookup(json!({"query": "b"})).await["outcome"], "miss");
    assert_eq!(delete_all(&stack, "x").await, [0], "nothing is left");
}

#[tokio::test]
async fn delete_by_tag_follows_the_tags_that_an_entry_has_now() {
    let stack = Stack::start().await;
    stack.put(tagged("loses the tag", &["old"])).await;
    stack.put(tagged("gets the tag", &["old"])).await;
    stack.put(tagged("moves to another id", &["new"])).await;
    stack.put(tagged("loses the tag", &[])).await;
    stack.put(tagged("gets the tag", &["new"])).await;
    let mut moved = tagged("moves to another id", &["new"]);
    moved["embedding"] = json!(vector(4, 1.0));
    assert_eq!(stack.put(moved).await, 4);
    Snapshot::read(&stack).await.check();
    assert_eq!(delete_all(&stack, "old").await, [0]);
    assert_eq!(delete_all(&stack, "new").await, [2]);
    assert_eq!(stack.entry_ids().await, [1]);
}

#[tokio::test]
async fn delete_by_tag_of_many_entries_continues_with_its_cursor() {
    const ENTRIES: usize = 3000;
    let stack = Stack::start().await;
    for batch in 0..ENTRIES / 1000 {
        let entry = |n: usize| json!({"query": format!("{batch}/{n}"), "response": "r", "tags": ["bulk", "b"]});
        let entries: Vec<Value> = (0..1000).map(entry).collect();
        stack.invoke("put", json!({"entries": entries})).await.unwrap();
    }
    stack.put(tagged("kept", &["b"])).await;
    let version = stack.counter().await.1;
    // A call ends after the block of 1,024 ids with which it reaches 2,000 entries.
    assert_eq!(delete_all(&stack, "bulk").await, [2048, 952]);
    assert_eq!(stack.counter().await.1, version + ENTRIES as u64);
    let snapshot = Snapshot::read(&stack).await;
    snapshot.check();
    assert_eq!(snapshot.entries.len(), 1);
}

#[tokio::test]
async fn delete_by_tag_with_expired_entries_counts_only_live_ones() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    let mut short = tagged("short", &["x"]);
    short["ttl_seconds"] = json!(60);
    stack.put(short).await;
    stack.put(tagged("long", &["x"])).await;
    stack.backdate([1], 100).await;
    assert_eq!(delete_all(&stack, "x").await, [1]);
    assert!(stack.entry_ids().await.is_empty());
    Snapshot::read(&stack).await.check();
}

#[tokio::test]
async fn deletions_by_tag_that_are_invalid_are_refused() {
    let stack = Stack::start().await;
    for bad in [
        json!({"tag": "x"}),
        json!({"namespace": "default", "tag": ""}),
        json!({"namespace": "default", "tag": "x", "query": "q"}),
        json!({"namespace": "default", "tag": "x", "id": 1}),
        json!({"namespace": "default", "tag": "x", "context": {}}),
        json!({"namespace": "default", "cursor": "0.1.1"}),
        json!({"namespace": "default", "tag": "x", "cursor": "0.1"}),
        json!({"namespace": "default", "tag": "x", "cursor": "a.1.1"}),
    ] {
        assert_eq!(stack.invoke("delete", bad.clone()).await.unwrap_err().name, "InvalidRequest", "{bad}");
    }
}

#[tokio::test]
async fn vacuum_finishes_a_deletion_by_tag_that_its_caller_began() {
    let stack = Stack::start().await;
    let entries: Vec<Value> =
        (0..2100).map(|n| json!({"query": n.to_string(), "response": "r", "tags": ["x"]})).collect();
    for some in entries.chunks(700) {
        stack.invoke("put", json!({"entries": some})).await.unwrap();
    }
    let reply = stack.invoke("delete", json!({"namespace": "default", "tag": "x"})).await.unwrap();
    assert_eq!(reply["deleted_entries"], 2048);
    assert!(reply["cursor"].is_string());
    stack.put(tagged("stored later", &["x"])).await;
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(reply["deleted_by_tag"], 52);
    assert_eq!(stack.entry_ids().await, [2101]);
    // The second pass carries the deletion out once more, and forgets it.
    let deletions = async || Snapshot::read(&stack).await.data(DerivedKind::TagDeletion).count();
    assert_eq!(deletions().await, 1);
    assert_eq!(stack.invoke("vacuum", json!({})).await.unwrap()["deleted_by_tag"], 0);
    assert_eq!((deletions().await, stack.entry_ids().await), (0, vec![2101]));
    Snapshot::read(&stack).await.check();
}

#[tokio::test]
async fn deletion_by_tag_without_tag_blocks_is_finished_by_the_second_vacuum() {
    let stack = Stack::start().await;
    for query in ["a", "b"] {
        stack.put(tagged(query, &["x"])).await;
    }
    for key in stack.rows().await.into_keys().filter(|key| *key < 0) {
        stack.delete_item(key).await;
    }
    assert_eq!(delete_all(&stack, "x").await, [0], "nothing names the entries");
    let mut deleted = 0;
    for _ in 0..2 {
        deleted += stack.invoke("vacuum", json!({})).await.unwrap()["deleted_by_tag"].as_u64().unwrap();
    }
    assert_eq!((deleted, stack.entry_ids().await), (2, Vec::new()));
}

#[tokio::test]
async fn vacuum_restores_lost_tag_blocks_and_takes_out_ids_without_the_tag() {
    let stack = Stack::start().await;
    stack.put(tagged("a", &["x", "y"])).await;
    stack.put(tagged("b", &["x"])).await;
    stack.put(tagged("b", &[])).await;
    stack.put(tagged("c", &["z"])).await;
    stack.invoke("delete", json!({"query": "c"})).await.unwrap();
    let lost = RowKey::tag_block(&Namespace::default(), &Tag::try_from("y".to_owned()).unwrap(), 0);
    let lost = *stack.rows().await.iter().find(|(_, item)| item["id"] == lost.attribute()).unwrap().0;
    stack.delete_item(lost).await;
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!((&reply["tag_blocks_set"], &reply["derived_removed"]), (&json!(1), &json!(1)), "{reply}");
    let snapshot = Snapshot::read(&stack).await;
    snapshot.check();
    assert_eq!(["x", "y", "z"].map(|tag| block_ids(&snapshot, tag)), [1, 1, 0]);
    assert_eq!(stack.invoke("vacuum", json!({})).await.unwrap()["tag_blocks_set"], 0);
}

#[tokio::test]
async fn update_of_tags_replaces_them_and_the_entry_is_found_by_the_new_ones() {
    let stack = Stack::start().await;
    stack.put(tagged("a", &["v1", "stays"])).await;
    let patch = async |tags: Value| {
        let (status, entry) = stack.http(Method::PATCH, "/v1/entries/1", Some(json!({"tags": tags}))).await;
        assert_eq!(status, 200, "{entry}");
        entry["tags"].clone()
    };
    let before = stack.counter().await.1;
    assert_eq!(patch(json!(["v2", "stays"])).await, json!(["stays", "v2"]));
    assert_eq!(stack.counter().await.1, before + 1);
    Snapshot::read(&stack).await.check();
    let asked = |tag: &str| json!({"query": "a", "tags": [tag]});
    for (tag, outcome) in [("v1", "miss"), ("v2", "hit"), ("stays", "hit")] {
        assert_eq!(stack.lookup(asked(tag)).await["outcome"], outcome, "{tag}");
    }
    assert_eq!(delete_all(&stack, "v1").await, [0]);
    assert_eq!(patch(json!([])).await, json!([]));
    assert_eq!(delete_all(&stack, "stays").await, [0]);
    assert_eq!(patch(json!(["v3"])).await, json!(["v3"]));
    assert_eq!(delete_all(&stack, "v3").await, [1]);
    assert!(stack.entry_ids().await.is_empty());
}

#[tokio::test]
async fn update_of_tags_at_the_same_time_as_of_the_answer_keeps_both() {
    let stack = Stack::start().await;
    stack.put(tagged("a", &["v1"])).await;
    let patch = |change: Value| stack.http(Method::PATCH, "/v1/entries/1", Some(change));
    let (tags, answer) = tokio::join!(patch(json!({"tags": ["v2"]})), patch(json!({"response": "B"})));
    assert_eq!((tags.0, answer.0), (200, 200));
    let entry = stack.get("/v1/entries/1").await.1;
    assert_eq!((&entry["tags"], &entry["response"]), (&json!(["v2"]), &json!("B")));
}

#[tokio::test]
async fn list_by_tag_returns_the_entries_with_it_in_pages() {
    let stack = Stack::start().await;
    let entry = |n: usize| {
        let tag = if n.is_multiple_of(10) { "tenth" } else { "other" };
        json!({"query": format!("q{n}"), "response": "r", "tags": [tag], "namespace": if n == 100 { "b" } else { "a" }})
    };
    for first in (1..=1100).step_by(100) {
        stack.invoke("put", json!({"entries": (first..first + 100).map(entry).collect::<Vec<_>>()})).await.unwrap();
    }
    stack.invoke("delete", json!({"id": 50})).await.unwrap();
    stack.http(Method::PATCH, "/v1/entries/60", Some(json!({"tags": []}))).await;
    let pages = async |mut request: Value| {
        let (mut ids, mut pages) = (Vec::new(), 0);
        loop {
            let page = stack.invoke("list", request.clone()).await.unwrap();
            pages += 1;
            ids.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()));
            request["cursor"] = page["cursor"].clone();
            if request["cursor"].is_null() {
                return (ids, pages);
            }
        }
    };
    let expected: Vec<u64> = (10..=1100).step_by(10).filter(|id| ![50, 60, 100].contains(id)).collect();
    stack.proxy.take_calls();
    let (ids, _) = pages(json!({"namespace": "a", "tag": "tenth"})).await;
    assert_eq!(ids, expected);
    // Two pages, each with one read of blocks and up to two of rows. Without the blocks there are eleven reads of rows.
    let reads = stack.proxy.take_calls().iter().filter(|call| call.operation == "BatchGetItem").count();
    assert!(reads <= 6, "{reads} reads for 107 of 1,100 entries");
    let (ids, count) = pages(json!({"namespace": "a", "tag": "tenth", "limit": 25})).await;
    assert_eq!((ids, count), (expected.clone(), 5));
    let (ids, _) = pages(json!({"namespace": "a", "tag": "tenth", "text": "q107"})).await;
    assert_eq!(ids, [1070]);
    let (ids, _) = pages(json!({"namespace": "a", "tag": "tenth", "order": "lru"})).await;
    assert_eq!(ids.len(), expected.len());
    let (ids, _) = pages(json!({"namespace": "a", "tag": "tenth", "after_id": 1080})).await;
    assert_eq!(ids, [1090, 1100]);
    let (ids, _) = pages(json!({"tag": "tenth"})).await;
    assert_eq!(ids.len(), expected.len() + 1, "with the entry of the other namespace");
    assert_eq!(pages(json!({"namespace": "a", "tag": "none"})).await, (Vec::new(), 1));
    assert_eq!(stack.invoke("list", json!({"tag": ""})).await.unwrap_err().name, "InvalidRequest");
}
