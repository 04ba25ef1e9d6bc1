//! Entries in pages, in order of ids or of least recent use.

mod tagged;

use std::vec::IntoIter;

use mneme_api::access::Access;
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::limits::{MAX_REPLY_BYTES, escaped_answer_bytes, escaped_bytes};
use mneme_store::index::LruKey;
use mneme_store::item::item_bytes;
use mneme_store::read::Projection;
use serde::Deserialize;

pub use self::tagged::page_of_tag;
use super::with_answer;
use crate::cache::Cache;
use crate::maintain::totals::table_totals;

/// The most ids that one page reads, whether they are entries or not.
const MAX_EXAMINED: u64 = 2000;

/// A page ends once it has read this many bytes of rows and answers, whoever's they are. Strongly consistent, 4 KB cost
/// one read unit.
const MAX_READ_BYTES: usize = 8 << 20;

/// A listing begins with up to this many keys of each namespace in the index. They cost half a read unit.
const FIRST_INDEXED_IDS: usize = 32;
/// Up to this many entries of a namespace are listed by the index.
const MAX_INDEXED_IDS: usize = 1000;

/// The order of a listing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Ascending ids: the order in which they were stored.
    #[default]
    Id,
    /// Least recently used first.
    Lru,
}

/// Where the next page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// In ascending order of ids: after this id; `None`: at the start.
    Id(Option<EntryId>),
    /// Least recently used first: after this key; `None`: at the start.
    Lru(Option<LruKey>),
}

/// Says whether a listing has an entry. An entry that lacks its answer may belong to it: once its answer is read, it is
/// judged again.
pub type Wanted<'a> = &'a (dyn Fn(&Entry) -> bool + Sync);

/// One page of a listing.
#[derive(Debug)]
pub struct Page {
    /// Live entries.
    pub entries: Vec<Entry>,
    /// Where the next page starts; `None` after the last.
    pub next: Option<Position>,
}

impl Position {
    /// The start of a listing. `after`: the id after which a listing in order of ids starts.
    pub fn start(order: Order, after: Option<EntryId>) -> Self {
        match order {
            Order::Id => Self::Id(after),
            Order::Lru => Self::Lru(None),
        }
    }

    /// The position as text that a caller sends back.
    pub fn to_cursor(self) -> String {
        match self {
            Self::Id(after) => format!("id.{}", after.map_or(0, EntryId::get)),
            Self::Lru(None) => "lru".to_owned(),
            Self::Lru(Some(key)) => format!("lru.{}.{}", key.last_accessed_at, key.id),
        }
    }

    /// The position in a caller's `cursor`. Errors: `InvalidRequest` if it is not a cursor of a listing in `order`.
    pub fn from_cursor(cursor: &str, order: Order) -> Result<Self, Error> {
        let mut parts = cursor.split('.');
        let kind = parts.next();
        let numbers: Option<Vec<u64>> = parts.map(|part| part.parse().ok()).collect();
        match (order, kind, numbers.as_deref()) {
            (Order::Id, Some("id"), Some([id])) => Ok(Self::Id(EntryId::new(*id))),
            (Order::Lru, Some("lru"), Some([])) => Ok(Self::Lru(None)),
            (Order::Lru, Some("lru"), Some([at, id])) => EntryId::new(*id)
                .zip(i64::try_from(*at).ok())
                .map(|(id, last_accessed_at)| Self::Lru(Some(LruKey { last_accessed_at, id })))
                .ok_or_else(bad_cursor),
            _ => Err(bad_cursor()),
        }
    }
}

fn bad_cursor() -> Error {
    Error::invalid("cursor: not a cursor of this listing", "send the last page's `cursor` with the same `order`")
}

/// The approximate bytes of an entry in an HTTP reply. The entry's JSON is inside a JSON string there, so escapes are
/// escaped again.
fn wire_bytes(entry: &Entry) -> usize {
    escaped_answer_bytes(&entry.response, &entry.metadata)
        + entry.query.as_deref().map_or(0, escaped_bytes)
        + entry.vectors.embedding.as_ref().map_or(0, |bytes| bytes.len() * 4 / 3)
        + 1024
}

/// Up to `limit` live entries after the position `after` that `is_wanted` accepts, in the namespaces that `access`
/// includes. What one page reads is bounded whatever `is_wanted` refuses, so a page may have fewer entries.
///
/// Reads: in order of ids, the counter and up to 32 keys of `gsi_lru` of each namespace in a list. If these are all, the
/// rows that they name, else the next `limit` ids by BatchGetItem. If these do not fill the page, up to 1,000 keys of
/// `gsi_lru` and the rows that they name, or up to 2,000 ids. In order of use, `gsi_lru` and the rows that it names, and
/// without a list of namespaces also the whole table, to find their names. Answers in items of their own are read only for
/// rows that `is_wanted` accepts without them. A page ends early once it has read 8 MB. `gsi_lru` is eventually
/// consistent. Errors: `StoreBackendError`.
pub async fn page(
    cache: &Cache,
    access: &Access,
    after: Position,
    limit: usize,
    is_wanted: Wanted<'_>,
) -> Result<Page, Error> {
    let reader = Reader::new(cache, access, limit, is_wanted);
    match after {
        Position::Id(after) => page_by_id(reader, after).await,
        Position::Lru(after) => page_by_use(reader, after).await,
    }
}

