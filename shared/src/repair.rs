//! Setting derived items right by going through the table, slice by slice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use tokio::time::Instant;

use crate::cache::Cache;
use crate::embedders::Era;
use crate::entry::{Item, number};
use crate::error::Error;
use crate::eviction::Evicted;
use crate::key::{DerivedKind, EntryId, RowKey};
use crate::namespace::Namespace;
use crate::packed::Catalog;
use crate::packed::pack::Packed;
use crate::packed::segment::ENTRIES;
use crate::packed::thin::Ranges;
use crate::table::counter::Counter;
use crate::table::{Projection, pointed_entry};
use crate::write::remove::{Reason, RowRef};

/// How long before the deadline no further page is begun.
const MARGIN: Duration = Duration::from_secs(3);

/// How many derived items are written at once.
const WRITES_AT_ONCE: usize = 8;

/// What was found out of order and set right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Entries gone through.
    pub examined: u64,
    /// Pointers made for entries that had none, or moved to them from entries that are gone.
    pub pointers_set: u64,
    /// Pointers and receipts removed that led nowhere or were over, and what was packed on an earlier basis or for an earlier
    /// embedder.
    pub derived_removed: u64,
    /// Entries removed because another one is the pair's.
    pub duplicates: u64,
    /// Whether the counter stood at or below an id in use, as after a restore, and was moved past it.
    pub counter_moved: bool,
}

/// Where a pass goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// At the start of the table.
    Start,
    /// After this row, in the order in which DynamoDB scans.
    After(RowKey),
    /// With the caps: all rows have been gone through.
    Caps,
    /// With packed segments: the caps are kept.
    Pack,
}

impl Cursor {
    /// The cursor as text for a caller to send back.
    pub fn to_text(self) -> String {
        match self {
            Self::Start => "start".to_owned(),
            Self::After(key) => key.to_cursor(),
            Self::Caps => "caps".to_owned(),
            Self::Pack => "pack".to_owned(),
        }
    }

    /// The cursor in a caller's text. Errors: `InvalidRequest`.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        match text {
            "start" => Ok(Self::Start),
            "caps" => Ok(Self::Caps),
            "pack" => Ok(Self::Pack),
            key => RowKey::from_cursor(key).map(Self::After),
        }
    }

    fn after(self) -> Option<RowKey> {
        match self {
            Self::After(key) => Some(key),
            Self::Start | Self::Caps | Self::Pack => None,
        }
    }
}

/// One pass over the table.
#[derive(Debug, Default)]
pub struct Sweep {
    only: Option<Namespace>,
    /// Expired entries removed.
    pub removed: Evicted,
    /// Repairs made.
    pub repaired: Repaired,
    /// What was packed.
    pub packed: Packed,
    /// What this pass has found of the ranges of ids; `None` where it did not see the whole table.
    ranges: Option<Ranges>,
}

/// What one page of the table holds that matters here.
#[derive(Default)]
struct Slice {
    rows: Vec<RowRef>,
    highest: u64,
    pointers: Vec<(RowKey, EntryId)>,
    over: Vec<RowKey>,
    /// Items of bases and segments, with their generations.
    packed: Vec<(RowKey, u64)>,
    /// Segments, and how many entries they have.
    segments: Vec<(RowKey, u64)>,
    /// Items of one embedder alone, with its era.
    of_era: Vec<(RowKey, Era)>,
}

/// What a pass knows of the table from its beginning on.
struct Known {
    /// The counter's, which only grows: what is below it now is so for good.
    next_id: u64,
    /// Of the embedders that the cache has, the newest generation of packed segments last.
    catalogs: Vec<Catalog>,
    eras: Vec<Era>,
    last_era: Era,
    /// Whoever began a generation before this one, by its epoch milliseconds, is not writing it any more.
    begun_before: u64,
}

/// Four times the longest invocation (AWS Lambda Developer Guide, "Lambda quotas").
const LONGEST_PACKING_MS: u64 = 3_600_000;

impl Known {
    /// Whether a segment, or a part of a basis, is of a generation that was given up. A young one above all others may be being
    /// written.
    fn is_old(&self, generation: u64) -> bool {
        let newest = self.catalogs.last().map_or(0, |newest| newest.generation);
        generation < newest.max(self.begun_before)
            && self.catalogs.iter().all(|catalog| catalog.generation != generation)
    }

    /// Whether the embedder is one that the cache has no more.
    fn is_over(&self, era: Era) -> bool {
        era <= self.last_era && !self.eras.contains(&era)
    }
}

impl Sweep {
    /// A pass over all namespaces, or over `only` one.
    pub fn new(only: Option<Namespace>) -> Self {
        Self { only, ..Self::default() }
    }

