//! Reads by key and scans. Reads are strongly consistent unless their documentation says otherwise.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures::stream::{FuturesUnordered, StreamExt as _};
use mneme_aws::sdk_error::{SdkErrorKind, classify};
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;

use crate::attribute as name;
use crate::backend_error;
use crate::entry_row::{entry_from_item, readable_entry};
use crate::item::{Item, item_bytes, number};
use crate::key::RowKey;
use crate::patience::Backoff;
use crate::table::Table;

/// The largest number of keys in one BatchGetItem (API reference, `BatchGetItem`).
const MAX_BATCH_KEYS: usize = 100;
/// A reply of this size left keys unprocessed because it was full, not for a lack of capacity. A reply has at most 16
/// MB (API reference, `BatchGetItem`), and an item at most 400 KB.
const FULL_REPLY_BYTES: usize = 15_000_000;
/// How many calls in a row may leave keys unprocessed before an impatient reader gives up.
const MAX_STALLS: u32 = 8;

/// The number of parallel segments of a scan of the whole table.
const SCAN_SEGMENTS: u8 = 4;

/// The number of items in a page of a scan while capacity is lacking. Work on a small page is soon done.
const SMALL_PAGE_ITEMS: i32 = 25;

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

const HEADER: [&str; 8] = [
    name::ID,
    name::NAMESPACE,
    name::QUERY_HASH,
    name::TTL,
    name::CREATED_AT,
    name::LAST_ACCESSED_AT,
    name::TAGS,
    name::ANSWER_STAMP,
];

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
                name::RANGE,
                name::POSITIONS,
                name::TAG,
                name::BEFORE_ID,
                name::ASKED_AT,
            ],
        };
        let names: Vec<&str> = HEADER.iter().chain(additional).copied().collect();
        let placeholders = names.iter().map(|name| format!("#{name}")).collect::<Vec<_>>().join(", ");
        Some((placeholders, names.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect()))
    }
}

/// How a batch of keys is read.
#[derive(Debug, Clone, Copy)]
pub struct BatchRead {
    /// The attributes that are returned.
    pub projection: Projection,
    /// Whether the read is strongly consistent. An eventually consistent one may lack the last writes, and costs half.
    pub is_strong: bool,
    /// The number of keys in one call, from 1 to 100.
    pub keys_per_call: usize,
}

impl BatchRead {
    /// A strongly consistent read of as many keys in a call as DynamoDB allows.
    pub fn strong(projection: Projection) -> Self {
        Self { projection, is_strong: true, keys_per_call: MAX_BATCH_KEYS }
    }
}

/// The reply to one BatchGetItem call.
struct BatchReply {
    rows: Rows,
    unprocessed: Vec<RowKey>,
    /// Whether the reply had no room for more rows.
    is_full: bool,
}

