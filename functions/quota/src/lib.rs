//! `quota`: how many entries a namespace may have.

use mneme_core::cache::Cache;
use mneme_core::error::Error;
use mneme_core::event::Reply;
use mneme_core::invocation::Invocation;
use mneme_core::namespace::Namespace;
use mneme_core::runtime::Operation;
use serde::{Deserialize, Serialize};

/// What to do with which quota.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Read it.
    Get {
        /// Whose.
        namespace: Namespace,
    },
    /// Set it; it holds from the namespace's next put on.
    Set {
        /// Whose.
        namespace: Namespace,
        /// At least 1.
        max_entries: u64,
    },
    /// Remove it.
    Delete {
        /// Whose.
        namespace: Namespace,
    },
}

/// A namespace's quota.
#[derive(Debug, Serialize)]
pub struct Response {
    /// Whose.
    pub namespace: Namespace,
    /// The quota; null after it was removed.
    pub max_entries: Option<u64>,
}

/// The operation.
#[derive(Debug)]
pub struct Quota;

impl Operation for Quota {
    const FUNCTION: &'static str = "quota";
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let (Request::Get { namespace } | Request::Set { namespace, .. } | Request::Delete { namespace }) = &request;
        invocation.enter(namespace)?;
        match request {
            Request::Get { namespace } => {
                let max_entries = cache.counter().await?.quota(&namespace).ok_or_else(no_quota)?;
                Ok(Reply::ok(Response { namespace, max_entries: Some(max_entries) }))
            }
            Request::Set { max_entries: 0, .. } => Err(Error::invalid(
                "max_entries: a quota is at least 1",
                "send a whole number from 1; `clear` empties a namespace",
            )),
            Request::Set { namespace, max_entries } => {
                cache.set_quota(&namespace, max_entries).await?;
                Ok(Reply::ok(Response { namespace, max_entries: Some(max_entries) }))
            }
            Request::Delete { namespace } => {
                if cache.remove_quota(&namespace).await? {
                    Ok(Reply::ok(Response { namespace, max_entries: None }))
                } else {
                    Err(no_quota())
                }
            }
        }
    }
}

fn no_quota() -> Error {
    Error::not_found("the namespace has no quota", "set one first; without it only MNEME_MAX_ENTRIES applies")
}
