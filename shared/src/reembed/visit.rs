//! Visiting the entries of a range of ids.

use std::ops::Range;

use futures::future::BoxFuture;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_store::key::RowKey;
use mneme_store::move_progress::VisitedCounts;
use mneme_store::read::{Projection, Rows};

use crate::cache::Cache;

/// How many rows are written at once.
pub(super) const WRITES_AT_ONCE: usize = 16;
/// How often a row is read that another writer changes each time.
const MAX_READS: u32 = 8;

/// An entry that was visited, and what it adds to the counts; `None`: another writer changed it meanwhile.
pub(super) type Visited = (EntryId, Option<VisitedCounts>);

/// Calls `visit` with the rows of `ids` that exist, and again with those that another writer changed meanwhile. Returns
/// the sum of the counts.
///
/// Reads: the rows, strongly. Errors: those of `visit`; `StoreBackendError`, also if a row changes each time.
pub(super) async fn visit_entries<'a>(
    cache: &Cache,
    ids: Range<u64>,
    visit: impl Fn(Rows) -> BoxFuture<'a, Result<Vec<Visited>, Error>> + Sync,
) -> Result<VisitedCounts, Error> {
    let mut counts = VisitedCounts::default();
    let mut pending: Vec<EntryId> = ids.filter_map(EntryId::new).collect();
    for _ in 0..MAX_READS {
        let rows = cache.table.batch_get(pending.drain(..).map(RowKey::from), Projection::All).await?;
        for (id, visited) in visit(rows).await? {
            match visited {
                Some(one) => counts.add(&one),
                None => pending.push(id),
            }
        }
        if pending.is_empty() {
            return Ok(counts);
        }
    }
    Err(Error::backend(
        format!("{} entries were changed by others each time they were visited", pending.len()),
        "go on with another call",
    ))
}
