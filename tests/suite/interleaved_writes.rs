//! Two interleaved writers: the proxy holds the first one's transaction while the second one writes.

use mneme_tests::invariants::Snapshot;
use mneme_tests::{FunctionError, Stack, vector};
use serde_json::{Value, json};

fn entry(response: &str, angle: f64) -> Value {
    json!({"query": "q", "response": response, "embedding": vector(4, angle)})
}

/// Invokes `function`, and invokes `other` while the transaction of `function` is held. Then checks the table, and that
/// the version has risen by `mutations`.
async fn race(
    stack: &Stack,
    (function, request): (&str, Value),
    (other, meanwhile): (&str, Value),
    mutations: i128,
) -> (Result<Value, FunctionError>, Snapshot) {
    let before = Snapshot::read(stack).await;
    let held = stack.proxy.hold_nth("TransactWriteItems", 0);
    let others = async {
        let release = held.arrived().await;
        stack.invoke(other, meanwhile).await.unwrap();
        release();
    };
    let (outcome, ()) = futures::join!(stack.invoke(function, request), others);
    let after = Snapshot::read(stack).await;
    after.check();
    assert_eq!(after.version - before.version, mutations, "{outcome:?}");
    (outcome, after)
}

async fn stack_with(entries: &[Value]) -> Stack {
    let stack = Stack::start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    for entry in entries {
        stack.put(entry.clone()).await;
    }
    stack
}

fn response(snapshot: &Snapshot, id: i128) -> &str {
    snapshot.response(id).trim_end()
}

#[tokio::test]
async fn interleaved_puts_of_one_query_create_one_row() {
    // The second vector is the same, then another one.
    for (angle, id, ids) in [(0.0, 1, vec![1]), (1.0, 2, vec![2])] {
        let stack = stack_with(&[]).await;
        let (reply, after) = race(&stack, ("put", entry("late", angle)), ("put", entry("early", 0.0)), 2).await;
        assert_eq!(reply.unwrap(), json!({"id": id, "created": false}));
        assert_eq!(after.entries.keys().copied().collect::<Vec<_>>(), ids);
        assert_eq!(response(&after, id.into()), "late");
    }
}

#[tokio::test]
async fn put_interleaved_with_delete_creates_an_entry() {
    for angle in [0.0, 1.0] {
        let stack = stack_with(&[entry("first", 0.0)]).await;
        let (reply, after) = race(&stack, ("put", entry("late", angle)), ("delete", json!({"id": 1})), 2).await;
        assert_eq!(reply.unwrap(), json!({"id": 2, "created": true}));
        assert_eq!((after.entries.len(), response(&after, 2)), (1, "late"));
    }
}

#[tokio::test]
async fn batch_interleaved_with_put_stores_every_entry() {
    let stack = stack_with(&[entry("first", 0.0)]).await;
    let batch =
        json!({"entries": [{"query": "a", "response": "a"}, entry("late", 0.0), {"query": "b", "response": "b"}]});
    let (reply, after) = race(&stack, ("put", batch), ("put", entry("early", 1.0)), 4).await;
    let results = [(3, true), (4, false), (5, true)].map(|(id, created)| json!({"id": id, "created": created}));
    assert_eq!(reply.unwrap()["results"], json!(results));
    assert_eq!((after.entries.len(), response(&after, 4)), (3, "late"));
}

#[tokio::test]
async fn interleaved_puts_with_one_idempotency_key_store_once() {
    let stack = stack_with(&[]).await;
    let with_key = |query: &str| json!({"query": query, "response": query, "idempotency_key": "k"});
    let (reply, after) = race(&stack, ("put", with_key("early")), ("put", with_key("early")), 1).await;
    assert_eq!(reply.unwrap(), json!({"id": 1, "created": true}));
    assert_eq!((after.entries.len(), response(&after, 1)), (1, "early"));
    let stack = stack_with(&[]).await;
    let (reply, after) = race(&stack, ("put", with_key("late")), ("put", with_key("early")), 1).await;
    assert_eq!(reply.unwrap_err().name, "IdempotentParameterMismatch");
    assert_eq!((after.entries.len(), response(&after, 1)), (1, "early"));
}

#[tokio::test]
async fn delete_interleaved_with_put_removes_by_id_or_by_query() {
    let stack = stack_with(&[entry("first", 0.0)]).await;
    let (reply, after) = race(&stack, ("delete", json!({"id": 1})), ("put", entry("second", 1.0)), 1).await;
    assert_eq!(reply.unwrap_err().name, "NotFound");
    assert_eq!(response(&after, 2), "second");
    let (reply, after) = race(&stack, ("delete", json!({"query": "q"})), ("put", entry("third", 2.0)), 2).await;
    assert_eq!(reply.unwrap()["id"], 3);
    assert!(after.entries.is_empty());
}

#[tokio::test]
async fn touch_or_delete_interleaved_with_delete_returns_not_found() {
    for (function, request) in
        [("touch", json!({"id": 1})), ("delete", json!({"id": 1})), ("delete", json!({"query": "q"}))]
    {
        let stack = stack_with(&[entry("first", 0.0)]).await;
        let (reply, after) = race(&stack, (function, request), ("delete", json!({"query": "Q"})), 1).await;
        assert_eq!(reply.unwrap_err().name, "NotFound", "{function}");
        assert!(after.entries.is_empty());
    }
}

#[tokio::test]
async fn clear_interleaved_with_put_leaves_the_new_entry() {
    let stack = stack_with(&[entry("first", 0.0), json!({"query": "w", "response": "w"})]).await;
    let clear = ("clear", json!({"namespace": "default"}));
    let (reply, after) = race(&stack, clear, ("put", entry("second", 1.0)), 2).await;
    assert_eq!(reply.unwrap()["deleted"], 1, "only the entry that still existed");
    assert_eq!((after.entries.len(), response(&after, 3)), (1, "second"));
}

#[tokio::test]
async fn vacuum_interleaved_with_put_keeps_the_new_entry() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    stack.put(entry("first", 0.0)).await;
    let mut row = Snapshot::read(&stack).await.entries[&1].clone();
    for (name, before) in [("created_at", 100), ("ttl", 50)] {
        let now: i64 = row["last_accessed_at"].as_n().unwrap().parse().unwrap();
        row.insert(name.to_owned(), aws_sdk_dynamodb::types::AttributeValue::N((now - before).to_string()));
    }
    stack.put_item(row).await;
    // An expired entry is absent, so the put takes a new id, and `vacuum` finds nothing to remove.
    let (reply, after) = race(&stack, ("vacuum", json!({})), ("put", entry("second", 0.0)), 1).await;
    assert_eq!(reply.unwrap()["expired"], 0);
    assert_eq!((after.entries.len(), response(&after, 2)), (1, "second"));
}
