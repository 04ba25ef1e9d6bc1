//! Tests of Lambda's Invoke API, as its clients see it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fake::{Fakes, eventually};

#[tokio::test]
async fn invoke_by_any_form_of_a_name_finds_the_function() {
    let fakes = Fakes::start().await;
    for name in [
        "lookup",
        "lookup:$LATEST",
        "lookup%3A%24LATEST",
        "123456789012:function:lookup",
        "mneme-dev-lookup",
        "arn:aws:lambda:eu-west-1:123456789012:function:lookup",
        "arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Alookup%3A%24LATEST",
    ] {
        let response = fakes.post(&format!("/2015-03-31/functions/{name}/invocations"), "{}").await;
        assert_eq!(response.status(), 200, "{name}");
        assert_eq!(response.headers()["x-amz-executed-version"], "$LATEST");
        assert!(!response.headers().contains_key("x-amz-function-error"));
        let id = response.headers()["x-amzn-requestid"].to_str().unwrap().to_owned();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["headers"]["lambda-runtime-aws-request-id"], id);
    }
}

#[tokio::test]
async fn invoke_of_the_alias_live_runs_the_function() {
    let fakes = Fakes::start().await;
    for path in ["lookup/invocations?Qualifier=live", "mneme-dev-lookup:live/invocations"] {
        let response = fakes.post(&format!("/2015-03-31/functions/{path}"), "{}").await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["x-amz-executed-version"]),
            (200, &"1".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn invoke_of_an_unknown_function_or_version_gives_404() {
    let fakes = Fakes::start().await;
    for path in ["nonsense", "lookup:7", "lookup-dev", "lookup/invocations?Qualifier=other&x="] {
        let path = path.replace("/invocations", "");
        let (name, query) = path.split_once('?').unwrap_or((&path, ""));
        let response = fakes.post(&format!("/2015-03-31/functions/{name}/invocations?{query}"), "{}").await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(response.headers()["x-amzn-errortype"], "ResourceNotFoundException");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["Type"], "User");
        assert!(body["Message"].as_str().unwrap().starts_with("Function not found: arn:aws:lambda:"));
    }
}

#[tokio::test]
async fn invoke_with_an_empty_body_sends_an_empty_object() {
    let fakes = Fakes::start().await;
    let response = fakes.post("/2015-03-31/functions/stats/invocations", "").await;
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["event"], json!({}));
    assert_eq!(answer["env"]["AWS_LAMBDA_FUNCTION_NAME"], "stats");
}

#[tokio::test]
async fn invoke_with_a_body_that_is_not_json_gives_400_and_starts_no_instance() {
    let fakes = Fakes::start().await;
    for body in [&b"{"[..], b"nonsense", b"{} {}", b"\"\xff\""] {
        let response = fakes.post("/2015-03-31/functions/lookup/invocations", body).await;
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["x-amzn-errortype"], "InvalidRequestContentException");
        let body: Value = response.json().await.unwrap();
        assert!(body["message"].as_str().unwrap().starts_with("Could not parse request body into json: "));
    }
    assert_eq!(fakes.server.instances("lookup"), 0);
}

#[tokio::test]
async fn invoke_with_over_6_mb_gives_413() {
    let fakes = Fakes::start().await;
    let of = |bytes: usize| format!("{{\"do\":\"answer\",\"with\":1,\"x\":\"{}\"}}", "x".repeat(bytes - 31));
    assert_eq!(of(100).len(), 100);
    let response = fakes.post("/2015-03-31/functions/lookup/invocations", of(6_291_456)).await;
    assert_eq!(response.status(), 200);
    let response = fakes.post("/2015-03-31/functions/lookup/invocations", of(6_291_457)).await;
    assert_eq!(response.status(), 413);
    assert_eq!(response.headers()["x-amzn-errortype"], "RequestTooLargeException");
}

#[tokio::test]
async fn invoke_as_event_runs_in_the_background_and_as_dry_run_not_at_all() {
    let fakes = Fakes::start().await;
    let directory = tempfile::tempdir().unwrap();
    let call = |kind: &'static str| {
        let body = json!({ "do": "wait_for", "file": directory.path() }).to_string();
        let url = fakes.url("/2015-03-31/functions/lookup/invocations");
        fakes.client.post(url).header("X-Amz-Invocation-Type", kind).body(body).send()
    };
    assert_eq!(call("DryRun").await.unwrap().status(), 204);
    assert_eq!(call("Nonsense").await.unwrap().status(), 400);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(fakes.server.instances("lookup"), 0);
    assert_eq!(call("Event").await.unwrap().status(), 202);
    eventually("an instance runs", || fakes.server.instances("lookup") == 1).await;
}

#[tokio::test]
async fn invocation_continues_when_its_caller_hangs_up() {
    let fakes = Fakes::with(|options| options.max_instances = 1).await;
    let abandoned = fakes.invoke(json!({ "do": "sleep", "ms": 500 }));
    assert!(tokio::time::timeout(Duration::from_millis(200), abandoned).await.is_err());
    fakes.echo(json!({})).await;
    assert_eq!(fakes.server.instances("lookup"), 1);
}
