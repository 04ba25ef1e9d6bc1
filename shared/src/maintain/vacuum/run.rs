//! The steps of a pass: pages of the table, then caps, then segments.

use std::collections::HashSet;
use std::time::Duration;

use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::read::Projection;
use tokio::time::{Instant, timeout_at};

use super::answers::set_answers_apart;
use super::cursor::VacuumCursor;
use super::obsolete::LiveVersions;
use super::page::{TablePage, repair_page};
use super::pass::VacuumPass;
use crate::cache::Cache;
use crate::maintain::directory::forget_empty;
use crate::maintain::eviction::{Evictions, enforce_all_caps};
use crate::segments::compact::{RangeCounts, compact};
use crate::segments::write::{SegmentsWritten, write_segments};
use crate::settings::change::move_out_of_counter;

/// How long before the deadline a pass ends and begins no further page, so that its cursor can be saved and returned.
const MARGIN: Duration = Duration::from_secs(3);

/// Runs `pass` from `start` until the end, until the deadline is near, or until the table stays overloaded. Returns where
/// to continue.
///
/// First the settings that an older version wrote to item 0 are moved to items of their own. The steps are then:
/// 1. Each page of the table: long answers that an older version stored in rows get items of their own, expired entries
///    are removed, every live entry gets its pointer, duplicates, derived items without a use and answer items without an
///    entry are removed, `next_id` is raised above every id in use, and the page's quotas are enforced.
/// 2. The directory loses the namespaces without entries, after a pass that visits the whole table in one call. The quotas
///    in item 0 and the cap on the table are enforced.
/// 3. Segments are written. A pass over one namespace skips this step. Only a pass that visits the whole table in one
///    call rewrites and deletes segments.
///
/// A lack of capacity is waited out. A step that is cut off is done again by the next call.
/// Reads: the counter, pages of a scan, for each page the pointers of its entries and the entries of its pointers; then
/// as `enforce_all_caps`, `compact` and `write_segments`. Writes: likewise.
/// Errors: `StoreBackendError` if the table cannot be used at all. Repairs that were made before the error stay.
pub async fn run_pass(
    cache: &Cache,
    pass: &mut VacuumPass,
    start: VacuumCursor,
) -> Result<Option<VacuumCursor>, Error> {
    // A function with little time works for half of it, so that every call makes progress.
    let left = cache.deadline.saturating_duration_since(Instant::now());
    let until = cache.deadline - MARGIN.min(left / 2);
    let begin_until = cache.deadline.checked_sub(MARGIN).unwrap_or(cache.deadline);
    let mut cursor = Some(start);
    match timeout_at(until, run_steps(&cache.patient_until(until), pass, &mut cursor, begin_until)).await {
        Ok(Err(error)) if !error.is_store_overload() => return Err(error),
        Ok(Err(error)) => tracing::info!(%error, "the table is overloaded, so the pass continues in the next call"),
        Ok(Ok(())) | Err(_) => {}
    }
    Ok(cursor)
}

/// The steps of a pass. `cursor` says where to continue, at any time; `None` after the last step. No further page is begun
/// after `begin_until`.
async fn run_steps(
    cache: &Cache,
    pass: &mut VacuumPass,
    cursor: &mut Option<VacuumCursor>,
    begin_until: Instant,
) -> Result<(), Error> {
    let counter = cache.counter_of_any_embedder().await?;
    let versions = LiveVersions::read(cache, &counter).await?;
    if *cursor == Some(VacuumCursor::Start)
        && pass.only.is_none()
        && !move_out_of_counter(cache, &counter, cache.deadline).await?
    {
        return Ok(());
    }
    let is_whole = *cursor == Some(VacuumCursor::Start) && pass.only.is_none();
    pass.ranges = is_whole.then(RangeCounts::default);
    pass.namespaces = is_whole.then(HashSet::new);
    while let Some(at) = cursor.filter(|at| !matches!(at, VacuumCursor::Caps | VacuumCursor::Segments)) {
        let page = cache.table.scan_page((0, 1), at.last_row(), Projection::All).await?;
        set_answers_apart(cache, pass, &page.items).await?;
        let contents = TablePage::new(pass, &page.items, cache.now_secs());
        if !repair_page(cache, pass, contents, counter.next_id, &versions).await? {
            return Ok(());
        }
        *cursor = Some(page.next.map_or(VacuumCursor::Caps, VacuumCursor::After));
        if Instant::now() >= begin_until {
            return Ok(());
        }
    }
    if *cursor == Some(VacuumCursor::Caps) {
        if let Some(seen) = pass.namespaces.take().filter(|_| cache.config.max_entries.is_some()) {
            forget_empty(cache, &seen).await?;
        }
        let evictions = enforce_caps_of(cache, pass.only.as_ref()).await?;
        pass.removed.add(evictions);
        if evictions.unfinished {
            return Ok(());
        }
        *cursor = Some(VacuumCursor::Segments).filter(|_| pass.only.is_none());
    }
    if cursor.is_none() {
        return Ok(());
    }
    let counter = cache.counter_of_any_embedder().await?;
    let active = counter.active_embedder();
    let ranges_thinned = match (pass.ranges.take(), versions.manifest(active.generation)) {
        (Some(ranges), Some(manifest)) => compact(cache, &active, manifest, &ranges, cache.deadline).await?,
        _ => 0,
    };
    let written = write_segments(cache, &active, counter.next_id, cache.deadline).await?;
    pass.segments = SegmentsWritten { ranges_thinned, ..written };
    if !pass.segments.unfinished {
        *cursor = None;
    }
    Ok(())
}

/// Enforces the quotas of a shared table, which are in item 0, and the cap on the table. `only`: the quota of this
/// namespace alone. Other quotas were enforced with the pages that hold them.
async fn enforce_caps_of(cache: &Cache, only: Option<&Namespace>) -> Result<Evictions, Error> {
    let counter = cache.counter_of_any_embedder().await?;
    let quotas = counter.quotas.into_iter().map(|(name, quota)| (Namespace::from_row(name), quota));
    let quotas: Vec<_> = quotas.filter(|(namespace, _)| only.is_none_or(|only| namespace == only)).collect();
    enforce_all_caps(cache, &quotas, cache.config.max_entries.filter(|_| only.is_none())).await
}
