//! `meta`: reads, sets, removes or lists the values of the cache's `meta` map.
//!
//! The key `guard:<namespace>` is another name for the setting `guard` of that namespace. Other keys have no effect. Older
//! versions and the Python library wrote them; they can be read and removed.

use std::collections::BTreeMap;

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::settings::change::change_settings;
use mneme_core::settings::meta::{meta, remove_meta};
use mneme_core::settings::read::settings_of;
use mneme_model::confidence::Guard;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::namespace_settings::NamespaceSettings;
use mneme_store::counter::GUARD_KEY;
use serde::{Deserialize, Serialize};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Read the value of a key.
    Get,
    /// Set the value of a key `guard:<namespace>`.
    Set,
    /// Remove a key.
    Delete,
    /// Read all keys and values. Switches of the guard are listed by `settings`, unless an older version wrote them.
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
    /// The new value, `on` or `off`; only with `set`.
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
        let response = match (action, key) {
            (Action::List, None) => Response::All { values: meta(cache).await? },
            (Action::List, Some(_)) => return Err(Error::invalid("key: `list` takes none", "leave the field out")),
            (_, None) => return Err(Error::invalid("missing field `key`", "send a key")),
            (Action::Get, Some(key)) => {
                let value = match guarded_namespace(&key)? {
                    Some(namespace) => settings_of(cache, &namespace).await?.guard.map(word),
                    None => meta(cache).await?.remove(&key),
                };
                let value = value.ok_or_else(no_such_key)?;
                Response::Value { key, value }
            }
            (Action::Set, Some(key)) => {
                let value = value.ok_or_else(|| Error::invalid("missing field `value`", "send on or off"))?;
                let namespace = guarded_namespace(&key)?.ok_or_else(unknown_key)?;
                let guard = guard(&value)?;
                let set = |before| Some(NamespaceSettings { guard: Some(guard), ..before });
                change_settings(cache, &namespace, set).await?;
                Response::Value { key, value }
            }
            (Action::Delete, Some(key)) => {
                let is_removed = match guarded_namespace(&key)? {
                    Some(namespace) => {
                        let remove = |before: NamespaceSettings| {
                            before.guard.map(|_| NamespaceSettings { guard: None, ..before })
                        };
                        change_settings(cache, &namespace, remove).await?.is_some()
                    }
                    None => remove_meta(cache, &key).await?,
                };
                if !is_removed {
                    return Err(no_such_key());
                }
                Response::Deleted { key, deleted: true }
            }
        };
        Ok(Reply::ok(response))
    }
}

/// The namespace whose guard `key` switches. `None` for any other key. Errors: `InvalidRequest` if the key names no
/// namespace.
fn guarded_namespace(key: &str) -> Result<Option<Namespace>, Error> {
    if key.is_empty() {
        return Err(Error::invalid("key: a meta key is not empty", "send a key of at least one character"));
    }
    let Some(name) = key.strip_prefix(GUARD_KEY) else { return Ok(None) };
    let refused = |fault| Error::invalid(format!("key: {fault}"), "send guard: and the name of a namespace");
    Namespace::try_from(name.to_owned()).map(Some).map_err(refused)
}

/// The setting that `value` names. Errors: `InvalidRequest`.
fn guard(value: &str) -> Result<Guard, Error> {
    match value {
        "on" => Ok(Guard::On),
        "off" => Ok(Guard::Off),
        _ => Err(Error::invalid(
            format!("value: a key that starts with `{GUARD_KEY}` switches a namespace's guard"),
            "send on or off",
        )),
    }
}

/// The value of the meta key of a namespace whose guard is set to `guard`.
fn word(guard: Guard) -> String {
    let word = match guard {
        Guard::On => "on",
        Guard::Off => "off",
    };
    word.to_owned()
}

fn unknown_key() -> Error {
    Error::invalid(
        format!("key: only keys that start with `{GUARD_KEY}` can be set, because no other key has an effect"),
        "set what a namespace does differently with `settings`",
    )
}

fn no_such_key() -> Error {
    Error::not_found("there is no such meta key", "set it first, or check its spelling")
}
