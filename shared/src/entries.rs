//! Single entries, by id and by hash.

use crate::cache::Cache;
use crate::entry::Entry;
use crate::error::Error;
use crate::key::{EntryId, RowKey};
use crate::namespace::Namespace;
use crate::normalize::QueryHash;
use crate::table::{Projection, pointed_entry};

impl Cache {
    /// The entry `id`, unless it is expired. Reads: one GetItem, strongly. Errors: `StoreBackendError`.
    pub async fn live_entry(&self, id: EntryId) -> Result<Option<Entry>, Error> {
        let entry = self.table.entry(id).await?;
        Ok(entry.filter(|entry| !entry.is_expired(self.now_secs())))
    }

    /// The live entry of the pair.
    ///
    /// Reads: the pair's pointer, then the row, strongly; `gsi_hash` and the rows it names where that leads
    /// nowhere, as for entries of the Python library. Errors: `StoreBackendError`.
    pub async fn entry_by_hash(&self, namespace: &Namespace, hash: &QueryHash) -> Result<Option<Entry>, Error> {
        let now = self.now_secs();
        let fits = |entry: &Entry| entry.answers(namespace, hash) && !entry.is_expired(now);
        let pointer = self.table.get(RowKey::pointer(namespace, hash), true).await?;
        if let Some(id) = pointer.as_ref().and_then(pointed_entry)
            && let Some(entry) = self.table.entry(id).await?.filter(fits)
        {
            return Ok(Some(entry));
        }
        let ids = self.table.ids_by_hash(namespace, hash).await?;
        let rows = self.table.batch_get(ids.iter().map(|id| (*id).into()), Projection::Whole).await?;
        Ok(ids.into_iter().rev().filter_map(|id| rows.entry(id)).find(fits))
    }
}
