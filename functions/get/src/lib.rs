//! `get`: one entry by id.

use mneme_api::event::Reply;
use mneme_core::cache::Cache;
use mneme_core::entries::live_entry;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::entry::{Entry, no_such_entry};
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use serde::Deserialize;

/// Which entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its id, from 1.
    pub id: EntryId,
}

/// The operation.
#[derive(Debug)]
pub struct Get;

impl Operation for Get {
    const FUNCTION: &'static str = "get";
    type Request = Request;
    type Response = Entry;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Entry>, Error> {
        cache.open().await?;
        let entry = live_entry(cache, request.id).await?.ok_or_else(no_such_entry)?;
        invocation.authorize(&entry.namespace)?;
        Ok(Reply::ok(entry))
    }
}
