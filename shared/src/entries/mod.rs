//! Reading entries: by id, by hash, and in pages.

pub mod page;

use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use mneme_store::key::RowKey;
use mneme_store::read::{Projection, pointed_entry};

use crate::cache::Cache;

/// The entry `id`, unless it has expired. Reads: one GetItem, strongly. Errors: `StoreBackendError`.
pub async fn live_entry(cache: &Cache, id: EntryId) -> Result<Option<Entry>, Error> {
    let entry = cache.table.entry(id).await?;
    Ok(entry.filter(|entry| !entry.is_expired(cache.now_secs())))
}

/// The live entry for this namespace and query hash.
///
/// Reads: the pointer, then the row, strongly. If the pointer names no live entry, as for entries of the Python
/// library: `gsi_hash` and the rows that it names. Errors: `StoreBackendError`.
pub async fn entry_by_hash(cache: &Cache, namespace: &Namespace, hash: &QueryHash) -> Result<Option<Entry>, Error> {
    let now = cache.now_secs();
    let fits = |entry: &Entry| entry.has_key(namespace, hash) && !entry.is_expired(now);
    let pointer = RowKey::pointer(namespace, hash);
    let mut followed = None;
    // A row that is gone may have been replaced after the pointer was read. A pointer that moved is followed again.
    while let Some(id) = cache.table.get(pointer, true).await?.as_ref().and_then(pointed_entry)
        && followed != Some(id)
    {
        if let Some(entry) = cache.table.entry(id).await?.filter(fits) {
            return Ok(Some(entry));
        }
        followed = Some(id);
    }
    let rows = indexed_rows(cache, namespace, hash, None).await?;
    Ok(rows.into_iter().rfind(fits))
}

/// The rows for this namespace and query hash, expired ones included, the newest last: the rows that `gsi_hash` names,
/// and the row `pointed` that the pointer names. There is more than one only if concurrent writers of the Python
/// library left duplicates.
///
/// Reads: `gsi_hash`, eventually consistent; then the rows by key, strongly.
pub async fn indexed_rows(
    cache: &Cache,
    namespace: &Namespace,
    hash: &QueryHash,
    pointed: Option<EntryId>,
) -> Result<Vec<Entry>, Error> {
    let ids: Vec<EntryId> = cache.table.ids_by_hash(namespace, hash).await?.into_iter().chain(pointed).collect();
    let rows = cache.table.batch_get(ids.iter().map(|id| (*id).into()), Projection::All).await?;
    Ok(rows.newest_last(namespace, hash, ids))
}
