//! Removing entries, many in a transaction.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use mneme_model::entry::EntryHeader;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::tag::Tag;
use mneme_store::actions::{DeleteCondition, StatsChange};
use mneme_store::entry_row::header_from_item;
use mneme_store::key::RowKey;
use mneme_store::pair_verdicts::Pointer;
use mneme_store::read::Projection;
use mneme_store::transaction::{MAX_ACTIONS, TransactionOutcome};
use tokio::time::Instant;

use crate::cache::Cache;

/// How long before the deadline no further transaction is begun.
const MARGIN: Duration = Duration::from_millis(500);

/// Why entries are removed. The reason decides what must still be true of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason<'a> {
    /// A caller asked for it. The row is removed, also if it has changed since it was read.
    Requested,
    /// A caller asked to remove the entries with this tag. The row is removed unless it has lost the tag.
    Tagged(&'a Tag),
    /// The entry was among the least recently used. It is removed unless it was used since it was chosen.
    Evicted,
    /// The entry has expired. It is removed unless it was stored again since, or its life was
    /// prolonged.
    Expired,
}

impl<'a> Reason<'a> {
    fn condition(self) -> DeleteCondition<'a> {
        match self {
            Self::Requested => DeleteCondition::Exists,
            Self::Tagged(tag) => DeleteCondition::Tagged(tag),
            Self::Evicted => DeleteCondition::NotAccessed,
            Self::Expired => DeleteCondition::StillExpired,
        }
    }

    /// Whether the row that was `seen` and is `now` may still be removed.
    fn holds(self, seen: &EntryHeader, now: &EntryHeader) -> bool {
        match self {
            Self::Requested => true,
            Self::Tagged(tag) => now.tags.contains(tag),
            Self::Evicted => now.last_accessed_at == seen.last_accessed_at,
            Self::Expired => {
                let is_prolonged = match (seen.expires_at, now.expires_at) {
                    (Some(seen), Some(now)) => now > seen,
                    (_, now) => now.is_none(),
                };
                now.created_at == seen.created_at && !is_prolonged
            }
        }
    }
}

/// The result of a removal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removal {
    /// Entries that this call removed.
    pub removed: u64,
    /// Entries that this call did not reach before its deadline.
    pub left: usize,
}

/// Removes `rows`, their answer items and their pointers until the deadline.
///
/// Reads: rows that were not as they were seen, strongly. Writes: transactions of up to 100 actions with one counter
/// update each, which adds the number of entries to the version. A row that is gone, or is no longer as `reason` requires,
/// is skipped.
/// Errors: `StoreBackendError`; what was removed until then stays removed.
pub async fn remove(cache: &Cache, rows: &[EntryHeader], reason: Reason<'_>) -> Result<Removal, Error> {
    let mut removed = 0;
    let mut rest = rows;
    while !rest.is_empty() && Instant::now() + MARGIN < cache.deadline {
        let (batch, after) = rest.split_at(batch_len(rest));
        removed += remove_batch(cache, batch, reason).await?;
        rest = after;
    }
    Ok(Removal { removed, left: rest.len() })
}

/// How many of `rows` fit one transaction: two actions each, one for each answer item and for each namespace's
/// statistics, the counter and the statistics of the table.
fn batch_len(rows: &[EntryHeader]) -> usize {
    let mut actions = 2;
    let mut namespaces = HashSet::new();
    rows.iter()
        .take_while(|row| {
            // A row that is not as it was seen may have an answer item after all.
            actions += 3 + usize::from(namespaces.insert(&row.namespace));
            actions <= MAX_ACTIONS
        })
        .count()
}

