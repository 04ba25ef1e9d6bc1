//! `meta`: reads, sets, removes or lists the values of the cache's `meta` map.
//!
//! The key `guard:<namespace>` switches the guard of that namespace on or off. Other keys have no effect on the cache.

use std::collections::BTreeMap;

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::write::settings::Settings;
use mneme_model::error::Error;
use mneme_store::counter::GUARD_KEY;
use serde::{Deserialize, Serialize};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Read the value of a key.
    Get,
    /// Set the value of a key.
    Set,
    /// Remove a key.
    Delete,
    /// Read all keys and values.
    List,
}

/// A request to read, set, remove or list meta values.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What to do.
    pub action: Action,
    /// The key, at least one character; not with `list`.
    pub key: Option<String>,
    /// The new value; only with `set`. All values together stay below 64 KB, and all switches of the guard, with the rest
    /// of item 0, below 1 KB.
    pub value: Option<String>,
}

/// The reply to each action.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// A key and its value, after `get` or `set`.
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// A key that was removed.
    Deleted {
        /// The key.
        key: String,
        /// Always true. A missing key is the error `NotFound`.
        deleted: bool,
    },
    /// All values by key.
    All {
        /// The values by key.
        values: BTreeMap<String, String>,
    },
}

/// Reads, sets, removes or lists meta values.
#[derive(Debug)]
pub struct Meta;

impl Operation for Meta {
    const SPEC: &'static OperationSpec = &operations::META;
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        invocation.authorize_all("`meta`")?;
        let Request { action, key, value } = request;
        if action != Action::Set && value.is_some() {
            return Err(Error::invalid("value: only `set` takes one", "leave the field out"));
        }
        let settings = Settings::new(cache);
        let response = match (action, key) {
            (Action::List, None) => Response::All { values: settings.meta().await? },
            (Action::List, Some(_)) => return Err(Error::invalid("key: `list` takes none", "leave the field out")),
            (_, None) => return Err(Error::invalid("missing field `key`", "send a key")),
            (Action::Get, Some(key)) => {
                let value = settings.meta().await?.remove(&key).ok_or_else(no_such_key)?;
                Response::Value { key, value }
            }
            (Action::Set, Some(key)) => {
                let value = value.ok_or_else(|| Error::invalid("missing field `value`", "send a text"))?;
                check(&key, &value)?;
                settings.set_meta(&key, &value).await?;
                Response::Value { key, value }
            }
            (Action::Delete, Some(key)) if settings.remove_meta(&key).await? => {
                Response::Deleted { key, deleted: true }
            }
            (Action::Delete, Some(_)) => return Err(no_such_key()),
        };
        Ok(Reply::ok(response))
    }
}

fn check(key: &str, value: &str) -> Result<(), Error> {
    if key.is_empty() {
        return Err(Error::invalid("key: a meta key is not empty", "send a key of at least one character"));
    }
    if key.starts_with(GUARD_KEY) && !["on", "off"].contains(&value) {
        return Err(Error::invalid(
            format!("value: a key that starts with `{GUARD_KEY}` switches a namespace's guard"),
            "send on or off",
        ));
    }
    Ok(())
}

fn no_such_key() -> Error {
    Error::not_found("there is no such meta key", "set it first, or check its spelling")
}
