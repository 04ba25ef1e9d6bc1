//! The maps in item 0: quotas and meta.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::builders::UpdateBuilder;

use super::action::{n, update};
use crate::cache::Cache;
use crate::error::{Error, ErrorKind};
use crate::namespace::Namespace;
use crate::table::counter::MAX_COUNTER_BYTES;
use crate::table::transaction::Outcome;

/// What a quota takes at most in item 0, beside its name.
const NUMBER_BYTES: usize = 16;

impl Cache {
    /// Sets the namespace's quota to `max_entries`, at least 1; it holds from the next put on.
    ///
    /// Reads: item 0. Writes: one transaction on it. Errors: `EntryTooLarge` when item 0 would pass 64 KB,
    /// `StoreBackendError`.
    pub async fn set_quota(&self, namespace: &Namespace, max_entries: u64) -> Result<(), Error> {
        self.set_in_map("quotas", namespace.as_str(), n(max_entries)).await
    }

    /// Removes the namespace's quota. False when it has none.
    pub async fn remove_quota(&self, namespace: &Namespace) -> Result<bool, Error> {
        self.open().await?;
        let change = self
            .change_counter("REMOVE #map.#name", namespace.as_str(), "quotas")
            .condition_expression("attribute_exists(#map.#name)");
        self.commit(change).await
    }

    /// Sets the meta key `key` to `value`. Reads, writes and errors: as [`Cache::set_quota`].
    pub async fn set_meta(&self, key: &str, value: &str) -> Result<(), Error> {
        self.set_in_map("meta", key, AttributeValue::S(value.to_owned())).await
    }

    async fn set_in_map(&self, map: &str, name: &str, value: AttributeValue) -> Result<(), Error> {
        let counter = self.counter().await?;
        let size = |value: Option<usize>| value.map_or(0, |bytes| name.len() + bytes);
        let replaced = match map {
            "meta" => size(counter.meta.get(name).map(String::len)),
            _ => size(counter.quotas.get(name).map(|_| NUMBER_BYTES)),
        };
        let grown =
            (counter.bytes + size(Some(value.as_s().map_or(NUMBER_BYTES, String::len)))).saturating_sub(replaced);
        if grown > MAX_COUNTER_BYTES {
            return Err(Error::new(
                ErrorKind::EntryTooLarge,
                format!("quotas and meta would take {grown} bytes together, and {MAX_COUNTER_BYTES} are allowed"),
                "shorten the value or others, and remove quotas that are no longer needed",
            ));
        }
        let change = self
            .change_counter("SET #map.#name = :value", name, map)
            .expression_attribute_values(":value", value)
            .condition_expression("attribute_exists(#map)");
        if self.commit(change).await? { Ok(()) } else { Err(Error::internal(format!("item 0 has no map `{map}`"))) }
    }

    /// Applies a change of item 0; false when its condition does not hold.
    async fn commit(&self, change: UpdateBuilder) -> Result<bool, Error> {
        let action = update(change)?;
        let mut pace = self.pace();
        loop {
            let outcome = self.table.transact(vec![action.clone()], self.deadline).await?;
            match outcome {
                Outcome::Committed => return Ok(true),
                Outcome::Unknown(error) => return Err(error),
                _ if outcome.was_crowded_out() => pace.after_crowding().await?,
                _ => return Ok(false),
            }
        }
    }
}
