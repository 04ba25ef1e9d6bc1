//! Orders to an instance, and how an instance ended.

use std::{fmt, io, os::unix::process::ExitStatusExt as _, process::ExitStatus};

use tokio::time::Instant;

/// Orders to an instance. The pool writes them; the task that supervises the child process follows them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Control {
    /// When the instance's current work times out: its start, or its invocation.
    pub(super) deadline: Option<Instant>,
    /// Set once, when the instance has to end: SIGTERM at once, SIGKILL at this time.
    pub(super) kill_at: Option<Instant>,
}

/// How an instance ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The process never ran, for this reason.
    NotStarted(String),
    /// The process exited or was killed.
    Exited(ExitStatus),
    /// The system could not report the process's end.
    Lost(io::Error),
}

impl Ending {
    /// Lambda's error type for an invocation that ends with the instance.
    pub(super) fn error_type(&self) -> &'static str {
        match self {
            Self::NotStarted(_) => "Runtime.InvalidEntrypoint",
            Self::Exited(_) | Self::Lost(_) => "Runtime.ExitError",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(reason) => write!(f, "{reason}"),
            Self::Lost(error) => write!(f, "Runtime exited with error: {error}"),
            Self::Exited(status) => match (status.code(), status.signal()) {
                (Some(0), _) => write!(f, "Runtime exited without providing a reason"),
                (Some(code), _) => write!(f, "Runtime exited with error: exit status {code}"),
                (None, Some(signal)) => write!(f, "Runtime exited with error: signal {signal}"),
                (None, None) => write!(f, "Runtime exited with error: {status}"),
            },
        }
    }
}
