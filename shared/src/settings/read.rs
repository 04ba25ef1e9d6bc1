//! Reading the settings of namespaces.

use std::collections::{BTreeMap, BTreeSet};

use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::namespace_settings::NamespaceSettings;
use mneme_store::attribute as name;
use mneme_store::counter::Counter;
use mneme_store::item::Item;
use mneme_store::key::{DIRECTORY_SHARDS, RowKey};
use mneme_store::read::{Projection, Rows};
use mneme_store::settings::settings_from_item;

use crate::cache::Cache;

/// What is set for several namespaces.
#[derive(Debug, Default)]
pub(crate) struct AllSettings(BTreeMap<Namespace, NamespaceSettings>);

impl AllSettings {
    /// What is set for `namespace`, which is one of those that were asked for.
    pub(crate) fn of(&self, namespace: &Namespace) -> NamespaceSettings {
        self.0.get(namespace).copied().unwrap_or_default()
    }
}

/// What is set for each of `namespaces`. Reads: the items of namespaces whose settings are not known, in one BatchGetItem
/// round. Errors: `StoreBackendError`.
pub(crate) async fn all_settings(
    cache: &Cache,
    counter: &Counter,
    namespaces: impl Iterator<Item = &Namespace>,
) -> Result<AllSettings, Error> {
    let mut all = AllSettings::default();
    let mut unread = BTreeSet::new();
    for namespace in namespaces {
        match known_settings(cache, counter, namespace) {
            Some(known) => drop(all.0.insert(namespace.clone(), known)),
            None => drop(unread.insert(namespace)),
        }
    }
    if unread.is_empty() {
        return Ok(all);
    }
    let rows = cache.table.batch_get(unread.iter().map(|name| RowKey::settings(name)), Projection::All).await?;
    for namespace in unread {
        let settings = take_settings(cache, counter, namespace, rows.get(RowKey::settings(namespace)));
        all.0.insert(namespace.clone(), settings);
    }
    Ok(all)
}

/// What is set for `namespace`, as far as it is known without a read. `None`: the namespace's item must be read.
fn known_settings(cache: &Cache, counter: &Counter, namespace: &Namespace) -> Option<NamespaceSettings> {
    let in_counter = counter.settings(namespace);
    if !counter.may_have_settings_items() {
        return Some(in_counter);
    }
    cache.settings.at(counter.settings_version, namespace).map(|own| own.or(in_counter))
}

/// The key of the namespace's item, if its settings as of `counter` are not known.
pub(crate) fn unread_settings(cache: &Cache, counter: &Counter, namespace: &Namespace) -> Option<RowKey> {
    let is_known = known_settings(cache, counter, namespace).is_some();
    (!is_known).then(|| RowKey::settings(namespace))
}

/// What was last read of the settings of `namespace`. It may be out of date. `counter`: as it was last read.
pub(crate) fn latest_settings(cache: &Cache, counter: Option<&Counter>, namespace: &Namespace) -> NamespaceSettings {
    let own = cache.settings.latest(namespace).unwrap_or_default();
    own.or(counter.map(|counter| counter.settings(namespace)).unwrap_or_default())
}

/// What is set for `namespace`, given its item, which is not older than `counter`. Remembers it.
pub(crate) fn take_settings(
    cache: &Cache,
    counter: &Counter,
    namespace: &Namespace,
    item: Option<&Item>,
) -> NamespaceSettings {
    let own = item.map(settings_from_item).unwrap_or_default();
    cache.settings.keep(counter.settings_version, namespace, own);
    own.or(counter.settings(namespace))
}

/// What is set for `namespace`. Reads: item 0; the namespace's item, unless it is known. Errors: `StoreBackendError`.
pub async fn settings_of(cache: &Cache, namespace: &Namespace) -> Result<NamespaceSettings, Error> {
    let counter = cache.read_counter().await?;
    Ok(all_settings(cache, &counter, [namespace].into_iter()).await?.of(namespace))
}

/// A page of the list of all settings.
#[derive(Debug)]
pub struct SettingsPage {
    /// Namespaces with settings, in the order of their names.
    pub namespaces: Vec<(Namespace, NamespaceSettings)>,
    /// The last name that was looked at, if there are more.
    pub next_after: Option<Namespace>,
}

/// The namespaces that have settings and that `is_visible` accepts, in the order of their names, after the name `after`:
/// at most `limit`.
///
/// Reads: item 0, the 64 items of the directory of settings, and `limit` items of settings. Errors: `StoreBackendError`.
pub async fn list_settings(
    cache: &Cache,
    is_visible: impl Fn(&Namespace) -> bool,
    after: Option<&Namespace>,
    limit: usize,
) -> Result<SettingsPage, Error> {
    let counter = cache.read_counter().await?;
    let shards = (0..DIRECTORY_SHARDS).map(RowKey::settings_directory_shard);
    let listed = cache.table.batch_get(shards, Projection::All).await?;
    let named = names(&listed).chain(counter.namespaces_with_settings());
    let is_wanted = |namespace: &Namespace| after.is_none_or(|after| namespace > after) && is_visible(namespace);
    let all: BTreeSet<Namespace> = named.filter(is_wanted).collect();
    let page: Vec<Namespace> = all.iter().take(limit).cloned().collect();
    let next_after = page.last().filter(|_| all.len() > limit).cloned();
    let rows = cache.table.batch_get(page.iter().map(RowKey::settings), Projection::All).await?;
    let settings = |namespace: &Namespace| {
        let own = rows.get(RowKey::settings(namespace)).map(settings_from_item).unwrap_or_default();
        own.or(counter.settings(namespace))
    };
    let namespaces = page.into_iter().map(|namespace| (settings(&namespace), namespace));
    let namespaces = namespaces.filter(|(settings, _)| !settings.is_empty());
    Ok(SettingsPage { namespaces: namespaces.map(|(settings, namespace)| (namespace, settings)).collect(), next_after })
}

/// Adds those of `namespaces`, which have settings, to the directory of settings that it lacks. `vacuum` calls this,
/// because the directory may have been lost. Reads: the directory, unless there are no namespaces. Writes: one
/// UpdateItem for each name. Errors: `StoreBackendError`.
pub(crate) async fn repair_settings_directory(cache: &Cache, namespaces: &[Namespace]) -> Result<(), Error> {
    let shards = namespaces.iter().map(RowKey::settings_directory);
    let listed: BTreeSet<Namespace> = names(&cache.table.batch_get(shards, Projection::All).await?).collect();
    for namespace in namespaces.iter().filter(|namespace| !listed.contains(*namespace)) {
        cache.table.add_name(RowKey::settings_directory(namespace), namespace).await?;
    }
    Ok(())
}

/// The names in items of a directory.
fn names(rows: &Rows) -> impl Iterator<Item = Namespace> {
    let names = rows.iter().filter_map(|(_, item)| item.get(name::NAMES)?.as_ss().ok()).flatten();
    names.cloned().map(Namespace::from_row)
}