async fn remove_batch(cache: &Cache, rows: &[EntryHeader], reason: Reason<'_>) -> Result<u64, Error> {
    let table = &cache.table;
    let mut budget = cache.retry_budget();
    let mut rows = rows.to_vec();
    // Pointers that were found to name other entries. They are kept.
    let mut kept: BTreeSet<RowKey> = BTreeSet::new();
    // Pointers that were found to have verdicts. They keep those.
    let mut with_verdicts: BTreeMap<RowKey, Pointer> = BTreeMap::new();
    while !rows.is_empty() {
        let mut changes: BTreeMap<&Namespace, StatsChange> = BTreeMap::new();
        // By key, because a transaction takes one action per item, and duplicates of an entry share a pointer.
        let mut pointers: BTreeMap<RowKey, Vec<EntryId>> = BTreeMap::new();
        let mut answers = Vec::new();
        let mut actions = Vec::new();
        for row in &rows {
            actions.push(table.delete_row(row, reason.condition())?);
            answers.extend(row.has_answer_item.then_some(row.id));
            let change = changes.entry(&row.namespace).or_default();
            change.entries -= 1;
            match reason {
                Reason::Requested | Reason::Tagged(_) => {}
                Reason::Evicted => change.counts.evictions += 1,
                Reason::Expired => change.counts.expirations += 1,
            }
            pointers.entry(RowKey::pointer(&row.namespace, &row.query_hash)).or_default().push(row.id);
        }
        pointers.retain(|pointer, _| !kept.contains(pointer));
        for (pointer, ids) in &pointers {
            let seen = with_verdicts.get(pointer);
            let kept = seen.map(|seen| table.unpoint_to_verdict(*pointer, seen)).transpose()?.flatten();
            actions.push(kept.map_or_else(|| table.unpoint(*pointer, ids), Ok)?);
        }
        for id in answers {
            actions.push(table.delete_answer(id)?);
        }
        actions.push(table.raise_version(rows.len() as u64)?);
        actions.extend(table.change_stats(changes, cache.table_stats_key())?);

        let outcome = table.transact(actions, cache.deadline).await?;
        match outcome {
            TransactionOutcome::Committed => return Ok(rows.len() as u64),
            TransactionOutcome::Unknown(error) => return Err(error),
            _ if outcome.was_contended() => {
                budget.after_contention().await?;
                continue;
            }
            TransactionOutcome::Cancelled(_) => {}
        }
        let first_pointer = rows.len();
        let mut has_progress = false;
        for (at, (pointer, ids)) in pointers.iter().enumerate() {
            if !outcome.failed_condition(first_pointer + at) {
                continue;
            }
            has_progress = true;
            // A pointer whose verdicts have changed since is read by the next refusal.
            let found = outcome.row_at(first_pointer + at).map(Pointer::from_item);
            let was_known = with_verdicts.remove(pointer).is_some();
            match found.filter(|found| !found.verdicts.is_empty() && found.named.is_some_and(|id| ids.contains(&id))) {
                Some(found) => drop(with_verdicts.insert(*pointer, found)),
                None if was_known => {}
                None => drop(kept.insert(*pointer)),
            }
        }
        let before = rows.len();
        let (mut as_seen, mut changed) = (Vec::new(), Vec::new());
        for (at, row) in rows.into_iter().enumerate() {
            if outcome.failed_condition(at) { changed.push(row) } else { as_seen.push(row) }
        }
        if before == as_seen.len() && !has_progress {
            return Err(Error::internal("a removal was refused for none of its rows"));
        }
        as_seen.extend(still_removable(cache, changed, reason).await?);
        rows = as_seen;
    }
    Ok(0)
}

/// Those of `rows` that only got or lost an answer item since they were read, as they are now.
async fn still_removable(cache: &Cache, rows: Vec<EntryHeader>, reason: Reason<'_>) -> Result<Vec<EntryHeader>, Error> {
    let now = cache.table.batch_get(rows.iter().map(|row| row.id.into()), Projection::Lru).await?;
    let again = rows.into_iter().filter_map(|seen| {
        let row = header_from_item(now.get(seen.id.into())?)?;
        (row.has_answer_item != seen.has_answer_item && reason.holds(&seen, &row)).then_some(row)
    });
    Ok(again.collect())
}
