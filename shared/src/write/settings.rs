//! Quotas and meta.
//!
//! Each quota has an item of its own, and so has the `meta` map, because every request reads item 0 and every mutation
//! writes it. Two things stay in item 0: the keys that switch the guard of a namespace, which every lookup needs, and
//! everything in a table that is shared with the Python library, which knows item 0 alone. A quota or a value that an
//! older version wrote to item 0 holds until it is set again or `vacuum` moves it.

use std::collections::BTreeMap;

use mneme_model::error::{Error, ErrorKind};
use mneme_model::namespace::Namespace;
use mneme_store::attribute as name;
use mneme_store::counter::{Counter, GUARD_KEY, MAX_COUNTER_BYTES, MAX_SETTINGS_BYTES, QuotaHint};
use mneme_store::expression::{Condition, Expression};
use mneme_store::item::{n, s};
use mneme_store::settings::MetaItem;
use tokio::time::Instant;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};

use super::commit::commit;
use crate::cache::Cache;

/// The most bytes that a quota takes in item 0, without its name.
const NUMBER_BYTES: usize = 16;

/// The cache's settings.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    cache: &'a Cache,
}

impl<'a> Settings<'a> {
    /// The settings of `cache`.
    pub fn new(cache: &'a Cache) -> Self {
        Self { cache }
    }

    /// The namespace's quota; `None` if it has none. Reads: item 0; the namespace's own item, if there are such items.
    /// Errors: `StoreBackendError`.
    pub async fn quota(&self, namespace: &Namespace) -> Result<Option<u64>, Error> {
        let hint = self.cache.read_counter().await?.quota(namespace);
        self.quota_from(hint, namespace).await
    }

    /// The namespace's quota, given what item 0 says of it. Reads: the namespace's own item, if there may be one.
    pub(crate) async fn quota_from(&self, hint: QuotaHint, namespace: &Namespace) -> Result<Option<u64>, Error> {
        let own = if hint.may_have_item { self.cache.table.quota_item(namespace).await? } else { None };
        Ok(own.or(hint.in_counter))
    }

    /// Sets the namespace's quota to `max_entries`, at least 1. The quota applies from the next put on.
    ///
    /// Reads: item 0. Writes: one transaction on item 0 and the namespace's own item. Errors: `EntryTooLarge` when item
    /// 0 of a shared table would pass 64 KB, `StoreBackendError`.
    pub async fn set_quota(&self, namespace: &Namespace, max_entries: u64) -> Result<(), Error> {
        loop {
            let counter = self.cache.counter_of_any_embedder().await?;
            let key = namespace.as_str();
            let was_in_counter = counter.quotas.contains_key(key);
            let done = if self.is_shared() {
                let replaced = if was_in_counter { key.len() + NUMBER_BYTES } else { 0 };
                let added = key.len() + NUMBER_BYTES;
                check_growth(counter.bytes, replaced, added, MAX_SETTINGS_BYTES)?;
                self.commit_with(set_in_counter(name::QUOTAS, key, n(max_entries)), None).await?
            } else {
                let counter = left_counter(name::QUOTAS, key, was_in_counter)
                    .set(name::HAS_QUOTA_ITEMS, AttributeValue::Bool(true));
                let item = self.cache.table.put_quota_item(namespace, max_entries, false)?;
                self.commit_with(counter, Some(item)).await?
            };
            if done {
                return Ok(());
            }
        }
    }

    /// Removes the namespace's quota. False when it has none. Reads: item 0; the namespace's own item. Writes: one
    /// transaction on item 0 and that item. Errors: `StoreBackendError`.
    pub async fn remove_quota(&self, namespace: &Namespace) -> Result<bool, Error> {
        loop {
            let counter = self.cache.read_counter().await?;
            let hint = counter.quota(namespace);
            let has_item = hint.may_have_item && self.cache.table.quota_item(namespace).await?.is_some();
            if !has_item && hint.in_counter.is_none() {
                return Ok(false);
            }
            let item = has_item.then(|| self.cache.table.delete_quota_item(namespace)).transpose()?;
            let counter = left_counter(name::QUOTAS, namespace.as_str(), hint.in_counter.is_some());
            if self.commit_with(counter, item).await? {
                return Ok(true);
            }
        }
    }

    /// All meta values by key. Reads: item 0 and the `meta` item. Errors: `StoreBackendError`.
    pub async fn meta(&self) -> Result<BTreeMap<String, String>, Error> {
        let mut values = self.cache.read_counter().await?.meta;
        values.extend(self.cache.table.meta_item().await?.unwrap_or_default().values);
        Ok(values)
    }

