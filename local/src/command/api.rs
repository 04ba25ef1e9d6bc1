//! A client of the HTTP API for the subcommands.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a request has no usable reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("{request} was not answered: {source}")]
    Unanswered { request: String, source: reqwest::Error },
    #[error("{request} was answered with {status}: {body}")]
    Refused { request: String, status: reqwest::StatusCode, body: String },
    #[error("the reply to {request} has another form ({source}): {body}")]
    Unreadable { request: String, source: serde_json::Error, body: String },
}

/// Calls the HTTP API at one base URL.
pub(super) struct Api {
    http: reqwest::Client,
    url: String,
}

impl Api {
    pub(super) fn new(url: &str) -> Self {
        Self { http: reqwest::Client::new(), url: url.to_owned() }
    }

    /// Sends `POST path` with `body`. Returns the reply's body.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, ApiError> {
        let request = || format!("POST {path}");
        let unanswered = |source| ApiError::Unanswered { request: request(), source };
        let post = self.http.post(format!("{}{path}", self.url)).json(body);
        let response = post.send().await.map_err(unanswered)?;
        let status = response.status();
        let body = response.text().await.map_err(unanswered)?;
        if !status.is_success() {
            return Err(ApiError::Refused { request: request(), status, body });
        }
        serde_json::from_str(&body).map_err(|source| ApiError::Unreadable { request: request(), source, body })
    }
}