/// Rows by key, and the keys that were requested and answered.
#[derive(Debug, Default)]
pub struct Rows {
    items: HashMap<RowKey, Item>,
    requested: HashSet<RowKey>,
    /// Missing entries that were deleted, and did not move to another id.
    deleted: HashSet<EntryId>,
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
        self.deleted.extend(more.deleted);
    }

    /// Notes that the missing entry `id` was deleted: no row has its entry key under another id.
    pub fn note_deleted(&mut self, id: EntryId) {
        self.deleted.insert(id);
    }

    /// Whether [`Rows::note_deleted`] has noted the entry `id`.
    pub fn is_deleted(&self, id: EntryId) -> bool {
        self.deleted.contains(&id)
    }

    /// As [`Rows::extend`], for [`Table::batch_get_each`].
    pub fn extend_and_continue(&mut self, more: Rows) -> ControlFlow<()> {
        self.extend(more);
        ControlFlow::Continue(())
    }

    /// Whether the row at `key` was read, or was found to be missing.
    pub fn has_read(&self, key: RowKey) -> bool {
        self.requested.contains(&key)
    }

    /// The keys that were read.
    pub fn keys_read(&self) -> impl Iterator<Item = RowKey> {
        self.requested.iter().copied()
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
        let get = get.consistent_read(strong);
        Ok(self.patiently(|| get.clone().send()).await?.item)
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
        let mut rows = Rows::default();
        self.batch_get_each(keys, BatchRead::strong(projection), |more| rows.extend_and_continue(more)).await?;
        Ok(rows)
    }

    /// The rows at `keys` that exist, eventually consistent: they may lack the last write, and they cost half as much
    /// as those of [`Table::batch_get`]. Apart from that, reads and errors are as there.
    pub async fn batch_get_eventual(&self, keys: impl IntoIterator<Item = RowKey>) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        let read = BatchRead { is_strong: false, ..BatchRead::strong(Projection::All) };
        self.batch_get_each(keys, read, |more| rows.extend_and_continue(more)).await?;
        Ok(rows)
    }

    /// Reads those of `keys` that were not requested yet, with all attributes, and adds their rows to `rows`. Reads and
    /// errors: as [`Table::batch_get`]. `rows` keeps what was read before an error.
    pub async fn fetch_missing(&self, rows: &mut Rows, keys: impl IntoIterator<Item = RowKey>) -> Result<(), Error> {
        let missing: Vec<RowKey> = keys.into_iter().filter(|key| !rows.requested.contains(key)).collect();
        self.batch_get_each(missing, BatchRead::strong(Projection::All), |more| rows.extend_and_continue(more)).await
    }

    /// Reads the rows at `keys` and passes the rows of each reply, with the keys that it answered, to `take`. What
    /// `take` got stays read, whatever happens to the other calls. The reading ends early if `take` breaks it off.
    ///
    /// Reads and errors: as [`Table::batch_get`].
    pub async fn batch_get_each(
        &self,
        keys: impl IntoIterator<Item = RowKey>,
        read: BatchRead,
        mut take: impl FnMut(Rows) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let keys: Vec<RowKey> = keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let mut waiting: VecDeque<Vec<RowKey>> = keys.chunks(read.keys_per_call).map(<[RowKey]>::to_vec).collect();
        let mut running = FuturesUnordered::new();
        let mut backoff = Backoff::default();
        let mut stalls = 0;
        loop {
            while running.len() < self.lanes.count()
                && let Some(keys) = waiting.pop_front()
            {
                running.push(self.one_batch(keys, read));
            }
            let Some(reply) = running.next().await else { return Ok(()) };
            let BatchReply { rows, unprocessed, is_full } = reply?;
            if take(rows).is_break() {
                return Ok(());
            }
            if unprocessed.is_empty() {
                stalls = 0;
                backoff.reset();
                self.lanes.note_answered();
                continue;
            }
            let left = unprocessed.len();
            waiting.push_back(unprocessed);
            if is_full {
                continue;
            }
            self.lanes.note_throttled();
            self.capacity.usage().retries += 1;
            stalls += 1;
            let may_wait = self.patience.is_some() || stalls < MAX_STALLS;
            if !may_wait || !backoff.pause(self.patience).await {
                return Err(backend_error::throttled().caused_by(format!("{left} keys stayed unprocessed")));
            }
        }
    }

    /// One BatchGetItem call.
    async fn one_batch(&self, keys: Vec<RowKey>, read: BatchRead) -> Result<BatchReply, Error> {
        let requested = keys.iter().map(|key| HashMap::from([(name::ID.to_owned(), key.attribute())])).collect();
        let mut request = KeysAndAttributes::builder().set_keys(Some(requested)).consistent_read(read.is_strong);
        if let Some((expression, names)) = read.projection.expression() {
            request = request.projection_expression(expression).set_expression_attribute_names(Some(names));
        }
        let request = request.build().map_err(Error::internal)?;
        let call = self.client.batch_get_item().request_items(&self.name, request);
        let sent = self.patiently(|| call.clone().send()).await;
        let output = sent.map_err(|error| backend_error::from_sdk("BatchGetItem", error))?;
        let mut rows = Rows { requested: keys.into_iter().collect(), ..Rows::default() };
        let mut bytes = 0;
        for item in output.responses.into_iter().flat_map(HashMap::into_values).flatten() {
            if let Some(key) = item.get(name::ID).and_then(RowKey::from_attribute) {
                bytes += item_bytes(&item);
                rows.items.insert(key, item);
            }
        }
        let left = output.unprocessed_keys.into_iter().flat_map(HashMap::into_values).flat_map(|left| left.keys);
        let unprocessed: Vec<RowKey> =
            left.filter_map(|key| key.get(name::ID).and_then(RowKey::from_attribute)).collect();
        rows.requested.retain(|key| !unprocessed.contains(key));
        Ok(BatchReply { rows, unprocessed, is_full: bytes >= FULL_REPLY_BYTES })
    }

    /// One page of a strongly consistent scan, after the key `after`. `segment` of `segments` is a parallel segment of
    /// DynamoDB's Scan, not a segment with codes.
    ///
    /// Reads: one Scan call, up to 1 MB of the table, or a few items if calls were throttled lately. Errors:
    /// `StoreBackendError`.
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
            .set_limit(self.lanes.are_narrowed().then_some(SMALL_PAGE_ITEMS))
            .segment(i32::from(segment))
            .total_segments(i32::from(segments))
            .set_exclusive_start_key(after.map(|key| HashMap::from([(name::ID.to_owned(), key.attribute())])));
        if let Some((expression, names)) = projection.expression() {
            request = request.projection_expression(expression).set_expression_attribute_names(Some(names));
        }
        let sent = self.patiently(|| request.clone().send()).await;
        let output = sent.map_err(|error| backend_error::from_sdk("Scan", error))?;
        Ok(ScanPage {
            items: output.items.unwrap_or_default(),
            next: output.last_evaluated_key.as_ref().and_then(|key| RowKey::from_attribute(key.get(name::ID)?)),
        })
    }

    /// Scans the whole table in parallel segments and calls `take` with every item. A lack of capacity lowers the
    /// number of segments that are read at once.
    ///
    /// Reads: the whole table, strongly consistent. Errors: `StoreBackendError`.
    pub async fn scan(&self, projection: Projection, mut take: impl FnMut(Item)) -> Result<(), Error> {
        let mut waiting: VecDeque<(u8, Option<RowKey>)> = (0..SCAN_SEGMENTS).map(|segment| (segment, None)).collect();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < self.lanes.count()
                && let Some((segment, after)) = waiting.pop_front()
            {
                running
                    .push(async move { (segment, self.scan_page((segment, SCAN_SEGMENTS), after, projection).await) });
            }
            let Some((segment, page)) = running.next().await else { return Ok(()) };
            let ScanPage { items, next } = page?;
            items.into_iter().for_each(&mut take);
            waiting.extend(next.map(|next| (segment, Some(next))));
        }
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
        Rows { items: items.into(), requested, ..Rows::default() }
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
        assert_eq!(expression, "#id, #namespace, #query_hash, #ttl, #created_at, #last_accessed_at, #tags, #answer");
        assert!(names.len() == HEADER.len() && names["#ttl"] == name::TTL);
        for projection in [Projection::Replica, Projection::Stats] {
            let (expression, names) = projection.expression().unwrap();
            assert_eq!(expression.split(", ").count(), names.len());
        }
    }
}