    /// Sets the meta key `key` to `value`.
    ///
    /// Reads: item 0 and the `meta` item. Writes: one transaction on item 0 and the `meta` item; that item, if it does
    /// not exist. Errors: `EntryTooLarge` when item 0 would pass 1 KB by a switch of the guard, or the `meta` item 64 KB;
    /// `StoreBackendError`.
    pub async fn set_meta(&self, key: &str, value: &str) -> Result<(), Error> {
        loop {
            let counter = self.cache.counter_of_any_embedder().await?;
            let was_in_counter = counter.meta.contains_key(key);
            let bytes_of = |value: Option<&String>| value.map_or(0, |value| key.len() + value.len());
            let added = key.len() + value.len();
            let done = if self.is_shared() || key.starts_with(GUARD_KEY) {
                let limit = if self.is_shared() { MAX_SETTINGS_BYTES } else { MAX_COUNTER_BYTES };
                check_growth(counter.bytes, bytes_of(counter.meta.get(key)), added, limit)?;
                self.commit_with(set_in_counter(name::META, key, s(value)), None).await?
            } else {
                let Some(MetaItem { values, bytes }) = self.cache.table.meta_item().await? else {
                    self.cache.table.create_meta_item().await?;
                    continue;
                };
                check_growth(bytes, bytes_of(values.get(key)), added, MAX_SETTINGS_BYTES)?;
                let item = Expression::when(Condition::Exists(name::VALUES)).set_in(name::VALUES, key, s(value));
                let item = self.cache.table.update_meta_item(item)?;
                self.commit_with(left_counter(name::META, key, was_in_counter), Some(item)).await?
            };
            if done {
                return Ok(());
            }
        }
    }

    /// Removes the meta key `key`. False when there is no such key. Reads: item 0 and the `meta` item. Writes: one
    /// transaction on both. Errors: `StoreBackendError`.
    pub async fn remove_meta(&self, key: &str) -> Result<bool, Error> {
        loop {
            let is_in_counter = self.cache.read_counter().await?.meta.contains_key(key);
            let item = self.cache.table.meta_item().await?.filter(|item| item.values.contains_key(key));
            if !is_in_counter && item.is_none() {
                return Ok(false);
            }
            let removal = || {
                let expression = Expression::when(Condition::HasKey(name::VALUES, key.to_owned()));
                self.cache.table.update_meta_item(expression.remove_from(name::VALUES, key))
            };
            let item = item.map(|_| removal()).transpose()?;
            if self.commit_with(left_counter(name::META, key, is_in_counter), item).await? {
                return Ok(true);
            }
        }
    }

    /// Moves quotas and meta values that an older version wrote to item 0 to items of their own, until `until`. Returns
    /// false if some are left. Does nothing in a table that is shared with the Python library.
    ///
    /// Reads: item 0. Writes: one transaction for each. Errors: as [`Settings::set_meta`].
    pub(crate) async fn move_out_of_counter(&self, until: Instant) -> Result<bool, Error> {
        if self.is_shared() {
            return Ok(true);
        }
        let Counter { quotas, meta, .. } = self.cache.counter_of_any_embedder().await?;
        for (name, max_entries) in quotas {
            if Instant::now() >= until {
                return Ok(false);
            }
            let namespace = Namespace::from_row(name);
            let counter = left_counter(name::QUOTAS, namespace.as_str(), true)
                .set(name::HAS_QUOTA_ITEMS, AttributeValue::Bool(true));
            let item = self.cache.table.put_quota_item(&namespace, max_entries, true)?;
            if !self.commit_with(counter, Some(item)).await? {
                // The namespace has an item, which holds, or the quota was set or removed meanwhile.
                self.commit_with(left_counter(name::QUOTAS, namespace.as_str(), true), None).await?;
            }
        }
        for (key, value) in meta.into_iter().filter(|(key, _)| !key.starts_with(GUARD_KEY)) {
            if Instant::now() >= until {
                return Ok(false);
            }
            self.set_meta(&key, &value).await?;
        }
        Ok(true)
    }

    /// Whether the table is shared with the Python library.
    fn is_shared(&self) -> bool {
        self.cache.config.is_shared_with_library()
    }

    /// Commits a change of item 0, which raises the version by one, together with `item`. False when a condition does
    /// not hold.
    async fn commit_with(&self, counter: Expression, item: Option<TransactWriteItem>) -> Result<bool, Error> {
        let counter = self.cache.table.update_counter(counter.add(name::VERSION, n(1)))?;
        commit(self.cache, &[counter].into_iter().chain(item).collect::<Vec<_>>()).await
    }
}

/// The change that sets `key` in a map of item 0.
fn set_in_counter(map: &'static str, key: &str, value: AttributeValue) -> Expression {
    Expression::when(Condition::Exists(map)).set_in(map, key, value)
}

/// The change that removes `key` from a map of item 0, if it is there.
fn left_counter(map: &'static str, key: &str, is_there: bool) -> Expression {
    match is_there {
        true => Expression::when(Condition::HasKey(map, key.to_owned())).remove_from(map, key),
        false => Expression::when(Condition::Exists(name::VERSION)),
    }
}

/// Checks that an item of `bytes` bytes has room for `added` bytes in place of `replaced`. Errors: `EntryTooLarge`.
fn check_growth(bytes: usize, replaced: usize, added: usize, limit: usize) -> Result<(), Error> {
    let grown = (bytes + added).saturating_sub(replaced);
    if grown <= limit || added <= replaced {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::EntryTooLarge,
        format!("the settings would take {grown} bytes together, and {limit} are allowed"),
        "shorten the value or others, or delete meta keys that are no longer needed",
    ))
}
