//! Reads by key and scans. Reads are strongly consistent unless their documentation says otherwise.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mneme_aws::sdk_error::{SdkErrorKind, classify};
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;

use crate::attribute as name;
use crate::backend_error;
use crate::entry_row::{entry_from_item, readable_entry};
use crate::item::{Item, number};
use crate::key::RowKey;
use crate::table::Table;

/// The largest number of keys in one BatchGetItem (API reference, `BatchGetItem`).
const MAX_BATCH_KEYS: usize = 100;
/// The largest number of BatchGetItem calls that run at once.
const MAX_CONCURRENT_BATCHES: usize = 8;
/// The largest number of calls for the keys of one batch. A call may leave keys unprocessed.
const MAX_BATCH_ATTEMPTS: u32 = 8;

/// The number of parallel segments of a scan of the whole table.
const SCAN_SEGMENTS: u8 = 4;

/// The attributes that a read returns.
#[derive(Debug, Clone, Copy)]
pub enum Projection {
    /// Every attribute.
    All,
    /// The attributes that a replica needs: the header, the vectors with their generations, context key and signature.
    Replica,
    /// The attributes that a full scan counts: the header of entries, and the small attributes of derived items.
    Stats,
    /// The attributes that eviction compares: the header of entries.
    Lru,
}

const HEADER: [&str; 6] =
    [name::ID, name::NAMESPACE, name::QUERY_HASH, name::TTL, name::CREATED_AT, name::LAST_ACCESSED_AT];

impl Projection {
    /// The projection expression and the names of its placeholders. Every name has a placeholder, because `ttl` and
    /// others are reserved words. `None` for all attributes.
    fn expression(self) -> Option<(String, HashMap<String, String>)> {
        let additional: &[&str] = match self {
            Self::All => return None,
            Self::Replica => &[
                name::CONTEXT_KEY,
                name::EMBEDDING,
                name::EMBEDDING_GENERATION,
                name::NEXT_EMBEDDING,
                name::NEXT_GENERATION,
                name::SIGNATURE,
            ],
            Self::Lru => &[],
            Self::Stats => &[
                name::ENTRY_ID,
                name::NAME,
                name::MAX_ENTRIES,
                name::ENTRIES,
                name::HITS_EXACT,
                name::HITS_SEMANTIC,
                name::MISSES,
                name::EVICTIONS,
                name::EXPIRATIONS,
            ],
        };
        let names: Vec<&str> = HEADER.iter().chain(additional).copied().collect();
        let placeholders = names.iter().map(|name| format!("#{name}")).collect::<Vec<_>>().join(", ");
        Some((placeholders, names.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect()))
    }
}

/// Rows by key, and the keys that were requested.
#[derive(Debug, Default)]
pub struct Rows {
    items: HashMap<RowKey, Item>,
    requested: HashSet<RowKey>,
}

impl Rows {
    /// The row at `key`, if it was requested and exists.
    pub fn get(&self, key: RowKey) -> Option<&Item> {
        self.items.get(&key)
    }

    /// The entry `id`, if it was requested and exists. A row that is not an entry gives `None` and a message in the
    /// log.
    pub fn entry(&self, id: EntryId) -> Option<Entry> {
        readable_entry(self.get(id.into())?)
    }

    /// The entries among `ids` that have the entry key of `namespace` and `hash`, ordered by the time of the put,
    /// newest last.
    pub fn newest_last(
        &self,
        namespace: &Namespace,
        hash: &QueryHash,
        ids: impl IntoIterator<Item = EntryId>,
    ) -> Vec<Entry> {
        let ids: BTreeSet<EntryId> = ids.into_iter().collect();
        let mut entries: Vec<Entry> = ids.into_iter().filter_map(|id| self.entry(id)).collect();
        entries.retain(|entry| entry.has_key(namespace, hash));
        entries.sort_by_key(|entry| (entry.created_at, entry.id));
        entries
    }

    /// The ids of the entries that were requested and do not exist.
    pub fn missing_entries(&self) -> impl Iterator<Item = EntryId> {
        self.requested.iter().filter(|key| !self.items.contains_key(key)).filter_map(|key| key.entry())
    }

    /// Adds the rows and the requested keys of `more`.
    pub fn extend(&mut self, more: Rows) {
        self.items.extend(more.items);
        self.requested.extend(more.requested);
    }

    /// All rows that exist, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (RowKey, &Item)> {
        self.items.iter().map(|(key, item)| (*key, item))
    }
}

/// The id of the entry that a pointer or an idempotency record names.
pub fn pointed_entry(item: &Item) -> Option<EntryId> {
    EntryId::new(number(item, name::ENTRY_ID)?)
}

/// One page of a scan.
#[derive(Debug)]
pub struct ScanPage {
    /// The items of the page, in no order: entries, derived items and the counter.
    pub items: Vec<Item>,
    /// The key after which the next page starts. `None` on the last page.
    pub next: Option<RowKey>,
}

