//! Exit codes.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

use serde_json::json;

use crate::cache::error::CallError;

/// The list of exit codes for `--help`.
pub(crate) const HELP: &str = "\
Exit codes: 0 done; 1 the cache refused, failed or was not reached; 2 wrong arguments; 3 nothing found (a miss, or no \
such entry); 130 interrupted.";

const FAILED: u8 = 1;
const NOTHING_FOUND: u8 = 3;
/// 128 and the number of SIGINT, as shells report it.
const INTERRUPTED: u8 = 130;

/// How a command ended that did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did what it was asked to do.
    Done,
    /// What was asked for does not exist: a miss.
    NothingFound,
    /// The cache answered that something is wrong. The answer was printed.
    Unwell,
}

/// The exit code of a command that did its work.
pub(crate) fn succeeded(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Done => ExitCode::SUCCESS,
        Outcome::NothingFound => ExitCode::from(NOTHING_FOUND),
        Outcome::Unwell => ExitCode::from(FAILED),
    }
}

/// Prints the error to stderr, as JSON if `as_json`, and returns its exit code.
pub(crate) fn failed(error: &(dyn Error + 'static), as_json: bool) -> ExitCode {
    // A reader such as `head` that has read enough is no error.
    if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    let call = error.downcast_ref::<CallError>();
    match as_json {
        true => eprintln!("{}", call.map_or_else(|| json!({ "detail": error.to_string() }), CallError::to_json)),
        false => eprintln!("mneme: {error}"),
    }
    ExitCode::from(if call.is_some_and(CallError::is_not_found) { NOTHING_FOUND } else { FAILED })
}

/// Tells the user that the command was interrupted, and returns its exit code.
pub(crate) fn interrupted() -> ExitCode {
    eprintln!("mneme: interrupted; `export`, `import`, `purge`, `vacuum` and `reembed` continue if they run again");
    ExitCode::from(INTERRUPTED)
}
