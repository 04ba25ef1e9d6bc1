//! The fault proxy: the reply and the effect of each fault.

#![expect(clippy::disallowed_methods, reason = "these transactions do not belong to a cache")]

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsError, TransactWriteItemsOutput};
use aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use futures::future::join_all;
use mneme_tests::stack::{Item, TABLE};
use mneme_tests::{Fault, Lag, Stack};
use serde_json::json;

fn n(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn row(id: u64, namespace: &str, last_accessed_at: u64) -> Item {
    Item::from([
        ("id".to_owned(), n(id)),
        ("namespace".to_owned(), AttributeValue::S(namespace.to_owned())),
        ("query_hash".to_owned(), AttributeValue::S(format!("h{id}"))),
        ("last_accessed_at".to_owned(), n(last_accessed_at)),
    ])
}

async fn stack() -> Stack {
    let stack = Stack::start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    stack
}

type Sent = Result<TransactWriteItemsOutput, SdkError<TransactWriteItemsError>>;

/// Stores two rows in one transaction, with the ids `1000 + id` and `id`.
async fn transact(client: &Client, id: u64) -> Sent {
    let put = |id| {
        let put = Put::builder().table_name(TABLE).set_item(Some(row(id, "n", 1))).build().unwrap();
        TransactWriteItem::builder().put(put).build()
    };
    client.transact_write_items().transact_items(put(1000 + id)).transact_items(put(id)).send().await
}

async fn is_stored(stack: &Stack, id: u64) -> bool {
    stack.rows().await.contains_key(&i128::from(id))
}

#[tokio::test]
async fn repeated_call_is_marked_as_repeat() {
    let stack = stack().await;
    let id = stack.put(json!({"query": "q", "response": "A"})).await;
    let repeats = async || {
        stack.proxy.take_calls();
        stack.invoke("get", json!({"id": id})).await.unwrap();
        stack.proxy.take_calls().iter().map(|call| call.is_repeat).collect::<Vec<_>>()
    };
    // The first invocation of an instance may make further calls.
    assert!(!repeats().await.contains(&true));
    assert_eq!(repeats().await, [false]);
    stack.proxy.inject_fault("GetItem", Fault::NotExecuted);
    assert_eq!(repeats().await, [false, true]);
}

#[tokio::test]
async fn fault_returns_the_dynamodb_error_and_its_effect() {
    let stack = stack().await;
    let client = stack.proxied_dynamodb();
    for (number, fault) in Fault::all().into_iter().filter(|fault| fault.applies_to("TransactWriteItems")).enumerate() {
        let id = number as u64 + 1;
        stack.proxy.inject_fault("TransactWriteItems", fault.clone());
        let sent = transact(&client, id).await;
        let context = format!("{fault:?}: {sent:?}");
        assert_eq!(is_stored(&stack, id).await, !fault.prevents_execution(), "{context}");
        match &fault {
            Fault::Late(_) => drop(sent.unwrap()),
            Fault::ResetBefore | Fault::ResetAfter => {
                let error = sent.unwrap_err();
                assert!(matches!(error, SdkError::DispatchFailure(_)), "{context}");
                // The client received no byte of a reply.
                assert!(!DisplayErrorContext(&error).to_string().contains("200"), "{context}");
            }
            Fault::ReplyLost | Fault::NotExecuted => {
                let error = sent.unwrap_err();
                assert_eq!(
                    (error.code(), error.raw_response().unwrap().status().as_u16()),
                    (Some("InternalServerError"), 500)
                );
            }
            Fault::Refused(code) => {
                let error = sent.unwrap_err();
                assert_eq!((error.code(), error.raw_response().unwrap().status().as_u16()), (Some(*code), 400));
            }
            Fault::Conflict | Fault::CancelledFor(_) => {
                let TransactWriteItemsError::TransactionCanceledException(cancelled) =
                    sent.unwrap_err().into_service_error()
                else {
                    panic!("{context}")
                };
                let codes: Vec<&str> =
                    cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap()).collect();
                let expected = match fault {
                    Fault::CancelledFor(code) => ["None", code],
                    _ => ["TransactionConflict", "None"],
                };
                assert_eq!(codes, expected);
            }
            other => panic!("{other:?} does not fit"),
        }
        assert_eq!(stack.proxy.take_calls().pop().unwrap().fault, Some(fault));
    }
    stack.proxy.inject_fault("DeleteItem", Fault::Conflict);
    let error = client.delete_item().table_name(TABLE).key("id", n(1)).send().await.unwrap_err();
    assert!(error.into_service_error().is_transaction_conflict_exception());
    assert!(is_stored(&stack, 1).await);
}

