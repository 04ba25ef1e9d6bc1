//! A fake function: this test executable, which calls the Runtime API when the emulator starts it as a function.
//!
//! The payload of an invocation (the body of an HTTP event) says what to do, as `{"do": …}`: see [`Fake::answer`].
//! The environment variable `FAKE_INIT` makes it fail before its first invocation.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mneme_core::routes::FUNCTIONS;
use mneme_local::{Options, Server};
use reqwest::{Client, Response};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with an executable for every function.
pub(crate) fn binaries() -> TempDir {
    binaries_starting_with("")
}

/// The same, but each executable runs a line of shell first.
pub(crate) fn binaries_starting_with(shell: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let test = std::env::current_exe().unwrap();
    for function in FUNCTIONS {
        let script =
            format!("#!/bin/sh\n{shell}\nexec '{}' fake::function --exact --ignored --nocapture\n", test.display());
        write_executable(&directory.path().join(format!("mneme-{function}")), &script);
    }
    directory
}

pub(crate) fn write_executable(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A server of fake functions, on free ports.
pub(crate) struct Fakes {
    pub(crate) server: Server,
    pub(crate) client: Client,
    _binaries: TempDir,
}

impl Fakes {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::of(binaries(), change).await
    }

    pub(crate) async fn of(binaries: TempDir, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options { binaries: binaries.path().to_path_buf(), ..Options::default() };
        change(&mut options);
        let server = Server::start(options).await.unwrap();
        Self { server, client: Client::new(), _binaries: binaries }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.api_url())
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        self.client.post(self.url(path)).body(body).send().await.unwrap()
    }

    /// Invokes `lookup`. Returns whether the outcome is a function error, and the payload.
    pub(crate) async fn invoke(&self, payload: Value) -> (bool, Value) {
        invoke(&self.client, self.server.api_url(), &payload).await
    }

    /// Invokes `lookup` and asserts that the outcome is no function error. Returns the payload.
    pub(crate) async fn echo(&self, payload: Value) -> Value {
        let (failed, answer) = self.invoke(payload).await;
        assert!(!failed, "{answer}");
        answer
    }
}

pub(crate) async fn invoke(client: &Client, api: &str, payload: &Value) -> (bool, Value) {
    let url = format!("{api}/2015-03-31/functions/lookup/invocations");
    let response = client.post(url).json(payload).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let failed = response.headers().contains_key("x-amz-function-error");
    (failed, response.json().await.unwrap())
}

pub(crate) fn pid(answer: &Value) -> Pid {
    Pid::from_raw(i32::try_from(answer["pid"].as_i64().unwrap()).unwrap()).unwrap()
}

pub(crate) fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).unwrap();
}

/// Waits until the process has ended, at most 10 s.
pub(crate) async fn assert_ends(pid: Pid) {
    eventually("the process has ended", || test_kill_process(pid).is_err()).await;
}

/// Waits until `condition` holds, at most 10 s.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "did not happen within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The fake function. It is a test so that the test executable can be started as a function.
#[test]
#[ignore = "run by the emulator as a function"]
fn function() {
    let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let fake = Fake { client: Client::new(), api: format!("http://{api}/2018-06-01/runtime") };
        let _ = fake.run().await;
    });
    // The loop ends with its connection, like lambda_runtime's.
    std::process::exit(7);
}

struct Fake {
    client: Client,
    api: String,
}

impl Fake {
    async fn run(self) -> reqwest::Result<()> {
        match std::env::var("FAKE_INIT").as_deref() {
            Ok("exit") => std::process::exit(1),
            Ok("error") => {
                let error = json!({ "errorType": "Config", "errorMessage": "MNEME_X is bad" });
                self.client.post(format!("{}/init/error", self.api)).json(&error).send().await?;
                std::process::exit(1);
            }
            Ok(other) => panic!("FAKE_INIT={other}"),
            Err(_) => {}
        }
        eprintln!("fake: started");
        loop {
            let invocation = self.client.get(format!("{}/invocation/next", self.api)).send().await?;
            let headers: BTreeMap<String, String> = invocation
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect();
            let event: Value = invocation.json().await?;
            self.answer(&headers, event).await?;
        }
    }

