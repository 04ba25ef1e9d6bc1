//! `meta`: small values that the cache's users keep in the table's item 0.

use mneme_core::cache::Cache;
use mneme_core::error::Error;
use mneme_core::event::Reply;
use mneme_core::invocation::Invocation;
use mneme_core::runtime::Operation;
use serde::{Deserialize, Serialize};

/// What to do with which key.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Read it.
    Get {
        /// Which.
        key: String,
    },
    /// Set it.
    Set {
        /// Which.
        key: String,
        /// Text; all of item 0 stays below 64 KB.
        value: String,
    },
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
        invocation.enter_all("`meta`")?;
        match request {
            Request::Get { key } => {
                let value = cache.counter().await?.meta.remove(&key);
                let value = value.ok_or_else(|| {
                    Error::not_found("there is no such meta key", "set it first, or check its spelling")
                })?;
                Ok(Reply::ok(Response { key, value }))
            }
            Request::Set { key, .. } if key.is_empty() => {
                Err(Error::invalid("key: a meta key is not empty", "send a key of at least one character"))
            }
            Request::Set { key, value } => {
                cache.set_meta(&key, &value).await?;
                Ok(Reply::ok(Response { key, value }))
            }
        }
    }
}
