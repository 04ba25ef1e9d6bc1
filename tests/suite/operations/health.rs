//! `health`: replies for valid and invalid tables.

use insta::assert_json_snapshot;
use mneme_tests::Stack;
use mneme_tests::embedder::{Behavior, EmbeddingService};
use serde_json::json;

#[tokio::test]
async fn health_of_a_valid_table_returns_healthy() {
    let stack =
        Stack::builder().variables(&[("MNEME_EMBEDDER_FINGERPRINT", "f"), ("MNEME_EMBEDDER_DIM", "4")]).start().await;
    let (status, mut health) = stack.get("/v1/health").await;
    assert_eq!(status, 200);
    assert_eq!(stack.invoke("health", json!({})).await.unwrap(), health);
    assert_eq!(health.as_object_mut().unwrap().remove("version"), Some(json!(env!("CARGO_PKG_VERSION"))));
    assert_json_snapshot!(health, @r#"
    {
      "embedder_dim": 4,
      "embedder_fingerprint": "f",
      "embedder_match": true,
      "embedder_works": null,
      "healthy": true,
      "problems": [],
      "schema_ok": true,
      "table_reachable": true
    }
    "#);
}

#[tokio::test]
async fn health_of_a_missing_table_returns_503_with_remediation() {
    let stack = Stack::builder().variables(&[("MNEME_CREATE_TABLE", "false")]).start().await;
    let (status, health) = stack.get("/v1/health").await;
    assert_eq!((status, &health["healthy"], &health["table_reachable"]), (503, &json!(false), &json!(false)));
    assert!(health["problems"][0].as_str().unwrap().contains("create_table"), "{health}");
    assert_eq!(stack.invoke("health", json!({})).await.unwrap()["healthy"], false);
}

#[tokio::test]
async fn health_with_other_embedder_returns_503() {
    let stack = Stack::builder().variables(&[("MNEME_EMBEDDER_FINGERPRINT", "f")]).start().await;
    stack.get("/v1/health").await;
    let other = Stack::builder().over_table_of(&stack).variables(&[("MNEME_EMBEDDER_FINGERPRINT", "g")]).start().await;
    let (status, health) = other.get("/v1/health").await;
    assert_eq!(status, 503);
    assert_eq!((&health["table_reachable"], &health["embedder_match"]), (&json!(true), &json!(false)));
    assert_eq!(health["embedder_fingerprint"], "f");
}

#[tokio::test]
async fn health_with_an_embedder_tries_it_once_a_minute() {
    let service = EmbeddingService::start().await;
    let stack = Stack::builder().variables(&[("MNEME_EMBEDDER", &service.embedder())]).start().await;
    for _ in 0..2 {
        let (status, health) = stack.get("/v1/health").await;
        assert_eq!((status, &health["embedder_works"]), (200, &json!(true)), "{health}");
    }
    assert_eq!(service.take_texts().len(), 1);
    stack.put(json!({"query": "q", "response": "r"})).await;
    service.set(Behavior::Reply(401, "{}".to_owned()));
    stack.server.recycle("health").await;
    let (status, health) = stack.get("/v1/health").await;
    assert_eq!((status, &health["embedder_works"], &health["embedder_match"]), (503, &json!(false), &json!(true)));
    assert!(health["problems"][0].as_str().is_some_and(|problem| problem.contains("Remediation")), "{health}");
    // The embedder answers, but with vectors of another length than those of the cache.
    service.set(Behavior::Embed(9));
    stack.server.recycle("health").await;
    let (status, health) = stack.get("/v1/health").await;
    assert_eq!((status, &health["embedder_works"]), (503, &json!(false)));
    assert!(health["problems"][0].as_str().is_some_and(|problem| problem.contains("have 9 numbers")), "{health}");
}

#[tokio::test]
async fn health_of_a_table_without_indexes_returns_503() {
    use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
    let stack = Stack::start().await;
    stack
        .dynamodb()
        .create_table()
        .table_name(mneme_tests::stack::TABLE)
        .attribute_definitions(
            AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::N).build().unwrap(),
        )
        .key_schema(KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap())
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .unwrap();
    let (status, health) = stack.get("/v1/health").await;
    assert_eq!((status, &health["schema_ok"]), (503, &json!(false)));
    assert_eq!(health["problems"].as_array().unwrap().len(), 2, "{health}");
}
