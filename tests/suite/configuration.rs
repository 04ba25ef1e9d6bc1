//! Invalid configuration: a function reports all errors at start.

use std::process::Command;

use mneme_tests::Stack;
use serde_json::json;

#[tokio::test]
async fn invalid_variables_are_all_reported_at_start() {
    let binary = mneme_local::build_functions().unwrap().join("mneme-lookup");
    let output = Command::new(binary)
        .env_clear()
        .env("MNEME_SIMILARITY_THRESHOLD", "high")
        .env("MNEME_MAX_ENTRIES", "0")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let log = String::from_utf8(output.stdout).unwrap();
    for variable in ["MNEME_TABLE_NAME", "MNEME_SIMILARITY_THRESHOLD", "MNEME_MAX_ENTRIES"] {
        assert!(log.contains(variable), "{log}");
    }
}

#[tokio::test]
async fn invocation_of_a_misconfigured_function_returns_an_error() {
    let stack = Stack::builder().variables(&[("MNEME_NORMALIZE", "perhaps")]).start().await;
    assert_eq!(stack.invoke("get", json!({"id": 1})).await.unwrap_err().name, "Runtime.ExitError");
    assert_eq!(stack.get("/v1/entries/1").await.0, 500);
}
