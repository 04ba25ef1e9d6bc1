//! The names of the namespaces, kept in derived items, so that the table's least recently used entries can be
//! found without a scan. Only a cap on the whole table needs them.

use std::collections::BTreeSet;

use crate::cache::Cache;
use crate::error::Error;
use crate::key::{DIRECTORY_SHARDS, RowKey};
use crate::namespace::Namespace;
use crate::table::Projection;

impl Cache {
    /// Enters `namespace` into the directory, once per instance.
    ///
    /// Writes: one UpdateItem on the first call for a namespace. Errors: `StoreBackendError`.
    pub async fn register(&self, namespace: &Namespace) -> Result<(), Error> {
        if self.is_registered(namespace) {
            return Ok(());
        }
        self.enter(namespace).await?;
        self.set_registered(namespace);
        Ok(())
    }

    /// Enters `namespace` into the directory, whatever this instance remembers: what `vacuum` does for every namespace
    /// that it comes by, in case the directory has lost it. Writes: one UpdateItem.
    pub(crate) async fn enter(&self, namespace: &Namespace) -> Result<(), Error> {
        self.table.add_name(RowKey::directory(namespace), namespace).await
    }

    /// The namespaces in the directory. Reads: one BatchGetItem of 64 keys.
    pub async fn registered_namespaces(&self) -> Result<BTreeSet<Namespace>, Error> {
        let rows = self.table.batch_get((0..DIRECTORY_SHARDS).map(RowKey::directory_shard), Projection::Whole).await?;
        Ok(rows
            .iter()
            .filter_map(|(_, item)| item.get("names")?.as_ss().ok())
            .flatten()
            .cloned()
            .map(Namespace::from_row)
            .collect())
    }
}
