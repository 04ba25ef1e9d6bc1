//! Reads by key, strongly consistent unless said otherwise, and scans.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use mneme_aws::sdk_error::{SdkErrorKind, classify};
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;

use crate::attribute as name;
use crate::backend_error as fault;
use crate::entry_row::{entry_from_item, readable_entry};
use crate::item::{Item, number};
use crate::key::RowKey;
use crate::table::Table;

/// The most keys that one BatchGetItem takes (API reference, `BatchGetItem`).
const BATCH_KEYS: usize = 100;
/// How many BatchGetItem calls run at once.
const BATCHES_AT_ONCE: usize = 8;
/// How often keys that a BatchGetItem left unprocessed are asked for again.
const UNPROCESSED_ROUNDS: u32 = 8;

/// Into how many segments a scan of the whole table is split.
const SCAN_SEGMENTS: u8 = 4;

/// Which attributes a read returns.
#[derive(Debug, Clone, Copy)]
pub enum Projection {
    /// Every attribute.
    All,
    /// What a replica holds: keys, vectors with their generations, signature, expiry.
    Replica,
    /// What a full scan counts: the header of entries, and the small attributes of derived items.
    Stats,
    /// What eviction compares: the header of entries.
    Lru,
}

const HEADER: [&str; 6] =
    [name::ID, name::NAMESPACE, name::QUERY_HASH, name::TTL, name::CREATED_AT, name::LAST_ACCESSED_AT];

impl Projection {
    /// The expression and its names. All names are placeholders, because `ttl` and others are reserved words.
    fn expression(self) -> Option<(String, HashMap<String, String>)> {
        let further: &[&str] = match self {
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
                name::ENTRIES,
                "hits_exact",
                "hits_semantic",
                "misses",
                "evictions",
                "expirations",
            ],
        };
        let names: Vec<&str> = HEADER.iter().chain(further).copied().collect();
        let placeholders = names.iter().map(|name| format!("#{name}")).collect::<Vec<_>>().join(", ");
        Some((placeholders, names.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect()))
    }
}

/// Rows by key, and which keys were asked for.
#[derive(Debug, Default)]
pub struct Rows {
    items: HashMap<RowKey, Item>,
    asked: HashSet<RowKey>,
}

impl Rows {
    /// The row at `key`, if it was asked for and exists.
    pub fn get(&self, key: RowKey) -> Option<&Item> {
        self.items.get(&key)
    }

    /// The entry `id`, if it was asked for, exists and can be read; a row that cannot is logged.
    pub fn entry(&self, id: EntryId) -> Option<Entry> {
        readable_entry(self.get(id.into())?)
    }

    /// Those of `ids` that are rows of the pair, the newest last.
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

    /// The entries that were asked for and do not exist.
    pub fn missing_entries(&self) -> impl Iterator<Item = EntryId> {
        self.asked.iter().filter(|key| !self.items.contains_key(key)).filter_map(|key| key.entry())
    }

    /// Adds the rows of `more`.
    pub fn extend(&mut self, more: Rows) {
        self.items.extend(more.items);
        self.asked.extend(more.asked);
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = (RowKey, &Item)> {
        self.items.iter().map(|(key, item)| (*key, item))
    }
}

/// The entry that a pointer or an idempotency record names.
pub fn pointed_entry(item: &Item) -> Option<EntryId> {
    EntryId::new(number(item, name::ENTRY_ID)?)
}

/// One page of a scan.
#[derive(Debug)]
pub struct ScanPage {
    /// The rows, entries and others, in no order.
    pub items: Vec<Item>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<RowKey>,
}

impl Table {
    /// The row at `key`.
    ///
    /// Reads: one GetItem, strongly consistent if `strong`. Errors: `StoreBackendError`.
    pub async fn get(&self, key: RowKey, strong: bool) -> Result<Option<Item>, Error> {
        self.client
            .get_item()
            .table_name(&self.name)
            .key(name::ID, key.attribute())
            .consistent_read(strong)
            .send()
            .await
            .map(|output| output.item)
            .map_err(|error| fault::named("GetItem", error))
    }

    /// The row at `key`, strongly; `None` also when the table is missing.
    pub async fn try_get(&self, key: RowKey) -> Result<Option<Item>, Error> {
        let sent = self
            .client
            .get_item()
            .table_name(&self.name)
            .key(name::ID, key.attribute())
            .consistent_read(true)
            .send()
            .await;
        match sent {
            Ok(output) => Ok(output.item),
            Err(error) if classify(&error) == SdkErrorKind::ResourceMissing => Ok(None),
            Err(error) => Err(fault::named("GetItem", error)),
        }
    }

