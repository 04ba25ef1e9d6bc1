//! The errors of an embedder: kind, fact and remedy.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mneme_aws::sdk_error::cause_chain;

/// The kinds of errors. Each kind says what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
pub enum EmbedErrorKind {
    /// There were too many requests. Try again later, or raise the quota.
    Throttled,
    /// The service refused the credentials, or the quota is spent. Correct the deployment.
    Refused,
    /// The service knows no such model, or the URL is not that of an embedder. Correct the configuration.
    UnknownModel,
    /// The text cannot be embedded: it is blank or too long. Change the text.
    BadRequest,
    /// There was no connection. Correct the network, or try again.
    Unreachable,
    /// The service failed. Try again.
    Unavailable,
    /// The reply does not have a vector for each text. Correct the configuration: the service is not such an embedder.
    Malformed,
    /// The vectors do not have the configured length. Correct the configuration.
    WrongDimension,
    /// There was no reply before the deadline. Try again, or allow more time.
    TimedOut,
}

impl EmbedErrorKind {
    /// The name for logs and metrics, which is the variant's.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Throttled | Self::Unreachable | Self::Unavailable => true,
            Self::Refused
            | Self::UnknownModel
            | Self::BadRequest
            | Self::Malformed
            | Self::WrongDimension
            | Self::TimedOut => false,
        }
    }
}

/// An error with its remedy.
///
/// `detail` and `remediation` contain no text, no key, and nothing that a service said. The cause is the `source`,
/// which is meant for the log only. It contains no text and no key either.
#[derive(Debug, Clone)]
pub struct EmbedError {
    /// The kind.
    pub kind: EmbedErrorKind,
    /// The fact, with values.
    pub detail: String,
    /// What to do next.
    pub remediation: String,
    /// The index of the text that caused the error, if it is known.
    pub text: Option<usize>,
    /// The pause that the service asked for.
    pub retry_after: Option<Duration>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl EmbedError {
    /// An error without text, pause and cause.
    pub(crate) fn new(kind: EmbedErrorKind, detail: impl Into<String>, remediation: impl Into<String>) -> Self {
        let (detail, remediation) = (detail.into(), remediation.into());
        Self { kind, detail, remediation, text: None, retry_after: None, source: None }
    }

    /// `Malformed`. `detail` is the fact.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(
            EmbedErrorKind::Malformed,
            detail,
            "check that MNEME_EMBEDDER names an embedding model, and its base URL an embeddings API",
        )
    }

    /// `TimedOut`: a service did not answer before the deadline.
    pub fn timed_out() -> Self {
        Self::new(
            EmbedErrorKind::TimedOut,
            "the embedder did not answer in time",
            "try again; if it persists, raise the function's timeout, or look for load on the embedder",
        )
    }

    /// `Unreachable`: there was no connection to a service, or it broke.
    pub(crate) fn unreachable() -> Self {
        Self::new(
            EmbedErrorKind::Unreachable,
            "the embedder could not be reached",
            "try again; if it persists, check the embedder's address and region, and the function's network",
        )
    }

    /// `Unavailable`. `status`: the HTTP status of the reply.
    pub(crate) fn unavailable(status: u16) -> Self {
        Self::new(
            EmbedErrorKind::Unavailable,
            format!("the embedder failed with HTTP status {status}"),
            "try again; if it persists, look at the embedder's own logs or its provider's status page",
        )
    }

    /// `Throttled`: a service refused the request for now.
    pub(crate) fn throttled() -> Self {
        Self::new(
            EmbedErrorKind::Throttled,
            "the embedder throttled the request",
            "try again after a pause; if it persists, raise the embedder's quota of requests per minute",
        )
    }

    /// Adds the index of the text that caused the error.
    pub(crate) fn for_text(mut self, text: usize) -> Self {
        self.text = Some(text);
        self
    }

    /// Adds the pause that the service asked for.
    pub(crate) fn retry_after(mut self, pause: Option<Duration>) -> Self {
        self.retry_after = pause;
        self
    }

    /// Adds the cause, for the log.
    pub(crate) fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into().into());
        self
    }

    /// Adds the number of attempts, and the time that they took, to the fact.
    pub(crate) fn after(mut self, attempts: u32, elapsed: Duration) -> Self {
        let times = if attempts == 1 { "attempt" } else { "attempts" };
        self.detail = format!("{} ({attempts} {times} in {} ms)", self.detail, elapsed.as_millis());
        self
    }

    /// The chain of causes on one line, for the log; empty if there is no cause.
    pub fn causes(&self) -> String {
        std::error::Error::source(self).map(cause_chain).unwrap_or_default()
    }
}

/// `Malformed`, for a reply that could not be parsed. The cause has the position but not the content there, which may
/// be the text.
pub(crate) fn unreadable(error: &serde_json::Error) -> EmbedError {
    let (category, line, column) = (error.classify(), error.line(), error.column());
    EmbedError::malformed("the embedder's reply is not of the form that it should have")
        .caused_by(format!("{category:?} error at line {line}, column {column}"))
}

impl fmt::Display for EmbedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. Remediation: {}", self.detail, self.remediation)
    }
}

impl std::error::Error for EmbedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|cause| cause as _)
    }
}
