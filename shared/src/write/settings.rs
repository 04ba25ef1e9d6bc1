//! Quotas and meta: two maps in item 0.

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::error::{Error, ErrorKind};
use mneme_model::namespace::Namespace;
use mneme_store::attribute as name;
use mneme_store::counter::MAX_COUNTER_BYTES;
use mneme_store::expression::{Condition, Expression};
use mneme_store::item::{n, s};

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

    /// Sets the namespace's quota to `max_entries`, at least 1. The quota applies from the next put on.
    ///
    /// Reads: item 0. Writes: one transaction on it. Errors: `EntryTooLarge` when item 0 would pass 64 KB,
    /// `StoreBackendError`.
    pub async fn set_quota(&self, namespace: &Namespace, max_entries: u64) -> Result<(), Error> {
        self.set(name::QUOTAS, namespace.as_str(), n(max_entries)).await
    }

    /// Removes the namespace's quota. False when it has none. Writes: one transaction on item 0.
    pub async fn remove_quota(&self, namespace: &Namespace) -> Result<bool, Error> {
        self.cache.open().await?;
        let expression = Expression::when(Condition::HasKey(name::QUOTAS, namespace.to_string()))
            .remove_from(name::QUOTAS, namespace.as_str());
        self.change(expression).await
    }

    /// Sets the meta key `key` to `value`. Reads, writes and errors: as [`Settings::set_quota`].
    pub async fn set_meta(&self, key: &str, value: &str) -> Result<(), Error> {
        self.set(name::META, key, s(value)).await
    }

    async fn set(&self, map: &'static str, key: &str, value: AttributeValue) -> Result<(), Error> {
        let counter = self.cache.counter_of_any_embedder().await?;
        let size = |value: Option<usize>| value.map_or(0, |bytes| key.len() + bytes);
        let replaced = match map {
            name::META => size(counter.meta.get(key).map(String::len)),
            _ => size(counter.quotas.get(key).map(|_| NUMBER_BYTES)),
        };
        let added = size(Some(value.as_s().map_or(NUMBER_BYTES, String::len)));
        let grown = (counter.bytes + added).saturating_sub(replaced);
        if grown > MAX_COUNTER_BYTES {
            return Err(Error::new(
                ErrorKind::EntryTooLarge,
                format!("quotas and meta would take {grown} bytes together, and {MAX_COUNTER_BYTES} are allowed"),
                "shorten the value or others, and remove quotas that are no longer needed",
            ));
        }
        let expression = Expression::when(Condition::Exists(map)).set_in(map, key, value);
        if self.change(expression).await? { Ok(()) } else { Err(Error::internal(format!("item 0 has no map `{map}`"))) }
    }

    /// Applies a change of item 0, which raises the version by one. False when its condition does not hold.
    async fn change(&self, expression: Expression) -> Result<bool, Error> {
        let action = self.cache.table.update_counter(expression.add(name::VERSION, n(1)))?;
        commit(self.cache, &[action]).await
    }
}
