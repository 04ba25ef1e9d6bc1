//! Tests of the program `mneme-local`.

use std::{
    io::{BufRead, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
};

use mneme_api::routes::FUNCTIONS;
use mneme_model::error::ErrorKind;
use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fake::{assert_ends, binaries, binaries_starting_with, invoke, pid};

struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
    api: String,
    dynamodb: String,
    _binaries: TempDir,
}

fn command(binaries: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mneme-local"));
    command.arg("serve").arg("--binaries").arg(binaries.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Program {
    /// Starts `serve` on free ports and waits for the `ready` line.
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts `serve` with further arguments.
    fn start_with(arguments: &[&str]) -> Self {
        let binaries = binaries();
        let mut command = command(&binaries);
        command
            .args(["--port", "0", "--dynamodb-port", "0"])
            .args(arguments)
            .env("MNEME_PASSED", "on")
            .env("OTHER", "not");
        command.env("AWS_ENDPOINT_URL_DYNAMODB", "http://elsewhere");
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let (api, dynamodb) = line.trim_end().strip_prefix("ready api=").unwrap().split_once(" dynamodb=").unwrap();
        for url in [api, dynamodb] {
            let host = if arguments.contains(&"0.0.0.0") && url == api { "0.0.0.0" } else { "127.0.0.1" };
            assert!(url.strip_prefix(&format!("http://{host}:")).unwrap().parse::<u16>().is_ok(), "{line}");
        }
        let (api, dynamodb) = (api.to_owned(), dynamodb.to_owned());
        Self { child, stdout, api, dynamodb, _binaries: binaries }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn serve_prints_one_ready_line_and_passes_its_variables_on() {
    let mut program = Program::start();
    let (_, answer) = invoke(&Client::new(), &program.api, &json!({})).await;
    assert_eq!(answer["env"]["MNEME_PASSED"], "on");
    assert_eq!(answer["env"].get("OTHER"), None);
    assert_eq!(answer["env"]["AWS_ENDPOINT_URL_DYNAMODB"], program.dynamodb);
    program.signal(Signal::TERM);
    assert_eq!(program.child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    program.stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "more than one line on stdout");
}

#[tokio::test]
async fn serve_on_sigterm_or_ctrl_c_ends_its_children() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut program = Program::start();
        let (_, answer) = invoke(&Client::new(), &program.api, &json!({})).await;
        program.signal(signal);
        assert_eq!(program.child.wait().unwrap().code(), Some(0));
        assert_ends(pid(&answer)).await;
    }
}

#[tokio::test]
async fn serve_on_sigkill_leaves_no_children() {
    let program = Program::start();
    let (_, answer) = invoke(&Client::new(), &program.api, &json!({})).await;
    program.signal(Signal::KILL);
    assert_ends(pid(&answer)).await;
}

#[tokio::test]
async fn serve_for_other_machines_answers_to_local_names_only() {
    let program = Program::start_with(&["--host", "0.0.0.0"]);
    for (host, is_refused) in [("mneme:3000", false), ("192.0.2.7:3000", false), ("evil.example", true)] {
        let request = Client::new().get(format!("{}/no/route", program.api)).header("host", host);
        let status = request.send().await.unwrap().status();
        assert_eq!(status, if is_refused { 403 } else { 404 }, "{host}");
    }
}

#[test]
fn serve_on_a_port_in_use_prints_one_line_and_exits_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (flag, other) in [("--port", "--dynamodb-port"), ("--dynamodb-port", "--port")] {
        let output = command(&binaries()).args([flag, &port, other, "0"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(output.stdout, b"");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(&format!("port {port}")) && stderr.contains(flag), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn serve_with_a_bad_variable_names_it_and_exits_with_1() {
    let bad = [("MNEME_NORMALIZE", "perhaps"), ("MNEME_MAX_ENTRIES", "0")];
    let output = command(&binaries()).args(["--port", "0", "--dynamodb-port", "0"]).envs(bad).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(bad.iter().all(|(name, _)| stderr.contains(name)), "{stderr}");
}

#[test]
fn serve_on_a_data_file_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("cache.db");
    let data = ["--data", data.to_str().unwrap()];
    let first = Program::start_with(&data);
    let output = command(&binaries()).args(["--port", "0", "--dynamodb-port", "0"]).args(data).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("in use by another `serve`"), "{stderr}");
    drop(first);
    Program::start_with(&data);
}

#[test]
fn serve_with_a_data_file_and_another_dynamodb_is_refused() {
    let arguments = ["--data", "x", "--dynamodb-endpoint", "http://127.0.0.1:1"];
    let output = command(&binaries()).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot be used with"));
}

fn demo(cache: &str) -> std::process::Output {
    let binaries = binaries_starting_with(&format!("export FAKE_CACHE={cache}"));
    Command::new(env!("CARGO_BIN_EXE_mneme-local")).arg("demo").arg("--binaries").arg(binaries.path()).output().unwrap()
}

#[test]
fn demo_prints_a_table_and_a_summary() {
    let output = demo("on");
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    for part in ["question asked", "miss: below_threshold", "1 exact hits, 0 semantic hits", "1 right, 0 wrong"] {
        assert!(stdout.contains(part), "{part}\n{stdout}");
    }
}

#[test]
fn demo_with_a_refused_entry_names_it_and_exits_with_1() {
    let output = demo("refuses");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("`How do I cancel my subscription?` was not stored") && stderr.contains("EntryTooLarge"),
        "{stderr}"
    );
}

#[test]
fn contract_as_json_has_every_operation_and_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_mneme-local")).args(["contract", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let contract: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = contract["operations"].as_array().unwrap().iter().map(|operation| operation["name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), FUNCTIONS);
    assert_eq!(contract["errors"].as_array().unwrap().len(), ErrorKind::ALL.len());
}