#[tokio::test]
async fn overtaken_transaction_fails_with_the_newer_item() {
    let stack = stack().await;
    let update = Update::builder()
        .table_name(TABLE)
        .key("id", n(0))
        .update_expression("SET version_counter = :one")
        .condition_expression("version_counter = :zero")
        .expression_attribute_values(":zero", n(0))
        .expression_attribute_values(":one", n(1))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build()
        .unwrap();
    stack.proxy.inject_fault("TransactWriteItems", Fault::Overtaken);
    let action = TransactWriteItem::builder().update(update).build();
    let sent = stack.proxied_dynamodb().transact_write_items().transact_items(action).send().await;
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = sent.unwrap_err().into_service_error()
    else {
        panic!("not cancelled")
    };
    let reason = &cancelled.cancellation_reasons()[0];
    assert_eq!(reason.code(), Some("ConditionalCheckFailed"));
    assert_eq!(reason.item.as_ref().unwrap()["version_counter"], n(1));
    assert_eq!((stack.counter().await, stack.proxy.overtaken()), ((1, 1), 1));
}

#[tokio::test]
async fn late_call_is_executed_after_the_client_has_left() {
    let stack = stack().await;
    stack.proxy.inject_fault("TransactWriteItems", Fault::Late(Duration::from_millis(200)));
    let client = stack.proxied_dynamodb();
    let impatient = tokio::time::timeout(Duration::from_millis(50), transact(&client, 1)).await;
    assert!(impatient.is_err());
    stack.proxy.idle().await;
    assert!(is_stored(&stack, 1).await);
}

#[tokio::test]
async fn held_call_waits_while_others_pass() {
    let stack = stack().await;
    let client = stack.proxied_dynamodb();
    let held = stack.proxy.hold_nth("TransactWriteItems", 1);
    transact(&client, 1).await.unwrap();
    let others = async {
        let release = held.arrived().await;
        transact(&client, 3).await.unwrap();
        assert!(!is_stored(&stack, 2).await);
        release();
    };
    let (sent, ()) = tokio::join!(transact(&client, 2), others);
    sent.unwrap();
    assert!(is_stored(&stack, 2).await);
}

#[tokio::test]
async fn unprocessed_keys_and_empty_pages_can_be_requested_again() {
    let stack = stack().await;
    let client = stack.proxied_dynamodb();
    for id in 1..=5 {
        stack.put_item(row(id, "n", id)).await;
    }
    for (asked, answered) in [(1u64, 0), (2, 1), (5, 3)] {
        stack.proxy.inject_fault("BatchGetItem", Fault::Unprocessed);
        let keys = (1..=asked).map(|id| Item::from([("id".to_owned(), n(id))])).collect();
        let ask = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build().unwrap();
        let output = client.batch_get_item().request_items(TABLE, ask).send().await.unwrap();
        let got = output.responses().unwrap().get(TABLE).map_or(0, Vec::len);
        let left = &output.unprocessed_keys().unwrap()[TABLE];
        assert_eq!((got, left.keys().len(), left.consistent_read()), (answered, asked as usize - answered, Some(true)));
    }
    stack.proxy.inject_fault("Scan", Fault::EmptyPage);
    let empty = client.scan().table_name(TABLE).limit(2).send().await.unwrap();
    assert_eq!((empty.count(), empty.items().len()), (0, 0));
    let start = empty.last_evaluated_key;
    assert!(start.is_some());
    // The next page is the one that was requested first.
    let next = client.scan().table_name(TABLE).limit(2).set_exclusive_start_key(start).send().await.unwrap();
    let plain = stack.dynamodb().scan().table_name(TABLE).limit(2).send().await.unwrap();
    assert_eq!(next.items(), plain.items());
}

