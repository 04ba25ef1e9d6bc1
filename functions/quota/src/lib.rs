//! `quota`: how many entries a namespace may have.

use mneme_api::event::Reply;
use mneme_core::cache::Cache;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::write::settings::Settings;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use serde::{Deserialize, Serialize};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Read the quota.
    Get,
    /// Set it; it holds from the namespace's next put on.
    Set,
    /// Remove it.
    Delete,
}

/// What to do with which quota.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What to do.
    pub action: Action,
    /// Whose quota.
    pub namespace: Namespace,
    /// To `set`: at least 1.
    pub max_entries: Option<u64>,
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
        let Request { action, namespace, max_entries } = request;
        invocation.authorize(&namespace)?;
        if action != Action::Get {
            // A limit that those whom it limits could lift would be none.
            invocation.authorize_all("changing a quota")?;
        }
        let max_entries = match (action, max_entries) {
            (Action::Set, Some(quota @ 1..)) => {
                Settings::new(cache).set_quota(&namespace, quota).await?;
                Some(quota)
            }
            (Action::Set, _) => {
                return Err(Error::invalid(
                    "max_entries: a quota is a whole number from 1",
                    "send one; `clear` empties a namespace, and `delete` removes its quota",
                ));
            }
            (Action::Get | Action::Delete, Some(_)) => {
                return Err(Error::invalid("max_entries: only `set` takes it", "drop it"));
            }
            (Action::Get, None) => Some(cache.counter().await?.quota(&namespace).ok_or_else(no_quota)?),
            (Action::Delete, None) if Settings::new(cache).remove_quota(&namespace).await? => None,
            (Action::Delete, None) => return Err(no_quota()),
        };
        Ok(Reply::ok(Response { namespace, max_entries }))
    }
}

fn no_quota() -> Error {
    Error::not_found("the namespace has no quota", "set one first; without it only MNEME_MAX_ENTRIES applies")
}
