//! `touch`: records an access to an entry.

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::entries::live_row;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::write::touch::touch;
use mneme_model::entry::no_such_entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use serde::{Deserialize, Serialize};

/// A request to touch an entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The entry's id, from 1.
    pub id: EntryId,
}

/// The result of a touch.
#[derive(Debug, Serialize)]
pub struct Response {
    /// Always true. A missing entry is the error `NotFound`.
    pub touched: bool,
    /// The entry's id.
    pub id: EntryId,
}

/// Records an access. It is always written: `MNEME_ACCESS_RESOLUTION_SECS` applies to lookups only.
#[derive(Debug)]
pub struct Touch;

impl Operation for Touch {
    const SPEC: &'static OperationSpec = &operations::TOUCH;
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        cache.open().await?;
        let entry = live_row(cache, request.id).await?.ok_or_else(no_such_entry)?;
        invocation.authorize(&entry.namespace)?;
        if touch(cache, entry.id, cache.now_secs()).await? {
            Ok(Reply::ok(Response { touched: true, id: entry.id }))
        } else {
            Err(no_such_entry())
        }
    }
}
