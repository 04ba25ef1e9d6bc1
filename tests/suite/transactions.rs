//! Transactions with the counter: lost races, conflicts and lost replies.

use futures::future::join_all;
use mneme_tests::{Fault, Stack, vector};
use serde_json::{Value, json};

#[tokio::test]
async fn lost_reply_is_resolved_without_a_second_write() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "A"})).await;
    for (number, fault) in [Fault::ReplyLost, Fault::NotExecuted].into_iter().enumerate() {
        let number = number as u64;
        for _ in 0..4 {
            stack.proxy.inject_fault("TransactWriteItems", fault.clone());
        }
        let id = stack.put(json!({"query": format!("q{number}"), "response": "A"})).await;
        assert_eq!(id, number + 2);
        assert_eq!(stack.proxy.pending_faults(), 0);
        assert_eq!(stack.counter().await, (number + 3, number + 2));
    }
    for _ in 0..4 {
        stack.proxy.inject_fault("TransactWriteItems", Fault::ReplyLost);
    }
    stack.invoke("delete", json!({"id": 1})).await.unwrap();
    assert_eq!(stack.counter().await, (4, 4));
}

#[tokio::test]
async fn unknown_outcome_is_resolved_by_reading_the_table() {
    let without_an_answer = async |fault: Fault| {
        let stack = Stack::start().await;
        stack.put(json!({"query": "first", "response": "A"})).await;
        for _ in 0..8 {
            stack.proxy.inject_fault("TransactWriteItems", fault.clone());
        }
        let entries = json!([{"query": "q", "response": "B", "embedding": [1, 0]}, {"query": "r", "response": "C"}]);
        let results = stack.invoke("put", json!({"entries": entries})).await.unwrap()["results"].take();
        assert_eq!(stack.proxy.pending_faults(), 0);
        (results, stack.entry_ids().await)
    };
    let ((stored, ids), (failed, none)) =
        tokio::join!(without_an_answer(Fault::ReplyLost), without_an_answer(Fault::NotExecuted));
    assert_eq!((stored, ids), (json!([{"id": 2, "created": true}, {"id": 3, "created": true}]), vec![1, 2, 3]));
    assert_eq!((&failed[0]["error"]["type"], none), (&json!("urn:mneme:error:StoreBackendError"), vec![1]), "{failed}");
}

#[tokio::test]
async fn throttling_after_a_lost_reply_still_reports_success() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "A"})).await;
    stack.proxy.inject_fault("TransactWriteItems", Fault::ReplyLost);
    for _ in 0..4 {
        stack.proxy.inject_fault("TransactWriteItems", Fault::Refused("ThrottlingException"));
    }
    assert_eq!(stack.put(json!({"query": "second", "response": "A"})).await, 2);
    assert_eq!((stack.counter().await, stack.proxy.pending_faults()), ((3, 2), 0));
    // A put that is only throttled is refused, and nothing is stored.
    for _ in 0..4 {
        stack.proxy.inject_fault("TransactWriteItems", Fault::Refused("ThrottlingException"));
    }
    let error = stack.invoke("put", json!({"query": "third", "response": "A"})).await.unwrap_err();
    assert!(error.message.contains("throttled"), "{}", error.message);
    assert_eq!((stack.counter().await, stack.proxy.pending_faults()), ((3, 2), 0));
}

#[tokio::test]
async fn lookup_with_conflicting_access_write_returns_soon() {
    let stack = Stack::builder().variables(&[("MNEME_ACCESS_RESOLUTION_SECS", "0")]).start().await;
    stack.put(json!({"query": "q", "response": "A"})).await;
    for _ in 0..1000 {
        stack.proxy.inject_fault("TransactWriteItems", Fault::Cancelled(vec![None, Some("TransactionConflict")]));
    }
    assert_eq!(stack.lookup(json!({"query": "q"})).await["outcome"], "hit");
    assert!(stack.proxy.pending_faults() > 900, "it gave up after few attempts");
}

#[tokio::test]
async fn lost_race_is_retried_then_reported() {
    let stack = Stack::builder().variables(&[("MNEME_TXN_RETRIES", "2")]).start().await;
    stack.put(json!({"query": "first", "response": "A"})).await;
    // The actions are the row, the pointer, the counter and the statistics.
    let lost = || Fault::Cancelled(vec![None, None, Some("ConditionalCheckFailed"), None]);
    for _ in 0..2 {
        stack.proxy.inject_fault("TransactWriteItems", lost());
    }
    assert_eq!(stack.put(json!({"query": "second", "response": "A"})).await, 2);
    for _ in 0..3 {
        stack.proxy.inject_fault("TransactWriteItems", lost());
    }
    let (status, problem) = stack.post("/v1/entries", json!({"query": "third", "response": "A"})).await;
    assert_eq!((status, &problem["type"]), (503, &json!("urn:mneme:error:StoreBackendError")));
    assert_eq!(problem["detail"], "DynamoDB insert lost the counter race after 2 retries");
    assert_eq!(stack.counter().await, (3, 2));
    assert_eq!(stack.put(json!({"query": "third", "response": "A"})).await, 3);
}

#[tokio::test]
async fn condition_failure_with_conflict_is_retried() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "A"})).await;
    let codes = vec![Some("ConditionalCheckFailed"), None, Some("TransactionConflict"), None];
    stack.proxy.inject_fault("TransactWriteItems", Fault::Cancelled(codes));
    assert_eq!(stack.put(json!({"query": "second", "response": "A"})).await, 2);
    assert_eq!((stack.counter().await, stack.proxy.pending_faults()), ((3, 2), 0));
}

