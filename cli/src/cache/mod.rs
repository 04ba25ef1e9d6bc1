//! A cache, and how its operations are called.
//!
//! A call has the same fields through both doors. The HTTP API gets them as path, query and body ([`route`]), and
//! Lambda's Invoke API as the payload. [`reply`] reads what comes back.

pub(crate) mod error;
mod fields;
mod reply;
mod route;
mod sign;
mod target;

use std::time::Duration;

use mneme_api::operations::OperationSpec;
use serde::de::DeserializeOwned;

use self::error::CallError;
pub(crate) use self::fields::Fields;
use self::target::Target;
use crate::arguments::Connection;

/// How often in a row a failed call is sent again by [`Cache::call_patiently`].
const MAX_RETRIES: u32 = 5;
/// The backoff before the first retry. It doubles before each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// Calls the operations of one cache.
#[derive(Debug)]
pub(crate) struct Cache {
    http: reqwest::Client,
    target: Target,
}

impl Cache {
    /// A client of the cache that `connection` names. Reads the AWS configuration if requests are to be signed.
    ///
    /// # Errors
    /// The URL is none, or no region is known.
    pub(crate) async fn connect(connection: &Connection) -> Result<Self, CallError> {
        Ok(Self { http: reqwest::Client::new(), target: Target::of(connection).await? })
    }

    /// The URL or the name of the stack, as the user wrote it.
    pub(crate) fn name(&self) -> &str {
        self.target.name()
    }

    /// Calls an operation once.
    ///
    /// # Errors
    /// The cache refuses the call, or is not reached, or its reply is no `T`.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        operation: &OperationSpec,
        fields: Fields,
    ) -> Result<T, CallError> {
        let request = self.target.request(operation, fields).await?;
        let place = format!("{} {}", request.method(), request.uri());
        let unanswered = |source| CallError::Unanswered { place: place.clone(), source };
        let sent = reqwest::Request::try_from(request).map_err(unanswered)?;
        let response = self.http.execute(sent).await.map_err(unanswered)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.map_err(unanswered)?;
        let json = match self.target {
            Target::Http { .. } => reply::of_http(operation, status, &body),
            Target::Invoke { .. } => reply::of_invoke(status, &headers, &body),
        };
        serde_json::from_str(json?.get()).map_err(|source| CallError::Unreadable { place, source })
    }

    /// Calls an operation, and calls it again up to five times after a failure that may pass. `report` gets each such
    /// failure.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) async fn call_patiently<T: DeserializeOwned>(
        &self,
        operation: &OperationSpec,
        fields: Fields,
        mut report: impl FnMut(&CallError),
    ) -> Result<T, CallError> {
        let mut failed = 0;
        loop {
            match self.call(operation, fields.clone()).await {
                Err(error) if failed < MAX_RETRIES && error.is_transient() => {
                    report(&error);
                    tokio::time::sleep(FIRST_BACKOFF * (1 << failed)).await;
                    failed += 1;
                }
                done => return done,
            }
        }
    }
}
