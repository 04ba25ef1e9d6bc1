//! Why a call has no usable reply.

use mneme_model::error::ErrorKind;
use serde_json::{Value, json};

/// Why a call has no usable reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The cache answered with one of its errors.
    #[error("{name}: {detail}; {remediation}")]
    Refused {
        /// The error's name.
        name: String,
        /// Its HTTP status.
        status: u16,
        /// The fact.
        detail: String,
        /// What to do.
        remediation: String,
    },
    /// API Gateway, Lambda, or another server answered in the cache's place.
    #[error("the cache's door answered with the status {status}: {message}; {remediation}")]
    Gateway {
        /// The HTTP status.
        status: u16,
        /// What the reply says.
        message: String,
        /// What to do.
        remediation: &'static str,
    },
    /// No reply came.
    #[error("{place} was not answered: {}; check the address and whether the cache runs", with_causes(source))]
    Unanswered {
        /// Method and URL.
        place: String,
        /// The failure.
        source: reqwest::Error,
    },
    /// The reply has another form.
    #[error("the reply to {place} has another form ({source}); use the version of mneme that belongs to the cache")]
    Unreadable {
        /// Method and URL.
        place: String,
        /// The failure.
        source: serde_json::Error,
    },
    /// The request could not be made.
    #[error("{detail}; {remediation}")]
    Unsendable {
        /// The fact.
        detail: String,
        /// What to do.
        remediation: &'static str,
    },
}

impl CallError {
    /// Whether the same call may succeed after a short wait.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Refused { status, .. } | Self::Gateway { status, .. } => is_transient_status(*status),
            Self::Unanswered { .. } => true,
            Self::Unreadable { .. } | Self::Unsendable { .. } => false,
        }
    }

    /// Whether the cache answered that what was asked for does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { name, .. } if name == ErrorKind::NotFound.name())
    }

    /// The error as an object with the name (if the cache has one for it), the fact and the remedy.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Refused { name, detail, remediation, .. } => {
                json!({ "error": name, "detail": detail, "remediation": remediation })
            }
            Self::Gateway { message, remediation, .. } => json!({ "detail": message, "remediation": remediation }),
            Self::Unsendable { detail, remediation } => json!({ "detail": detail, "remediation": remediation }),
            Self::Unanswered { .. } | Self::Unreadable { .. } => json!({ "detail": self.to_string() }),
        }
    }
}

/// Whether a call that was answered with this HTTP status may succeed after a short wait.
pub(crate) fn is_transient_status(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// The error's message and those of its causes: reqwest's own message does not say why a connection failed.
fn with_causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