impl Table {
    /// The row at `key`.
    ///
    /// Reads: one GetItem, strongly consistent if `strong`. Errors: `StoreBackendError`.
    pub async fn get(&self, key: RowKey, strong: bool) -> Result<Option<Item>, Error> {
        self.send_get(key, strong).await.map_err(|error| backend_error::from_sdk("GetItem", error))
    }

    /// The row at `key`. `None` if the row or the table does not exist.
    ///
    /// Reads: one GetItem, strongly consistent. Errors: `StoreBackendError`.
    pub async fn try_get(&self, key: RowKey) -> Result<Option<Item>, Error> {
        match self.send_get(key, true).await {
            Err(error) if classify(&error) == SdkErrorKind::ResourceMissing => Ok(None),
            sent => sent.map_err(|error| backend_error::from_sdk("GetItem", error)),
        }
    }

    async fn send_get(&self, key: RowKey, strong: bool) -> Result<Option<Item>, SdkError<GetItemError, HttpResponse>> {
        let get = self.client.get_item().table_name(&self.name).key(name::ID, key.attribute());
        Ok(get.consistent_read(strong).send().await?.item)
    }

    /// The entry `id`. `None` if there is no such row.
    ///
    /// Reads: one GetItem, strongly consistent. Errors: `StoreBackendError`; `Internal` if the row is not an entry.
    pub async fn entry(&self, id: EntryId) -> Result<Option<Entry>, Error> {
        match self.get(id.into(), true).await? {
            Some(item) => Ok(Some(entry_from_item(&item)?)),
            None => Ok(None),
        }
    }

    /// The rows at `keys` that exist, strongly consistent. Each key is requested once.
    ///
    /// Reads: BatchGetItem, up to 100 keys and 16 MB per call, several calls at once. Keys that a call leaves
    /// unprocessed are requested again after a pause. Errors: `StoreBackendError`, also if keys stay unprocessed.
    pub async fn batch_get(
        &self,
        keys: impl IntoIterator<Item = RowKey>,
        projection: Projection,
    ) -> Result<Rows, Error> {
        self.batches(keys, projection, true).await
    }

    /// The rows at `keys` that exist, eventually consistent: they may lack the last write, and they cost half as much
    /// as those of [`Table::batch_get`]. Apart from that, reads and errors are as there.
    pub async fn batch_get_eventual(&self, keys: impl IntoIterator<Item = RowKey>) -> Result<Rows, Error> {
        self.batches(keys, Projection::All, false).await
    }

    async fn batches(
        &self,
        keys: impl IntoIterator<Item = RowKey>,
        projection: Projection,
        strong: bool,
    ) -> Result<Rows, Error> {
        let keys: Vec<RowKey> = keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let batches: Vec<Vec<RowKey>> = keys.chunks(MAX_BATCH_KEYS).map(<[RowKey]>::to_vec).collect();
        stream::iter(batches)
            .map(|batch| self.one_batch(batch, projection, strong))
            .buffer_unordered(MAX_CONCURRENT_BATCHES)
            .try_fold(Rows::default(), |mut rows, batch| async move {
                rows.extend(batch);
                Ok(rows)
            })
            .await
    }

    /// Reads those of `keys` that were not requested yet, with all attributes, and adds their rows to `rows`. Reads and
    /// errors: as [`Table::batch_get`].
    pub async fn fetch_missing(&self, rows: &mut Rows, keys: impl IntoIterator<Item = RowKey>) -> Result<(), Error> {
        let missing: Vec<RowKey> = keys.into_iter().filter(|key| !rows.requested.contains(key)).collect();
        rows.extend(self.batch_get(missing, Projection::All).await?);
        Ok(())
    }

    async fn one_batch(&self, keys: Vec<RowKey>, projection: Projection, strong: bool) -> Result<Rows, Error> {
        let mut rows = Rows { items: HashMap::new(), requested: keys.iter().copied().collect() };
        let mut unprocessed: Vec<HashMap<String, AttributeValue>> =
            keys.iter().map(|key| HashMap::from([(name::ID.to_owned(), key.attribute())])).collect();
        for attempt in 0..MAX_BATCH_ATTEMPTS {
            if attempt > 0 {
                self.capacity.usage().retries += 1;
                let max_pause_ms = 25 << attempt;
                tokio::time::sleep(Duration::from_millis(fastrand::u64(max_pause_ms / 2..=max_pause_ms))).await;
            }
            let mut request = KeysAndAttributes::builder().set_keys(Some(unprocessed)).consistent_read(strong);
            if let Some((expression, names)) = projection.expression() {
                request = request.projection_expression(expression).set_expression_attribute_names(Some(names));
            }
            let output = self
                .client
                .batch_get_item()
                .request_items(&self.name, request.build().map_err(Error::internal)?)
                .send()
                .await
                .map_err(|error| backend_error::from_sdk("BatchGetItem", error))?;
            for item in output.responses.into_iter().flat_map(HashMap::into_values).flatten() {
                if let Some(key) = item.get(name::ID).and_then(RowKey::from_attribute) {
                    rows.items.insert(key, item);
                }
            }
            let left = output.unprocessed_keys.into_iter().flat_map(HashMap::into_values);
            unprocessed = left.flat_map(|left| left.keys).collect();
            if unprocessed.is_empty() {
                return Ok(rows);
            }
        }
        Err(backend_error::throttled().caused_by(format!("{} keys stayed unprocessed", unprocessed.len())))
    }

