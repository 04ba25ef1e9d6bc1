//! The counter's transactions under races, conflicts and lost replies.

use futures::future::join_all;
use mneme_tests::{Fault, Stack, vector};
use serde_json::{Value, json};

#[tokio::test]
async fn a_lost_reply_is_settled_without_writing_twice() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "A"})).await;
    for (number, fault) in [Fault::ReplyLost, Fault::NotCarriedOut].into_iter().enumerate() {
        let number = number as u64;
        for _ in 0..4 {
            stack.proxy.spoil("TransactWriteItems", fault.clone());
        }
        let id = stack.put(json!({"query": format!("q{number}"), "response": "A"})).await;
        assert_eq!(id, number + 2);
        assert_eq!(stack.proxy.faults_left(), 0);
        assert_eq!(stack.counter().await, (number + 3, number + 2));
    }
    for _ in 0..4 {
        stack.proxy.spoil("TransactWriteItems", Fault::ReplyLost);
    }
    stack.invoke("delete", json!({"id": 1})).await.unwrap();
    assert_eq!(stack.counter().await, (4, 4));
}

#[tokio::test]
async fn what_no_resending_tells_is_found_out_by_reading() {
    let without_an_answer = async |fault: Fault| {
        let stack = Stack::start().await;
        stack.put(json!({"query": "first", "response": "A"})).await;
        for _ in 0..8 {
            stack.proxy.spoil("TransactWriteItems", fault.clone());
        }
        let entries = json!([{"query": "q", "response": "B", "embedding": [1, 0]}, {"query": "r", "response": "C"}]);
        let results = stack.invoke("put", json!({"entries": entries})).await.unwrap()["results"].take();
        assert_eq!(stack.proxy.faults_left(), 0);
        (results, stack.entry_ids().await)
    };
    let ((stored, ids), (failed, none)) =
        tokio::join!(without_an_answer(Fault::ReplyLost), without_an_answer(Fault::NotCarriedOut));
    assert_eq!((stored, ids), (json!([{"id": 2, "created": true}, {"id": 3, "created": true}]), vec![1, 2, 3]));
    assert_eq!((&failed[0]["error"]["type"], none), (&json!("urn:mneme:error:StoreBackendError"), vec![1]), "{failed}");
}

#[tokio::test]
async fn throttling_after_a_lost_reply_does_not_turn_a_success_into_a_failure() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "A"})).await;
    stack.proxy.spoil("TransactWriteItems", Fault::ReplyLost);
    for _ in 0..4 {
        stack.proxy.spoil("TransactWriteItems", Fault::Refused("ThrottlingException"));
    }
    assert_eq!(stack.put(json!({"query": "second", "response": "A"})).await, 2);
    assert_eq!((stack.counter().await, stack.proxy.faults_left()), ((3, 2), 0));
    // Nothing but throttling: refused, and nothing stored.
    for _ in 0..4 {
        stack.proxy.spoil("TransactWriteItems", Fault::Refused("ThrottlingException"));
    }
    let error = stack.invoke("put", json!({"query": "third", "response": "A"})).await.unwrap_err();
    assert!(error.message.contains("throttled"), "{}", error.message);
    assert_eq!((stack.counter().await, stack.proxy.faults_left()), ((3, 2), 0));
}

#[tokio::test]
async fn an_answer_does_not_wait_for_its_access_to_be_written() {
    let stack = Stack::with(&[("MNEME_ACCESS_RESOLUTION_SECS", "0")]).await;
    stack.put(json!({"query": "q", "response": "A"})).await;
    for _ in 0..1000 {
        stack.proxy.spoil("TransactWriteItems", Fault::Cancelled(vec![None, Some("TransactionConflict")]));
    }
    assert_eq!(stack.lookup(json!({"query": "q"})).await["outcome"], "hit");
    assert!(stack.proxy.faults_left() > 900, "it gave up soon");
}

#[tokio::test]
async fn a_lost_race_is_tried_again_and_at_last_refused_by_name() {
    let stack = Stack::with(&[("MNEME_TXN_RETRIES", "2")]).await;
    stack.put(json!({"query": "first", "response": "A"})).await;
    // The row, the pointer, the counter and the tally.
    let lost = || Fault::Cancelled(vec![None, None, Some("ConditionalCheckFailed"), None]);
    for _ in 0..2 {
        stack.proxy.spoil("TransactWriteItems", lost());
    }
    assert_eq!(stack.put(json!({"query": "second", "response": "A"})).await, 2);
    for _ in 0..3 {
        stack.proxy.spoil("TransactWriteItems", lost());
    }
    let (status, problem) = stack.post("/v1/entries", json!({"query": "third", "response": "A"})).await;
    assert_eq!((status, &problem["type"]), (503, &json!("urn:mneme:error:StoreBackendError")));
    assert_eq!(problem["detail"], "DynamoDB insert lost the counter race after 2 retries");
    assert_eq!(stack.counter().await, (3, 2));
    assert_eq!(stack.put(json!({"query": "third", "response": "A"})).await, 3);
}

