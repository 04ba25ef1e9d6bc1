//! Entries in pages, in order of ids or of least recent use.

use mneme_api::access::Access;
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::limits::{MAX_REPLY_BYTES, escaped_bytes};
use mneme_store::index::LruKey;
use mneme_store::key::RowKey;
use mneme_store::read::Projection;
use serde::Deserialize;

use crate::cache::Cache;
use crate::maintain::totals::table_totals;

/// How many ids one page goes through at most, entries or not.
const MAX_EXAMINED: u64 = 2000;

/// In which order entries come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Ascending ids: the order in which they were stored.
    #[default]
    Id,
    /// Least recently used first.
    Lru,
}

/// A place between entries: everything up to it has been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// In order of ids: after this one; `None`: at the start.
    Id(Option<EntryId>),
    /// In order of use: after this one; `None`: at the start.
    Lru(Option<LruKey>),
}

/// A page.
#[derive(Debug)]
pub struct Page {
    /// Live entries.
    pub entries: Vec<Entry>,
    /// Where the next page starts; `None` after the last.
    pub next: Option<Position>,
}

impl Position {
    /// The start of `order`; in order of ids, after `after`.
    pub fn start(order: Order, after: Option<EntryId>) -> Self {
        match order {
            Order::Id => Self::Id(after),
            Order::Lru => Self::Lru(None),
        }
    }

    /// The position as text.
    pub fn to_cursor(self) -> String {
        match self {
            Self::Id(after) => format!("id.{}", after.map_or(0, EntryId::get)),
            Self::Lru(None) => "lru".to_owned(),
            Self::Lru(Some(key)) => format!("lru.{}.{}", key.last_accessed_at, key.id),
        }
    }

    /// The position in `cursor`. Errors: `InvalidRequest` for one that is not of `order`.
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
                .ok_or_else(no_cursor),
            _ => Err(no_cursor()),
        }
    }
}

fn no_cursor() -> Error {
    Error::invalid("cursor: not a cursor of this listing", "send the last page's `cursor` with the same `order`")
}

/// What an entry takes in an HTTP reply, where its JSON stands in a JSON string: escapes are escaped again.
fn wire_bytes(entry: &Entry) -> usize {
    escaped_bytes(&entry.response)
        + entry.query.as_deref().map_or(0, escaped_bytes)
        + escaped_bytes(&serde_json::Value::Object(entry.metadata.clone()).to_string())
        + entry.vectors.embedding.as_ref().map_or(0, |bytes| bytes.len() * 4 / 3)
        + 1024
}

/// Up to `limit` live entries after `after`, of the namespaces that `scope` includes.
///
/// Reads: in order of ids, the counter and then up to 2,000 ids by BatchGetItem; in order of use, `gsi_lru` and
/// the rows it names. Errors: `StoreBackendError`.
pub async fn page(cache: &Cache, scope: &Access, after: Position, limit: usize) -> Result<Page, Error> {
    match after {
        Position::Id(after) => page_by_id(cache, scope, after, limit).await,
        Position::Lru(after) => page_by_use(cache, scope, after, limit).await,
    }
}

async fn page_by_id(cache: &Cache, scope: &Access, after: Option<EntryId>, limit: usize) -> Result<Page, Error> {
    let end = cache.counter().await?.next_id;
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
            let entry = rows.entry(id).filter(|entry| !entry.is_expired(now) && scope.includes(&entry.namespace));
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

async fn page_by_use(cache: &Cache, scope: &Access, after: Option<LruKey>, limit: usize) -> Result<Page, Error> {
    let namespaces = match scope {
        Access::Only(namespaces) => namespaces.clone(),
        Access::All => table_totals(cache).await?.live.into_keys().collect(),
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
    fn cursors_round_trip_and_keep_their_order() {
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
}
