//! The ways to a cache: its HTTP API with or without credentials, and Lambda's Invoke API.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use mneme_tests::Stack;
use serde_json::json;

use super::{command, mneme, run};

/// The program with the credentials of a developer, and with `endpoint` in place of AWS's Invoke API.
fn with_credentials(arguments: &[&str], endpoint: &str) -> Command {
    let mut command = command(arguments);
    command
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", "eu-west-1");
    command.env("AWS_ENDPOINT_URL_LAMBDA", endpoint);
    command
}

/// Answers one HTTP request with `{}` and returns it.
fn one_request(listener: TcpListener) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut buffer).unwrap();
        request.extend_from_slice(&buffer[..read]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}").unwrap();
    String::from_utf8_lossy(&request).into_owned()
}

#[tokio::test]
async fn command_with_a_stack_calls_its_functions() {
    let stack = Stack::start().await;
    let called = |arguments: &[&str]| {
        run(with_credentials(&[&["--stack", "mneme-dev"][..], arguments].concat(), stack.server.api_url()))
    };
    assert_eq!(called(&["put", "Why?", "--answer", "So."]).await.succeeded(), "stored    entry 1\n");
    assert!(called(&["ask", "why?"]).await.succeeded().contains("hit   exact, entry 1"));
    assert!(called(&["entries", "--limit", "5"]).await.succeeded().contains("Why?"));
    called(&["entries", "9"]).await.failed(3, &["NotFound: there is no such entry; it may have been deleted"]);
    called(&["purge", "default", "--yes"]).await.succeeded();
    assert!(called(&["health"]).await.succeeded().starts_with("healthy"));
}

#[tokio::test]
async fn command_with_a_stack_signs_for_lambda_in_the_region() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(|| one_request(listener));
    run(with_credentials(&["--stack", "mneme-prod", "namespaces", "--json"], &endpoint)).await.succeeded();
    let request = server.join().unwrap();
    let path = "POST /2015-03-31/functions/mneme-prod-namespaces/invocations?Qualifier=live ";
    assert!(request.starts_with(path), "{request}");
    assert!(request.contains("authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{request}");
    assert!(request.contains("/eu-west-1/lambda/aws4_request, SignedHeaders="), "{request}");
}

#[tokio::test]
async fn command_with_a_profile_signs_requests_to_a_custom_domain() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("credentials");
    std::fs::write(
        &credentials,
        "[ops]\naws_access_key_id = AKIDOPS\naws_secret_access_key = s\nregion = eu-north-1\n",
    )
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(|| one_request(listener));
    let mut command = command(&["--url", &url, "--profile", "ops", "namespaces", "--json"]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", &credentials).env("AWS_CONFIG_FILE", folder.path().join("none"));
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"] {
        command.env_remove(variable);
    }
    run(command).await.succeeded();
    let request = server.join().unwrap();
    assert!(request.contains("Credential=AKIDOPS/") && request.contains("/eu-north-1/execute-api/"), "{request}");
}

#[tokio::test]
async fn command_with_a_token_sends_it_and_keeps_within_its_namespaces() {
    let stack = Stack::builder().variables(&[("MNEME_NAMESPACE_CLAIM", "tenant")]).start().await;
    // Header and signature of a token are not read on this machine.
    let token = "e30.eyJ0ZW5hbnQiOiJhY21lIn0.c2ln";
    let put = ["put", "Why?", "--answer", "So.", "--token", token, "--namespace"];
    mneme(&stack, &[&put[..], &["acme"]].concat()).await.succeeded();
    mneme(&stack, &[&put[..], &["globex"]].concat()).await.failed(1, &["NamespaceForbidden"]);
}

#[tokio::test]
async fn command_that_does_not_reach_a_cache_says_so() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}");
    run(command(&["--url", &url, "stats"])).await.failed(1, &["was not answered", "check the address"]);
    run(command(&["--url", "localhost", "stats"])).await.failed(1, &["is no URL of an HTTP API"]);
    let stack = Stack::start().await;
    let elsewhere = format!("{}/elsewhere", stack.server.api_url());
    run(command(&["--url", &elsewhere, "stats"])).await.failed(1, &["status 404", "check the address"]);
    let mut none = command(&["--stack", "mneme-dev", "stats"]);
    none.env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/no")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/no");
    none.env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION");
    run(none).await.failed(1, &["no AWS region is known; set AWS_REGION"]);
}

#[tokio::test]
async fn command_reports_a_cache_that_is_not_healthy() {
    let stack = Stack::builder().variables(&[("MNEME_CREATE_TABLE", "false")]).start().await;
    let run = mneme(&stack, &["health"]).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.starts_with("not healthy") && run.stdout.contains("problem   "), "{run:?}");
    let json = mneme(&stack, &["health", "--json"]).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json.stdout).unwrap()["healthy"], json!(false));
}
