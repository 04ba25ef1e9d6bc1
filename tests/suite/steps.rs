//! Every DynamoDB call of every mutating operation is made to fail in every way; the table must stay in order, what was
//! acknowledged must be there, and what failed must not.

use mneme_tests::{Fault, Stack, invariants, vector};
use serde_json::{Value, json};

/// What a failure may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    Nothing,
    /// A part of the work, which the table counts.
    Part,
}

fn entry(query: String, angle: f64) -> Value {
    json!({"query": query, "response": "r", "embedding": vector(4, angle)})
}

/// Runs `function` once for each of its calls and each fault. `request` makes what the run of that number needs, and its
/// request; a success raises the version by `mutations`.
async fn run(function: &str, mutations: i128, leaves: Failed, request: impl AsyncFn(&Stack, u64) -> Value) {
    let stack = Stack::start().await;
    stack.put(entry("first".to_owned(), 0.0)).await;
    let mut n = 0;
    // The calls of a run that nothing spoils; the first warms the instance up.
    let mut calls = Vec::new();
    for _ in 0..2 {
        n += 1;
        let ask = request(&stack, n).await;
        stack.proxy.take_calls();
        stack.invoke(function, ask).await.unwrap();
        calls = stack.proxy.take_operations();
    }
    for (at, operation) in calls.iter().enumerate() {
        let others = calls[..at].iter().filter(|other| *other == operation).count();
        for fault in Fault::all().into_iter().filter(|fault| fault.fits(operation)) {
            n += 1;
            let ask = request(&stack, n).await;
            let (before, version_before) = invariants::check(&stack).await;
            stack.proxy.spoil_nth(operation, others, fault.clone());
            let outcome = stack.invoke(function, ask).await;
            assert_eq!(stack.proxy.faults_left(), 0, "{fault:?} met no call {at} ({operation}) of {function}");
            stack.proxy.spoil_nothing();
            let (after, version) = invariants::check(&stack).await;
            let told = format!("{fault:?} at call {at} ({operation}) of {}: {outcome:?}", function);
            match outcome {
                Ok(_) => assert_eq!(version - version_before, mutations, "{told}"),
                Err(error) => {
                    assert_eq!(error.name, "StoreBackendError", "{told}");
                    if leaves == Failed::Nothing {
                        assert_eq!((version, after), (version_before, before), "{told}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn put_of_a_new_entry() {
    let request = async |_: &Stack, n: u64| entry(format!("q{n}"), 0.1);
    run("put", 1, Failed::Nothing, request).await;
}

#[tokio::test]
async fn put_with_another_vector() {
    let request = async |_: &Stack, n: u64| entry("first".to_owned(), 0.1 * n as f64);
    run("put", 1, Failed::Nothing, request).await;
}

#[tokio::test]
async fn put_in_place_with_an_idempotency_key() {
    let request = async |_: &Stack, n: u64| {
        let mut entry = entry("first".to_owned(), 0.0);
        entry["idempotency_key"] = json!(n.to_string());
        entry
    };
    run("put", 1, Failed::Nothing, request).await;
}

#[tokio::test]
async fn touch() {
    let request = async |_: &Stack, _: u64| json!({"id": 1});
    run("touch", 1, Failed::Nothing, request).await;
}

#[tokio::test]
async fn delete_by_id() {
    let request = async |stack: &Stack, n: u64| json!({"id": stack.put(entry(format!("q{n}"), 0.1)).await});
    run("delete", 1, Failed::Nothing, request).await;
}

#[tokio::test]
async fn delete_by_query() {
    let request = async |stack: &Stack, n: u64| {
        stack.put(entry(format!("q{n}"), 0.1)).await;
        json!({"query": format!("Q{n}")})
    };
    run("delete", 1, Failed::Nothing, request).await;
}

#[tokio::test]
async fn setting_and_removing_a_quota() {
    let request = async |_: &Stack, n: u64| json!({"action": "set", "namespace": "other", "max_entries": n + 5});
    run("quota", 1, Failed::Nothing, request).await;
    let request = async |stack: &Stack, _: u64| {
        let set = json!({"action": "set", "namespace": "other", "max_entries": 5});
        stack.invoke("quota", set).await.unwrap();
        json!({"action": "delete", "namespace": "other"})
    };
    run("quota", 1, Failed::Nothing, request).await;
}

#[tokio::test]
async fn setting_meta() {
    let request = async |_: &Stack, n: u64| json!({"action": "set", "key": "k", "value": n.to_string()});
    run("meta", 1, Failed::Nothing, request).await;
}

#[tokio::test]
async fn clear() {
    let request = async |stack: &Stack, n: u64| {
        stack.invoke("clear", json!({"namespace": "wiped"})).await.unwrap();
        for query in ["a", "b"] {
            let mut entry = entry(format!("{query}{n}"), 0.1);
            entry["namespace"] = json!("wiped");
            stack.put(entry).await;
        }
        json!({"namespace": "wiped"})
    };
    run("clear", 2, Failed::Part, request).await;
}

#[tokio::test]
async fn put_of_a_batch() {
    let request = async |_: &Stack, n: u64| {
        let again = entry("first".to_owned(), 0.1 * n as f64);
        json!({"entries": [again, entry(format!("a{n}"), 0.1), entry(format!("b{n}"), 0.2)]})
    };
    run("put", 3, Failed::Part, request).await;
}

#[tokio::test]
async fn vacuum() {
    // The quota comes after the entries, so that it is vacuum that removes one.
    let request = async |stack: &Stack, n: u64| {
        stack.invoke("clear", json!({"namespace": "small"})).await.unwrap();
        let _ = stack.invoke("quota", json!({"action": "delete", "namespace": "small"})).await;
        for query in ["a", "b"] {
            let mut entry = entry(format!("{query}{n}"), 0.1);
            entry["namespace"] = json!("small");
            stack.put(entry).await;
        }
        let set = json!({"action": "set", "namespace": "small", "max_entries": 1});
        stack.invoke("quota", set).await.unwrap();
        json!({})
    };
    run("vacuum", 1, Failed::Part, request).await;
}

#[tokio::test]
async fn eviction_by_a_put() {
    // The quota is 1, so that each put removes the entry before it.
    let request = async |stack: &Stack, n: u64| {
        let set = json!({"action": "set", "namespace": "small", "max_entries": 1});
        stack.invoke("quota", set).await.unwrap();
        let mut entry = entry(format!("q{n}"), 0.1);
        entry["namespace"] = json!("small");
        entry
    };
    run("put", 2, Failed::Part, request).await;
}
