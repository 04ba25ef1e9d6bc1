//! Setting derived items right by going through the table, slice by slice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mneme_model::embedder::EmbedderGeneration;
use mneme_model::entry::EntryHeader;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::attribute as name;
use mneme_store::counter::Counter;
use mneme_store::entry_row::header_from_item;
use mneme_store::item::{Item, number};
use mneme_store::key::{DerivedKind, RowKey};
use mneme_store::read::{Projection, pointed_entry};
use mneme_store::segments::manifest::SegmentManifest;
use serde::Serialize;
use tokio::time::Instant;

use super::directory;
use super::eviction::{Evictions, enforce_all_caps};
use crate::cache::Cache;
use crate::segments::compact::{RangeCounts, compact};
use crate::segments::write::{SegmentsWritten, write_active_segments};
use crate::write::remove::{Reason, remove};

/// How long before the deadline no further page is begun.
const MARGIN: Duration = Duration::from_secs(3);

/// How many derived items are written at once.
const WRITES_AT_ONCE: usize = 8;

/// What was found out of order and set right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Repairs {
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
pub enum VacuumCursor {
    /// At the start of the table.
    Start,
    /// After this row, in the order in which DynamoDB scans.
    After(RowKey),
    /// With the caps: all rows have been gone through.
    Caps,
    /// With packed segments: the caps are kept.
    Pack,
}

impl VacuumCursor {
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
pub struct VacuumPass {
    only: Option<Namespace>,
    /// Expired entries removed.
    pub removed: Evictions,
    /// Repairs made.
    pub repaired: Repairs,
    /// What was packed.
    pub packed: SegmentsWritten,
    /// What this pass has found of the ranges of ids; `None` where it did not see the whole table.
    ranges: Option<RangeCounts>,
}

/// What one page of the table holds that matters here.
#[derive(Default)]
struct Slice {
    rows: Vec<EntryHeader>,
    highest: u64,
    pointers: Vec<(RowKey, EntryId)>,
    over: Vec<RowKey>,
    /// Items of bases and segments, with their generations.
    packed: Vec<(RowKey, u64)>,
    /// Segments, and how many entries they have.
    segments: Vec<(RowKey, u64)>,
    /// Items of one embedder alone, with its era.
    of_generation: Vec<(RowKey, EmbedderGeneration)>,
}

/// What a pass knows of the table from its beginning on.
struct Known {
    /// The counter's, which only grows: what is below it now is so for good.
    next_id: u64,
    /// Of the embedders that the cache has, the newest generation of packed segments last.
    manifests: Vec<SegmentManifest>,
    generations: Vec<EmbedderGeneration>,
    last_generation: EmbedderGeneration,
    /// Whoever began a generation before this one, by its epoch milliseconds, is not writing it any more.
    begun_before: u64,
}

/// Four times the longest invocation (AWS Lambda Developer Guide, "Lambda quotas").
const LONGEST_PACKING_MS: u64 = 3_600_000;

impl Known {
    /// Whether a segment, or a part of a basis, is of a generation that was given up. A young one above all others may be being
    /// written.
    fn is_old(&self, generation: u64) -> bool {
        let newest = self.manifests.last().map_or(0, |newest| newest.basis_version);
        generation < newest.max(self.begun_before)
            && self.manifests.iter().all(|manifest| manifest.basis_version != generation)
    }

    /// Whether the embedder is one that the cache has no more.
    fn is_over(&self, generation: EmbedderGeneration) -> bool {
        generation <= self.last_generation && !self.generations.contains(&generation)
    }
}

impl VacuumPass {
    /// A pass over all namespaces, or over `only` one.
    pub fn new(only: Option<Namespace>) -> Self {
        Self { only, ..Self::default() }
    }

