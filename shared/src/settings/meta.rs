//! The `meta` map: texts by key, which older versions and the Python library wrote. No key has an effect, except those
//! that switch the guard of a namespace, which are settings of the namespace.

use std::collections::BTreeMap;

use mneme_model::error::{Error, ErrorKind};
use mneme_store::attribute as name;
use mneme_store::counter::{GUARD_KEY, MAX_SETTINGS_BYTES};
use mneme_store::expression::{Condition, Expression};
use mneme_store::item::{n, s};
use mneme_store::settings::MetaItem;
use tokio::time::Instant;

use aws_sdk_dynamodb::types::TransactWriteItem;

use crate::cache::Cache;
use crate::write::commit::commit;

/// All meta values by key. Reads: item 0 and the `meta` item. Errors: `StoreBackendError`.
pub async fn meta(cache: &Cache) -> Result<BTreeMap<String, String>, Error> {
    let mut values = cache.read_counter().await?.meta;
    values.extend(cache.table.meta_item().await?.unwrap_or_default().values);
    Ok(values)
}

/// Removes the meta key `key`. False when there is no such key. Reads: item 0 and the `meta` item. Writes: one
/// transaction on both. Errors: `StoreBackendError`.
pub async fn remove_meta(cache: &Cache, key: &str) -> Result<bool, Error> {
    loop {
        let is_in_counter = cache.read_counter().await?.meta.contains_key(key);
        let item = cache.table.meta_item().await?.filter(|item| item.values.contains_key(key));
        if !is_in_counter && item.is_none() {
            return Ok(false);
        }
        let removal = || {
            let expression = Expression::when(Condition::HasKey(name::VALUES, key.to_owned()));
            cache.table.update_meta_item(expression.remove_from(name::VALUES, key))
        };
        let item = item.map(|_| removal()).transpose()?;
        if commit_with(cache, left_counter(key, is_in_counter), item).await? {
            return Ok(true);
        }
    }
}

/// Moves the meta values in item 0, except switches of the guard, to the `meta` item, until `until`. Returns false if
/// some are left.
///
/// Reads: item 0 and the `meta` item. Writes: one transaction for each; the `meta` item, if it does not exist. Errors:
/// `EntryTooLarge` when the `meta` item would pass 64 KB; `StoreBackendError`.
pub(super) async fn move_meta_out_of_counter(cache: &Cache, until: Instant) -> Result<bool, Error> {
    loop {
        let meta = cache.counter_of_any_embedder().await?.meta;
        let Some((key, value)) = meta.into_iter().find(|(key, _)| !key.starts_with(GUARD_KEY)) else {
            return Ok(true);
        };
        if Instant::now() >= until {
            return Ok(false);
        }
        let Some(MetaItem { values, bytes }) = cache.table.meta_item().await? else {
            cache.table.create_meta_item().await?;
            continue;
        };
        let replaced = values.get(&key).map_or(0, |value| key.len() + value.len());
        check_growth(bytes, replaced, key.len() + value.len(), MAX_SETTINGS_BYTES)?;
        let item = Expression::when(Condition::Exists(name::VALUES)).set_in(name::VALUES, &key, s(value));
        commit_with(cache, left_counter(&key, true), Some(cache.table.update_meta_item(item)?)).await?;
    }
}

/// Commits a change of item 0, which raises the version by one, together with `item`. False when a condition does not
/// hold.
async fn commit_with(cache: &Cache, counter: Expression, item: Option<TransactWriteItem>) -> Result<bool, Error> {
    let counter = cache.table.update_counter(counter.add(name::VERSION, n(1)))?;
    commit(cache, &[counter].into_iter().chain(item).collect::<Vec<_>>()).await
}

/// The change that removes `key` from the `meta` map of item 0, if it is there.
fn left_counter(key: &str, is_there: bool) -> Expression {
    match is_there {
        true => Expression::when(Condition::HasKey(name::META, key.to_owned())).remove_from(name::META, key),
        false => Expression::when(Condition::Exists(name::VERSION)),
    }
}

/// Checks that an item of `bytes` bytes has room for `added` bytes in place of `replaced`. Errors: `EntryTooLarge`.
pub(super) fn check_growth(bytes: usize, replaced: usize, added: usize, limit: usize) -> Result<(), Error> {
    let grown = (bytes + added).saturating_sub(replaced);
    if grown <= limit || added <= replaced {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::EntryTooLarge,
        format!("the settings would take {grown} bytes together, and {limit} are allowed"),
        "delete meta keys and quotas that are no longer needed",
    ))
}
