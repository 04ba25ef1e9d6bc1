//! `update`: changing parts of an entry.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_tests::stack::{Stack, is_dynamodb_local, vector};
use reqwest::Method;
use serde_json::{Value, json};

use crate::questions::{QUESTION, REWORDED};

async fn stored(stack: &Stack) -> u64 {
    let entry = json!({
        "query": QUESTION, "response": "A", "embedding": vector(8, 0.0), "metadata": {"source": "faq"}, "ttl_seconds": 600,
    });
    stack.put(entry).await
}

async fn patch(stack: &Stack, id: u64, change: Value) -> (u16, Value) {
    stack.http(Method::PATCH, &format!("/v1/entries/{id}"), Some(change)).await
}

#[tokio::test]
async fn update_changes_the_named_fields_and_no_others() {
    let stack = Stack::start().await;
    let id = stored(&stack).await;
    let before = stack.get(&format!("/v1/entries/{id}")).await.1;
    let (status, after) = patch(&stack, id, json!({"response": "B", "confidence_score": 0.9})).await;
    assert_eq!(status, 200, "{after}");
    let mut expected = before.clone();
    (expected["response"], expected["confidence_score"]) = (json!("B"), json!(0.9));
    assert_eq!(after, expected);
    assert_eq!(stack.get(&format!("/v1/entries/{id}")).await, (200, after));
    let hit = stack.lookup(json!({"query": REWORDED, "embedding": vector(8, 0.1)})).await;
    assert_eq!((&hit["id"], &hit["response"]), (&json!(id), &json!("B")));

    let (_, after) = patch(&stack, id, json!({"metadata": {"owner": "team"}})).await;
    assert_eq!((&after["metadata"], &after["response"]), (&json!({"owner": "team"}), &json!("B")));
    assert_eq!(stack.counter().await, (2, 3), "each change is one mutation");
}

#[tokio::test]
async fn update_of_the_time_to_live_counts_from_now_and_can_end_it() {
    let stack = Stack::start().await;
    let id = stored(&stack).await;
    stack.backdate([id], 500).await;
    let (_, before) = stack.get(&format!("/v1/entries/{id}")).await;
    let (_, longer) = patch(&stack, id, json!({"ttl_seconds": 5000})).await;
    assert!(longer["expires_at"].as_i64().unwrap() > before["expires_at"].as_i64().unwrap() + 4000, "{longer}");
    assert_eq!(longer["created_at"], before["created_at"], "the age of an answer goes on");
    let (_, forever) = patch(&stack, id, json!({"never_expires": true})).await;
    assert_eq!(forever["expires_at"], Value::Null);
}

#[tokio::test]
async fn update_of_a_missing_or_expired_entry_is_not_found() {
    let stack = Stack::start().await;
    let id = stored(&stack).await;
    assert_eq!(patch(&stack, id + 1, json!({"response": "B"})).await.0, 404);
    stack.backdate([id], 700).await;
    assert_eq!(patch(&stack, id, json!({"never_expires": true})).await.0, 404);
    assert_eq!(stack.counter().await, (2, 1));
}

#[tokio::test]
async fn invalid_updates_are_refused() {
    let stack = Stack::start().await;
    let id = stored(&stack).await;
    for (bad, field) in [
        (json!({}), "the request changes nothing"),
        (json!({"response": null}), "the request changes nothing"),
        (json!({"response": " "}), "response"),
        (json!({"response": "[ERROR] 500"}), "response"),
        (json!({"confidence_score": 1.1}), "confidence_score"),
        (json!({"ttl_seconds": 0}), "ttl_seconds"),
        (json!({"ttl_seconds": 5, "never_expires": true}), "never_expires"),
        (json!({"query": "another"}), "query"),
        (json!({"metadata": "text"}), "metadata"),
        (json!({"tags": [""]}), "tags"),
        (json!({"tags": "a"}), "tags"),
    ] {
        let (status, problem) = patch(&stack, id, bad.clone()).await;
        assert_eq!((status, &problem["type"]), (400, &json!("urn:mneme:error:InvalidRequest")), "{bad}");
        assert!(problem["detail"].as_str().unwrap().starts_with(field), "{bad}: {problem}");
    }
    let (status, problem) = patch(&stack, id, json!({"response": "x".repeat(2_500_000)})).await;
    assert_eq!((status, &problem["type"]), (413, &json!("urn:mneme:error:EntryTooLarge")));
    let (status, _) = patch(&stack, id, json!({"metadata": {"a": "x".repeat(70_000)}})).await;
    assert_eq!(status, 413);
    assert_eq!(stack.counter().await, (2, 1), "nothing was written");
}

#[tokio::test]
async fn update_outside_the_claimed_namespaces_is_refused() {
    let stack = Stack::builder().variables(&[("MNEME_NAMESPACE_CLAIM", "space")]).start().await;
    let id = stored(&stack).await;
    let change = Some(json!({"response": "B"}));
    let claims = json!({"sub": "me", "space": "mine"});
    let (status, problem) = stack.http_as(&claims, Method::PATCH, &format!("/v1/entries/{id}"), change).await;
    assert_eq!((status, &problem["type"]), (403, &json!("urn:mneme:error:NamespaceForbidden")));
    assert_eq!(stack.invoke("get", json!({"id": id})).await.unwrap()["response"], "A");
}

#[tokio::test]
async fn entry_that_was_prolonged_is_not_removed_as_expired() {
    let stack = Stack::start().await;
    let id = stored(&stack).await;
    stack.backdate([id], 599).await;
    let mut row = stack.rows().await[&i128::from(id)].clone();
    let later = row["ttl"].as_n().unwrap().parse::<i64>().unwrap() + 1000;
    row.insert("ttl".to_owned(), AttributeValue::N(later.to_string()));
    // `vacuum` reads the row as expired, and the update comes before its transaction.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let held = stack.proxy.hold_nth("TransactWriteItems", 0);
    let vacuum = stack.invoke("vacuum", json!({}));
    let prolong = async {
        let release = tokio::time::timeout(Duration::from_secs(10), held.arrived()).await;
        // DynamoDB Local deletes expired rows itself at once, so that `vacuum` may find none.
        assert!(release.is_ok() || is_dynamodb_local());
        stack.put_item(row).await;
        if let Ok(release) = release {
            release();
        }
    };
    let (vacuumed, ()) = tokio::join!(vacuum, prolong);
    vacuumed.unwrap();
    assert_eq!(stack.entry_ids().await, [id]);
}
