//! `quota`: reads, sets or removes the maximum number of entries of a namespace, which is one of its settings.

use mneme_api::access::Scope;
use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::settings::change::change_settings;
use mneme_core::settings::read::settings_of;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::namespace_settings::NamespaceSettings;
use serde::{Deserialize, Serialize};

/// What to do with the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Read it.
    Get,
    /// Set it. It takes effect with the namespace's next put.
    Set,
    /// Remove it.
    Delete,
}

/// A request to read, set or remove a quota.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Whether to read, set or remove the quota.
    pub action: Action,
    /// The namespace that the quota limits.
    pub namespace: Namespace,
    /// The new quota, from 1; only with `set`.
    pub max_entries: Option<u64>,
}

/// A namespace's quota.
#[derive(Debug, Serialize)]
pub struct Response {
    /// The namespace.
    pub namespace: Namespace,
    /// The quota. Null: it was removed.
    pub max_entries: Option<u64>,
}

/// Reads, sets or removes a quota.
#[derive(Debug)]
pub struct Quota;

impl Operation for Quota {
    const SPEC: &'static OperationSpec = &operations::QUOTA;
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let Request { action, namespace, max_entries } = request;
        invocation.authorize(&namespace)?;
        if action != Action::Get {
            // A caller with a list of namespaces must not lift the limit that applies to it.
            invocation.authorize_all("changing a quota")?;
            invocation.authorize_scope(Scope::Admin)?;
        }
        let max_entries = match (action, max_entries) {
            (Action::Set, Some(quota @ 1..)) => {
                let set = |before| Some(NamespaceSettings { max_entries: Some(quota), ..before });
                change_settings(cache, &namespace, set).await?;
                Some(quota)
            }
            (Action::Set, _) => {
                return Err(Error::invalid(
                    "max_entries: a quota is a whole number from 1",
                    "send one; `clear` empties a namespace, and `delete` removes its quota",
                ));
            }
            (Action::Get | Action::Delete, Some(_)) => {
                return Err(Error::invalid("max_entries: only `set` takes it", "leave the field out"));
            }
            (Action::Get, None) => Some(settings_of(cache, &namespace).await?.max_entries.ok_or_else(no_quota)?),
            (Action::Delete, None) => {
                let remove = |before: NamespaceSettings| {
                    before.max_entries.map(|_| NamespaceSettings { max_entries: None, ..before })
                };
                change_settings(cache, &namespace, remove).await?.ok_or_else(no_quota)?;
                None
            }
        };
        Ok(Reply::ok(Response { namespace, max_entries }))
    }
}

fn no_quota() -> Error {
    Error::not_found("the namespace has no quota", "set one first; without it only MNEME_MAX_ENTRIES applies")
}
