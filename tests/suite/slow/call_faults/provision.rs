//! Faults while `provision` creates and stamps the table.

use aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveStatus};
use mneme_tests::invariants::Snapshot;
use mneme_tests::stack::TABLE;
use mneme_tests::{Fault, Stack};
use serde_json::json;

use super::{entry, number};

#[tokio::test]
async fn provision_with_any_fault_can_be_completed() {
    let stack = Stack::builder()
        .variables(&[("MNEME_EMBEDDER_DIM", "4"), ("MNEME_EMBEDDER_FINGERPRINT", "f"), ("MNEME_MAX_ENTRIES", "9")])
        .start()
        .await;
    let client = stack.dynamodb();
    let fresh = async || {
        client.delete_table().table_name(TABLE).send().await.unwrap();
        stack.proxy.take_calls();
    };
    stack.invoke("provision", json!({})).await.unwrap();
    fresh().await;
    stack.invoke("provision", json!({})).await.unwrap();
    let calls = stack.proxy.take_operations();
    assert!(calls.contains(&"CreateTable".to_owned()), "{calls:?}");
    for (at, operation) in calls.iter().enumerate() {
        let others = calls[..at].iter().filter(|other| *other == operation).count();
        for fault in Fault::all().into_iter().filter(|fault| fault.applies_to(operation)) {
            fresh().await;
            stack.proxy.inject_nth(operation, others, fault.clone());
            let outcome = stack.invoke("provision", json!({})).await;
            let context = format!("{fault:?} at call {at} ({operation}): {outcome:?}");
            assert_eq!(stack.proxy.pending_faults(), 0, "met no call: {context}");
            if let Err(error) = outcome {
                assert_eq!(error.name, "StoreBackendError", "{context}");
                stack.invoke("provision", json!({})).await.unwrap();
            }
            let snapshot = Snapshot::read(&stack).await;
            let counter = snapshot.counter();
            assert_eq!((snapshot.next_id, snapshot.version, number(counter, "embedder_dim")), (1, 0, 4), "{context}");
            assert_eq!(counter["embedder_fingerprint"], AttributeValue::S("f".to_owned()), "{context}");
            let ttl = client.describe_time_to_live().table_name(TABLE).send().await.unwrap();
            let status = ttl.time_to_live_description.unwrap().time_to_live_status.unwrap();
            assert_eq!(status, TimeToLiveStatus::Enabled, "{context}");
        }
    }
    // The table is usable in the end.
    stack.put(entry("first", 0.0)).await;
    Snapshot::read(&stack).await.check();
}
