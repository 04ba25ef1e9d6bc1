//! `meta`: reads or sets a value of the cache's `meta` map, which is part of the counter.
//!
//! The key `guard:<namespace>` switches the guard of that namespace on or off. Other keys have no effect on the cache.

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::write::settings::Settings;
use mneme_model::error::Error;
use mneme_store::counter::GUARD_KEY;
use serde::{Deserialize, Serialize};

/// What to do with the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Read it.
    Get,
    /// Set it.
    Set,
}

/// A request to read or set a meta value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Whether to read or set the value.
    pub action: Action,
    /// The key, at least one character.
    pub key: String,
    /// The new value; only with `set`. The whole counter must stay below 64 KB.
    pub value: Option<String>,
}

/// A key and its value.
#[derive(Debug, Serialize)]
pub struct Response {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

/// Reads or sets a meta value.
#[derive(Debug)]
pub struct Meta;

impl Operation for Meta {
    const SPEC: &'static OperationSpec = &operations::META;
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        invocation.authorize_all("`meta`")?;
        let Request { action, key, value } = request;
        let value = match (action, value) {
            (Action::Get, None) => {
                cache.read_counter().await?.meta.remove(&key).ok_or_else(|| {
                    Error::not_found("there is no such meta key", "set it first, or check its spelling")
                })?
            }
            (Action::Get, Some(_)) => return Err(Error::invalid("value: only `set` takes one", "leave the field out")),
            (Action::Set, None) => return Err(Error::invalid("missing field `value`", "send a text")),
            (Action::Set, Some(_)) if key.is_empty() => {
                return Err(Error::invalid("key: a meta key is not empty", "send a key of at least one character"));
            }
            (Action::Set, Some(value)) if key.starts_with(GUARD_KEY) && !["on", "off"].contains(&value.as_str()) => {
                return Err(Error::invalid(
                    format!("value: a key that starts with `{GUARD_KEY}` switches a namespace's guard"),
                    "send on or off",
                ));
            }
            (Action::Set, Some(value)) => {
                Settings::new(cache).set_meta(&key, &value).await?;
                value
            }
        };
        Ok(Reply::ok(Response { key, value }))
    }
}