    fn slice(&self, items: &[Item], now_secs: i64) -> Slice {
        let mut slice = Slice::default();
        for item in items {
            if let Some(row) = RowRef::from_item(item) {
                slice.highest = slice.highest.max(row.id.get());
                if self.only.as_ref().is_none_or(|only| row.namespace == *only) {
                    slice.rows.push(row);
                }
                continue;
            }
            let Some(key) = item.get("id").and_then(RowKey::from_attribute) else { continue };
            match key.derived_kind() {
                Some(DerivedKind::Pointer) => slice.pointers.extend(pointed_entry(item).map(|id| (key, id))),
                Some(DerivedKind::Receipt) if number(item, "ttl").is_some_and(|until: i64| until <= now_secs) => {
                    slice.over.push(key);
                }
                _ => {
                    slice.packed.extend(key.generation().map(|generation| (key, generation)));
                    slice.segments.extend(number(item, ENTRIES).map(|entries| (key, entries)));
                    slice.of_era.extend(key.era().map(|era| (key, era)));
                }
            }
        }
        slice
    }
}

impl Cache {
    /// Where the last pass that was to be resumed ended; the start, when it came to its end. Reads: one derived item.
    pub async fn kept_place(&self) -> Result<Cursor, Error> {
        let kept = self.table.kept_cursor().await?;
        Ok(kept.and_then(|cursor| Cursor::from_text(&cursor).ok()).unwrap_or(Cursor::Start))
    }

    /// Keeps where a pass ended, for the next one. Writes: one derived item.
    pub async fn keep_place(&self, next: Option<Cursor>) -> Result<(), Error> {
        self.table.keep_cursor(next.map(Cursor::to_text)).await
    }

    /// Goes through the table from `at` on, then to the caps, then to what can be packed, until the end or until the
    /// deadline is near, and returns where to go on: removes expired entries, gives every live entry its pointer, removes
    /// duplicates and what leads nowhere, and moves the counter past every id in use. A pass over one namespace packs
    /// nothing, and only one that goes through the whole table in one call thins out what is packed.
    ///
    /// Reads: Scan pages and, for each, the pointers of its entries and the entries of its pointers; as [`Cache::thin`] and [`Cache::pack`].
    /// Errors: `StoreBackendError`; what was set right until then stays so.
    pub async fn sweep(&self, sweep: &mut Sweep, at: Cursor) -> Result<Option<Cursor>, Error> {
        let mut at = at;
        let known = self.known().await?;
        sweep.ranges = (at == Cursor::Start && sweep.only.is_none()).then(Ranges::default);
        while !matches!(at, Cursor::Caps | Cursor::Pack) {
            let page = self.table.scan_page((0, 1), at.after(), Projection::Census).await?;
            let slice = sweep.slice(&page.items, self.now_secs());
            if !self.settle_slice(sweep, slice, &known).await? {
                return Ok(Some(at));
            }
            at = page.next.map_or(Cursor::Caps, Cursor::After);
            if Instant::now() + MARGIN >= self.deadline {
                return Ok(Some(at));
            }
        }
        if at == Cursor::Caps {
            let settled = self.settle_caps(sweep.only.as_ref()).await?;
            sweep.removed.add(settled);
            if settled.unfinished {
                return Ok(Some(Cursor::Caps));
            }
        }
        if sweep.only.is_some() {
            return Ok(None);
        }
        let until = self.deadline.checked_sub(MARGIN).unwrap_or(self.deadline);
        let serving = self.counter().await?.active();
        let catalog = known.catalogs.iter().find(|catalog| catalog.era == serving.era);
        let ranges_thinned = match (sweep.ranges.take(), catalog) {
            (Some(ranges), Some(catalog)) => self.thin(&serving, catalog, &ranges, until).await?,
            _ => 0,
        };
        sweep.packed = Packed { ranges_thinned, ..self.pack(until).await? };
        Ok(sweep.packed.unfinished.then_some(Cursor::Pack))
    }

    async fn known(&self) -> Result<Known, Error> {
        let Counter { next_id, era, last_era, other, .. } = self.counter().await?;
        let eras: Vec<Era> = std::iter::once(era).chain(other.map(|other| other.era)).collect();
        let mut catalogs = Vec::new();
        for era in &eras {
            catalogs.extend(self.table.catalog(*era).await?);
        }
        catalogs.sort_unstable_by_key(|catalog| catalog.generation);
        let begun_before = u64::try_from(self.clock.now_ms()).unwrap_or(0).saturating_sub(LONGEST_PACKING_MS);
        Ok(Known { next_id, catalogs, eras, last_era, begun_before })
    }

