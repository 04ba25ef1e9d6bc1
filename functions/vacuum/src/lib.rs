//! `vacuum`: removes expired entries, enforces quotas and `MNEME_MAX_ENTRIES`, repairs derived items.

use mneme_core::cache::Cache;
use mneme_core::error::Error;
use mneme_core::event::Reply;
use mneme_core::key::RowKey;
use mneme_core::namespace::Namespace;
use mneme_core::repair::{Repaired, Sweep};
use mneme_core::runtime::Operation;
use serde::{Deserialize, Serialize};

/// How far to go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// One namespace; absent: the whole table.
    pub namespace: Option<Namespace>,
    /// Where the last call ended: its `cursor`.
    pub cursor: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Response {
    /// Expired entries removed.
    pub expired: u64,
    /// Live entries removed for a quota or the cap.
    pub evicted: u64,
    /// What else was set right.
    #[serde(flatten)]
    pub repaired: Repaired,
    /// What to send to go on, when the time did not suffice; null when everything was gone through.
    pub cursor: Option<String>,
}

/// The operation. It works until its deadline is near and says where to go on.
#[derive(Debug)]
pub struct Vacuum;

impl Operation for Vacuum {
    const FUNCTION: &'static str = "vacuum";
    const SCHEDULED: bool = true;
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, request: Request) -> Result<Reply<Response>, Error> {
        let after = match &request.cursor {
            None => None,
            Some(cursor) => Some(RowKey::from_cursor(cursor)?),
        };
        cache.open().await?;
        let mut sweep = Sweep::new(request.namespace.clone());
        let next = cache.sweep(&mut sweep, after).await?;
        let mut removed = sweep.removed;
        if next.is_none() {
            removed.add(cache.settle_caps(&sweep).await?);
        }
        Ok(Reply::ok(Response {
            expired: removed.expired,
            evicted: removed.evicted,
            repaired: sweep.repaired,
            cursor: next.map(RowKey::to_cursor),
        }))
    }
}
