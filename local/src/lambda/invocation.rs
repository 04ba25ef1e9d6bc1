//! One request to a function, and its outcome.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// The largest request payload, in bytes. Source: Lambda's quotas, "6 MB each for request and response".
pub(crate) const REQUEST_LIMIT: usize = 6_291_456;

/// The largest response payload, in bytes, as Lambda's own message states it: 6 MB and 100 bytes.
pub(crate) const RESPONSE_LIMIT: usize = 6_291_556;

/// How often an invocation may go to another instance because one died before it had read it. The limit is needed
/// because reading it may be what kills them.
const RETRIES: u8 = 5;

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The function's response, as it was sent.
    Success(Bytes),
    /// A function error: a JSON object with `errorType` and `errorMessage`.
    Error(Bytes),
}

impl Outcome {
    /// A function error that Lambda itself reports.
    pub(crate) fn error(error_type: &str, message: &str) -> Self {
        Self::Error(Bytes::from(json!({ "errorType": error_type, "errorMessage": message }).to_string()))
    }
}

/// An invocation in progress. Its holder must finish it with an outcome; dropping it counts as a failure of Lambda.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) id: String,
    pub(crate) trace_id: String,
    pub(crate) payload: Bytes,
    retries_left: u8,
    /// `None` once a streamed reply has begun.
    reply: Option<oneshot::Sender<Reply>>,
}

/// What the caller of a function gets.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The outcome, at the end of the invocation.
    Whole(Outcome),
    /// A reply that has begun.
    Streamed(StreamedReply),
}

/// A streamed HTTP response of a function.
#[derive(Debug)]
pub(crate) struct StreamedReply {
    /// Status, headers and cookies as JSON: the prelude.
    pub(crate) prelude: Bytes,
    /// The parts of the body. An error is the last item if the function failed after the reply had begun.
    pub(crate) body: mpsc::Receiver<Result<Bytes, StreamError>>,
}

/// A streamed reply ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the function ended before its reply did")]
pub(crate) struct StreamError;

impl Invocation {
    /// A new invocation, and the receiver of its reply.
    pub(crate) fn new(id: Uuid, payload: Bytes) -> (Self, oneshot::Receiver<Reply>) {
        let (sender, reply) = oneshot::channel();
        let reply_to = Some(sender);
        (Self { id: id.to_string(), trace_id: trace_id(), payload, retries_left: RETRIES, reply: reply_to }, reply)
    }

    /// Uses up one retry. Returns false when none is left.
    pub(super) fn may_retry(&mut self) -> bool {
        let may = self.retries_left > 0;
        self.retries_left = self.retries_left.saturating_sub(1);
        may
    }

    /// Begins a streamed reply. The invocation goes on.
    pub(super) fn begin(&mut self, reply: StreamedReply) {
        if let Some(to) = self.reply.take() {
            // The caller may have hung up. As on Lambda, the invocation goes on all the same.
            let _ = to.send(Reply::Streamed(reply));
        }
    }

    /// Ends it. The outcome goes to the caller, unless a streamed reply has begun.
    pub(crate) fn finish(self, outcome: Outcome) {
        if let Some(to) = self.reply {
            // The caller may have hung up. As on Lambda, the invocation ran all the same.
            let _ = to.send(Reply::Whole(outcome));
        }
    }

    /// Ends it with a function error in Lambda's form for failures of the sandbox.
    pub(crate) fn fail(self, error_type: &str, what: &str) {
        let message = format!("RequestId: {} Error: {what}", self.id);
        self.finish(Outcome::error(error_type, &message));
    }

    /// Ends it because it took longer than the function's time-out.
    pub(crate) fn time_out(self, timeout: Duration) {
        self.fail("Sandbox.Timedout", &format!("Task timed out after {:.2} seconds", timeout.as_secs_f64()));
    }
}

/// A new X-Ray trace header that is not sampled.
fn trace_id() -> String {
    let epoch_secs = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let random = Uuid::new_v4().simple().to_string();
    let parent = Uuid::new_v4().simple().to_string();
    format!("Root=1-{epoch_secs:08x}-{};Parent={};Sampled=0", &random[..24], &parent[..16])
}
