//! What a put reads before it writes.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace_settings::EffectiveSettings;
use mneme_store::counter::Counter;
use mneme_store::idempotency_record::IdempotencyRecord;
use mneme_store::key::RowKey;
use mneme_store::leases::Lease;
use mneme_store::read::{Projection, Rows, pointed_entry};

use super::new_entry::NewEntry;
use crate::cache::Cache;
use crate::settings::read::all_settings;

/// How many rows for one query a put removes. Only races of the Python library leave more than one.
const MAX_DUPLICATES: usize = 40;

/// How many queries of `gsi_hash` run at once.
const QUERIES_AT_ONCE: usize = 16;

/// The state of the table that a transaction is planned from.
#[derive(Debug)]
pub(super) struct PutSnapshot {
    pub(super) counter: Counter,
    /// What is stored for each entry, in their order.
    pub(super) existing: Vec<ExistingEntry>,
}

/// What is stored for one entry's namespace and query hash.
#[derive(Debug)]
pub(super) struct ExistingEntry {
    /// The entry that the pointer names, if there is a pointer.
    pub(super) pointer: Option<EntryId>,
    /// The rows without long answers, the newest last: at most one, except where races of the Python library left more.
    pub(super) rows: Vec<Entry>,
    /// What is kept of the put that used the entry's idempotency key before, if there was one.
    pub(super) record: Option<IdempotencyRecord>,
    /// Whether the entry's token holds the lease.
    pub(super) holds_lease: bool,
    /// The settings of the entry's namespace.
    pub(super) settings: EffectiveSettings,
}

impl PutSnapshot {
    /// Reads the counter and what is stored for `entries`.
    ///
    /// `strong`: whether pointers are read strongly. The first read is eventually consistent, which costs half: the
    /// transaction's conditions on the pointers detect what it missed.
    /// Reads, at once: the counter, the pointers, `gsi_hash`, and the idempotency records and leases; then the rows that
    /// these name, and the settings of the namespaces, unless they are known.
    pub(super) async fn read(cache: &Cache, entries: &[NewEntry], strong: bool) -> Result<Self, Error> {
        let table = &cache.table;
        let read = async || {
            let pointers = entries.iter().map(NewEntry::pointer_key);
            let pointers = async {
                if strong {
                    table.batch_get(pointers, Projection::All).await
                } else {
                    table.batch_get_eventual(pointers).await
                }
            };
            let records = entries.iter().filter_map(NewEntry::idempotency_record_key);
            let records =
                table.batch_get(records.chain(entries.iter().filter_map(NewEntry::lease_key)), Projection::All);
            tokio::try_join!(cache.counter(), pointers, indexed_ids(cache, entries), records)
        };
        let outcome = match read().await {
            // The table may be missing. `open` creates it, or returns the error that says what is wrong.
            Err(_) if !cache.is_open() => {
                cache.open().await?;
                read().await
            }
            outcome => outcome,
        };
        let (counter, pointers, indexed, records) = outcome?;
        let pointed: Vec<Option<EntryId>> =
            entries.iter().map(|entry| pointers.get(entry.pointer_key()).and_then(pointed_entry)).collect();
        let named = indexed.iter().flatten().chain(pointed.iter().flatten());
        let rows = table.batch_get(named.map(|id| RowKey::from(*id)), Projection::All);
        let settings = all_settings(cache, &counter, entries.iter().map(|entry| &entry.namespace));
        let (rows, settings) = tokio::try_join!(rows, settings)?;
        let existing = entries.iter().zip(indexed).zip(pointed).map(|((entry, indexed), pointer)| ExistingEntry {
            pointer,
            rows: rows.newest_last(&entry.namespace, &entry.query_hash, indexed.into_iter().chain(pointer)),
            record: entry.idempotency_record_key().and_then(|key| valid_record(&records, key, cache.now_secs())),
            holds_lease: entry.lease_key().is_some_and(|key| holds_lease(&records, key, entry)),
            settings: EffectiveSettings::new(&settings.of(&entry.namespace), &cache.config),
        });
        Ok(Self { counter, existing: existing.collect() })
    }
}

/// The ids that `gsi_hash` has for each entry.
async fn indexed_ids(cache: &Cache, entries: &[NewEntry]) -> Result<Vec<Vec<EntryId>>, Error> {
    let queries: Vec<_> =
        entries.iter().map(|entry| cache.table.ids_by_hash(&entry.namespace, &entry.query_hash)).collect();
    let mut ids: Vec<Vec<EntryId>> = stream::iter(queries).buffered(QUERIES_AT_ONCE).try_collect().await?;
    ids.iter_mut().for_each(|ids| drop(ids.drain(..ids.len().saturating_sub(MAX_DUPLICATES))));
    Ok(ids)
}

/// The idempotency record at `key`, unless it has expired.
fn valid_record(records: &Rows, key: RowKey, now_secs: i64) -> Option<IdempotencyRecord> {
    IdempotencyRecord::from_item(records.get(key)?).filter(|record| record.until > now_secs)
}

/// Whether the token of `entry` holds the lease at `key`.
fn holds_lease(items: &Rows, key: RowKey, entry: &NewEntry) -> bool {
    let held = items.get(key).and_then(Lease::from_item);
    held.is_some_and(|lease| Some(lease.token) == entry.lease_token)
}
