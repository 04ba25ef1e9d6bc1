//! `list`: pages of entries: all, since an id, or least recently used first.

use mneme_api::event::Reply;
use mneme_core::cache::Cache;
use mneme_core::entries::page::{Order, Page, Position, page};
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use serde::{Deserialize, Serialize};

/// The entries of a page when the caller does not say.
const DEFAULT_LIMIT: usize = 100;
/// The most entries of a page.
const MAX_LIMIT: usize = 1000;

/// Which entries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Of one namespace; absent: of all that the caller may use.
    pub namespace: Option<Namespace>,
    /// With ids above this one; only in order of ids.
    pub after_id: Option<u64>,
    /// In which order.
    #[serde(default)]
    pub order: Order,
    /// At most so many, 1 to 1,000.
    pub limit: Option<usize>,
    /// Where the last page ended: its `cursor`.
    pub cursor: Option<String>,
}

/// A page.
#[derive(Debug, Serialize)]
pub struct Response {
    /// Live entries. A page may have few or none and not be the last.
    pub entries: Vec<Entry>,
    /// What to send for the next page; null after the last.
    pub cursor: Option<String>,
}

/// The operation.
#[derive(Debug)]
pub struct List;

impl Operation for List {
    const FUNCTION: &'static str = "list";
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Error::invalid(
                format!("limit: {limit} is not between 1 and {MAX_LIMIT}"),
                "send a limit in that range, or none, and follow the cursor",
            ));
        }
        if request.after_id.is_some() && (request.order == Order::Lru || request.cursor.is_some()) {
            return Err(Error::invalid(
                "`after_id` goes with the order `id`, and not with a `cursor`",
                "drop one of the two",
            ));
        }
        let after = match request.cursor {
            Some(cursor) => Position::from_cursor(&cursor, request.order)?,
            None => Position::start(request.order, request.after_id.and_then(EntryId::new)),
        };
        let scope = invocation.visible_namespaces(request.namespace.as_ref())?;
        cache.open().await?;
        let Page { entries, next } = page(cache, &scope, after, limit).await?;
        Ok(Reply::ok(Response { entries, cursor: next.map(|position| position.to_cursor()) }))
    }
}
