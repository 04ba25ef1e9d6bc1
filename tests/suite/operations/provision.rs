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
async fn refused_configuration_stamps_nothing() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "r", "embedding": [1, 2, 3]})).await;
    let before = stack.rows().await;
    // The dimension differs and the fingerprint is missing.
    let variables = [("MNEME_EMBEDDER_FINGERPRINT", "new"), ("MNEME_EMBEDDER_DIM", "384")];
    let refused = Stack::builder().over_table_of(&stack).variables(&variables).start().await;
    for (function, request) in
        [("provision", json!({})), ("lookup", json!({"query": "q"})), ("put", json!({"query": "s", "response": "r"}))]
    {
        let error = refused.invoke(function, request).await.unwrap_err();
        assert_eq!(error.name, "EmbedderMismatchError", "{function}");
    }
    refused.get("/v1/stats").await;
    assert_eq!(stack.rows().await, before);
    let variables = [("MNEME_EMBEDDER_FINGERPRINT", "mine"), ("MNEME_EMBEDDER_DIM", "3")];
    let right = Stack::builder().over_table_of(&stack).variables(&variables).start().await;
    assert_eq!(right.invoke("provision", json!({})).await.unwrap()["embedder_fingerprint"], "mine");
}

#[tokio::test]
async fn reading_operations_write_nothing_into_a_new_table() {
    let stack = Stack::start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    stack.delete_items([0]).await;
    let variables = [("MNEME_EMBEDDER_FINGERPRINT", "f"), ("MNEME_CREATE_TABLE", "false")];
    let reader = Stack::builder().over_table_of(&stack).variables(&variables).start().await;
    assert_eq!(reader.get("/v1/entries/1").await.0, 404);
    assert_eq!(reader.get("/v1/entries").await.1["entries"], json!([]));
    assert_eq!(reader.get("/v1/namespaces").await.1["namespaces"], json!([]));
    assert_eq!(reader.get("/v1/stats").await.1["version_counter"], 0);
    assert_eq!(reader.get("/v1/health").await.1["healthy"], true);
    assert_eq!(reader.get("/v1/namespaces/a/quota").await.0, 404);
    assert!(stack.rows().await.is_empty());
}

#[tokio::test]
async fn restamp_gives_a_cache_without_embeddings_the_configured_embedder() {
    let stack = Stack::start().await;
    let careless = stack.put(json!({"query": "careless", "response": "r", "embedding": [1, 2, 3]})).await;
    stack.put(json!({"query": "exact", "response": "r"})).await;
    stack.lookup(json!({"query": "x", "embedding": [1, 2, 3]})).await;
    let variables = [("MNEME_EMBEDDER_FINGERPRINT", "new"), ("MNEME_EMBEDDER_DIM", "2")];
    let new = Stack::builder().over_table_of(&stack).variables(&variables).start().await;
    let (status, health) = new.get("/v1/health").await;
    assert!(
        status == 503 && health["problems"][0].as_str().is_some_and(|problem| problem.contains("restamp")),
        "{health}"
    );
    let error = new.invoke("provision", json!({"restamp": true})).await.unwrap_err();
    assert!(error.message.contains(&format!("entry {careless} has an embedding")), "{error:?}");
    new.invoke("delete", json!({"id": careless})).await.unwrap();
    let before = stack.counter().await;
    let stamped = new.invoke("provision", json!({"restamp": true})).await.unwrap();
    assert_eq!((&stamped["embedder_fingerprint"], &stamped["embedder_dim"]), (&json!("new"), &json!(2)));
    assert_eq!(stack.counter().await, (before.0, before.1 + 1));
    new.invoke("provision", json!({"restamp": true})).await.unwrap();
    assert_eq!(stack.counter().await.1, before.1 + 1, "a second restamp changes nothing");
    assert_eq!(new.lookup(json!({"query": "exact"})).await["outcome"], "hit");
    new.put(json!({"query": "How do I pay?", "response": "By card.", "embedding": [1, 0]})).await;
    let hit = new.lookup(json!({"query": "How do I pay, please?", "embedding": [1, 0]})).await;
    assert_eq!(hit["layer"], "semantic", "{hit}");
    // An instance that was warm before sees the new embedder, too.
    let warm = stack.lookup(json!({"query": "How do I pay, please?", "embedding": [1, 0]})).await;
    assert_eq!(warm["layer"], "semantic", "{warm}");
    assert_eq!(new.get("/v1/health").await.0, 200);
}

#[tokio::test]
async fn restamp_during_a_put_is_refused_and_loses_nothing() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "r"})).await;
    let variables = [("MNEME_EMBEDDER_FINGERPRINT", "new"), ("MNEME_EMBEDDER_DIM", "2")];
    let new = Stack::builder().over_table_of(&stack).variables(&variables).start().await;
    let held = new.proxy.hold_nth("TransactWriteItems", 0);
    let restamp = new.invoke("provision", json!({"restamp": true}));
    let put = async {
        let release = held.arrived().await;
        stack.put(json!({"query": "s", "response": "r", "embedding": [1, 2, 3]})).await;
        release();
    };
    let (error, ()) = tokio::join!(restamp, put);
    let error = error.unwrap_err();
    assert!(error.name == "StoreBackendError" && error.message.contains("was stored while"), "{error:?}");
    assert_eq!(stack.lookup(json!({"query": "s"})).await["outcome"], "hit");
}

#[tokio::test]
async fn first_vector_above_the_limit_does_not_set_the_dimension() {
    let stack = Stack::start().await;
    let long = json!({"query": "q", "response": "r", "embedding": vec![1; 4097]});
    let error = stack.invoke("put", long.clone()).await.unwrap_err();
    assert!(error.name == "EmbedderDimensionError" && error.message.contains("MNEME_EMBEDDER_DIM"), "{error:?}");
    let configured = Stack::builder().over_table_of(&stack).variables(&[("MNEME_EMBEDDER_DIM", "4097")]).start().await;
    configured.put(long).await;
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
