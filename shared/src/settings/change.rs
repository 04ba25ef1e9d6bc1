//! Changing the settings of a namespace.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::TransactWriteItem;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::namespace_settings::NamespaceSettings;
use mneme_store::attribute as name;
use mneme_store::counter::{Counter, MAX_SETTINGS_BYTES, guard_key};
use mneme_store::expression::{Condition, Expression};
use mneme_store::item::n;
use tokio::time::Instant;

use super::meta::{check_growth, move_meta_out_of_counter};
use crate::cache::Cache;
use crate::write::commit::commit;

/// The most bytes that a quota takes in item 0, without its name.
const NUMBER_BYTES: usize = 16;

/// Changes what is set for `namespace` to what `change` makes of it. Returns the new settings, or `None` if `change`
/// returned `None`, which leaves everything as it is. A quota applies from the next put on, and everything else to every
/// lookup and put that begins after the change.
///
/// Reads: item 0 and the namespace's item. Writes: one transaction on item 0, the namespace's item and the directory of
/// settings. Errors: `EntryTooLarge` when item 0 of a table that is shared with the Python library would pass 64 KB;
/// `StoreBackendError`.
pub async fn change_settings(
    cache: &Cache,
    namespace: &Namespace,
    change: impl Fn(NamespaceSettings) -> Option<NamespaceSettings>,
) -> Result<Option<NamespaceSettings>, Error> {
    loop {
        let counter = cache.read_counter().await?;
        let may_have_item = counter.may_have_settings_items();
        let item = if may_have_item { cache.table.settings_item(namespace).await? } else { None };
        let before = item.unwrap_or_default().or(counter.settings(namespace));
        let Some(after) = change(before) else { return Ok(None) };
        if counter.is_unwritten() {
            // A transaction needs item 0.
            cache.counter_of_any_embedder().await?;
            continue;
        }
        let is_shared = is_shared(cache);
        // The Python library finds a quota in item 0 only.
        let in_item = NamespaceSettings { max_entries: after.max_entries.filter(|_| !is_shared), ..after };
        let mut actions = vec![counter_action(cache, &counter, namespace, after.max_entries.filter(|_| is_shared))?];
        actions.extend(item_actions(cache, namespace, item.is_some(), &in_item)?);
        if commit(cache, &actions).await? {
            return Ok(Some(after));
        }
    }
}

/// The change of item 0: it counts the change of the settings, and no longer has what moves to the namespace's item.
/// `quota`: the quota that item 0 is to hold.
///
/// The condition on `settings_version` makes the transaction fail if any settings have changed since `counter` was read.
fn counter_action(
    cache: &Cache,
    counter: &Counter,
    namespace: &Namespace,
    quota: Option<u64>,
) -> Result<TransactWriteItem, Error> {
    let version = (counter.settings_version > 0).then(|| n(counter.settings_version));
    let mut expression = Expression::when(Condition::Exists(name::VERSION))
        .and(Condition::is(name::SETTINGS_VERSION, version))
        .add(name::SETTINGS_VERSION, n(1))
        .add(name::VERSION, n(1));
    let (quota_key, guard_key) = (namespace.as_str(), guard_key(namespace));
    let has_quota = counter.quotas.contains_key(quota_key);
    match quota {
        Some(quota) => {
            let added = quota_key.len() + NUMBER_BYTES;
            check_growth(counter.bytes, if has_quota { added } else { 0 }, added, MAX_SETTINGS_BYTES)?;
            expression = expression.and(Condition::Exists(name::QUOTAS)).set_in(name::QUOTAS, quota_key, n(quota));
        }
        None if has_quota => {
            let there = Condition::HasKey(name::QUOTAS, quota_key.to_owned());
            expression = expression.and(there).remove_from(name::QUOTAS, quota_key);
        }
        None => {}
    }
    if counter.meta.contains_key(&guard_key) {
        let there = Condition::HasKey(name::META, guard_key.clone());
        expression = expression.and(there).remove_from(name::META, &guard_key);
    }
    cache.table.update_counter(expression)
}

/// The changes of the namespace's item and of the directory of settings.
fn item_actions(
    cache: &Cache,
    namespace: &Namespace,
    exists: bool,
    settings: &NamespaceSettings,
) -> Result<Vec<TransactWriteItem>, Error> {
    let table = &cache.table;
    match (settings.is_empty(), exists) {
        (true, false) => Ok(Vec::new()),
        (true, true) => Ok(vec![table.delete_settings_item(namespace)?, table.unlist_settings(namespace)?]),
        (false, _) => Ok(vec![table.put_settings_item(namespace, settings)?, table.list_settings(namespace)?]),
    }
}

/// Moves the settings and meta values that an older version wrote to item 0 to items of their own, until `until`. Returns
/// false if some are left. Quotas and meta values of a table that is shared with the Python library stay.
///
/// `counter`: item 0 as it was read a moment ago. Reads: item 0 again for the meta values. Writes: one transaction for
/// each. Errors: as [`change_settings`].
pub(crate) async fn move_out_of_counter(cache: &Cache, counter: &Counter, until: Instant) -> Result<bool, Error> {
    let is_shared = is_shared(cache);
    let moves = |namespace: &Namespace| {
        counter.settings(namespace).guard.is_some() || (!is_shared && counter.quotas.contains_key(namespace.as_str()))
    };
    let namespaces: BTreeSet<Namespace> = counter.namespaces_with_settings().filter(moves).collect();
    for namespace in namespaces {
        if Instant::now() >= until {
            return Ok(false);
        }
        change_settings(cache, &namespace, Some).await?;
    }
    if is_shared { Ok(true) } else { move_meta_out_of_counter(cache, until).await }
}

/// Whether the table is shared with the Python library.
fn is_shared(cache: &Cache) -> bool {
    cache.config.is_shared_with_library()
}
