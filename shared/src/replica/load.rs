//! Reading what the replica lacks.

use std::collections::{HashMap, HashSet};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mneme_model::embedder::ServedEmbedder;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::{Namespace, NamespaceHash};
use mneme_search::segment::CodeSegment;
use mneme_store::counter::Counter;
use mneme_store::entry_row::header_from_item;
use mneme_store::item::Item;
use mneme_store::key::RowKey;
use mneme_store::read::Projection;
use mneme_store::segments::manifest::SegmentManifest;
use mneme_store::segments::segment::{Segment, SegmentEntry};
use mneme_store::segments::{RANGE_IDS, ids_of, range_of};
use mneme_store::table::Table;

use super::namespace_index::NamespaceIndex;
use super::{Replica, drop_least_used};
use crate::segments::write::basis;

/// How many segments one call reads: 6 MB.
const SEGMENTS_AT_ONCE: usize = 40;
/// How many of these calls run at once.
const BATCHES_AT_ONCE: usize = 4;

/// How many rows are read by key at a time.
const ROWS_AT_ONCE: usize = 1000;

/// How many of the last rows, of those that are not packed, are read beside the segments.
const TAIL: u64 = 2 * RANGE_IDS;

/// From how many rows on that would be read by key a scan is the cheaper way to read a table for the first time.
const SCAN_INSTEAD: u64 = 20_000;

/// After how many rows of a scan the memory is looked after.
const ROWS_BETWEEN_LOOKS: usize = 1000;

impl Replica {
    /// Takes in the rows from `self.next_id` up to `next_id` that belong to namenamespaces held, and tells whether one of them
    /// was gone already.
    pub(super) async fn read_on(&mut self, table: &Table, next_id: u64) -> Result<bool, Error> {
        let from = self.next_id;
        let mut ids: Vec<u64> = (from..next_id).collect();
        // Not the range in which the last one seen stands: its first part is known.
        let ranges = from.saturating_sub(1).div_ceil(RANGE_IDS)..next_id.saturating_sub(1) / RANGE_IDS;
        if !ranges.is_empty()
            && let Some(served) = &self.served
            && let Some(manifest) = table.manifest(served.generation).await?.filter(|manifest| self.knows(manifest))
        {
            let packed = ranges.start..ranges.end.min(manifest.ranges);
            let missing = self.load_segments(table, &manifest, packed.clone()).await?;
            ids.retain(|id| !packed.contains(&(range_of(*id))) || missing.contains(&(range_of(*id))));
        }
        let mut incomplete = false;
        for some in ids.chunks(ROWS_AT_ONCE) {
            let keys = some.iter().copied().filter_map(EntryId::new).map(RowKey::from);
            let rows = table.batch_get(keys, Projection::Replica).await?;
            rows.iter().for_each(|(_, item)| self.upsert(item));
            incomplete |= rows.missing_entries().next().is_some();
            self.forget_replaced(table, rows.iter().map(|(_, item)| item)).await?;
            // What is in stays in, should the time be up before the rest is.
            self.next_id = some.last().map_or(self.next_id, |last| last + 1);
        }
        Ok(incomplete)
    }

    /// Forgets the older rows of the queries in `new` that are gone, as those that a put has replaced are.
    async fn forget_replaced(&mut self, table: &Table, new: impl Iterator<Item = &Item>) -> Result<(), Error> {
        let mut older = Vec::new();
        for row in new.filter_map(header_from_item) {
            let known = self.by_hash(&row.namespace, &row.query_hash);
            older.extend(known.into_iter().filter(|id| *id < row.id).map(|id| (row.clone(), id)));
        }
        let rows = table.batch_get(older.iter().map(|(_, id)| (*id).into()), Projection::Lru).await?;
        for (row, id) in older.iter().filter(|(_, id)| rows.get((*id).into()).is_none()) {
            self.forget(&row.namespace, *id, Some(&row.query_hash));
        }
        Ok(())
    }

    /// Reads `namespace` for the first time.
    pub(super) async fn read_first(
        &mut self,
        table: &Table,
        counter: &Counter,
        namespace: &Namespace,
    ) -> Result<(), Error> {
        let Some(ServedEmbedder { generation, dim, .. }) = self.served else { return Ok(()) };
        let manifest = table.manifest(generation).await?;
        if let Some(manifest) = manifest
            && counter.next_id.saturating_sub(manifest.next_id()) < SCAN_INSTEAD
            && self.fetch_basis(table, &manifest, dim).await?
        {
            // Beside what is held, so that no half of it is held should the time be up.
            let mut fresh = Self { served: self.served.clone(), basis: self.basis.clone(), ..Self::default() };
            fresh.read_packed(table, counter, namespace, &manifest).await?;
            self.namespaces.extend(fresh.namespaces);
            return Ok(());
        }
        self.scan(table, namespace).await
    }

    /// Sees to it that the basis of `manifest` is at hand. False where it is of no use.
    async fn fetch_basis(
        &mut self,
        table: &Table,
        manifest: &SegmentManifest,
        dim: Option<u32>,
    ) -> Result<bool, Error> {
        if !self.knows(manifest) {
            self.basis = basis(table, manifest).await?.map(|basis| (manifest.basis_version, basis));
        }
        Ok(self.basis.as_ref().is_some_and(|(_, basis)| dim.is_some_and(|dim| basis.dim() == dim as usize)))
    }

    fn knows(&self, manifest: &SegmentManifest) -> bool {
        self.basis.as_ref().is_some_and(|(version, _)| *version == manifest.basis_version)
    }

