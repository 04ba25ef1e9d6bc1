//! The first read of a round: everything that a warm instance needs in the best case.

use std::ops::ControlFlow;
use std::time::Duration;

use mneme_model::confidence::Guard;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_store::counter::Counter;
use mneme_store::key::RowKey;
use mneme_store::pair_verdicts::Pointer;
use mneme_store::read::{BatchRead, Projection, Rows};
use tokio::time::Instant;

use super::exact::{ExactMatch, ExactRules};
use super::query::Query;
use super::rules::Rules;
use crate::cache::Cache;

/// The counter, and when it was read.
pub(super) type ReadCounter = (Counter, Instant);

/// The result of the first read of a round.
pub(super) struct FirstRead {
    pub(super) rows: Rows,
    /// `None`: item 0 did not answer in time, and no earlier state of it may be used.
    pub(super) counter: Option<ReadCounter>,
}

/// A query, and the entries whose rows may answer it.
pub(super) struct Wanted<'a> {
    pub(super) query: &'a Query,
    /// The rules, as far as they are known before the read.
    pub(super) rules: Rules,
    /// The key of the namespace's settings, if they have to be read.
    pub(super) settings: Option<RowKey>,
    /// The entries that the replica knows for the query's hash, the newest first.
    pub(super) known: Vec<EntryId>,
    /// The first candidates of the semantic layer.
    pub(super) candidates: &'a [EntryId],
}

impl Wanted<'_> {
    fn keys(&self) -> impl Iterator<Item = RowKey> {
        let entries = self.candidates.iter().chain(&self.known).map(|id| RowKey::from(*id));
        entries.chain([self.query.pointer_key()]).chain(self.settings)
    }

    /// The exact answer in `rows`, as far as they were read, by the rules that were known before the read. The settings of
    /// the namespace may have switched the guard off; the guard judges all the same, unless the request switches it off.
    pub(super) fn exact_match(&self, rows: &Rows) -> ExactMatch {
        let pointer = rows.get(self.query.pointer_key()).map(Pointer::from_item).unwrap_or_default();
        let ids: Vec<EntryId> = pointer.own().into_iter().chain(self.known.iter().copied()).collect();
        let rules = Rules { guard: self.query.guard.unwrap_or(Guard::On), ..self.rules };
        let alias = pointer.verdicts.alias.as_ref();
        ExactRules { query: self.query, rules: &rules, alias }.among(&ids, rows)
    }
}

/// Reads, in one BatchGetItem round, what `wanted` needs in the best case, and the counter. `last`: the counter as it was
/// last read.
///
/// If `is_trusted`, the last counter is used. If item 0 is throttled or silent, the last counter is used as long as
/// `MNEME_STALE_IF_ERROR_MS` allows it. The read does not wait for item 0 once every query has an exact answer.
/// Errors: `StoreBackendError`, unless the table is only overloaded.
pub(super) async fn first_read(
    cache: &Cache,
    wanted: &[Wanted<'_>],
    last: Option<ReadCounter>,
    is_trusted: bool,
) -> Result<FirstRead, Error> {
    let mut rows = Rows::default();
    let keys = || wanted.iter().flat_map(Wanted::keys);
    if is_trusted {
        cache.table.fetch_missing(&mut rows, keys()).await?;
        return Ok(FirstRead { rows, counter: last });
    }
    let begun = Instant::now();
    let max_age = Duration::from_millis(cache.config.stale_if_error_ms);
    let fallback = last.filter(|(_, read_at)| read_at.elapsed() < max_age);
    // If there is something to fall back to, half of the time is kept for reading the rows without item 0.
    let left = cache.deadline.saturating_duration_since(begun);
    let patience = if fallback.is_some() { left / 2 } else { left };
    let table = cache.table.patient_until(begun + patience);
    let take = |more: Rows| {
        rows.extend(more);
        let needs_no_counter = || wanted.iter().all(|one| one.exact_match(&rows).is_answer());
        match !rows.has_read(RowKey::COUNTER) && needs_no_counter() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let read = table.batch_get_each(keys().chain([RowKey::COUNTER]), BatchRead::strong(Projection::All), take).await;
    match read {
        Ok(()) => {}
        Err(error) if error.is_store_overload() => tracing::info!(%error, "item 0 did not answer in time"),
        // The table may be missing. `open` creates it, or returns the error that says what is wrong.
        Err(_) if !cache.is_open() => {
            cache.open().await?;
            cache.table.fetch_missing(&mut rows, keys().chain([RowKey::COUNTER])).await?;
        }
        Err(error) => return Err(error),
    }
    let counter = match (rows.has_read(RowKey::COUNTER), fallback) {
        (true, _) => Some((cache.counter_from(rows.get(RowKey::COUNTER)).await?, begun)),
        (false, Some(fallback)) => {
            cache.table.fetch_missing(&mut rows, keys()).await?;
            Some(fallback)
        }
        (false, None) => None,
    };
    Ok(FirstRead { rows, counter })
}
