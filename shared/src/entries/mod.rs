//! Reading entries: by id, by hash, and in pages.

pub mod page;
pub(crate) mod tag_blocks;

use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use mneme_store::key::RowKey;
use mneme_store::pair_verdicts::Pointer;
use mneme_store::read::Projection;

use crate::cache::Cache;

/// The entry `id`, unless it has expired, without an answer that is in an item of its own. Reads: one GetItem, strongly.
/// Errors: `StoreBackendError`.
pub async fn live_row(cache: &Cache, id: EntryId) -> Result<Option<Entry>, Error> {
    let entry = cache.table.entry(id).await?;
    Ok(entry.filter(|entry| !entry.is_expired(cache.now_secs())))
}

/// `entry`, which was read a moment ago, with its answer. `None` if it was removed or has expired meanwhile.
///
/// Reads: nothing if the row holds the answer; else one GetItem, strongly. If the entry was put again since its row was
/// read, both are read again. Errors: `StoreBackendError`.
pub async fn with_answer(cache: &Cache, mut entry: Entry) -> Result<Option<Entry>, Error> {
    let mut missed = None;
    while !cache.table.read_answer(&mut entry).await? {
        if missed == entry.apart {
            tracing::error!(id = %entry.id, "the entry has no answer item");
            return Ok(None);
        }
        missed = entry.apart;
        match live_row(cache, entry.id).await? {
            Some(row) => entry = row,
            None => return Ok(None),
        }
    }
    Ok(Some(entry))
}

/// The live entry for this namespace and query hash, with its answer. Reads: as [`row_by_hash`] and [`with_answer`].
/// Errors: `StoreBackendError`.
pub async fn entry_by_hash(cache: &Cache, namespace: &Namespace, hash: &QueryHash) -> Result<Option<Entry>, Error> {
    let mut gone = None;
    // An entry that is gone may have been replaced by one with another id.
    while let Some(row) = row_by_hash(cache, namespace, hash).await?
        && gone != Some(row.id)
    {
        gone = Some(row.id);
        if let Some(entry) = with_answer(cache, row).await? {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// The live entry for this namespace and query hash, without an answer that is in an item of its own.
///
/// Reads: the pointer, then the row, strongly. If the pointer names no live entry, as for entries of the Python
/// library: `gsi_hash` and the rows that it names. Errors: `StoreBackendError`.
pub async fn row_by_hash(cache: &Cache, namespace: &Namespace, hash: &QueryHash) -> Result<Option<Entry>, Error> {
    let now = cache.now_secs();
    let fits = |entry: &Entry| entry.has_key(namespace, hash) && !entry.is_expired(now);
    let pointer = RowKey::pointer(namespace, hash);
    let mut followed = None;
    // A row that is gone may have been replaced after the pointer was read. A pointer that moved is followed again.
    while let Some(id) = cache.table.get(pointer, true).await?.and_then(|item| Pointer::from_item(&item).own())
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

/// The rows for this namespace and query hash, without answers that are in items of their own, expired ones included, the
/// newest last: the rows that `gsi_hash` names, and the row `pointed` that the pointer names. There is more than one only
/// if concurrent writers of the Python library left duplicates.
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