    /// False when the time was up before all of the slice was settled.
    async fn settle_slice(&self, sweep: &mut Sweep, slice: Slice, known: &Known) -> Result<bool, Error> {
        let now = self.now_secs();
        sweep.repaired.examined += slice.rows.len() as u64;
        let (expired, live): (Vec<RowRef>, Vec<RowRef>) = slice.rows.into_iter().partition(|row| row.is_expired(now));
        let removal = self.remove(&expired, Reason::Expired).await?;
        sweep.removed.expired += removal.removed;
        if removal.left > 0 {
            return Ok(false);
        }
        if slice.highest >= known.next_id {
            sweep.repaired.counter_moved |= self.table.move_counter_past(slice.highest).await?;
        }
        self.set_pointers(sweep, &live).await?;
        if let Some(ranges) = &mut sweep.ranges {
            live.iter().for_each(|row| ranges.add_entry(row.id));
            slice.segments.iter().for_each(|(key, entries)| ranges.add_segment(*key, *entries));
        }
        if self.config.max_entries.is_some() {
            for namespace in live.iter().map(|row| &row.namespace).collect::<BTreeSet<_>>() {
                self.enter(namespace).await?;
            }
        }

        let targets = self.table.batch_get(slice.pointers.iter().map(|(_, id)| (*id).into()), Projection::Ages).await?;
        let dangling = slice.pointers.into_iter().filter(|(_, id)| targets.get((*id).into()).is_none());
        let dropped: Vec<bool> = stream::iter(dangling)
            .map(|(pointer, id)| self.table.drop_pointer(pointer, id))
            .buffer_unordered(WRITES_AT_ONCE)
            .try_collect()
            .await?;
        let ended: Vec<bool> = stream::iter(slice.over)
            .map(|receipt| self.table.drop_receipt(receipt, now))
            .buffer_unordered(WRITES_AT_ONCE)
            .try_collect()
            .await?;
        let packed = slice.packed.into_iter().filter(|(_, generation)| known.is_old(*generation)).map(|(key, _)| key);
        let of_era = slice.of_era.into_iter().filter(|(_, era)| known.is_over(*era)).map(|(key, _)| key);
        let old: Vec<RowKey> = packed.chain(of_era).collect();
        stream::iter(old.clone())
            .map(|key| self.table.drop_derived(key))
            .buffer_unordered(WRITES_AT_ONCE)
            .try_collect::<()>()
            .await?;
        let removed = dropped.iter().chain(&ended).filter(|removed| **removed).count() + old.len();
        sweep.repaired.derived_removed += removed as u64;
        Ok(true)
    }

    /// Sees to it that each of the live `rows` is what its pair's pointer leads to; one that is not, while the pointer
    /// leads to another live entry of the pair, is a duplicate and goes.
    async fn set_pointers(&self, sweep: &mut Sweep, rows: &[RowRef]) -> Result<(), Error> {
        let mut by_pointer: BTreeMap<RowKey, Vec<&RowRef>> = BTreeMap::new();
        for row in rows {
            by_pointer.entry(RowKey::pointer(&row.namespace, &row.query_hash)).or_default().push(row);
        }
        let pointers = self.table.batch_get(by_pointer.keys().copied(), Projection::Whole).await?;
        let pointed = |key: RowKey| pointers.get(key).and_then(pointed_entry);
        let targets = by_pointer.keys().filter_map(|key| pointed(*key)).map(RowKey::from);
        let targets = self.table.batch_get(targets, Projection::Ages).await?;
        let now = self.now_secs();
        let mut duplicates = Vec::new();
        for (key, mut pair) in by_pointer {
            // The newest first, so that it gets a missing pointer.
            pair.sort_unstable_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
            let seen = pointed(key);
            let target = seen.and_then(|id| RowRef::from_item(targets.get(id.into())?)).filter(|target| {
                !target.is_expired(now)
                    && target.namespace == pair[0].namespace
                    && target.query_hash == pair[0].query_hash
            });
            let keeper = match target {
                Some(target) => target.id,
                None if self.table.set_pointer(key, seen, pair[0].id).await? => {
                    sweep.repaired.pointers_set += 1;
                    pair[0].id
                }
                // A put was faster, and has settled what the pair's entry is.
                None => continue,
            };
            duplicates.extend(pair.into_iter().filter(|row| row.id != keeper).cloned());
        }
        sweep.repaired.duplicates += self.remove(&duplicates, Reason::Asked).await?.removed;
        Ok(())
    }

    /// Counts the namespaces that have a quota, and the table where it has a cap, and brings them under it.
    async fn settle_caps(&self, only: Option<&Namespace>) -> Result<Evicted, Error> {
        let quotas = self.counter().await?.quotas.into_iter().map(|(name, quota)| (Namespace::from_row(name), quota));
        let quotas: Vec<_> = quotas.filter(|(namespace, _)| only.is_none_or(|only| namespace == only)).collect();
        self.keep_caps(&quotas, self.config.max_entries.filter(|_| only.is_none())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::emptied::Emptied;

    #[test]
    fn what_was_given_up_is_told_from_what_is_being_written() {
        let known = |generations: &[u64]| Known {
            next_id: 1,
            catalogs: generations
                .iter()
                .map(|generation| Catalog {
                    era: Era::default(),
                    generation: *generation,
                    basis_parts: 1,
                    ranges: 2,
                    emptied: Emptied::default(),
                })
                .collect(),
            eras: vec![Era::default()],
            last_era: Era::default(),
            begun_before: 100,
        };
        assert!(!known(&[50, 200]).is_old(50), "of one of the cache's embedders");
        assert!(known(&[200]).is_old(150), "before the newest");
        assert!(!known(&[50]).is_old(150), "being written");
        assert!(known(&[50]).is_old(99), "given up with its embedder");
        assert!(known(&[]).is_old(99) && !known(&[]).is_old(100));
    }
}