    /// The entry `id`, strongly; `None` when there is no such row.
    pub async fn entry(&self, id: EntryId) -> Result<Option<Entry>, Error> {
        match self.get(id.into(), true).await? {
            Some(item) => Ok(Some(entry_from_item(&item)?)),
            None => Ok(None),
        }
    }

    /// The rows at `keys` that exist, strongly. Repeated keys are asked for once.
    ///
    /// Reads: BatchGetItem, 100 keys and 16 MB a call, calls in parallel; what a call leaves unprocessed is
    /// asked for again after a pause. Errors: `StoreBackendError`, throttled when that does not help.
    pub async fn batch_get(
        &self,
        keys: impl IntoIterator<Item = RowKey>,
        projection: Projection,
    ) -> Result<Rows, Error> {
        self.batches(keys, projection, true).await
    }

    /// The rows at `keys` as some replica of the table's has them: at half the price of [`Table::batch_get`], and maybe
    /// not as they were last written. Reads and errors: likewise.
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
        let batches: Vec<Vec<RowKey>> = keys.chunks(BATCH_KEYS).map(<[RowKey]>::to_vec).collect();
        stream::iter(batches)
            .map(|batch| self.one_batch(batch, projection, strong))
            .buffer_unordered(BATCHES_AT_ONCE)
            .try_fold(Rows::default(), |mut rows, batch| async move {
                rows.extend(batch);
                Ok(rows)
            })
            .await
    }

    /// Adds to `rows` those of `keys` that were not asked for yet, whole. Reads and errors: as [`Table::batch_get`].
    pub async fn fetch_missing(&self, rows: &mut Rows, keys: impl IntoIterator<Item = RowKey>) -> Result<(), Error> {
        let missing: Vec<RowKey> = keys.into_iter().filter(|key| !rows.asked.contains(key)).collect();
        rows.extend(self.batch_get(missing, Projection::All).await?);
        Ok(())
    }

    async fn one_batch(&self, keys: Vec<RowKey>, projection: Projection, strong: bool) -> Result<Rows, Error> {
        let mut rows = Rows { items: HashMap::new(), asked: keys.iter().copied().collect() };
        let mut wanted: Vec<HashMap<String, AttributeValue>> =
            keys.iter().map(|key| HashMap::from([(name::ID.to_owned(), key.attribute())])).collect();
        for round in 0..UNPROCESSED_ROUNDS {
            if round > 0 {
                self.capacity.usage().retries += 1;
                let ceiling_ms = 25 << round;
                tokio::time::sleep(Duration::from_millis(fastrand::u64(ceiling_ms / 2..=ceiling_ms))).await;
            }
            let mut ask = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(strong);
            if let Some((expression, names)) = projection.expression() {
                ask = ask.projection_expression(expression).set_expression_attribute_names(Some(names));
            }
            let output = self
                .client
                .batch_get_item()
                .request_items(&self.name, ask.build().map_err(Error::internal)?)
                .send()
                .await
                .map_err(|error| fault::named("BatchGetItem", error))?;
            for item in output.responses.into_iter().flat_map(HashMap::into_values).flatten() {
                if let Some(key) = item.get(name::ID).and_then(RowKey::from_attribute) {
                    rows.items.insert(key, item);
                }
            }
            wanted =
                output.unprocessed_keys.into_iter().flat_map(HashMap::into_values).flat_map(|left| left.keys).collect();
            if wanted.is_empty() {
                return Ok(rows);
            }
        }
        Err(fault::throttled().caused_by(format!("{} keys stayed unprocessed", wanted.len())))
    }

    /// One page of a strongly consistent scan of segment `segment` of `segments`, from `after` on.
    ///
    /// Reads: one Scan call, up to 1 MB of the table. Errors: `StoreBackendError`.
    pub async fn scan_page(
        &self,
        (segment, segments): (u8, u8),
        after: Option<RowKey>,
        projection: Projection,
    ) -> Result<ScanPage, Error> {
        let mut ask = self
            .client
            .scan()
            .table_name(&self.name)
            .consistent_read(true)
            .segment(i32::from(segment))
            .total_segments(i32::from(segments))
            .set_exclusive_start_key(after.map(|key| HashMap::from([(name::ID.to_owned(), key.attribute())])));
        if let Some((expression, names)) = projection.expression() {
            ask = ask.projection_expression(expression).set_expression_attribute_names(Some(names));
        }
        let output = ask.send().await.map_err(|error| fault::named("Scan", error))?;
        Ok(ScanPage {
            items: output.items.unwrap_or_default(),
            next: output.last_evaluated_key.as_ref().and_then(|key| RowKey::from_attribute(key.get(name::ID)?)),
        })
    }

    /// Scans the whole table in parallel segments and gives every row to `take`.
    ///
    /// Reads: the whole table, strongly. Errors: `StoreBackendError`.
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
