//! `delete`: one entry by id or by query.

use aws_sdk_dynamodb::types::AttributeValue;
use insta::assert_compact_json_snapshot;
use mneme_tests::{Stack, vector};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn delete_by_id_and_by_query_removes_the_entry() {
    let stack = Stack::start().await;
    for query in ["a", "b", "c", "d"] {
        stack.put(json!({"query": query, "response": query, "embedding": vector(4, 0.0)})).await;
    }
    let reply = stack.http(Method::DELETE, "/v1/entries/1", None).await;
    assert_compact_json_snapshot!(reply, @r#"[200, {"deleted": true, "id": 1}]"#);
    let reply = stack.post("/v1/entries/delete", json!({"query": " B"})).await;
    assert_compact_json_snapshot!(reply, @r#"[200, {"deleted": true, "id": 2}]"#);
    assert_eq!(stack.invoke("delete", json!({"id": 3})).await.unwrap()["id"], 3);
    let by_query = json!({"namespace": "default", "query": "D"});
    assert_eq!(stack.invoke("delete", by_query.clone()).await.unwrap()["id"], 4);
    assert_eq!(stack.counter().await, (5, 8));
    assert!(stack.entry_ids().await.is_empty());

    assert_eq!(stack.http(Method::DELETE, "/v1/entries/1", None).await.0, 404);
    assert_eq!(stack.invoke("delete", by_query).await.unwrap_err().name, "NotFound");
    assert_eq!(stack.counter().await, (5, 8));
}

#[tokio::test]
async fn put_after_delete_creates_a_new_id() {
    let stack = Stack::start().await;
    let entry = json!({"query": "q", "response": "A", "embedding": vector(4, 0.0)});
    stack.put(entry.clone()).await;
    stack.invoke("delete", json!({"id": 1})).await.unwrap();
    assert_eq!(stack.invoke("put", entry).await.unwrap(), json!({"id": 2, "created": true}));
}

#[tokio::test]
async fn invalid_deletes_are_refused() {
    let stack = Stack::start().await;
    for bad in
        [json!({}), json!({"id": 1, "query": "q"}), json!({"namespace": "a"}), json!({"id": 1, "namespace": "a"})]
    {
        assert_eq!(stack.invoke("delete", bad.clone()).await.unwrap_err().name, "InvalidRequest", "{bad}");
    }
}

#[tokio::test]
async fn delete_of_duplicate_rows_removes_all_and_the_pointer() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "A"})).await;
    // Races of the Python library leave several rows of the same query.
    let mut copy = stack.rows().await[&1].clone();
    for id in ["7", "8"] {
        copy.insert("id".to_owned(), AttributeValue::N(id.to_owned()));
        stack.put_item(copy.clone()).await;
    }
    assert_eq!(stack.invoke("delete", json!({"query": "Q"})).await.unwrap(), json!({"deleted": true, "id": 1}));
    assert!(stack.entry_ids().await.is_empty());
    assert_eq!(stack.lookup(json!({"query": "q"})).await["outcome"], "miss");
    assert_eq!(stack.counter().await, (2, 4));
    let writes = stack.proxy.take_calls().into_iter().filter(|call| call.operation == "TransactWriteItems");
    for call in writes {
        let actions = call.request["TransactItems"].as_array().unwrap().clone();
        let mut keys: Vec<String> = actions
            .iter()
            .map(|action| {
                let action = action.as_object().unwrap().values().next().unwrap();
                action["Key"]["id"]["N"].as_str().or(action["Item"]["id"]["N"].as_str()).unwrap().to_owned()
            })
            .collect();
        keys.sort();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all, "DynamoDB allows one action per item");
    }
}