/// A page that is being read.
struct Reader<'a> {
    cache: &'a Cache,
    access: &'a Access,
    limit: usize,
    is_wanted: Wanted<'a>,
    now_secs: i64,
    entries: Vec<Entry>,
    reply_bytes: usize,
    read_bytes: usize,
    read_rows: usize,
}

impl<'a> Reader<'a> {
    fn new(cache: &'a Cache, access: &'a Access, limit: usize, is_wanted: Wanted<'a>) -> Self {
        let now_secs = cache.now_secs();
        let entries = Vec::new();
        Self { cache, access, limit, is_wanted, now_secs, entries, reply_bytes: 0, read_bytes: 0, read_rows: 0 }
    }

    /// How many rows to read next: as many as the page lacks, and as are likely to fit into what may be read. After the
    /// first step, at least 16.
    fn step(&self) -> usize {
        let row_bytes = (self.read_bytes / self.read_rows.max(1)).max(1);
        let affordable = MAX_READ_BYTES.saturating_sub(self.read_bytes) / row_bytes;
        let least = if self.read_rows == 0 { 1 } else { 16 };
        (self.limit - self.entries.len()).clamp(least, 100).min(affordable.max(1))
    }

    /// Reads the rows of `ids`, and the answers of those that belong to the page. Returns the last id that was used, if
    /// the page is full.
    async fn read(&mut self, ids: &[EntryId]) -> Result<Option<EntryId>, Error> {
        let rows = self.cache.table.batch_get(ids.iter().map(|id| (*id).into()), Projection::All).await?;
        self.read_rows += ids.len();
        self.read_bytes += rows.iter().map(|(_, item)| item_bytes(item)).sum::<usize>();
        let is_listed = |entry: &Entry| {
            !entry.is_expired(self.now_secs) && self.access.includes(&entry.namespace) && (self.is_wanted)(entry)
        };
        let listed: Vec<Entry> = ids.iter().filter_map(|id| rows.entry(*id)).filter(is_listed).collect();
        let mut rest = listed.into_iter();
        while !rest.as_slice().is_empty() {
            if let Some(last) = self.take(&mut rest).await? {
                return Ok(Some(last));
            }
        }
        Ok(ids.last().copied().filter(|_| self.read_bytes >= MAX_READ_BYTES))
    }

    /// Takes the next of `rows` into the page, as many as it may have room for, with their answers. Returns the last id
    /// that was used, if the page is full.
    async fn take(&mut self, rows: &mut IntoIter<Entry>) -> Result<Option<EntryId>, Error> {
        let mut taken: Vec<Entry> = Vec::new();
        let mut reply_bytes = self.reply_bytes;
        while self.entries.len() + taken.len() < self.limit
            && reply_bytes <= MAX_REPLY_BYTES
            && let Some(row) = rows.next()
        {
            // An answer that was not read yet takes at least its own bytes of the reply.
            reply_bytes += wire_bytes(&row) + row.apart.map_or(0, |apart| apart.bytes);
            taken.push(row);
        }
        let lacked: Vec<bool> = taken.iter().map(Entry::lacks_answer).collect();
        let read = self.cache.table.read_answers(&mut taken).await?;
        let mut last = None;
        for ((entry, lacked_answer), is_read) in taken.into_iter().zip(lacked).zip(read) {
            last = Some(entry.id);
            let entry = if is_read { Some(entry) } else { with_answer(self.cache, entry).await? };
            let Some(entry) = entry else { continue };
            self.read_bytes += entry.apart.filter(|_| lacked_answer).map_or(0, |apart| apart.bytes);
            if lacked_answer && !(self.is_wanted)(&entry) {
                continue;
            }
            self.reply_bytes += wire_bytes(&entry);
            self.entries.push(entry);
            if self.entries.len() == self.limit || self.reply_bytes > MAX_REPLY_BYTES {
                return Ok(last);
            }
        }
        let is_cut = !rows.as_slice().is_empty() && self.read_bytes >= MAX_READ_BYTES;
        Ok(last.filter(|_| is_cut))
    }
}

