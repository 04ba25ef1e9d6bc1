//! `vacuum`: removes expired entries, enforces quotas and `MNEME_MAX_ENTRIES`, repairs derived items, writes segments.

use mneme_api::event::{Reply, RequestFields};
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::maintain::vacuum::{Repairs, VacuumCursor, VacuumPass, load_cursor, run_pass, save_cursor};
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::segments::write::SegmentsWritten;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use serde::{Deserialize, Serialize};

/// A request to vacuum.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Removes entries of this namespace only. Default: of every namespace.
    pub namespace: Option<Namespace>,
    /// The `cursor` of the call before. Default: start at the beginning.
    pub cursor: Option<String>,
    /// Continues where the last call with `resume` ended, and stores where this call ends. A scheduled event sets it.
    #[serde(default)]
    pub resume: bool,
}

/// The result of a vacuum.
#[derive(Debug, Serialize)]
pub struct Response {
    /// The number of expired entries that were removed.
    pub expired: u64,
    /// The number of live entries that were removed for a quota or the cap.
    pub evicted: u64,
    /// The repairs of derived items.
    #[serde(flatten)]
    pub repaired: Repairs,
    /// The segments that were written.
    #[serde(flatten)]
    pub packed: SegmentsWritten,
    /// The cursor of the next call. Null: this call reached the end.
    pub cursor: Option<String>,
}

/// Works until the invocation's deadline is near, and returns a cursor if work is left.
#[derive(Debug)]
pub struct Vacuum;

impl Operation for Vacuum {
    const SPEC: &'static OperationSpec = &operations::VACUUM;
    type Request = Request;
    type Response = Response;

    fn on_schedule() -> Option<RequestFields> {
        Some([("resume".to_owned(), true.into())].into_iter().collect())
    }

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        if request.resume && (request.cursor.is_some() || request.namespace.is_some()) {
            return Err(Error::invalid(
                "resume: it cannot be combined with `namespace` or `cursor`",
                "send `resume` alone, or `namespace` and `cursor` without it",
            ));
        }
        let at = request.cursor.as_deref().map_or(Ok(VacuumCursor::Start), VacuumCursor::from_text)?;
        // A request for one namespace also scans the whole table and repairs the derived items of all.
        invocation.authorize_all("`vacuum`")?;
        let cache = &cache.patient();
        cache.open().await?;
        let at = if request.resume { load_cursor(cache).await? } else { at };
        let mut pass = VacuumPass::new(request.namespace);
        let next = run_pass(cache, &mut pass, at).await?;
        if request.resume {
            save_cursor(cache, next).await?;
        }
        Ok(Reply::ok(Response {
            expired: pass.removed.expired,
            evicted: pass.removed.evicted,
            repaired: pass.repaired,
            packed: pass.segments,
            cursor: next.map(VacuumCursor::to_text),
        }))
    }
}