    async fn answer(&self, headers: &BTreeMap<String, String>, event: Value) -> reqwest::Result<()> {
        let id = &headers["lambda-runtime-aws-request-id"];
        let order: Value = match event["body"].as_str() {
            Some(body) if event["version"] == "2.0" => serde_json::from_str(body).unwrap_or(Value::Null),
            _ => event.clone(),
        };
        if std::env::var_os("FAKE_CACHE").is_some() {
            return self.respond(id, &cache(&order)).await.map(drop);
        }
        let env: BTreeMap<String, String> = std::env::vars().collect();
        let echo = json!({ "event": event, "headers": headers, "pid": std::process::id(), "env": env });
        match order["do"].as_str().unwrap_or("echo") {
            "echo" => self.respond(id, &echo).await?,
            "exit" => std::process::exit(i32::try_from(order["code"].as_i64().unwrap()).unwrap()),
            "sleep" => {
                tokio::time::sleep(Duration::from_millis(order["ms"].as_u64().unwrap())).await;
                self.respond(id, &echo).await?
            }
            "wait_for" => {
                while !PathBuf::from(order["file"].as_str().unwrap()).exists() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                self.respond(id, &echo).await?
            }
            "answer" => self.respond(id, &order["with"]).await?,
            "big" => {
                self.respond(id, &json!("x".repeat(usize::try_from(order["bytes"].as_u64().unwrap()).unwrap()))).await?
            }
            "error" => {
                let error = json!({ "errorType": "NotFound", "errorMessage": "no entry 7" });
                self.client.post(format!("{}/invocation/{id}/error", self.api)).json(&error).send().await?
            }
            "answer and leave" => {
                self.respond(id, &echo).await?;
                std::process::exit(0);
            }
            "ask for more" => {
                let next = self.client.get(format!("{}/invocation/next", self.api)).send().await?;
                self.respond(id, &json!({ "status": next.status().as_u16(), "body": next.json::<Value>().await? }))
                    .await?
            }
            "answer another" => {
                let refused = self.respond("another", &echo).await?;
                self.respond(id, &json!({ "status": refused.status().as_u16() })).await?
            }
            other => panic!("do {other}?"),
        };
        Ok(())
    }

    async fn respond(&self, id: &str, answer: &Value) -> reqwest::Result<Response> {
        self.client.post(format!("{}/invocation/{id}/response", self.api)).json(answer).send().await
    }
}

/// The answer of a fake cache. Its only hit is the query `HOW DO I CANCEL MY SUBSCRIPTION?`, whose entry has id 1.
fn cache(request: &Value) -> Value {
    let answer = match &request["entries"] {
        Value::Array(entries) if std::env::var("FAKE_CACHE").as_deref() == Ok("refuses") => {
            let error = json!({ "error": { "type": "urn:mneme:error:EntryTooLarge" } });
            json!({ "results": vec![error; entries.len()] })
        }
        Value::Array(entries) => {
            // All ids have to differ, and the first question has to get id 1.
            let first = if entries[0]["query"] == "How do I cancel my subscription?" { 1 } else { 1000 };
            let results = (first..).zip(entries).map(|(id, _)| json!({ "id": id, "created": true }));
            json!({ "results": results.collect::<Vec<_>>() })
        }
        _ if request["query"] == "HOW DO I CANCEL MY SUBSCRIPTION?" => {
            json!({ "outcome": "hit", "layer": "exact", "id": 1, "similarity": 1.0, "confidence": 1.0, "response": "…" })
        }
        _ => json!({ "outcome": "miss", "reason": "below_threshold", "best_similarity": null }),
    };
    json!({ "statusCode": 200, "headers": { "content-type": "application/json" }, "body": answer.to_string() })
}
