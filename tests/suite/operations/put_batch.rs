//! `put` with several entries: the number of transactions, and one outcome per entry.

use std::time::Duration;

use mneme_tests::{Fault, Stack, vector};
use serde_json::{Value, json};

async fn put_all(stack: &Stack, entries: Vec<Value>) -> Vec<Value> {
    let mut reply = stack.invoke("put", json!({"entries": entries})).await.unwrap();
    serde_json::from_value(reply["results"].take()).unwrap()
}

fn transactions(stack: &Stack) -> Vec<usize> {
    let calls = stack.proxy.take_calls().into_iter().filter(|call| call.operation == "TransactWriteItems");
    calls.map(|call| call.request["TransactItems"].as_array().unwrap().len()).collect()
}

#[tokio::test]
async fn batch_of_100_entries_uses_transactions_of_100_actions() {
    let stack = Stack::start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    stack.proxy.take_calls();
    let entries = (0..100).map(|n| json!({"query": format!("q{n}"), "response": "r", "embedding": vector(4, 0.1)}));
    let results = put_all(&stack, entries.collect()).await;
    let ids: Vec<u64> = results.iter().map(|result| result["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (1..=100).collect::<Vec<u64>>());
    // Each entry has a row and a pointer; each transaction has the counter and one statistics item.
    assert_eq!(transactions(&stack), [100, 100, 6]);
    assert_eq!(stack.counter().await, (101, 100));
    assert_eq!(stack.lookup(json!({"query": "q99"})).await["id"], 100);

    // One entry is replaced in place, one gets a new vector, and one is new.
    let second = vec![
        json!({"query": "q0", "response": "s", "embedding": vector(4, 0.1)}),
        json!({"query": "q1", "response": "s", "embedding": vector(4, 0.2)}),
        json!({"query": "new", "response": "s"}),
    ];
    let results = put_all(&stack, second).await;
    let expected = [(1, false), (101, false), (102, true)].map(|(id, created)| json!({"id": id, "created": created}));
    assert_eq!(results, expected);
    assert_eq!(transactions(&stack).len(), 1);
    assert_eq!(stack.counter().await, (103, 103));
    assert_eq!(stack.get("/v1/entries/2").await.0, 404);
    assert_eq!(stack.get("/v1/stats").await.1["entries"], 101);
}

#[tokio::test]
async fn batch_over_4_mb_uses_as_few_transactions_as_possible() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "r"})).await;
    stack.proxy.take_calls();
    let entries = (0..14).map(|n| json!({"query": format!("q{n}"), "response": "r".repeat(355_000)})).collect();
    let results = put_all(&stack, entries).await;
    assert!(results.iter().all(|result| result["created"] == true), "{results:?}");
    assert_eq!(transactions(&stack), [29, 17]);
    assert_eq!(stack.counter().await, (16, 15));
}

#[tokio::test]
async fn batch_with_invalid_entries_stores_the_others() {
    let stack = Stack::start().await;
    let good = |query: &str| json!({"query": query, "response": "r", "embedding": vector(4, 0.1)});
    let results = put_all(
        &stack,
        vec![
            good("a"),
            json!({"query": "b", "response": "r", "embedding": vector(5, 0.1)}),
            json!({"query": "c", "response": "x".repeat(2_200_000)}),
            json!({"query": "d"}),
            good("e"),
        ],
    )
    .await;
    let names: Vec<&str> = results.iter().map(|result| result["error"]["type"].as_str().unwrap_or("stored")).collect();
    let error = |name: &str| format!("urn:mneme:error:{name}");
    let (dim, large, invalid) = (error("EmbedderDimensionError"), error("EntryTooLarge"), error("InvalidRequest"));
    assert_eq!(names, ["stored", dim.as_str(), large.as_str(), invalid.as_str(), "stored"]);
    assert_eq!((&results[0]["id"], &results[4]["id"]), (&json!(1), &json!(2)));
    assert_eq!(stack.counter().await, (3, 2));
}

#[tokio::test]
async fn batch_with_repeated_query_keeps_the_last_entry() {
    let stack = Stack::start().await;
    let entry = |query: &str, response: &str| json!({"query": query, "response": response});
    let entries = vec![entry("q", "1"), entry("w", "1"), entry("Q ", "2"), entry("q", "3")];
    let results = put_all(&stack, entries).await;
    let expected = [(1, true), (2, true), (1, false), (1, false)].map(|(id, new)| json!({"id": id, "created": new}));
    assert_eq!(results, expected);
    assert_eq!(stack.lookup(json!({"query": "q"})).await["response"], "3");
    assert_eq!(stack.counter().await, (3, 4));
    // An idempotency key also works within one batch.
    let once = json!({"query": "x", "response": "1", "idempotency_key": "k"});
    let results = put_all(&stack, vec![once.clone(), once]).await;
    assert_eq!(results[0], results[1]);
    assert_eq!(stack.counter().await, (4, 5));
}

#[tokio::test]
async fn rejected_transaction_is_split_into_single_entries() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "r"})).await;
    // The first fault meets the whole batch, the second one its first entry.
    stack.proxy.inject_fault("TransactWriteItems", Fault::Refused("ValidationException"));
    stack.proxy.inject_fault("TransactWriteItems", Fault::Refused("ValidationException"));
    let entries = (0..3).map(|n| json!({"query": format!("q{n}"), "response": "r"})).collect();
    let results = put_all(&stack, entries).await;
    assert_eq!(results[0]["error"]["type"], "urn:mneme:error:Internal");
    assert_eq!((&results[1]["id"], &results[2]["id"]), (&json!(2), &json!(3)));
    assert_eq!(stack.counter().await, (4, 3));
}

#[tokio::test]
async fn batch_after_lost_race_stores_each_entry_once() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "r"})).await;
    // The actions are the rows and pointers of three entries, then the counter.
    let mut lost = vec![None; 7];
    lost[6] = Some("ConditionalCheckFailed");
    stack.proxy.inject_fault("TransactWriteItems", Fault::Cancelled(lost));
    stack.proxy.inject_fault("TransactWriteItems", Fault::ReplyLost);
    let entries = (0..3).map(|n| json!({"query": format!("q{n}"), "response": "r"})).collect();
    let results = put_all(&stack, entries).await;
    assert_eq!(results.iter().map(|result| result["id"].as_u64()).collect::<Vec<_>>(), [Some(2), Some(3), Some(4)]);
    assert_eq!((stack.counter().await, stack.proxy.pending_faults()), ((5, 4), 0));
}

#[tokio::test]
async fn batch_whose_caps_take_longer_than_the_function_names_all_its_entries() {
    let stack =
        Stack::builder().variables(&[("MNEME_MAX_ENTRIES", "100000")]).timeout(Duration::from_secs(4)).start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    stack.put(json!({"query": "warm", "response": "r"})).await;
    // Each namespace is registered and counted by two calls, which take 12 seconds for all of them.
    stack.proxy.slow_down(Duration::from_millis(100));
    let entry = |n: u32| json!({"query": format!("q{n}"), "response": "r", "namespace": format!("n{n}")});
    let results = put_all(&stack, (0..60).map(entry).collect()).await;
    let ids: Vec<u64> = results.iter().map(|result| result["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (2..=61).collect::<Vec<u64>>());
    stack.proxy.slow_down(Duration::ZERO);
    assert_eq!(stack.entry_ids().await, (1..=61).collect::<Vec<u64>>());
}
