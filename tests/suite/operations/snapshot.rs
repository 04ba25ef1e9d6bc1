//! `snapshot`: always the same error, without any call to DynamoDB.

use mneme_tests::Stack;
use serde_json::json;

#[tokio::test]
async fn snapshot_returns_checkpoint_error_naming_aws_tools() {
    let stack = Stack::start().await;
    for path in ["/v1/snapshot", "/v1/restore"] {
        let (status, problem) = stack.http(reqwest::Method::POST, path, None).await;
        assert_eq!((status, &problem["type"]), (501, &json!("urn:mneme:error:CheckpointError")));
        let remedy = problem["remediation"].as_str().unwrap();
        for tool in ["AWS Backup", "point-in-time recovery", "ExportTableToPointInTime"] {
            assert!(remedy.contains(tool), "{remedy}");
        }
    }
    assert_eq!(stack.invoke("snapshot", json!({"anything": 1})).await.unwrap_err().name, "CheckpointError");
    assert!(stack.proxy.take_operations().is_empty());
}
