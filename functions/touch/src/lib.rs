//! `touch`: records an access.

use mneme_api::event::Reply;
use mneme_core::cache::Cache;
use mneme_core::entries::live_entry;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::write::touch::touch;
use mneme_model::entry::no_such_entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use serde::{Deserialize, Serialize};

/// Which entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its id, from 1.
    pub id: EntryId,
}

/// The access is recorded.
#[derive(Debug, Serialize)]
pub struct Response {
    /// Always true; an entry that was not there is `NotFound`.
    pub touched: bool,
    /// The entry.
    pub id: EntryId,
}

/// The operation. An access that a caller asks to record is written at any `MNEME_ACCESS_RESOLUTION_SECS`.
#[derive(Debug)]
pub struct Touch;

impl Operation for Touch {
    const FUNCTION: &'static str = "touch";
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        cache.open().await?;
        let entry = live_entry(cache, request.id).await?.ok_or_else(no_such_entry)?;
        invocation.authorize(&entry.namespace)?;
        if touch(cache, entry.id).await? {
            Ok(Reply::ok(Response { touched: true, id: entry.id }))
        } else {
            Err(no_such_entry())
        }
    }
}
