//! Removing all entries of a namespace, or of the cache.

use mneme_model::entry::EntryHeader;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::entry_row::header_from_item;
use mneme_store::item::Item;
use mneme_store::key::RowKey;
use mneme_store::read::Projection;

use super::remove::{Reason, remove};
use crate::cache::Cache;

/// Removes every entry of `namespace`, or of all namespaces, and returns how many live entries there were.
///
/// Reads: the whole table, strongly, so that no entry acknowledged before is missed. A move to another embedder gives
/// entries new ids; during one the ids given out since are read too, until none of them belongs to an older entry.
/// Writes: removals. Errors: `StoreBackendError`, also if the time ran out. What was removed before the error stays
/// removed.
pub async fn clear(cache: &Cache, namespace: Option<&Namespace>) -> Result<u64, Error> {
    let table = &cache.table;
    let began = cache.now_secs();
    let is_own = |row: &EntryHeader| namespace.is_none_or(|namespace| row.namespace == *namespace);
    let before = table.read_counter().await?;
    let mut rows = Vec::new();
    let found = |item: Item| rows.extend(header_from_item(&item).filter(is_own));
    cache.patient().table.scan(Projection::Lru, found).await?;
    let mut removed = clear_rows(cache, rows, began, 0).await?;
    let mut next_id = before.as_ref().map_or(1, |counter| counter.next_id);
    let was_moving = before.is_some_and(|counter| counter.second.is_some());
    while let Some(counter) = table.read_counter().await?
        && (was_moving || counter.second.is_some())
    {
        let ids = (next_id..counter.next_id).filter_map(EntryId::new).map(RowKey::from);
        let since = table.batch_get(ids, Projection::Lru).await?;
        let rows = since.iter().filter_map(|(_, item)| header_from_item(item));
        let older: Vec<EntryHeader> = rows.filter(|row| is_own(row) && row.created_at <= began).collect();
        if older.is_empty() {
            break;
        }
        next_id = counter.next_id;
        removed = clear_rows(cache, older, began, removed).await?;
    }
    Ok(removed)
}

/// Removes `rows` and returns how many live ones there were, plus `removed` from before.
async fn clear_rows(cache: &Cache, rows: Vec<EntryHeader>, now_secs: i64, removed: u64) -> Result<u64, Error> {
    let (expired, mut live): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.is_expired(now_secs));
    // Rows of one namespace together: each transaction changes the statistics of fewer namespaces.
    live.sort_unstable_by(|a, b| (&a.namespace, a.id).cmp(&(&b.namespace, b.id)));
    let live = remove(cache, &live, Reason::Requested).await?;
    let expired = remove(cache, &expired, Reason::Expired).await?;
    let removed = removed + live.removed;
    match live.left + expired.left {
        0 => Ok(removed),
        left => Err(Error::backend(
            format!("the time ran out with {removed} entries removed and {left} to go"),
            "call again: what was removed stays removed",
        )
        .retry_after(1)),
    }
}