    /// Reads `namespace` into a replica that holds no other one.
    async fn read_packed(
        &mut self,
        table: &Table,
        counter: &Counter,
        namespace: &Namespace,
        manifest: &SegmentManifest,
    ) -> Result<(), Error> {
        let Some((_, basis)) = &self.basis else { return Ok(()) };
        self.namespaces.insert(namespace.clone(), NamespaceIndex::new(Some(basis.clone())));
        let rows = async |ids: &[u64]| {
            let keys = ids.iter().copied().filter_map(EntryId::new).map(RowKey::from);
            table.batch_get(keys, Projection::Replica).await
        };
        let (tail, ids) =
            (manifest.next_id()..counter.next_id).partition::<Vec<u64>, _>(|id| counter.next_id - id <= TAIL);
        let segments = self.load_segments(table, manifest, 0..manifest.ranges);
        let (tail, missing) = tokio::try_join!(rows(&tail), segments)?;
        tail.iter().for_each(|(_, item)| self.upsert(item));
        let ids: Vec<u64> = missing.into_iter().flat_map(ids_of).chain(ids).collect();
        for some in ids.chunks(ROWS_AT_ONCE) {
            rows(some).await?.iter().for_each(|(_, item)| self.upsert(item));
        }
        Ok(())
    }

    /// Loads the segments of `ranges` into the namenamespaces held, and returns the ranges whose segments are missing, torn, or of no use to
    /// a namespace held; ranges that hold nothing are neither.
    ///
    /// Reads: the segments, eventually consistent: they never change, and one that does not show yet is missing.
    async fn load_segments(
        &mut self,
        table: &Table,
        manifest: &SegmentManifest,
        ranges: std::ops::Range<u64>,
    ) -> Result<HashSet<u64>, Error> {
        let mut missing = HashSet::new();
        let held: HashMap<NamespaceHash, Namespace> =
            self.namespaces.keys().map(|namespace| (namespace.hash(), namespace.clone())).collect();
        let numbers: Vec<u64> = ranges.filter(|number| !manifest.empty_ranges.contains(*number)).collect();
        let key = |number: u64| RowKey::segment(manifest.basis_version, number);
        let batches: Vec<Vec<u64>> = numbers.chunks(SEGMENTS_AT_ONCE).map(<[u64]>::to_vec).collect();
        let mut read = stream::iter(batches)
            .map(async |some| {
                let items = table.batch_get_eventual(some.iter().copied().map(key)).await?;
                Ok::<_, Error>((some, items))
            })
            .buffered(BATCHES_AT_ONCE);
        while let Some((some, items)) = read.try_next().await? {
            for number in some {
                let segment = items.get(key(number)).and_then(|item| Segment::from_item(item, number));
                if !segment.is_some_and(|segment| self.load_segment(&segment, &held)) {
                    missing.insert(number);
                }
            }
        }
        Ok(missing)
    }

    /// False where it cannot be loaded into one of the namenamespaces that it is for: those `held`, and, where all are, those that are
    /// not known yet.
    fn load_segment(&mut self, segment: &Segment, held: &HashMap<NamespaceHash, Namespace>) -> bool {
        let mut entries: Vec<Vec<&SegmentEntry>> = vec![Vec::new(); segment.contexts.len()];
        segment.entries.iter().for_each(|entry| entries[usize::from(entry.context)].push(entry));
        let mut codes = None;
        for ((namespace, context_key), entries) in segment.contexts.iter().zip(entries) {
            let index = held.get(namespace).and_then(|namespace| self.namespaces.get_mut(namespace));
            let Some(index) = index else {
                // Its name stands in the rows alone.
                if self.has_all {
                    return false;
                }
                continue;
            };
            if let Some(bytes) = &segment.codes {
                let ids: Vec<u64> = entries.iter().map(|entry| entry.id).collect();
                let codes = codes.get_or_insert_with(|| CodeSegment::read(bytes));
                let loaded =
                    codes.as_ref().map_err(Clone::clone).and_then(|codes| index.load(*context_key, codes, &ids));
                if let Err(error) = loaded {
                    tracing::debug!(%error, "the rows of a segment are read one by one");
                    return false;
                }
            }
            entries.iter().for_each(|entry| index.note(entry.id, entry.hash_prefix, entry.number_fingerprint));
        }
        true
    }

    /// Reads the whole table: every namespace, or, where the memory does not suffice for all, `namespace` to stand beside as many of
    /// those held as it suffices for.
    async fn scan(&mut self, table: &Table, namespace: &Namespace) -> Result<(), Error> {
        let mut held = std::mem::take(&mut self.namespaces);
        let mut fresh = Self {
            served: self.served.clone(),
            has_all: true,
            budget: self.budget,
            basis: self.basis.take(),
            ..Self::default()
        };
        let mut taken = 0;
        table
            .scan(Projection::Replica, |item| {
                fresh.upsert(&item);
                taken += 1;
                if taken % ROWS_BETWEEN_LOOKS == 0 && !fresh.fits_beside(&held) {
                    fresh.namespaces.entry(namespace.clone()).or_default();
                    fresh.namespaces.retain(|name, _| name == namespace);
                    fresh.has_all = false;
                    while !fresh.fits_beside(&held) && drop_least_used(&mut held, namespace) {}
                }
            })
            .await?;
        fresh.namespaces.entry(namespace.clone()).or_default();
        if !fresh.has_all {
            fresh.namespaces.extend(held);
        }
        fresh.questions = self.questions;
        *self = fresh;
        Ok(())
    }
}