#[tokio::test]
async fn unknown_outcome_is_not_reported_as_known() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "A"})).await;
    for then in ["AccessDeniedException", "ValidationException"] {
        let entries =
            json!({"entries": [{"query": then, "response": "A"}, {"query": format!("{then} 2"), "response": "A"}]});
        stack.proxy.inject_fault("TransactWriteItems", Fault::NotExecuted);
        stack.proxy.inject_fault("TransactWriteItems", Fault::Refused(then));
        let reply = stack.invoke("put", entries.clone()).await.unwrap();
        for result in reply["results"].as_array().unwrap() {
            let detail = result["error"]["detail"].as_str().unwrap();
            assert_eq!(detail, "DynamoDB did not answer TransactWriteItems in time", "{then}");
        }
        // If the transaction was executed, reading the table shows it.
        stack.proxy.inject_fault("TransactWriteItems", Fault::ReplyLost);
        stack.proxy.inject_fault("TransactWriteItems", Fault::Refused(then));
        let reply = stack.invoke("put", entries).await.unwrap();
        assert!(reply["results"].as_array().unwrap().iter().all(|result| result["created"] == true), "{reply}");
    }
    assert_eq!(stack.counter().await, (6, 5), "each entry was stored once");
}

#[tokio::test]
async fn transaction_conflicts_do_not_count_as_lost_races() {
    let stack = Stack::builder().variables(&[("MNEME_TXN_RETRIES", "0")]).start().await;
    stack.put(json!({"query": "first", "response": "A", "embedding": vector(4, 0.0)})).await;
    let conflict = || Fault::Cancelled(vec![None, Some("TransactionConflict")]);
    for _ in 0..3 {
        stack.proxy.inject_fault("TransactWriteItems", conflict());
    }
    assert_eq!(stack.put(json!({"query": "second", "response": "A"})).await, 2);
    for (function, request) in [
        ("touch", json!({"id": 1})),
        ("quota", json!({"action": "set", "namespace": "a", "max_entries": 3})),
        ("delete", json!({"id": 1})),
    ] {
        stack.proxy.inject_fault("TransactWriteItems", conflict());
        stack.invoke(function, request).await.unwrap();
    }
    assert_eq!(stack.proxy.pending_faults(), 0);
    assert_eq!(stack.counter().await, (3, 5));
}

#[tokio::test]
async fn rejected_request_returns_internal_without_details() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "A"})).await;
    stack.proxy.inject_fault("TransactWriteItems", Fault::Refused("ValidationException"));
    let error = stack.invoke("put", json!({"query": "second", "response": "A"})).await.unwrap_err();
    assert_eq!(error.name, "Internal");
    assert!(!error.message.contains("injected"), "{}", error.message);
    stack.proxy.inject_fault("TransactWriteItems", Fault::Cancelled(vec![Some("ValidationError"), None]));
    let (status, problem) = stack.post("/v1/entries", json!({"query": "second", "response": "A"})).await;
    assert_eq!((status, &problem["type"]), (500, &json!("urn:mneme:error:Internal")));
}

#[tokio::test]
async fn concurrent_puts_create_one_row_per_query() {
    let stack = Stack::start().await;
    let put = async |number: u32, query: String| -> Value {
        loop {
            let entry = json!({"query": query, "response": format!("{number}"), "embedding": vector(4, 0.0)});
            match stack.invoke("put", entry).await {
                Ok(reply) => return reply,
                Err(error) => assert!(error.message.contains("lost the counter race"), "{}", error.message),
            }
        }
    };
    // 64 concurrent puts share four instances. Each query is put twice.
    let replies = join_all((0..64).map(|number| put(number, format!("q{}", number % 32)))).await;
    let created = replies.iter().filter(|reply| reply["created"] == true).count();
    assert_eq!(created, 32);
    assert_eq!(stack.counter().await, (33, 64));
    assert_eq!(stack.entry_ids().await, (1..=32).collect::<Vec<u64>>());
    assert_eq!(stack.get("/v1/stats").await.1["entries"], 32);
}

#[tokio::test]
async fn concurrent_touches_and_deletes_are_counted_exactly() {
    let stack = Stack::start().await;
    let entries: Vec<Value> = (0..20).map(|n| json!({"query": format!("q{n}"), "response": "A"})).collect();
    stack.invoke("put", json!({"entries": entries})).await.unwrap();
    let touches = join_all((1..=20).map(|id| stack.invoke("touch", json!({"id": id}))));
    let deletes = join_all((1..=10).map(|id| stack.invoke("delete", json!({"id": id}))));
    let (touched, deleted) = futures::join!(touches, deletes);
    let count = |replies: &[Result<Value, _>]| replies.iter().filter(|reply| reply.is_ok()).count() as u64;
    assert_eq!(count(&deleted), 10);
    assert!(count(&touched) >= 10);
    assert_eq!(stack.counter().await, (21, 20 + count(&touched) + 10));
}

#[tokio::test]
async fn ticket_whose_reply_was_lost_is_taken_once() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "r"})).await;
    // The put loses a race for the counter, so it takes a ticket.
    stack.proxy.inject_fault("TransactWriteItems", Fault::Overtaken);
    stack.proxy.inject_fault("UpdateItem", Fault::ReplyLost);
    stack.put(json!({"query": "second", "response": "r"})).await;
    assert_eq!(stack.proxy.pending_faults(), 0);
    let key = mneme_store::key::RowKey::WRITER_QUEUE.attribute();
    let queue = &stack.rows().await[&key.as_n().unwrap().parse().unwrap()];
    let number = |name: &str| queue[name].as_n().unwrap().clone();
    assert_eq!((number("issued").as_str(), number("served").as_str()), ("1", "1"));
}