    fn slice(&self, items: &[Item], now_secs: i64) -> Slice {
        let mut slice = Slice::default();
        for item in items {
            if let Some(row) = header_from_item(item) {
                slice.highest = slice.highest.max(row.id.get());
                if self.only.as_ref().is_none_or(|only| row.namespace == *only) {
                    slice.rows.push(row);
                }
                continue;
            }
            let Some(key) = item.get(name::ID).and_then(RowKey::from_attribute) else { continue };
            match key.derived_kind() {
                Some(DerivedKind::Pointer) => slice.pointers.extend(pointed_entry(item).map(|id| (key, id))),
                Some(DerivedKind::IdempotencyRecord)
                    if number(item, name::TTL).is_some_and(|until: i64| until <= now_secs) =>
                {
                    slice.over.push(key);
                }
                _ => {
                    slice.packed.extend(key.basis_version().map(|generation| (key, generation)));
                    slice.segments.extend(number(item, name::ENTRIES).map(|entries| (key, entries)));
                    slice.of_generation.extend(key.embedder_generation().map(|generation| (key, generation)));
                }
            }
        }
        slice
    }
}

/// Where the last pass that was to be resumed ended; the start, when it came to its end. Reads: one derived item.
pub async fn load_cursor(cache: &Cache) -> Result<VacuumCursor, Error> {
    let kept = cache.table.load_vacuum_cursor().await?;
    Ok(kept.and_then(|cursor| VacuumCursor::from_text(&cursor).ok()).unwrap_or(VacuumCursor::Start))
}

/// Keeps where a pass ended, for the next one. Writes: one derived item.
pub async fn save_cursor(cache: &Cache, next: Option<VacuumCursor>) -> Result<(), Error> {
    cache.table.save_vacuum_cursor(next.map(VacuumCursor::to_text)).await
}

/// Goes through the table from `at` on, then to the caps, then to what can be packed, until the end or until the
/// deadline is near, and returns where to go on: removes expired entries, gives every live entry its pointer, removes
/// duplicates and what leads nowhere, and moves the counter past every id in use. A pass over one namespace packs
/// nothing, and only one that goes through the whole table in one call thins out what is packed.
///
/// Reads: Scan pages and, for each, the pointers of its entries and the entries of its pointers; as [`Cache::compact`] and [`Cache::pack`].
/// Errors: `StoreBackendError`; what was set right until then stays so.
pub async fn run_pass(cache: &Cache, pass: &mut VacuumPass, at: VacuumCursor) -> Result<Option<VacuumCursor>, Error> {
    let mut at = at;
    let known = known(cache).await?;
    pass.ranges = (at == VacuumCursor::Start && pass.only.is_none()).then(RangeCounts::default);
    while !matches!(at, VacuumCursor::Caps | VacuumCursor::Pack) {
        let page = cache.table.scan_page((0, 1), at.after(), Projection::Stats).await?;
        let slice = pass.slice(&page.items, cache.now_secs());
        if !settle_slice(cache, pass, slice, &known).await? {
            return Ok(Some(at));
        }
        at = page.next.map_or(VacuumCursor::Caps, VacuumCursor::After);
        if Instant::now() + MARGIN >= cache.deadline {
            return Ok(Some(at));
        }
    }
    if at == VacuumCursor::Caps {
        let settled = settle_caps(cache, pass.only.as_ref()).await?;
        pass.removed.add(settled);
        if settled.unfinished {
            return Ok(Some(VacuumCursor::Caps));
        }
    }
    if pass.only.is_some() {
        return Ok(None);
    }
    let until = cache.deadline.checked_sub(MARGIN).unwrap_or(cache.deadline);
    let served = cache.counter().await?.active_embedder();
    let manifest = known.manifests.iter().find(|manifest| manifest.generation == served.generation);
    let ranges_thinned = match (pass.ranges.take(), manifest) {
        (Some(ranges), Some(manifest)) => compact(cache, &served, manifest, &ranges, until).await?,
        _ => 0,
    };
    pass.packed = SegmentsWritten { ranges_thinned, ..write_active_segments(cache, until).await? };
    Ok(pass.packed.unfinished.then_some(VacuumCursor::Pack))
}

async fn known(cache: &Cache) -> Result<Known, Error> {
    let Counter { next_id, generation, last_generation, second, .. } = cache.counter().await?;
    let generations: Vec<EmbedderGeneration> =
        std::iter::once(generation).chain(second.map(|second| second.generation)).collect();
    let mut manifests = Vec::new();
    for generation in &generations {
        manifests.extend(cache.table.manifest(*generation).await?);
    }
    manifests.sort_unstable_by_key(|manifest| manifest.basis_version);
    let begun_before = u64::try_from(cache.clock.now_ms()).unwrap_or(0).saturating_sub(LONGEST_PACKING_MS);
    Ok(Known { next_id, manifests, generations, last_generation, begun_before })
}

/// False when the time was up before all of the slice was settled.
async fn settle_slice(cache: &Cache, pass: &mut VacuumPass, slice: Slice, known: &Known) -> Result<bool, Error> {
    let now = cache.now_secs();
    pass.repaired.examined += slice.rows.len() as u64;
    let (expired, live): (Vec<EntryHeader>, Vec<EntryHeader>) =
        slice.rows.into_iter().partition(|row| row.is_expired(now));
    let removal = remove(cache, &expired, Reason::Expired).await?;
    pass.removed.expired += removal.removed;
    if removal.left > 0 {
        return Ok(false);
    }
    if slice.highest >= known.next_id {
        pass.repaired.counter_moved |= cache.table.raise_next_id_above(slice.highest).await?;
    }
    set_pointers(cache, pass, &live).await?;
    if let Some(ranges) = &mut pass.ranges {
        live.iter().for_each(|row| ranges.add_entry(row.id));
        slice.segments.iter().for_each(|(key, entries)| ranges.add_segment(*key, *entries));
    }
    if cache.config.max_entries.is_some() {
        for namespace in live.iter().map(|row| &row.namespace).collect::<BTreeSet<_>>() {
            directory::add(cache, namespace).await?;
        }
    }

    let targets = cache.table.batch_get(slice.pointers.iter().map(|(_, id)| (*id).into()), Projection::Lru).await?;
    let dangling = slice.pointers.into_iter().filter(|(_, id)| targets.get((*id).into()).is_none());
    let dropped: Vec<bool> = stream::iter(dangling)
        .map(|(pointer, id)| cache.table.delete_pointer(pointer, id))
        .buffer_unordered(WRITES_AT_ONCE)
        .try_collect()
        .await?;
    let ended: Vec<bool> = stream::iter(slice.over)
        .map(|receipt| cache.table.delete_idempotency_record(receipt, now))
        .buffer_unordered(WRITES_AT_ONCE)
        .try_collect()
        .await?;
    let packed = slice.packed.into_iter().filter(|(_, generation)| known.is_old(*generation)).map(|(key, _)| key);
    let of_generation =
        slice.of_generation.into_iter().filter(|(_, generation)| known.is_over(*generation)).map(|(key, _)| key);
    let old: Vec<RowKey> = packed.chain(of_generation).collect();
    stream::iter(old.clone())
        .map(|key| cache.table.delete_derived(key))
        .buffer_unordered(WRITES_AT_ONCE)
        .try_collect::<()>()
        .await?;
    let removed = dropped.iter().chain(&ended).filter(|removed| **removed).count() + old.len();
    pass.repaired.derived_removed += removed as u64;
    Ok(true)
}

/// Sees to it that each of the live `rows` is what its pair's pointer leads to; one that is not, while the pointer
/// leads to another live entry of the pair, is a duplicate and goes.
async fn set_pointers(cache: &Cache, pass: &mut VacuumPass, rows: &[EntryHeader]) -> Result<(), Error> {
    let mut by_pointer: BTreeMap<RowKey, Vec<&EntryHeader>> = BTreeMap::new();
    for row in rows {
        by_pointer.entry(RowKey::pointer(&row.namespace, &row.query_hash)).or_default().push(row);
    }
    let pointers = cache.table.batch_get(by_pointer.keys().copied(), Projection::All).await?;
    let pointed = |key: RowKey| pointers.get(key).and_then(pointed_entry);
    let targets = by_pointer.keys().filter_map(|key| pointed(*key)).map(RowKey::from);
    let targets = cache.table.batch_get(targets, Projection::Lru).await?;
    let now = cache.now_secs();
    let mut duplicates = Vec::new();
    for (key, mut pair) in by_pointer {
        // The newest first, so that it gets a missing pointer.
        pair.sort_unstable_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
        let seen = pointed(key);
        let target = seen.and_then(|id| header_from_item(targets.get(id.into())?)).filter(|target| {
            !target.is_expired(now) && target.namespace == pair[0].namespace && target.query_hash == pair[0].query_hash
        });
        let keeper = match target {
            Some(target) => target.id,
            None if cache.table.set_pointer(key, seen, pair[0].id).await? => {
                pass.repaired.pointers_set += 1;
                pair[0].id
            }
            // A put was faster, and has settled what the pair's entry is.
            None => continue,
        };
        duplicates.extend(pair.into_iter().filter(|row| row.id != keeper).cloned());
    }
    pass.repaired.duplicates += remove(cache, &duplicates, Reason::Requested).await?.removed;
    Ok(())
}

/// EventCounts the namespaces that have a quota, and the table where it has a cap, and brings them under it.
async fn settle_caps(cache: &Cache, only: Option<&Namespace>) -> Result<Evictions, Error> {
    let quotas = cache.counter().await?.quotas.into_iter().map(|(name, quota)| (Namespace::from_row(name), quota));
    let quotas: Vec<_> = quotas.filter(|(namespace, _)| only.is_none_or(|only| namespace == only)).collect();
    enforce_all_caps(cache, &quotas, cache.config.max_entries.filter(|_| only.is_none())).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use mneme_store::segments::empty_ranges::EmptyRanges;

    #[test]
    fn what_was_given_up_is_told_from_what_is_being_written() {
        let known = |generations: &[u64]| Known {
            next_id: 1,
            manifests: generations
                .iter()
                .map(|generation| SegmentManifest {
                    generation: EmbedderGeneration::default(),
                    basis_version: *generation,
                    basis_parts: 1,
                    ranges: 2,
                    empty_ranges: EmptyRanges::default(),
                })
                .collect(),
            generations: vec![EmbedderGeneration::default()],
            last_generation: EmbedderGeneration::default(),
            begun_before: 100,
        };
        assert!(!known(&[50, 200]).is_old(50), "of one of the cache's embedders");
        assert!(known(&[200]).is_old(150), "before the newest");
        assert!(!known(&[50]).is_old(150), "being written");
        assert!(known(&[50]).is_old(99), "given up with its embedder");
        assert!(known(&[]).is_old(99) && !known(&[]).is_old(100));
    }
}
