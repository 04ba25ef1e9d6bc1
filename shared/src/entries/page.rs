//! Entries in pages, in order of ids or of least recent use.

use mneme_api::access::Access;
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::limits::{MAX_REPLY_BYTES, escaped_answer_bytes, escaped_bytes};
use mneme_store::index::LruKey;
use mneme_store::key::RowKey;
use mneme_store::read::Projection;
use serde::Deserialize;

use crate::cache::Cache;
use crate::maintain::totals::table_totals;

/// The most ids that one page reads, whether they are entries or not.
const MAX_EXAMINED: u64 = 2000;

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

/// Up to `limit` live entries after the position `after`, in the namespaces that `access` includes.
///
/// Reads: in order of ids, the counter, then up to 2,000 ids by BatchGetItem. In order of use, `gsi_lru` and the rows
/// that it names, and without a list of namespaces also the whole table, to find their names. Errors:
/// `StoreBackendError`.
pub async fn page(cache: &Cache, access: &Access, after: Position, limit: usize) -> Result<Page, Error> {
    match after {
        Position::Id(after) => page_by_id(cache, access, after, limit).await,
        Position::Lru(after) => page_by_use(cache, access, after, limit).await,
    }
}

async fn page_by_id(cache: &Cache, access: &Access, after: Option<EntryId>, limit: usize) -> Result<Page, Error> {
    let end = cache.read_counter().await?.next_id;
    let now = cache.now_secs();
    let mut entries: Vec<Entry> = Vec::new();
    let mut bytes = 0;
    let first = after.map_or(1, |id| id.get().saturating_add(1));
    let mut at = first;
    while at < end {
        let step = ((limit - entries.len()) as u64).clamp(16, 100);
        let until = end.min(at.saturating_add(step));
        let ids: Vec<EntryId> = (at..until).filter_map(EntryId::new).collect();
        let rows = cache.table.batch_get(ids.iter().map(|id| (*id).into()), Projection::All).await?;
        for id in ids {
            let entry = rows.entry(id).filter(|entry| !entry.is_expired(now) && access.includes(&entry.namespace));
            let Some(entry) = entry else { continue };
            bytes += wire_bytes(&entry);
            entries.push(entry);
            if entries.len() == limit || bytes > MAX_REPLY_BYTES {
                let next = (id.get() + 1 < end).then_some(Position::Id(Some(id)));
                return Ok(Page { entries, next });
            }
        }
        at = until;
        if at - first >= MAX_EXAMINED && at < end {
            return Ok(Page { entries, next: Some(Position::Id(EntryId::new(at - 1))) });
        }
    }
    Ok(Page { entries, next: None })
}

async fn page_by_use(cache: &Cache, access: &Access, after: Option<LruKey>, limit: usize) -> Result<Page, Error> {
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
    let rows = cache.table.batch_get(keys.iter().map(|key| RowKey::from(key.id)), Projection::All).await?;
    let now = cache.now_secs();
    let mut entries = Vec::new();
    let mut bytes = 0;
    for key in &keys {
        let Some(entry) = rows.entry(key.id).filter(|entry| !entry.is_expired(now)) else { continue };
        bytes += wire_bytes(&entry);
        entries.push(entry);
        if bytes > MAX_REPLY_BYTES {
            return Ok(Page { entries, next: Some(Position::Lru(Some(*key))) });
        }
    }
    let next = keys.last().filter(|_| more).map(|key| Position::Lru(Some(*key)));
    Ok(Page { entries, next })
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
