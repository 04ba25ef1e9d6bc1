//! The errors that callers get: names, HTTP statuses, details and remedies.

use std::fmt;

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};

/// The kind of an error. It says what the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
pub enum ErrorKind {
    /// The request is malformed. The caller corrects it before sending it again.
    InvalidRequest,
    /// The vector does not have the dimension of the cache's vectors.
    EmbedderDimensionError,
    /// The embedder failed or could not be reached. The caller tries again, or the operator repairs the deployment.
    EmbedderError,
    /// The configured embedder is not the one that the table is stamped with.
    EmbedderMismatchError,
    /// The caller may not use this namespace. The caller uses another one, or asks for the permission.
    NamespaceForbidden,
    /// The caller's token does not have the scope that the request needs.
    InsufficientScope,
    /// The caller's API key is missing or not known.
    Unauthorized,
    /// There is no such entry, quota or meta key.
    NotFound,
    /// The caller wanted a stored answer only, and there is none.
    NotCached,
    /// The service that answers what the cache cannot is not configured, or it did not answer.
    UpstreamError,
    /// The idempotency key was used before with another request.
    IdempotentParameterMismatch,
    /// The entry exceeds a byte cap or DynamoDB's item size.
    EntryTooLarge,
    /// The body of an HTTP request is compressed or otherwise encoded.
    UnsupportedContentEncoding,
    /// The cache has no snapshot and no restore. AWS's own tools do both.
    CheckpointError,
    /// DynamoDB refused the request or could not be reached. The caller tries again, or the operator repairs the
    /// deployment.
    StoreBackendError,
    /// The cache has a defect. The log has the details.
    Internal,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The public name, as in `urn:mneme:error:<name>` and `errorType`.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The HTTP status of a reply with this error.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::EmbedderDimensionError => 422,
            Self::EmbedderMismatchError | Self::IdempotentParameterMismatch => 409,
            Self::Unauthorized => 401,
            Self::NamespaceForbidden | Self::InsufficientScope => 403,
            Self::NotFound => 404,
            Self::EntryTooLarge => 413,
            Self::UnsupportedContentEncoding => 415,
            Self::CheckpointError => 501,
            Self::UpstreamError => 502,
            Self::NotCached => 504,
            Self::EmbedderError => 503,
            Self::StoreBackendError => 503,
            Self::Internal => 500,
        }
    }

    /// Whether the cache, its configuration, the embedder or the table caused the error, so that no caller could have
    /// prevented it.
    pub fn is_ours(self) -> bool {
        match self {
            Self::EmbedderError
            | Self::EmbedderMismatchError
            | Self::StoreBackendError
            | Self::UpstreamError
            | Self::Internal => true,
            Self::InvalidRequest
            | Self::EmbedderDimensionError
            | Self::NamespaceForbidden
            | Self::InsufficientScope
            | Self::IdempotentParameterMismatch
            | Self::Unauthorized
            | Self::NotFound
            | Self::NotCached
            | Self::EntryTooLarge
            | Self::UnsupportedContentEncoding
            | Self::CheckpointError => false,
        }
    }

    /// A short, constant summary: the `title` of RFC 9457.
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is not valid",
            Self::EmbedderDimensionError => "The embedding has the wrong dimension",
            Self::EmbedderError => "The query could not be embedded",
            Self::EmbedderMismatchError => "The cache belongs to another embedder",
            Self::NamespaceForbidden => "The namespace is not the caller's",
            Self::InsufficientScope => "The token does not have the scope",
            Self::IdempotentParameterMismatch => "The idempotency key was used with another request",
            Self::Unauthorized => "The API key is missing or not known",
            Self::NotFound => "Nothing is stored there",
            Self::NotCached => "No stored answer serves the request",
            Self::UpstreamError => "The upstream service did not answer",
            Self::EntryTooLarge => "A size limit is exceeded",
            Self::UnsupportedContentEncoding => "The content encoding is not supported",
            Self::CheckpointError => "Snapshots are taken with AWS's own tools",
            Self::StoreBackendError => "The table could not serve the request",
            Self::Internal => "The cache failed",
        }
    }
}

/// A named error with its remedy.
///
/// `detail` and `remediation` go to the caller. They never contain the table's name, SDK text or an embedding. The
/// `source` is the cause, and it goes to the log only.
#[derive(Debug)]
pub struct Error {
    /// The kind, which decides the public name and the HTTP status.
    pub kind: ErrorKind,
    /// The fact, with values.
    pub detail: String,
    /// The next action of the caller or the operator.
    pub remediation: String,
    /// The seconds after which the caller may try again. `None` gives no advice.
    pub retry_after_secs: Option<u32>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` without a cause and without advice on when to try again.
    pub fn new(kind: ErrorKind, detail: impl Into<String>, remediation: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), remediation: remediation.into(), retry_after_secs: None, source: None }
    }

    /// Whether the table was throttled or did not answer, so that the same request may succeed later.
    pub fn is_store_overload(&self) -> bool {
        self.kind == ErrorKind::StoreBackendError && self.retry_after_secs.is_some()
    }

    /// An error of kind `InvalidRequest`.
    pub fn invalid(detail: impl Into<String>, remediation: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, detail, remediation)
    }

    /// An error of kind `NotFound`.
    pub fn not_found(detail: impl Into<String>, remediation: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, detail, remediation)
    }

    /// An error of kind `StoreBackendError`.
    pub fn backend(detail: impl Into<String>, remediation: impl Into<String>) -> Self {
        Self::new(ErrorKind::StoreBackendError, detail, remediation)
    }

    /// An error of kind `Internal`. The caller learns only that it happened. `cause` goes to the log.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(
            ErrorKind::Internal,
            "an unexpected failure inside the cache",
            "try again; if it persists, look for this request's id in the function's log",
        )
        .caused_by(cause)
    }

    /// A copy without the cause, for another part of a reply or another caller. The cause is logged once only.
    pub fn for_caller(&self) -> Self {
        let Self { kind, detail, remediation, retry_after_secs, source: _ } = self;
        Self { retry_after_secs: *retry_after_secs, ..Self::new(*kind, detail, remediation) }
    }

    /// Adds the cause, which goes to the log only.
    pub fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// Adds the seconds after which the caller may try again.
    pub fn retry_after(mut self, secs: u32) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    /// The body of an `application/problem+json` reply (RFC 9457).
    pub fn problem(&self) -> Problem<'_> {
        Problem {
            r#type: format!("urn:mneme:error:{}", self.kind.name()),
            title: self.kind.title(),
            status: self.kind.status(),
            detail: &self.detail,
            remediation: &self.remediation,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. Remediation: {}", self.detail, self.remediation)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|cause| cause as _)
    }
}

/// An error as callers get it over HTTP and inside a batch reply.
#[derive(Debug, Serialize)]
pub struct Problem<'a> {
    /// `urn:mneme:error:<Name>`.
    pub r#type: String,
    /// A constant summary of the kind.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The fact, with values.
    pub detail: &'a str,
    /// The next action of the caller or the operator.
    pub remediation: &'a str,
}
