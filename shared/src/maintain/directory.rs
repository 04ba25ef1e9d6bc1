//! The directory: derived items with the names of the namespaces. With them, the least recently used entries of the
//! whole table are found without a scan. Only a cap on the whole table needs the directory.

use std::collections::BTreeSet;

use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::attribute as name;
use mneme_store::key::{DIRECTORY_SHARDS, RowKey};
use mneme_store::read::Projection;

use crate::cache::Cache;

/// Adds `namespace` to the directory, once per instance.
///
/// Writes: one UpdateItem on the first call for a namespace. Errors: `StoreBackendError`.
pub async fn register(cache: &Cache, namespace: &Namespace) -> Result<(), Error> {
    if cache.is_registered(namespace) {
        return Ok(());
    }
    add(cache, namespace).await?;
    cache.set_registered(namespace);
    Ok(())
}

/// Adds `namespace` to the directory, also if this instance has added it before. `vacuum` calls this for every
/// namespace that it finds, because the directory may have been lost. Writes: one UpdateItem.
pub(crate) async fn add(cache: &Cache, namespace: &Namespace) -> Result<(), Error> {
    cache.table.add_name(RowKey::directory(namespace), namespace).await
}

/// The namespaces in the directory. Reads: one BatchGetItem of 64 keys.
pub async fn registered_namespaces(cache: &Cache) -> Result<BTreeSet<Namespace>, Error> {
    let shards = (0..DIRECTORY_SHARDS).map(RowKey::directory_shard);
    let rows = cache.table.batch_get(shards, Projection::All).await?;
    let names = rows.iter().filter_map(|(_, item)| item.get(name::NAMES)?.as_ss().ok()).flatten();
    Ok(names.cloned().map(Namespace::from_row).collect())
}
