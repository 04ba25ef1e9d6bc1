//! `meta`: small values that the cache's users keep in the table's item 0. A key `guard:<namespace>` switches that
//! namespace's guard.

use mneme_api::event::Reply;
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
    /// Read the value.
    Get,
    /// Set it.
    Set,
}

/// What to do with which key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What to do.
    pub action: Action,
    /// Which key.
    pub key: String,
    /// To `set`: text; all of item 0 stays below 64 KB.
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

/// The operation.
#[derive(Debug)]
pub struct Meta;

impl Operation for Meta {
    const FUNCTION: &'static str = "meta";
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        invocation.authorize_all("`meta`")?;
        let Request { action, key, value } = request;
        let value = match (action, value) {
            (Action::Get, None) => {
                cache.counter().await?.meta.remove(&key).ok_or_else(|| {
                    Error::not_found("there is no such meta key", "set it first, or check its spelling")
                })?
            }
            (Action::Get, Some(_)) => return Err(Error::invalid("value: only `set` takes one", "drop it")),
            (Action::Set, None) => return Err(Error::invalid("value: missing", "send a text")),
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
