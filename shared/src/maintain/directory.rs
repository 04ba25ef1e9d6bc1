//! The directory: derived items with the names of the namespaces. With them, the least recently used entries of the
//! whole table are found without a scan. Only a cap on the whole table needs the directory.

use std::collections::{BTreeSet, HashSet};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mneme_model::error::Error;
use mneme_model::namespace::{Namespace, NamespaceHash};
use mneme_store::attribute as name;
use mneme_store::key::{DIRECTORY_SHARDS, RowKey};
use mneme_store::read::Projection;

use crate::cache::Cache;

/// How many namespaces one pass of `vacuum` checks for entries. The next pass checks others.
const MAX_CHECKED: usize = 1000;

/// How many namespaces are checked at once.
const CHECKS_AT_ONCE: usize = 8;

/// Adds `namespace` to the directory, once an hour per instance.
///
/// Writes: one UpdateItem on the first call for a namespace, and after an hour. Errors: `StoreBackendError`.
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

/// Takes those namespaces out of the directory that have no entries. `seen`: the namespaces in which a pass over the whole
/// table has found live entries.
///
/// Reads: the directory, and for up to 1,000 namespaces that are not in `seen`, chosen at random, the statistics twice and
/// one key of `gsi_lru`. Writes: one UpdateItem for each that has no entries. Errors: `StoreBackendError`.
pub(crate) async fn forget_empty(cache: &Cache, seen: &HashSet<NamespaceHash>) -> Result<(), Error> {
    let unseen = registered_namespaces(cache).await?.into_iter().filter(|namespace| !seen.contains(&namespace.hash()));
    let checked = fastrand::choose_multiple(unseen, MAX_CHECKED);
    stream::iter(checked)
        .map(|namespace| async move { forget_if_empty(cache, &namespace).await })
        .buffer_unordered(CHECKS_AT_ONCE)
        .try_collect()
        .await
}

/// Takes `namespace` out of the directory unless the index shows an entry. If its statistics change meanwhile, an entry was
/// stored, and the namespace is added again. The number in the statistics says nothing by itself, because it includes
/// rows that DynamoDB's TTL deleted.
async fn forget_if_empty(cache: &Cache, namespace: &Namespace) -> Result<(), Error> {
    let stats = RowKey::namespace_stats(namespace);
    let before = cache.table.namespace_stats(stats).await?;
    if !cache.table.oldest(namespace, 1).await?.0.is_empty() {
        return Ok(());
    }
    cache.table.remove_name(RowKey::directory(namespace), namespace).await?;
    if cache.table.namespace_stats(stats).await? != before {
        add(cache, namespace).await?;
    }
    Ok(())
}