/// The ids that an index returns for the namespace `n`, in index order.
async fn indexed(client: &Client, index: &str) -> Vec<u64> {
    let mut query = client
        .query()
        .table_name(TABLE)
        .index_name(index)
        .key_condition_expression("namespace = :namespace")
        .expression_attribute_values(":namespace", AttributeValue::S("n".to_owned()));
    if index == "gsi_lru" {
        query = query
            .key_condition_expression("namespace = :namespace AND #at >= :from")
            .expression_attribute_names("#at", "last_accessed_at")
            .expression_attribute_values(":from", n(2));
    }
    let output = query.send().await.unwrap();
    assert_eq!(output.count() as usize, output.items().len());
    output.items().iter().map(|item| item["id"].as_n().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn index_lagging_by_writes_shows_older_rows() {
    let stack = stack().await;
    let client = stack.proxied_dynamodb();
    for (id, at) in [(1, 5), (2, 6), (3, 7)] {
        stack.put_item(row(id, "n", at)).await;
    }
    stack.proxy.delay_indexes(Lag::Writes(2));
    // One row is deleted, one is moved to the end, and one is new.
    client.delete_item().table_name(TABLE).key("id", n(1)).send().await.unwrap();
    client
        .update_item()
        .table_name(TABLE)
        .key("id", n(2))
        .update_expression("SET last_accessed_at = :at")
        .expression_attribute_values(":at", n(9))
        .send()
        .await
        .unwrap();
    assert_eq!(indexed(&client, "gsi_lru").await, [1, 2, 3]);
    client.put_item().table_name(TABLE).set_item(Some(row(4, "n", 8))).send().await.unwrap();
    assert_eq!(indexed(&client, "gsi_lru").await, [2, 3], "two writes after the removal");
    // A refused write does not count.
    let refused = client.put_item().table_name(TABLE).set_item(Some(row(4, "n", 1)));
    refused.condition_expression("attribute_not_exists(id)").send().await.unwrap_err();
    assert_eq!(indexed(&client, "gsi_lru").await, [2, 3]);
    transact(&client, 6).await.unwrap();
    assert_eq!(indexed(&client, "gsi_lru").await, [3, 2], "two writes after the move");
    transact(&client, 7).await.unwrap();
    assert_eq!(indexed(&client, "gsi_lru").await, [3, 4, 2]);
    let mut by_hash = indexed(&client, "gsi_hash").await;
    by_hash.sort_unstable();
    assert_eq!(by_hash, [2, 3, 4], "the rows of the transactions have not reached the index");
    assert_eq!(indexed(&stack.dynamodb(), "gsi_lru").await, [3, 4, 2], "without the proxy there is no lag");
}

#[tokio::test]
async fn index_lagging_by_time_shows_older_rows() {
    let stack = stack().await;
    let client = stack.proxied_dynamodb();
    stack.put_item(row(1, "n", 5)).await;
    stack.proxy.delay_indexes(Lag::Time(Duration::from_secs(3600)));
    client.delete_item().table_name(TABLE).key("id", n(1)).send().await.unwrap();
    transact(&client, 2).await.unwrap();
    assert_eq!(indexed(&client, "gsi_hash").await, [1]);
    stack.proxy.delay_indexes(Lag::Time(Duration::ZERO));
    let mut now = indexed(&client, "gsi_hash").await;
    now.sort_unstable();
    assert_eq!(now, [2, 1002]);
}

#[tokio::test]
async fn same_seed_draws_the_same_faults() {
    let drawn = async |seed: u64| {
        let stack = stack().await;
        stack.proxy.take_calls();
        stack.proxy.inject_at_random(seed, 300);
        let client = stack.proxied_dynamodb();
        for id in 1..=40 {
            let _ = transact(&client, id).await;
        }
        stack.proxy.clear_faults();
        transact(&client, 1).await.unwrap();
        stack.proxy.take_calls().into_iter().map(|call| call.fault).collect::<Vec<_>>()
    };
    let faults = join_all([drawn(1), drawn(1), drawn(2)]).await;
    assert_eq!(faults[0], faults[1]);
    assert_ne!(faults[0], faults[2]);
    let injected = faults[0].iter().flatten().count();
    assert!((4..=24).contains(&injected), "{injected} of 40 calls met faults, and 12 are expected");
}
