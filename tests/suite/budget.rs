//! What a request may cost: calls one after another, and no read that grows with the table.

use mneme_tests::stack::overcounts_transactions;
use mneme_tests::{Stack, vector};
use serde_json::{Value, json};

/// A 768-dimension entry with a 0.5 KB response: the item of the capacity budget.
fn entry(number: u32) -> Value {
    let angle = f64::from(number);
    json!({"query": format!("question {number}"), "response": "r".repeat(500), "embedding": vector(768, angle)})
}

/// Operations, read units and write units of the calls made by `work`.
async fn cost(stack: &Stack, work: impl Future<Output = ()>) -> (Vec<String>, f64, f64) {
    stack.proxy.take_calls();
    work.await;
    let (mut operations, mut read, mut write) = (Vec::new(), 0.0, 0.0);
    for call in stack.proxy.take_calls() {
        let consumed = match &call.capacity {
            Value::Array(all) => all.clone(),
            one => vec![one.clone()],
        };
        let units: f64 = consumed.iter().filter_map(|each| each["CapacityUnits"].as_f64()).sum();
        if call.operation == "TransactWriteItems" || call.operation == "UpdateItem" {
            write += if overcounts_transactions() { 0.0 } else { units };
        } else {
            read += units;
        }
        operations.push(call.operation);
    }
    (operations, read, write)
}

#[tokio::test]
async fn warm_requests_keep_to_the_budget() {
    let stack = Stack::start().await;
    for number in 0..3 {
        stack.put(entry(number)).await;
    }
    let known = json!({"query": "x", "embedding": vector(768, 1.1)});
    let unknown = json!({"query": "y", "embedding": vector(768, 4.5)});
    for question in [&known, &unknown] {
        stack.lookup(question.clone()).await;
    }
    stack.invoke("delete", json!({"id": 3})).await.unwrap();
    stack.lookup(unknown.clone()).await;
    // The counts of lookups are written in the background, a second later.
    let counts_are_written = async || tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    counts_are_written().await;

    let (operations, read, write) = cost(&stack, async {
        assert_eq!(stack.lookup(unknown.clone()).await["outcome"], "miss");
    })
    .await;
    assert_eq!(operations, ["BatchGetItem"]);
    assert!(read <= 2.0 && write == 0.0, "a miss: {read} read, {write} written");

    let (operations, read, write) = cost(&stack, async {
        assert_eq!(stack.lookup(known.clone()).await["layer"], "semantic");
    })
    .await;
    assert_eq!(operations, ["BatchGetItem"]);
    assert!(read <= 6.0 && write == 0.0, "a hit: {read} read, {write} written");

    counts_are_written().await;
    let (operations, read, write) = cost(&stack, async {
        stack.put(entry(7)).await;
    })
    .await;
    // Three reads at once, then one transaction.
    assert_eq!(operations.len(), 4, "{operations:?}");
    assert_eq!(operations[3], "TransactWriteItems");
    assert!(read <= 2.0 && write <= 16.0, "a put: {read} read, {write} written");

    let (operations, read, write) = cost(&stack, async {
        stack.invoke("delete", json!({"id": 4})).await.unwrap();
    })
    .await;
    assert_eq!(operations, ["GetItem", "TransactWriteItems"]);
    assert!(read <= 2.0 && write <= 16.0, "a delete: {read} read, {write} written");
}

#[tokio::test]
async fn an_exact_lookup_on_a_cold_instance_is_two_calls() {
    let stack = Stack::start().await;
    stack.put(entry(1)).await;
    let (operations, read, write) = cost(&stack, async {
        let question = json!({"query": "Question 1", "embedding": vector(768, 1.0)});
        assert_eq!(stack.lookup(question).await["layer"], "exact");
    })
    .await;
    assert_eq!(operations, ["BatchGetItem", "BatchGetItem"]);
    assert!(read <= 4.0 && write == 0.0, "{read} read, {write} written");
}

#[tokio::test]
async fn only_lookup_scans_and_only_once() {
    let stack = Stack::start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    for number in 0..3 {
        stack.put(entry(number)).await;
    }
    stack.put(entry(1)).await;
    stack.invoke("get", json!({"id": 1})).await.unwrap();
    let hash = mneme_core::normalize::QueryHash::of("question 1", true);
    stack.invoke("find", json!({"query_hash": hash})).await.unwrap();
    stack.invoke("touch", json!({"id": 1})).await.unwrap();
    stack.invoke("delete", json!({"id": 1})).await.unwrap();
    stack.invoke("delete", json!({"query": "question 2"})).await.unwrap();
    assert!(!stack.proxy.take_operations().contains(&"Scan".to_owned()));

    stack.lookup(json!({"query": "question 0"})).await;
    stack.lookup(json!({"query": "none"})).await;
    assert!(!stack.proxy.take_operations().contains(&"Scan".to_owned()), "no vector, no replica");
    stack.lookup(json!({"query": "none", "embedding": vector(768, 1.0)})).await;
    assert!(stack.proxy.take_operations().contains(&"Scan".to_owned()));
    stack.put(entry(9)).await;
    for angle in [1.0, 9.0] {
        stack.lookup(json!({"query": "none", "embedding": vector(768, angle)})).await;
    }
    assert!(!stack.proxy.take_operations().contains(&"Scan".to_owned()));
}
