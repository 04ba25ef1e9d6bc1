//! Removing entries, many in a transaction.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use mneme_model::entry::EntryHeader;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::tag::Tag;
use mneme_store::actions::{DeleteCondition, StatsChange};
use mneme_store::key::RowKey;
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
    /// The entry has expired. It is removed unless it was stored again since.
    Expired,
}

impl<'a> Reason<'a> {
    fn condition(self) -> DeleteCondition<'a> {
        match self {
            Self::Requested => DeleteCondition::Exists,
            Self::Tagged(tag) => DeleteCondition::Tagged(tag),
            Self::Evicted => DeleteCondition::NotAccessed,
            Self::Expired => DeleteCondition::NotPutAgain,
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

/// Removes `rows` and their pointers until the deadline.
///
/// Writes: transactions of up to 100 actions with one counter update each, which adds the number of entries to the
/// version. A row that is gone, or is no longer as `reason` requires, is skipped.
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

/// How many of `rows` fit one transaction: two actions each, one for each namespace's statistics, the counter and the
/// statistics of the table.
fn batch_len(rows: &[EntryHeader]) -> usize {
    let mut actions = 2;
    let mut namespaces = HashSet::new();
    rows.iter()
        .take_while(|row| {
            actions += 2 + usize::from(namespaces.insert(&row.namespace));
            actions <= MAX_ACTIONS
        })
        .count()
}

async fn remove_batch(cache: &Cache, rows: &[EntryHeader], reason: Reason<'_>) -> Result<u64, Error> {
    let table = &cache.table;
    let mut budget = cache.retry_budget();
    let mut rows: Vec<&EntryHeader> = rows.iter().collect();
    // Pointers that were found to name other entries. They are kept.
    let mut kept: BTreeSet<RowKey> = BTreeSet::new();
    while !rows.is_empty() {
        let mut changes: BTreeMap<&Namespace, StatsChange> = BTreeMap::new();
        // By key, because a transaction takes one action per item, and duplicates of an entry share a pointer.
        let mut pointers: BTreeMap<RowKey, Vec<EntryId>> = BTreeMap::new();
        let mut actions = Vec::new();
        for row in &rows {
            actions.push(table.delete_row(row, reason.condition())?);
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
            actions.push(table.unpoint(*pointer, ids)?);
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
        let before = (rows.len(), kept.len());
        let first_pointer = rows.len();
        let elsewhere = pointers.keys().enumerate().filter(|(at, _)| outcome.failed_condition(first_pointer + at));
        kept.extend(elsewhere.map(|(_, pointer)| *pointer));
        let mut at = 0..rows.len();
        rows.retain(|_| at.next().is_some_and(|at| !outcome.failed_condition(at)));
        if before == (rows.len(), kept.len()) {
            return Err(Error::internal("a removal was refused for none of its rows"));
        }
    }
    Ok(0)
}
