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
/// How often rows that were written to meanwhile are read again.
const MAX_READS: u32 = 8;

/// An entry that was visited, and how it counts; `None`: another writer changed it meanwhile.
pub(super) type Visited = (EntryId, Option<VisitedCounts>);

/// Goes through the entries of `ids`. `visit` gets the rows that are there, and those again that were written to meanwhile.
///
/// Reads: the rows, strongly. Errors: those of `visit`; `StoreBackendError`, also where one is written to all the time.
pub(super) async fn visit_entries<'a>(
    cache: &Cache,
    ids: Range<u64>,
    visit: impl Fn(Rows) -> BoxFuture<'a, Result<Vec<Visited>, Error>> + Sync,
) -> Result<VisitedCounts, Error> {
    let mut passed = VisitedCounts::default();
    let mut pending: Vec<EntryId> = ids.filter_map(EntryId::new).collect();
    for _ in 0..MAX_READS {
        let rows = cache.table.batch_get(pending.drain(..).map(RowKey::from), Projection::All).await?;
        for (id, became) in visit(rows).await? {
            match became {
                Some(one) => passed.add(&one),
                None => pending.push(id),
            }
        }
        if pending.is_empty() {
            return Ok(passed);
        }
    }
    Err(Error::backend(
        format!("{} entries were written to again and again while they were gone through", pending.len()),
        "go on with another call",
    ))
}
