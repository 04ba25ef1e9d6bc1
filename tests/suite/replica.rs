//! Replicas of several instances: each instance serves every acknowledged change on its next call.

use futures::future::join_all;
use mneme_tests::{Stack, vector};
use serde_json::{Value, json};

use crate::questions::{QUESTION, REWORDED, variant};

fn ask(angle: f64) -> Value {
    json!({"query": REWORDED, "embedding": vector(8, angle)})
}

/// Starts `count` instances of `lookup`, each with a loaded replica.
async fn warm(stack: &Stack, count: usize) {
    for _ in 0..50 {
        join_all((0..count).map(|_| stack.lookup(ask(0.0)))).await;
        if stack.server.instances("lookup") >= count {
            return;
        }
    }
    panic!("{} instances", stack.server.instances("lookup"));
}

#[tokio::test]
async fn lookup_on_any_instance_sees_the_last_acknowledged_change() {
    let stack = Stack::start().await;
    stack.put(json!({"query": QUESTION, "response": "0", "embedding": vector(8, 2.0)})).await;
    warm(&stack, 3).await;
    for number in 1..6 {
        let response = number.to_string();
        // The vector changes every second time.
        let angle = f64::from(number / 2);
        stack.put(json!({"query": QUESTION, "response": response, "embedding": vector(8, angle)})).await;
        for answer in join_all((0..6).map(|_| stack.lookup(ask(angle)))).await {
            assert_eq!((&answer["layer"], &answer["response"]), (&json!("semantic"), &json!(response)));
        }
        for answer in join_all((0..6).map(|_| stack.lookup(json!({"query": QUESTION})))).await {
            assert_eq!((&answer["layer"], &answer["response"]), (&json!("exact"), &json!(response)));
        }
    }
    stack.invoke("delete", json!({"query": QUESTION})).await.unwrap();
    for answer in join_all((0..6).map(|_| stack.lookup(ask(2.0)))).await {
        assert_eq!(answer["reason"], "no_entry");
    }
}

#[tokio::test]
async fn lookup_sees_entries_of_another_stack() {
    let one = Stack::start().await;
    let other = Stack::builder().over_table_of(&one).start().await;
    assert_eq!(one.lookup(ask(0.0)).await["outcome"], "miss");
    other.put(json!({"query": QUESTION, "response": "A", "embedding": vector(8, 0.1)})).await;
    assert_eq!(one.lookup(ask(0.0)).await["response"], "A");
}

#[tokio::test]
async fn catching_up_reads_new_rows_without_a_scan() {
    let stack = Stack::start().await;
    stack.put(json!({"query": QUESTION, "response": "0", "embedding": vector(8, 2.0)})).await;
    stack.lookup(ask(0.0)).await;
    let entries: Vec<Value> =
        (1..=150).map(|n| json!({"query": variant(n), "response": "A", "embedding": vector(8, 0.1)})).collect();
    stack.invoke("put", json!({"entries": entries})).await.unwrap();
    stack.proxy.take_operations();
    assert_eq!(stack.lookup(ask(0.0)).await["id"], 2);
    // Instances write counts (`UpdateItem`) in the background.
    let is_read = |operation: &String| operation != "UpdateItem";
    let operations: Vec<String> = stack.proxy.take_operations().into_iter().filter(is_read).collect();
    assert!(operations.iter().all(|operation| operation == "BatchGetItem"), "{operations:?}");
    assert_eq!(stack.server.instances("lookup"), 1);
}

#[tokio::test]
async fn stale_check_interval_skips_the_counter_read() {
    let stack = Stack::builder().variables(&[("MNEME_STALE_CHECK_INTERVAL_MS", "60000")]).start().await;
    stack.put(json!({"query": QUESTION, "response": "A", "embedding": vector(8, 0.0)})).await;
    stack.lookup(ask(0.0)).await;
    stack.proxy.take_calls();
    assert_eq!(stack.lookup(ask(0.0)).await["outcome"], "hit");
    let calls = stack.proxy.take_calls();
    let keys = calls[0].request["RequestItems"]["mneme"]["Keys"].as_array().unwrap();
    assert!(keys.iter().all(|key| key["id"]["N"] != "0"), "{keys:?}");
    // The semantic layer sees later entries after the interval, and the exact layer sees them at once.
    stack.put(json!({"query": "r", "response": "B", "embedding": vector(8, 1.5)})).await;
    assert_eq!(stack.lookup(ask(1.5)).await["outcome"], "miss");
    assert_eq!(stack.lookup(json!({"query": "r", "embedding": vector(8, 1.5)})).await["response"], "B");
}

#[tokio::test]
async fn recreated_table_replaces_the_replica() {
    let stack = Stack::start().await;
    for number in 0..5 {
        let entry = json!({"query": variant(number), "response": "old", "embedding": vector(8, 0.0)});
        stack.put(entry).await;
    }
    assert_eq!(stack.lookup(ask(0.0)).await["response"], "old");
    stack.dynamodb().delete_table().table_name(mneme_tests::stack::TABLE).send().await.unwrap();
    stack.server.recycle("put").await;
    stack.put(json!({"query": QUESTION, "response": "new", "embedding": vector(8, 0.0)})).await;
    assert_eq!(stack.lookup(ask(0.0)).await["response"], "new");
}

#[tokio::test]
async fn entry_that_changes_its_id_during_lookups_is_always_found() {
    let stack = Stack::builder().variables(&[("MNEME_TXN_RETRIES", "50")]).start().await;
    let entry = |number: u32| {
        let angle = f64::from(number % 2) * 0.1;
        json!({"query": QUESTION, "response": "A", "embedding": vector(8, angle)})
    };
    stack.put(entry(0)).await;
    warm(&stack, 2).await;
    let writer = async {
        for number in 1..25 {
            stack.put(entry(number)).await;
        }
    };
    let reader = async |question: Value| {
        for _ in 0..25 {
            let answer = stack.lookup(question.clone()).await;
            assert_eq!(answer["outcome"], "hit", "{answer}");
        }
    };
    let hash = mneme_model::normalize::QueryHash::of(QUESTION, true);
    let finder = async {
        for _ in 0..25 {
            stack.invoke("find", json!({"query_hash": hash})).await.unwrap();
        }
    };
    futures::join!(writer, reader(ask(0.0)), reader(json!({"query": QUESTION})), finder);
}

#[tokio::test]
async fn lookup_of_a_deleted_entry_costs_one_read() {
    let stack = Stack::start().await;
    stack.put(json!({"query": QUESTION, "response": "A", "embedding": vector(8, 0.0)})).await;
    stack.lookup(ask(3.0)).await;
    stack.invoke("delete", json!({"id": 1})).await.unwrap();
    let question = json!({"query": QUESTION});
    assert_eq!(stack.lookup(question.clone()).await["outcome"], "miss");
    stack.proxy.take_operations();
    assert_eq!(stack.lookup(question).await["outcome"], "miss");
    let operations = stack.proxy.take_operations();
    assert_eq!(operations.iter().filter(|operation| *operation == "BatchGetItem").count(), 1, "{operations:?}");
}