#[tokio::test]
async fn a_row_that_another_writer_is_just_storing_is_no_id_that_is_taken() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "A"})).await;
    let codes = vec![Some("ConditionalCheckFailed"), None, Some("TransactionConflict"), None];
    stack.proxy.spoil("TransactWriteItems", Fault::Cancelled(codes));
    assert_eq!(stack.put(json!({"query": "second", "response": "A"})).await, 2);
    assert_eq!((stack.counter().await, stack.proxy.faults_left()), ((3, 2), 0));
}

#[tokio::test]
async fn an_outcome_that_is_not_known_is_not_told_as_one_that_is() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "A"})).await;
    for then in ["AccessDeniedException", "ValidationException"] {
        let entries =
            json!({"entries": [{"query": then, "response": "A"}, {"query": format!("{then} 2"), "response": "A"}]});
        stack.proxy.spoil("TransactWriteItems", Fault::NotCarriedOut);
        stack.proxy.spoil("TransactWriteItems", Fault::Refused(then));
        let reply = stack.invoke("put", entries.clone()).await.unwrap();
        for result in reply["results"].as_array().unwrap() {
            let detail = result["error"]["detail"].as_str().unwrap();
            assert_eq!(detail, "DynamoDB did not answer TransactWriteItems in time", "{then}");
        }
        // Where it was carried out, a look at the table tells.
        stack.proxy.spoil("TransactWriteItems", Fault::ReplyLost);
        stack.proxy.spoil("TransactWriteItems", Fault::Refused(then));
        let reply = stack.invoke("put", entries).await.unwrap();
        assert!(reply["results"].as_array().unwrap().iter().all(|result| result["created"] == true), "{reply}");
    }
    assert_eq!(stack.counter().await, (6, 5), "each entry was stored once");
}

#[tokio::test]
async fn a_conflict_is_no_lost_race() {
    let stack = Stack::with(&[("MNEME_TXN_RETRIES", "0")]).await;
    stack.put(json!({"query": "first", "response": "A", "embedding": vector(4, 0.0)})).await;
    let conflict = || Fault::Cancelled(vec![None, Some("TransactionConflict")]);
    for _ in 0..3 {
        stack.proxy.spoil("TransactWriteItems", conflict());
    }
    assert_eq!(stack.put(json!({"query": "second", "response": "A"})).await, 2);
    for (function, request) in [
        ("touch", json!({"id": 1})),
        ("quota", json!({"action": "set", "namespace": "a", "max_entries": 3})),
        ("delete", json!({"id": 1})),
    ] {
        stack.proxy.spoil("TransactWriteItems", conflict());
        stack.invoke(function, request).await.unwrap();
    }
    assert_eq!(stack.proxy.faults_left(), 0);
    assert_eq!(stack.counter().await, (3, 5));
}

#[tokio::test]
async fn a_refused_request_of_ours_is_internal_and_tells_nothing() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "first", "response": "A"})).await;
    stack.proxy.spoil("TransactWriteItems", Fault::Refused("ValidationException"));
    let error = stack.invoke("put", json!({"query": "second", "response": "A"})).await.unwrap_err();
    assert_eq!(error.name, "Internal");
    assert!(!error.message.contains("spoilt"), "{}", error.message);
    stack.proxy.spoil("TransactWriteItems", Fault::Cancelled(vec![Some("ValidationError"), None]));
    let (status, problem) = stack.post("/v1/entries", json!({"query": "second", "response": "A"})).await;
    assert_eq!((status, &problem["type"]), (500, &json!("urn:mneme:error:Internal")));
}

#[tokio::test]
async fn concurrent_writers_lose_and_double_nothing() {
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
    // Sixteen clients over four instances; every query is put by two of them.
    let replies = join_all((0..64).map(|number| put(number, format!("q{}", number % 32)))).await;
    let created = replies.iter().filter(|reply| reply["created"] == true).count();
    assert_eq!(created, 32);
    assert_eq!(stack.counter().await, (33, 64));
    assert_eq!(stack.entry_ids().await, (1..=32).collect::<Vec<u64>>());
    assert_eq!(stack.get("/v1/stats").await.1["entries"], 32);
}

#[tokio::test]
async fn deletions_touches_and_puts_count_exactly() {
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
