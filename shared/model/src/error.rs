//! The errors a caller meets: their names, HTTP statuses, facts and remedies.

use std::fmt;

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};

/// What went wrong, by what the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
pub enum ErrorKind {
    /// The request is malformed: mend it before sending it again.
    InvalidRequest,
    /// The vector has another length than the cache's vectors.
    EmbedderDimensionError,
    /// The embedder failed or could not be reached: mend the deployment, or try again.
    EmbedderError,
    /// The configured embedder is not the one the table was stamped with.
    EmbedderMismatchError,
    /// The caller may not use this namespace: use another, or ask for the right.
    NamespaceForbidden,
    /// There is no such entry, quota or meta key.
    NotFound,
    /// Over a byte cap, or over DynamoDB's item size.
    EntryTooLarge,
    /// The body of an HTTP request is compressed or otherwise encoded.
    UnsupportedContentEncoding,
    /// Snapshot and restore, which AWS's own tools do.
    CheckpointError,
    /// DynamoDB refused or could not be reached: mend the deployment, or try again.
    StoreBackendError,
    /// A defect of ours: the log has the details.
    Internal,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The public name, as in `urn:mneme:error:<name>` and `errorType`.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The HTTP status it travels with.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::EmbedderDimensionError => 422,
            Self::EmbedderMismatchError => 409,
            Self::NamespaceForbidden => 403,
            Self::NotFound => 404,
            Self::EntryTooLarge => 413,
            Self::UnsupportedContentEncoding => 415,
            Self::CheckpointError => 501,
            Self::EmbedderError => 503,
            Self::StoreBackendError => 503,
            Self::Internal => 500,
        }
    }

    /// Whether it is the cache's or the table's, and no caller could have prevented it.
    pub fn is_ours(self) -> bool {
        match self {
            Self::EmbedderError | Self::StoreBackendError | Self::Internal => true,
            Self::InvalidRequest
            | Self::EmbedderDimensionError
            | Self::EmbedderMismatchError
            | Self::NamespaceForbidden
            | Self::NotFound
            | Self::EntryTooLarge
            | Self::UnsupportedContentEncoding
            | Self::CheckpointError => false,
        }
    }

    /// A short, constant summary, the `title` of RFC 9457.
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is not valid",
            Self::EmbedderDimensionError => "The embedding has the wrong dimension",
            Self::EmbedderError => "The query could not be embedded",
            Self::EmbedderMismatchError => "The cache belongs to another embedder",
            Self::NamespaceForbidden => "The namespace is not the caller's",
            Self::NotFound => "Nothing is stored there",
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
/// `detail` and `remediation` go to the caller and never name the table, an SDK message or an embedding;
/// the cause, for the log alone, is the `source`.
#[derive(Debug)]
pub struct Error {
    /// Which error of the contract it is.
    pub kind: ErrorKind,
    /// The fact, with values.
    pub detail: String,
    /// What to do next.
    pub remediation: String,
    /// After how many seconds trying again makes sense, where it does.
    pub retry_after_secs: Option<u32>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with its fact and its remedy.
    pub fn new(kind: ErrorKind, detail: impl Into<String>, remediation: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), remediation: remediation.into(), retry_after_secs: None, source: None }
    }

    /// `InvalidRequest`.
    pub fn invalid(detail: impl Into<String>, remediation: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, detail, remediation)
    }

    /// `NotFound`.
    pub fn not_found(detail: impl Into<String>, remediation: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, detail, remediation)
    }

    /// `StoreBackendError`.
    pub fn backend(detail: impl Into<String>, remediation: impl Into<String>) -> Self {
        Self::new(ErrorKind::StoreBackendError, detail, remediation)
    }

    /// `Internal`: the caller learns nothing but that it happened; `cause` goes to the log.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(
            ErrorKind::Internal,
            "an unexpected failure inside the cache",
            "try again; if it persists, look for this request's id in the function's log",
        )
        .caused_by(cause)
    }

    /// The same for another caller, or another part of a reply: without the cause, which is logged once.
    pub fn for_caller(&self) -> Self {
        let Self { kind, detail, remediation, retry_after_secs, source: _ } = self;
        Self { retry_after_secs: *retry_after_secs, ..Self::new(*kind, detail, remediation) }
    }

    /// Adds the cause, for the log.
    pub fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// Adds the number of seconds after which to try again.
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

/// An error as a caller sees it over HTTP, and inside a batch reply.
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
    /// What to do next.
    pub remediation: &'a str,
}
