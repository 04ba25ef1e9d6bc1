//! Every file of `events/`, sent to the real binaries: each event shape of each operation.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mneme_api::routes::{FUNCTIONS, ROUTES};
use mneme_tests::{Stack, http_event};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events")
}

fn event(function: &str, shape: &str) -> Value {
    let path = folder().join(function).join(format!("{shape}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_function_has_event_files() {
    let folders: BTreeSet<String> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(folders, FUNCTIONS.iter().map(|name| (*name).to_owned()).collect());
    for function in FUNCTIONS {
        event(function, "direct");
        if ROUTES.iter().any(|route| route.function == *function) {
            event(function, "http-api");
            event(function, "rest-api");
        }
    }
}

#[tokio::test]
async fn direct_event_returns_the_response_object() {
    let stack = Stack::start().await;
    for &function in FUNCTIONS {
        let outcome = stack.invoke(function, event(function, "direct")).await;
        match function {
            "snapshot" => assert_eq!(outcome.unwrap_err().name, "CheckpointError"),
            // The stack has no upstream.
            "chat" => assert_eq!(outcome.unwrap_err().name, "UpstreamError"),
            _ => assert!(outcome.as_ref().unwrap().get("statusCode").is_none(), "{function}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn http_event_of_either_format_returns_an_http_response() {
    for (shape, headers) in [("http-api", "headers"), ("rest-api", "multiValueHeaders")] {
        let stack = Stack::start().await;
        for &function in FUNCTIONS {
            if function == "provision" {
                continue;
            }
            let reply = stack.invoke(function, event(function, shape)).await.unwrap();
            let expected = match function {
                "snapshot" => 501,
                "chat" => 502,
                "put" => 201,
                _ => 200,
            };
            assert_eq!(reply["statusCode"], expected, "{function} {shape}: {reply}");
            let content_type = &reply[headers]["content-type"];
            let content_type = content_type.get(0).unwrap_or(content_type);
            let expected = match function {
                "console" => "text/html; charset=utf-8",
                "snapshot" | "chat" => "application/problem+json",
                _ => "application/json",
            };
            assert_eq!(content_type, expected, "{function} {shape}");
            let is_json = serde_json::from_str::<Value>(reply["body"].as_str().unwrap()).is_ok();
            assert_eq!(is_json, function != "console", "{function} {shape}");
        }
    }
}

#[tokio::test]
async fn function_url_and_schedule_events_are_answered() {
    let stack = Stack::start().await;
    stack.invoke("put", event("put", "direct")).await.unwrap();
    let reply = stack.invoke("lookup", event("lookup", "function-url")).await.unwrap();
    let body: Value = serde_json::from_str(reply["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["outcome"], "hit");
    let swept = stack.invoke("vacuum", event("vacuum", "scheduled")).await.unwrap();
    assert_eq!(swept["examined"], 1);
    let error = stack.invoke("put", event("vacuum", "scheduled")).await.unwrap_err();
    assert_eq!(error.name, "InvalidRequest");
}

#[tokio::test]
async fn invalid_event_is_answered_in_the_form_of_its_caller() {
    let stack = Stack::start().await;
    let bad_body = http_event("POST", "/v1/lookup", "/v1/lookup", Some("{"));
    let reply = stack.invoke("lookup", bad_body).await.unwrap();
    assert_eq!(reply["statusCode"], 400);
    let other_route = http_event("POST", "/v1/entries", "/v1/entries", Some("{}"));
    let reply = stack.invoke("lookup", other_route).await.unwrap();
    assert!(reply["body"].as_str().unwrap().contains("does not answer POST /v1/entries"), "{reply}");
    let queue = json!({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]});
    let error = stack.invoke("lookup", queue).await.unwrap_err();
    assert!(error.message.contains("unknown field `Records`"), "{}", error.message);
}
