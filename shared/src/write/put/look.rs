//! What has to be known before entries are stored.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{NewEntry, Stored};
use crate::cache::Cache;
use crate::entry::{Entry, number};
use crate::error::Error;
use crate::key::{EntryId, RowKey};
use crate::table::counter::Counter;
use crate::table::{Projection, Rows, pointed_entry};

/// How many rows of one pair a put clears away; only the Python library's races leave more than one.
const MOST_DUPLICATES: usize = 40;

/// How many queries of `gsi_hash` run at once.
const QUERIES_AT_ONCE: usize = 16;

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) counter: Counter,
    /// Of each entry, in their order.
    pub(super) pairs: Vec<Pair>,
}

/// What there is of one entry's (namespace, query hash) pair.
#[derive(Debug)]
pub(super) struct Pair {
    /// Where its pointer points, if there is one.
    pub(super) pointer: Option<EntryId>,
    /// Its rows, the newest last: at most one, but for what the Python library's races leave.
    pub(super) rows: Vec<Entry>,
    /// The reply to the entry's idempotency key, where it was used before.
    pub(super) receipt: Option<Stored>,
}

impl Cache {
    /// Looks at the counter, and at the pairs and idempotency keys of `entries`.
    ///
    /// `strong`: whether pointers are read consistently. The first look need not: the transaction's conditions on the
    /// pointers find out what it missed, and an eventually consistent read costs half.
    pub(super) async fn look_before_put(&self, entries: &[NewEntry], strong: bool) -> Result<Seen, Error> {
        let look = async || {
            let pointers = entries.iter().map(NewEntry::pointer);
            let pointers = async {
                if strong {
                    self.table.batch_get(pointers, Projection::Whole).await
                } else {
                    self.table.glance(pointers).await
                }
            };
            let receipts = self.table.batch_get(entries.iter().filter_map(NewEntry::receipt), Projection::Whole);
            tokio::try_join!(self.counter(), pointers, self.indexed(entries), receipts)
        };
        let looked = match look().await {
            // The table may be missing and ours to make; if it is not, opening names what is wrong.
            Err(_) if !self.is_open() => {
                self.open().await?;
                look().await
            }
            looked => looked,
        };
        let (counter, pointers, indexed, receipts) = looked?;
        let pointed: Vec<Option<EntryId>> =
            entries.iter().map(|entry| pointers.get(entry.pointer()).and_then(pointed_entry)).collect();
        let named = indexed.iter().flatten().chain(pointed.iter().flatten());
        let rows = self.table.batch_get(named.map(|id| RowKey::from(*id)), Projection::Whole).await?;
        let pairs = entries.iter().zip(indexed).zip(pointed).map(|((entry, indexed), pointer)| Pair {
            pointer,
            rows: rows.newest_last(&entry.namespace, &entry.query_hash, indexed.into_iter().chain(pointer)),
            receipt: entry.receipt().and_then(|key| self.receipt(&receipts, key)),
        });
        Ok(Seen { counter, pairs: pairs.collect() })
    }

    /// What `gsi_hash` names for each entry.
    async fn indexed(&self, entries: &[NewEntry]) -> Result<Vec<Vec<EntryId>>, Error> {
        let queries: Vec<_> =
            entries.iter().map(|entry| self.table.ids_by_hash(&entry.namespace, &entry.query_hash)).collect();
        let mut ids: Vec<Vec<EntryId>> = stream::iter(queries).buffered(QUERIES_AT_ONCE).try_collect().await?;
        ids.iter_mut().for_each(|ids| drop(ids.drain(..ids.len().saturating_sub(MOST_DUPLICATES))));
        Ok(ids)
    }

    fn receipt(&self, receipts: &Rows, key: RowKey) -> Option<Stored> {
        let item = receipts.get(key)?;
        let valid = number(item, "ttl").is_some_and(|until: i64| until > self.now_secs());
        let created = *item.get("created")?.as_bool().ok()?;
        valid.then_some(Stored { id: pointed_entry(item)?, created, quota: None, replayed: true })
    }
}
