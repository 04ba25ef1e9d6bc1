//! Tests of the emulated Lambda: instances, and the outcomes of invocations.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use mneme_local::{Dynamodb, Server, StartError};
use serde_json::{Value, json};

use crate::fake::{Fakes, assert_ends, binaries_starting_with, eventually, kill, pid, write_executable};

fn error(answer: &Value) -> (&str, &str) {
    let message = answer["errorMessage"].as_str().unwrap();
    let (request, what) = message.split_once(" Error: ").unwrap_or(("", message));
    assert!(request.is_empty() || request.starts_with("RequestId: "), "{message}");
    (answer["errorType"].as_str().unwrap(), what)
}

#[tokio::test]
async fn instance_gets_event_headers_and_environment_as_on_lambda() {
    let fakes = Fakes::with(|options| {
        options.env.insert("MNEME_EXTRA".to_owned(), "given".to_owned());
        options.memory_mib = 512;
    })
    .await;
    let answer = fakes.echo(json!({ "a": [1, "ß"] })).await;
    assert_eq!(answer["event"], json!({ "a": [1, "ß"] }));

    let header = |name: &str| answer["headers"][name].as_str().unwrap().to_owned();
    assert_eq!(header("lambda-runtime-aws-request-id").len(), 36);
    assert_eq!(header("lambda-runtime-invoked-function-arn"), "arn:aws:lambda:us-east-1:123456789012:function:lookup");
    assert!(header("lambda-runtime-trace-id").starts_with("Root=1-"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let deadline: u128 = header("lambda-runtime-deadline-ms").parse().unwrap();
    assert!((now + 20_000..now + 30_001).contains(&deadline), "{deadline} at {now}");

    let env = |name: &str| answer["env"][name].as_str().map(str::to_owned);
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "lookup"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/lookup"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("TZ", ":UTC"),
        ("MNEME_TABLE_NAME", "mneme"),
        ("MNEME_CREATE_TABLE", "true"),
        ("MNEME_EXTRA", "given"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_ENDPOINT_URL_DYNAMODB", fakes.server.dynamodb_url()),
    ] {
        assert_eq!(env(name).as_deref(), Some(value), "{name}");
    }
    // No other variable of this process is inherited. The last four are set by the shell that starts the fake.
    let known = ["PATH", "HOME", "TMPDIR", "TZ", "_HANDLER", "LAMBDA_TASK_ROOT", "PWD", "OLDPWD", "SHLVL", "_"];
    for name in answer["env"].as_object().unwrap().keys() {
        let known = known.contains(&name.as_str()) || name.starts_with("AWS_") || name.starts_with("MNEME_");
        assert!(known, "{name}");
    }
    fakes.server.stop().await;
}

#[tokio::test]
async fn sequential_requests_go_to_one_instance() {
    let fakes = Fakes::start().await;
    let mut pids = BTreeSet::new();
    for _ in 0..50 {
        pids.insert(fakes.echo(json!({})).await["pid"].as_i64());
    }
    assert_eq!(pids.len(), 1);
    assert_eq!(fakes.server.instances("lookup"), 1);
    assert_eq!(fakes.server.instances("put"), 0);
    assert_eq!(fakes.server.instances("nonsense"), 0);
}

#[tokio::test]
async fn concurrent_requests_get_instances_up_to_the_limit_then_wait() {
    let fakes = Fakes::with(|options| options.max_instances = 4).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("go");
    let order = json!({ "do": "wait_for", "file": file });
    let calls = async {
        let call = || fakes.echo(order.clone());
        tokio::join!(call(), call(), call(), call(), call())
    };
    let release = async {
        eventually("4 instances", || fakes.server.instances("lookup") == 4).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(fakes.server.instances("lookup"), 4);
        std::fs::write(&file, "").unwrap();
    };
    let ((a, b, c, d, e), ()) = tokio::join!(calls, release);
    let pids: BTreeSet<_> = [a, b, c, d, e].iter().map(|answer| answer["pid"].as_i64().unwrap()).collect();
    assert_eq!(pids.len(), 4);
    assert_eq!(fakes.server.instances("lookup"), 4);
}

#[tokio::test]
async fn next_request_goes_to_the_instance_used_last() {
    let fakes = Fakes::start().await;
    let (slow, fast) = tokio::join!(fakes.echo(json!({ "do": "sleep", "ms": 700 })), fakes.echo(json!({})));
    assert_ne!(slow["pid"], fast["pid"]);
    assert_eq!(fakes.echo(json!({})).await["pid"], slow["pid"]);
}

#[tokio::test]
async fn function_error_is_passed_on() {
    let fakes = Fakes::start().await;
    let (failed, answer) = fakes.invoke(json!({ "do": "error" })).await;
    assert!(failed);
    assert_eq!(answer, json!({ "errorType": "NotFound", "errorMessage": "no entry 7" }));
    assert_eq!(fakes.server.instances("lookup"), 1);
}

#[tokio::test]
async fn crash_ends_its_invocation_alone() {
    let fakes = Fakes::start().await;
    for (code, what) in
        [(1, "Runtime exited with error: exit status 1"), (0, "Runtime exited without providing a reason")]
    {
        let (failed, answer) = fakes.invoke(json!({ "do": "exit", "code": code })).await;
        assert!(failed);
        assert_eq!(error(&answer), ("Runtime.ExitError", what));
        assert_eq!(fakes.server.instances("lookup"), 0);
        fakes.echo(json!({})).await;
    }
}

#[tokio::test]
async fn crash_at_start_ends_the_waiting_invocation() {
    let fakes = Fakes::with(|options| {
        options.env.insert("FAKE_INIT".to_owned(), "exit".to_owned());
    })
    .await;
    for _ in 0..2 {
        let (failed, answer) = fakes.invoke(json!({})).await;
        assert!(failed);
        assert_eq!(error(&answer), ("Runtime.ExitError", "Runtime exited with error: exit status 1"));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(fakes.server.instances("lookup"), 0);
}

#[tokio::test]
async fn error_reported_at_start_is_the_outcome() {
    let fakes = Fakes::with(|options| {
        options.env.insert("FAKE_INIT".to_owned(), "error".to_owned());
    })
    .await;
    let (failed, answer) = fakes.invoke(json!({})).await;
    assert!(failed);
    assert_eq!(answer, json!({ "errorType": "Config", "errorMessage": "MNEME_X is bad" }));
}

#[tokio::test]
async fn crash_at_start_ends_queued_invocations_too() {
    let fakes = Fakes::with(|options| {
        options.env.insert("FAKE_INIT".to_owned(), "exit".to_owned());
        options.max_instances = 1;
    })
    .await;
    let call = || fakes.invoke(json!({}));
    let (a, b, c) = tokio::join!(call(), call(), call());
    assert!(a.0 && b.0 && c.0);
}

#[tokio::test]
async fn missing_binary_is_named_in_the_error() {
    let directory = tempfile::tempdir().unwrap();
    write_executable(&directory.path().join("mneme-put"), "#!/bin/sh\n");
    let fakes = Fakes::of(directory, |_| {}).await;
    let (failed, answer) = fakes.invoke(json!({})).await;
    assert!(failed);
    let (error_type, what) = error(&answer);
    assert_eq!(error_type, "Runtime.InvalidEntrypoint");
    assert!(what.contains("mneme-lookup") && what.contains("No such file"), "{what}");
}

#[tokio::test]
async fn start_with_a_directory_without_functions_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let options = mneme_local::Options { binaries: directory.path().to_path_buf(), ..Default::default() };
    assert!(matches!(Server::start(options).await, Err(StartError::NoBinaries { .. })));
}

#[tokio::test]
async fn time_out_ends_invocation_and_instance() {
    let fakes = Fakes::with(|options| options.timeout = Duration::from_secs(1)).await;
    fakes.echo(json!({})).await;
    let start = Instant::now();
    let (failed, answer) = fakes.invoke(json!({ "do": "sleep", "ms": 60_000 })).await;
    assert!(failed);
    assert_eq!(error(&answer), ("Sandbox.Timedout", "Task timed out after 1.00 seconds"));
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(fakes.server.instances("lookup"), 0);
    fakes.echo(json!({})).await;
}

#[tokio::test]
async fn response_over_6_mb_is_an_error_and_keeps_the_instance() {
    let fakes = Fakes::start().await;
    let (failed, answer) = fakes.invoke(json!({ "do": "big", "bytes": 6_291_556 })).await;
    assert!(failed);
    assert_eq!(answer["errorType"], "Function.ResponseSizeTooLarge");
    // The limit includes the two quotation marks.
    let answer = fakes.echo(json!({ "do": "big", "bytes": 6_291_554 })).await;
    assert_eq!(answer.as_str().unwrap().len(), 6_291_554);
    assert_eq!(fakes.server.instances("lookup"), 1);
}

#[tokio::test]
async fn misuse_of_the_runtime_api_is_refused() {
    let fakes = Fakes::start().await;
    let answer = fakes.echo(json!({ "do": "ask for more" })).await;
    assert_eq!(answer["status"], 403);
    assert_eq!(answer["body"]["errorType"], "InvalidStateTransition");
    assert_eq!(fakes.echo(json!({ "do": "answer another" })).await, json!({ "status": 400 }));
}

#[tokio::test]
async fn request_that_was_not_picked_up_goes_to_another_instance() {
    let fakes = Fakes::start().await;
    for _ in 0..10 {
        let left = fakes.echo(json!({ "do": "answer and leave" })).await;
        let next = fakes.echo(json!({})).await;
        assert_ne!(left["pid"], next["pid"]);
    }
}

#[tokio::test]
async fn instance_killed_while_idle_gets_no_request() {
    let fakes = Fakes::start().await;
    for _ in 0..10 {
        let answer = fakes.echo(json!({})).await;
        // This leaves it time to ask for the next invocation, so that its open request breaks.
        tokio::time::sleep(Duration::from_millis(20)).await;
        kill(pid(&answer));
        assert_ne!(fakes.echo(json!({})).await["pid"], answer["pid"]);
    }
    let answer = fakes.echo(json!({})).await;
    kill(pid(&answer));
    eventually("the pool drops the instance", || fakes.server.instances("lookup") == 0).await;
}

#[tokio::test]
async fn recycle_makes_the_next_request_a_cold_start() {
    let fakes = Fakes::start().await;
    let before = fakes.echo(json!({})).await;
    fakes.server.recycle("lookup").await;
    assert_eq!(fakes.server.instances("lookup"), 0);
    assert_ends(pid(&before)).await;
    assert_ne!(fakes.echo(json!({})).await["pid"], before["pid"]);
    fakes.server.recycle("put").await;
    fakes.server.recycle("nonsense").await;
}

#[tokio::test]
async fn stop_ends_every_instance() {
    let fakes = Fakes::start().await;
    let (a, b) = tokio::join!(fakes.echo(json!({ "do": "sleep", "ms": 300 })), fakes.echo(json!({})));
    let start = Instant::now();
    fakes.server.stop().await;
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_ends(pid(&a)).await;
    assert_ends(pid(&b)).await;
}

#[tokio::test]
async fn stop_kills_an_instance_that_ignores_sigterm_after_2_s() {
    let fakes = Fakes::of(binaries_starting_with("trap '' TERM"), |_| {}).await;
    let answer = fakes.echo(json!({})).await;
    let start = Instant::now();
    fakes.server.stop().await;
    assert!((2.0..4.0).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
    assert_ends(pid(&answer)).await;
}

#[tokio::test]
async fn dropped_server_kills_its_instances() {
    let fakes = Fakes::of(binaries_starting_with("trap '' TERM"), |_| {}).await;
    let answer = fakes.echo(json!({})).await;
    drop(fakes.server);
    assert_ends(pid(&answer)).await;
}

#[tokio::test]
async fn start_on_a_port_in_use_names_the_port() {
    let fakes = Fakes::start().await;
    let port = |url: &str| url.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let binaries = crate::fake::binaries();
    let options = mneme_local::Options { binaries: binaries.path().to_path_buf(), ..Default::default() };

    let api = mneme_local::Options { port: port(fakes.server.api_url()), ..options.clone() };
    assert!(matches!(Server::start(api).await, Err(StartError::PortInUse { flag: "--port", .. })));

    let embedded = Dynamodb::Embedded { port: port(fakes.server.dynamodb_url()), data: None };
    let dynamodb = mneme_local::Options { dynamodb: embedded, ..options };
    assert!(matches!(Server::start(dynamodb).await, Err(StartError::PortInUse { flag: "--dynamodb-port", .. })));
}

async fn dynamodb(fakes: &Fakes, operation: &str, request: &Value) -> Value {
    let response = fakes
        .client
        .post(fakes.server.dynamodb_url())
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-date", "20261122T130000Z")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=a/20261122/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
        )
        .body(request.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

#[tokio::test]
async fn data_file_keeps_the_tables() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("mneme.db");
    let embedded = || Dynamodb::Embedded { port: 0, data: Some(data.clone()) };
    let fakes = Fakes::with(|options| options.dynamodb = embedded()).await;
    let table = json!({
        "TableName": "kept",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "N" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
    });
    dynamodb(&fakes, "CreateTable", &table).await;
    fakes.server.stop().await;

    let fakes = Fakes::with(|options| options.dynamodb = embedded()).await;
    assert_eq!(dynamodb(&fakes, "ListTables", &json!({})).await, json!({ "TableNames": ["kept"] }));
}

#[tokio::test]
async fn start_with_an_unusable_data_file_or_endpoint_names_it() {
    let binaries = crate::fake::binaries();
    let start = |dynamodb| {
        let options = mneme_local::Options { dynamodb, binaries: binaries.path().to_path_buf(), ..Default::default() };
        async { Server::start(options).await.unwrap_err() }
    };
    let data = Some(binaries.path().join("no/such/directory/mneme.db"));
    assert!(matches!(start(Dynamodb::Embedded { port: 0, data }).await, StartError::Data { .. }));
    let endpoint = Dynamodb::Endpoint("localhost:8000".to_owned());
    assert!(matches!(start(endpoint).await, StartError::Endpoint { .. }));
}

#[tokio::test]
async fn start_with_another_dynamodb_passes_its_url_to_the_functions() {
    let fakes = Fakes::with(|options| options.dynamodb = Dynamodb::Endpoint("http://127.0.0.1:9/".to_owned())).await;
    assert_eq!(fakes.server.dynamodb_url(), "http://127.0.0.1:9");
    assert_eq!(fakes.echo(json!({})).await["env"]["AWS_ENDPOINT_URL_DYNAMODB"], "http://127.0.0.1:9");
}