async fn page_by_id(mut reader: Reader<'_>, after: Option<EntryId>) -> Result<Page, Error> {
    let Reader { cache, access, .. } = reader;
    let (end, mut indexed) = tokio::try_join!(async { Ok(cache.read_counter().await?.next_id) }, async {
        indexed_ids(cache, access, after, FIRST_INDEXED_IDS).await
    })?;
    let first = after.map_or(1, |id| id.get().saturating_add(1));
    let mut at = first;
    while indexed.is_none() && at < end {
        let until = end.min(at.saturating_add(reader.step() as u64));
        let ids: Vec<EntryId> = (at..until).filter_map(EntryId::new).collect();
        if let Some(last) = reader.read(&ids).await? {
            let next = (last.get() + 1 < end).then_some(Position::Id(Some(last)));
            return Ok(Page { entries: reader.entries, next });
        }
        if at == first {
            // There are ids of other namespaces, or of deleted rows.
            indexed = indexed_ids(cache, access, EntryId::new(until - 1), MAX_INDEXED_IDS).await?;
        }
        at = until;
        if at - first >= MAX_EXAMINED && at < end {
            return Ok(Page { entries: reader.entries, next: Some(Position::Id(EntryId::new(at - 1))) });
        }
    }
    let ids = indexed.unwrap_or_default();
    let mut rest = ids.as_slice();
    while !rest.is_empty() {
        let (some, more) = rest.split_at(reader.step().min(rest.len()));
        if let Some(last) = reader.read(some).await? {
            let is_last = ids.last() == Some(&last);
            return Ok(Page { entries: reader.entries, next: (!is_last).then_some(Position::Id(Some(last))) });
        }
        rest = more;
    }
    Ok(Page { entries: reader.entries, next: None })
}

/// The ids after `after` in the namespaces of `access`, ascending, if `access` is a list and the index shows at most
/// `limit` entries of each namespace. Then other callers' entries need not be read.
async fn indexed_ids(
    cache: &Cache,
    access: &Access,
    after: Option<EntryId>,
    limit: usize,
) -> Result<Option<Vec<EntryId>>, Error> {
    let Access::Only(namespaces) = access else { return Ok(None) };
    let mut ids = Vec::new();
    for namespace in namespaces {
        let (keys, are_all) = cache.table.oldest(namespace, limit).await?;
        if !are_all {
            return Ok(None);
        }
        ids.extend(keys.into_iter().map(|key| key.id).filter(|id| after.is_none_or(|after| *id > after)));
    }
    ids.sort_unstable();
    Ok(Some(ids))
}

async fn page_by_use(mut reader: Reader<'_>, after: Option<LruKey>) -> Result<Page, Error> {
    let Reader { cache, access, limit, .. } = reader;
    let namespaces = match access {
        Access::Only(namespaces) => namespaces.clone(),
        Access::All => table_totals(&cache.patient()).await?.live.into_keys().collect(),
    };
    let mut keys = Vec::new();
    for namespace in &namespaces {
        keys.extend(cache.table.least_recently_used(namespace, after, limit + 1).await?);
    }
    keys.sort_unstable();
    let more = keys.len() > limit;
    keys.truncate(limit);
    let mut rest = keys.as_slice();
    while !rest.is_empty() {
        let (some, later) = rest.split_at(reader.step().min(rest.len()));
        let ids: Vec<EntryId> = some.iter().map(|key| key.id).collect();
        let last = reader.read(&ids).await?.and_then(|last| some.iter().find(|key| key.id == last));
        if let Some(last) = last {
            let is_last = keys.last() == Some(last) && !more;
            return Ok(Page { entries: reader.entries, next: (!is_last).then_some(Position::Lru(Some(*last))) });
        }
        rest = later;
    }
    let next = keys.last().filter(|_| more).map(|key| Position::Lru(Some(*key)));
    Ok(Page { entries: reader.entries, next })
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn cursor_reads_back_as_the_same_position_in_its_own_order_only() {
        let id = EntryId::new(7).unwrap();
        for (position, order) in [
            (Position::Id(None), Order::Id),
            (Position::Id(Some(id)), Order::Id),
            (Position::Lru(None), Order::Lru),
            (Position::Lru(Some(LruKey { last_accessed_at: 1_700_000_000, id })), Order::Lru),
        ] {
            assert_eq!(Position::from_cursor(&position.to_cursor(), order).unwrap(), position);
            let other = if order == Order::Id { Order::Lru } else { Order::Id };
            assert!(Position::from_cursor(&position.to_cursor(), other).is_err());
        }
        assert!(Position::from_cursor("id.x", Order::Id).is_err());
        assert!(Position::from_cursor("lru.5.0", Order::Lru).is_err());
        assert!(Position::from_cursor("lru.18446744073709551615.1", Order::Lru).is_err());
        assert!(Position::from_cursor("", Order::Id).is_err());
    }

    #[test]
    fn wire_bytes_with_text_that_needs_escapes_counts_them_twice() {
        let entry =
            |response: &str| Entry { query: Some("q".to_owned()), response: response.to_owned(), ..Entry::example(1) };
        let bytes = |response: &str| wire_bytes(&entry(response)) - wire_bytes(&entry(""));
        let on_the_wire = |text: &str| {
            let json = serde_json::to_string(text).unwrap();
            serde_json::to_string(&json).unwrap().len() - serde_json::to_string("\"\"").unwrap().len()
        };
        for text in ["plain", "two\nlines", "a \"quotation\"", "back\\slash"] {
            assert_eq!(bytes(text), on_the_wire(text), "{text:?}");
        }
    }
}
