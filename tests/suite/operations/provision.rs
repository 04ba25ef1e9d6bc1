//! `provision` and the table that it creates.

use insta::assert_compact_json_snapshot;
use mneme_tests::Stack;
use mneme_tests::stack::TABLE;
use serde_json::json;

#[tokio::test]
async fn provision_creates_and_stamps_the_table_once() {
    let stack =
        Stack::builder().variables(&[("MNEME_EMBEDDER_FINGERPRINT", "f"), ("MNEME_EMBEDDER_DIM", "8")]).start().await;
    let first = stack.invoke("provision", json!({})).await.unwrap();
    assert_compact_json_snapshot!(first, @r#"{"created": true, "embedder_dim": 8, "embedder_fingerprint": "f"}"#);
    let second = stack.invoke("provision", json!({})).await.unwrap();
    assert_eq!(second["created"], false);

    let table = stack.dynamodb().describe_table().table_name(TABLE).send().await.unwrap().table.unwrap();
    let mut indexes: Vec<String> = table
        .global_secondary_indexes()
        .iter()
        .map(|index| format!("{} {:?}", index.index_name().unwrap(), index.projection().unwrap().projection_type()))
        .collect();
    indexes.sort();
    assert_eq!(indexes, ["gsi_hash Some(KeysOnly)", "gsi_lru Some(KeysOnly)"]);
    let ttl = stack.dynamodb().describe_time_to_live().table_name(TABLE).send().await.unwrap();
    let ttl = ttl.time_to_live_description.unwrap();
    assert_eq!((ttl.attribute_name(), ttl.time_to_live_status().unwrap().as_str()), (Some("ttl"), "ENABLED"));
    assert_eq!(stack.rows().await[&0]["embedder_fingerprint"].as_s().unwrap(), "f");
}

#[tokio::test]
async fn provision_with_create_table_off_is_refused() {
    let stack = Stack::builder().variables(&[("MNEME_CREATE_TABLE", "false")]).start().await;
    let error = stack.invoke("provision", json!({})).await.unwrap_err();
    assert_eq!(error.name, "StoreBackendError");
    assert!(error.message.contains("MNEME_CREATE_TABLE"), "{}", error.message);
    assert!(!error.message.contains(TABLE) || TABLE == "mneme", "{}", error.message);
}

#[tokio::test]
async fn provision_with_capacity_creates_a_provisioned_table() {
    let stack = Stack::builder()
        .variables(&[
            ("MNEME_BILLING_MODE", "PROVISIONED"),
            ("MNEME_PROVISIONED_CAPACITY", "5,7"),
            ("MNEME_GSI_PROJECTION", "ALL"),
        ])
        .start()
        .await;
    stack.invoke("provision", json!({})).await.unwrap();
    let table = stack.dynamodb().describe_table().table_name(TABLE).send().await.unwrap().table.unwrap();
    let throughput = table.provisioned_throughput().unwrap();
    assert_eq!((throughput.read_capacity_units(), throughput.write_capacity_units()), (Some(5), Some(7)));
    for index in table.global_secondary_indexes() {
        assert_eq!(index.provisioned_throughput().unwrap().write_capacity_units(), Some(7));
        assert_eq!(index.projection().unwrap().projection_type().unwrap().as_str(), "ALL");
    }
    assert_eq!(stack.get("/v1/health").await.0, 200);
}

#[tokio::test]
async fn first_vector_sets_the_dimension_of_an_unstamped_table() {
    let stack = Stack::start().await;
    assert_eq!(stack.invoke("provision", json!({})).await.unwrap()["embedder_dim"], json!(null));
    stack.put(json!({"query": "q", "response": "r", "embedding": [1, 2, 3]})).await;
    assert_eq!(stack.invoke("provision", json!({})).await.unwrap()["embedder_dim"], 3);
    let error = stack.invoke("put", json!({"query": "s", "response": "r", "embedding": [1, 2]})).await.unwrap_err();
    assert_eq!(error.name, "EmbedderDimensionError");
}

#[tokio::test]
async fn concurrent_first_puts_create_one_table() {
    let stack = Stack::start().await;
    let puts = (0..4).map(|n| stack.invoke("put", json!({"query": format!("{n}"), "response": "r"})));
    for reply in futures::future::join_all(puts).await {
        reply.unwrap();
    }
    assert_eq!(stack.entry_ids().await, [1, 2, 3, 4]);
}
