//! `get`: reads one entry by its id.

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::entries::{live_row, with_answer};
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::entry::{Entry, no_such_entry};
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use serde::Deserialize;

/// A request to get an entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The entry's id, from 1.
    pub id: EntryId,
}

/// Reads one entry by its id.
#[derive(Debug)]
pub struct Get;

impl Operation for Get {
    const SPEC: &'static OperationSpec = &operations::GET;
    type Request = Request;
    type Response = Entry;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Entry>, Error> {
        cache.open().await?;
        let row = live_row(cache, request.id).await?.ok_or_else(no_such_entry)?;
        invocation.authorize(&row.namespace)?;
        with_answer(cache, row).await?.map(Reply::ok).ok_or_else(no_such_entry)
    }
}