    /// One page of a strongly consistent scan, after the key `after`. `segment` of `segments` is a parallel segment of
    /// DynamoDB's Scan, not a segment with codes.
    ///
    /// Reads: one Scan call, up to 1 MB of the table. Errors: `StoreBackendError`.
    pub async fn scan_page(
        &self,
        (segment, segments): (u8, u8),
        after: Option<RowKey>,
        projection: Projection,
    ) -> Result<ScanPage, Error> {
        let mut request = self
            .client
            .scan()
            .table_name(&self.name)
            .consistent_read(true)
            .segment(i32::from(segment))
            .total_segments(i32::from(segments))
            .set_exclusive_start_key(after.map(|key| HashMap::from([(name::ID.to_owned(), key.attribute())])));
        if let Some((expression, names)) = projection.expression() {
            request = request.projection_expression(expression).set_expression_attribute_names(Some(names));
        }
        let output = request.send().await.map_err(|error| backend_error::from_sdk("Scan", error))?;
        Ok(ScanPage {
            items: output.items.unwrap_or_default(),
            next: output.last_evaluated_key.as_ref().and_then(|key| RowKey::from_attribute(key.get(name::ID)?)),
        })
    }

    /// Scans the whole table in parallel segments and calls `take` with every item.
    ///
    /// Reads: the whole table, strongly consistent. Errors: `StoreBackendError`.
    pub async fn scan(&self, projection: Projection, mut take: impl FnMut(Item)) -> Result<(), Error> {
        let pages = stream::iter(0..SCAN_SEGMENTS).map(|segment| {
            stream::try_unfold(Some(None), move |state: Option<Option<RowKey>>| async move {
                let Some(after) = state else { return Ok::<_, Error>(None) };
                let page = self.scan_page((segment, SCAN_SEGMENTS), after, projection).await?;
                Ok(Some((page.items, page.next.map(Some))))
            })
            .boxed()
        });
        let mut pages = stream::select_all(pages.collect::<Vec<_>>().await);
        while let Some(items) = pages.try_next().await? {
            items.into_iter().for_each(&mut take);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::{n, s};

    const HASHES: [char; 2] = ['a', 'b'];

    fn row(id: u64, hash: char, created_at: i64) -> (RowKey, Item) {
        let key = RowKey::from(EntryId::new(id).unwrap());
        let item = Item::from([
            (name::ID.to_owned(), key.attribute()),
            (name::NAMESPACE.to_owned(), s("default")),
            (name::QUERY_HASH.to_owned(), s(hash.to_string().repeat(64))),
            (name::CREATED_AT.to_owned(), n(created_at)),
        ]);
        (key, item)
    }

    fn rows(items: [(RowKey, Item); 4], missing: u64) -> Rows {
        let missing = RowKey::from(EntryId::new(missing).unwrap());
        let requested = items.iter().map(|(key, _)| *key).chain([missing, RowKey::COUNTER]).collect();
        Rows { items: items.into(), requested }
    }

    #[test]
    fn newest_last_of_rows_with_same_time_orders_by_id() {
        let [hash, other] = HASHES;
        let rows = rows([row(7, hash, 5), row(8, hash, 3), row(9, hash, 5), row(10, other, 9)], 11);
        let query_hash = QueryHash::try_from(hash.to_string().repeat(64)).unwrap();
        let ids = [9, 8, 7, 10, 11, 7].map(|id| EntryId::new(id).unwrap());
        let entries = rows.newest_last(&Namespace::default(), &query_hash, ids);
        assert_eq!(entries.iter().map(|entry| entry.id.get()).collect::<Vec<_>>(), [8, 7, 9]);
    }

    #[test]
    fn missing_entries_are_requested_ids_without_row() {
        let rows = rows([row(7, 'a', 5), row(8, 'a', 3), row(9, 'a', 5), row(10, 'b', 9)], 11);
        assert_eq!(rows.missing_entries().map(EntryId::get).collect::<Vec<_>>(), [11]);
    }

    #[test]
    fn projection_expression_has_placeholder_for_every_name() {
        assert_eq!(Projection::All.expression(), None);
        let (expression, names) = Projection::Lru.expression().unwrap();
        assert_eq!(expression, "#id, #namespace, #query_hash, #ttl, #created_at, #last_accessed_at");
        assert!(names.len() == HEADER.len() && names["#ttl"] == name::TTL);
        for projection in [Projection::Replica, Projection::Stats] {
            let (expression, names) = projection.expression().unwrap();
            assert_eq!(expression.split(", ").count(), names.len());
        }
    }
}
