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
        let pointer = RowKey::pointer(namespace, hash);
        let mut followed = None;
        // A row that is gone may have been replaced after the pointer was read: follow it again where it has moved.
        while let Some(id) = self.table.get(pointer, true).await?.as_ref().and_then(pointed_entry)
            && followed != Some(id)
        {
            if let Some(entry) = self.table.entry(id).await?.filter(fits) {
                return Ok(Some(entry));
            }
            followed = Some(id);
        }
        let rows = self.rows_of_pair(namespace, hash, None).await?;
        Ok(rows.into_iter().rfind(fits))
    }

    /// The pair's rows, expired ones included, the newest last: those that `gsi_hash` names and `pointed`, which its
    /// pointer names. More than one only where the Python library's concurrent writers left duplicates.
    ///
    /// Reads: `gsi_hash`, eventually consistent; then the rows by key, strongly.
    pub async fn rows_of_pair(
        &self,
        namespace: &Namespace,
        hash: &QueryHash,
        pointed: Option<EntryId>,
    ) -> Result<Vec<Entry>, Error> {
        let ids: Vec<EntryId> = self.table.ids_by_hash(namespace, hash).await?.into_iter().chain(pointed).collect();
        let rows = self.table.batch_get(ids.iter().map(|id| (*id).into()), Projection::Whole).await?;
        Ok(rows.newest_last(namespace, hash, ids))
    }
}
