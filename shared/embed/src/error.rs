//! The errors of an embedder: their kinds, facts and remedies.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mneme_aws::sdk_error::cause_chain;

/// What went wrong, by what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbedErrorKind {
    /// Too many requests: ask later, or for a higher quota.
    Throttled,
    /// The service does not take the credentials, or the quota is spent: mend the deployment.
    Refused,
    /// The service knows no such model, or the URL is not an embedder's: mend the configuration.
    UnknownModel,
    /// The text cannot be embedded, being blank or too long: change it.
    BadRequest,
    /// No connection: mend the network, or try again.
    Unreachable,
    /// The service failed: try again.
    Unavailable,
    /// The reply holds no vectors for the texts: what answers is no embedder of this kind.
    Malformed,
    /// The vectors have another length than the configured one: mend the configuration.
    WrongDimension,
    /// No answer before the deadline: try again, or give it more time.
    TimedOut,
}

impl EmbedErrorKind {
    /// A name for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttled => "Throttled",
            Self::Refused => "Refused",
            Self::UnknownModel => "UnknownModel",
            Self::BadRequest => "BadRequest",
            Self::Unreachable => "Unreachable",
            Self::Unavailable => "Unavailable",
            Self::Malformed => "Malformed",
            Self::WrongDimension => "WrongDimension",
            Self::TimedOut => "TimedOut",
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_passing(self) -> bool {
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

/// A named error with its remedy.
///
/// `detail` and `remediation` hold no text, no key and nothing that a service said; the cause, for the log alone, is
/// the `source`, which has no text and no key either.
#[derive(Debug, Clone)]
pub struct EmbedError {
    /// Which error it is.
    pub kind: EmbedErrorKind,
    /// The fact, with values.
    pub detail: String,
    /// What to do next.
    pub remediation: String,
    /// Which of the texts it is about, where it is about one.
    pub text: Option<usize>,
    /// How long the service asked to be left alone.
    pub retry_after: Option<Duration>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl EmbedError {
    pub(crate) fn new(kind: EmbedErrorKind, detail: impl Into<String>, remediation: impl Into<String>) -> Self {
        let (detail, remediation) = (detail.into(), remediation.into());
        Self { kind, detail, remediation, text: None, retry_after: None, source: None }
    }

    /// `Malformed`: `detail` says in what.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(
            EmbedErrorKind::Malformed,
            detail,
            "check that MNEME_EMBEDDER names an embedding model, and its base URL an embeddings API",
        )
    }

    /// `TimedOut`.
    pub(crate) fn timed_out() -> Self {
        Self::new(
            EmbedErrorKind::TimedOut,
            "the embedder did not answer in time",
            "try again; if it persists, raise the function's timeout, or look for load on the embedder",
        )
    }

    /// `Unreachable`.
    pub(crate) fn unreachable() -> Self {
        Self::new(
            EmbedErrorKind::Unreachable,
            "the embedder could not be reached",
            "try again; if it persists, check the embedder's address and region, and the function's network",
        )
    }

    /// `Unavailable`.
    pub(crate) fn unavailable(status: u16) -> Self {
        Self::new(
            EmbedErrorKind::Unavailable,
            format!("the embedder failed with HTTP status {status}"),
            "try again; if it persists, look at the embedder's own logs or its provider's status page",
        )
    }

    /// `Throttled`.
    pub(crate) fn throttled() -> Self {
        Self::new(
            EmbedErrorKind::Throttled,
            "the embedder throttled the request",
            "try again after a pause; if it persists, raise the embedder's quota of requests per minute",
        )
    }

    pub(crate) fn of_text(mut self, text: usize) -> Self {
        self.text = Some(text);
        self
    }

    pub(crate) fn retry_after(mut self, pause: Option<Duration>) -> Self {
        self.retry_after = pause;
        self
    }

    pub(crate) fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into().into());
        self
    }

    /// Adds how often and how long it was tried.
    pub(crate) fn after(mut self, attempts: u32, elapsed: Duration) -> Self {
        let times = if attempts == 1 { "attempt" } else { "attempts" };
        self.detail = format!("{} ({attempts} {times} in {} ms)", self.detail, elapsed.as_millis());
        self
    }

    /// The cause chain in one line, for the log.
    pub fn causes(&self) -> String {
        std::error::Error::source(self).map(cause_chain).unwrap_or_default()
    }
}

/// A reply that is not what it should be: where, but not what stands there, which may be the text.
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
