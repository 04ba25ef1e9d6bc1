//! The command line `mneme`: the real binary against a running cache.

mod doors;
mod entries;
mod keys;
mod maintenance;
mod settings;
mod transfer;

use std::ffi::OsStr;
use std::process::Command;

use mneme_tests::Stack;
use mneme_tests::stack::binaries;
use serde_json::Value;
use tokio::task::spawn_blocking;

/// What a run of the program left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The standard output of a run that succeeded.
    pub(crate) fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// The standard output of a run that succeeded, as JSON.
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.succeeded()).unwrap()
    }

    /// Checks the exit code of a run that failed, and that stderr has each of `parts`.
    pub(crate) fn failed(self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert!(parts.iter().all(|part| self.stderr.contains(part)), "{parts:?}\n{}", self.stderr);
    }
}

/// A command of the program, without the variables of this process that name a cache.
pub(crate) fn command<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(binaries().join("mneme"));
    for variable in ["MNEME_URL", "MNEME_TOKEN", "MNEME_STACK", "AWS_PROFILE", "AWS_ENDPOINT_URL_LAMBDA"] {
        command.env_remove(variable);
    }
    command.args(arguments);
    command
}

/// Runs a command to its end.
pub(crate) async fn run(mut command: Command) -> Run {
    let output = spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs the program on the cache of `stack`, through its HTTP API.
pub(crate) async fn mneme<S: AsRef<OsStr>>(stack: &Stack, arguments: &[S]) -> Run {
    let mut command = command(arguments);
    command.env("MNEME_URL", stack.server.api_url());
    run(command).await
}
