//! One request to a function, and its outcome.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::oneshot;
use uuid::Uuid;

/// The largest request payload, in bytes. Source: Lambda's quotas, "6 MB each for request and response".
pub(crate) const REQUEST_LIMIT: usize = 6_291_456;

/// The largest response payload, in bytes, as Lambda's own message states it: 6 MB and 100 bytes.
pub(crate) const RESPONSE_LIMIT: usize = 6_291_556;

/// How often an invocation may go to another instance because one died before it had read it. Not for ever: reading it
/// may be what they die of.
const RETRIES: u8 = 5;

/// What became of an invocation.
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

/// A request under way. Whoever holds it owes it an outcome; dropping it counts as Lambda failing.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) id: String,
    pub(crate) trace_id: String,
    pub(crate) payload: Bytes,
    retries_left: u8,
    reply: oneshot::Sender<Outcome>,
}

impl Invocation {
    /// A new invocation, and where its outcome will appear.
    pub(crate) fn new(id: Uuid, payload: Bytes) -> (Self, oneshot::Receiver<Outcome>) {
        let (reply, outcome) = oneshot::channel();
        (Self { id: id.to_string(), trace_id: trace_id(), payload, retries_left: RETRIES, reply }, outcome)
    }

    /// Takes one of its retries, if there is one left.
    pub(super) fn may_retry(&mut self) -> bool {
        let may = self.retries_left > 0;
        self.retries_left = self.retries_left.saturating_sub(1);
        may
    }

    pub(crate) fn finish(self, outcome: Outcome) {
        // Whoever asked may have gone; the invocation ran all the same, as on Lambda.
        let _ = self.reply.send(outcome);
    }

    /// Ends it with a function error in the form Lambda gives to failures of the sandbox.
    pub(crate) fn fail(self, error_type: &str, what: &str) {
        let message = format!("RequestId: {} Error: {what}", self.id);
        self.finish(Outcome::error(error_type, &message));
    }

    /// Ends it because it took longer than the function may.
    pub(crate) fn time_out(self, timeout: Duration) {
        self.fail("Sandbox.Timedout", &format!("Task timed out after {:.2} seconds", timeout.as_secs_f64()));
    }
}

/// An X-Ray header of a trace that nobody samples.
fn trace_id() -> String {
    let epoch_secs = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let random = Uuid::new_v4().simple().to_string();
    let parent = Uuid::new_v4().simple().to_string();
    format!("Root=1-{epoch_secs:08x}-{};Parent={};Sampled=0", &random[..24], &parent[..16])
}
