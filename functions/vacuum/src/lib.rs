//! `vacuum`: removes expired entries, enforces quotas and `MNEME_MAX_ENTRIES`, repairs derived items.

use mneme_api::event::{Fields, Reply};
use mneme_core::cache::Cache;
use mneme_core::maintain::vacuum::{Repairs, VacuumCursor, VacuumPass, load_cursor, run_pass, save_cursor};
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::segments::write::SegmentsWritten;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use serde::{Deserialize, Serialize};

/// How far to go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// One namespace; absent: the whole table.
    pub namespace: Option<Namespace>,
    /// Where the last call ended: its `cursor`.
    pub cursor: Option<String>,
    /// Whether to go on where the last call with `resume` ended, and to keep where this one does: what a scheduled event
    /// asks for.
    #[serde(default)]
    pub resume: bool,
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
    pub repaired: Repairs,
    /// What was packed for new instances of `lookup`.
    #[serde(flatten)]
    pub packed: SegmentsWritten,
    /// What to send to go on, when the time did not suffice; null when everything was gone through.
    pub cursor: Option<String>,
}

/// The operation. It works until its deadline is near and says where to go on.
#[derive(Debug)]
pub struct Vacuum;

impl Operation for Vacuum {
    const FUNCTION: &'static str = "vacuum";
    type Request = Request;
    type Response = Response;

    fn on_schedule() -> Option<Fields> {
        Some([("resume".to_owned(), true.into())].into_iter().collect())
    }

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        if request.resume && (request.cursor.is_some() || request.namespace.is_some()) {
            return Err(Error::invalid(
                "resume: it goes through the whole table, from where the last such call ended",
                "send `resume` alone, or `namespace` and `cursor` without it",
            ));
        }
        let at = request.cursor.as_deref().map_or(Ok(VacuumCursor::Start), VacuumCursor::from_text)?;
        // Of one namespace, too, it goes through the whole table and repairs what it comes by.
        invocation.authorize_all("`vacuum`")?;
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
