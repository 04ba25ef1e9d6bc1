//! Learning the basis, and packing ranges of ids.

use std::sync::Arc;

use mneme_search::{Basis, DIMS, Index};
use serde::Serialize;
use tokio::time::Instant;

use super::emptied::Emptied;
use super::segment::{Fact, Segment};
use super::{Catalog, RANGE_IDS, ids_of};
use crate::cache::Cache;
use crate::embedders::Serving;
use crate::embedding::Embedding;
use crate::entry::{Item, exact_digest};
use crate::error::Error;
use crate::key::{EntryId, RowKey};
use crate::namespace::NamespaceHash;
use crate::question::Partition;
use crate::table::{Projection, Rows};
use crate::write::remove::RowRef;

/// From how many full ranges on they are packed: fewer entries are read soon enough, and teach a basis too little.
const LEAST_RANGES: u64 = 2;

/// How many entries the basis is learned from, at most.
const SAMPLE_ROWS: usize = 8192;

/// How many of the last ranges are asked whether the data has drifted away from the basis.
const DRIFT_RANGES: u64 = 4;

/// What packing came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Packed {
    /// Ranges packed by this call.
    pub ranges_packed: u64,
    /// Segments of ranges packed before that were removed, for nothing is left of them, or packed anew, for much is gone.
    pub ranges_thinned: u64,
    /// Whether a basis was learned.
    pub basis_learned: bool,
    /// Whether there is more to pack.
    #[serde(skip)]
    pub unfinished: bool,
}

impl Cache {
    /// Packs the active embedder's vectors of the full ranges of ids that are not packed yet, until `until`. The first time, and again when the data has
    /// drifted away from the basis, it learns one, from a sample of the entries; all ranges are packed anew then. Nothing
    /// is done for a cache of few entries, or of a dimension that has no basis.
    ///
    /// Reads: the catalog, the basis, a sample of up to 8,192 rows where one is learned, the rows of each range.
    /// Writes: a segment for each range and the catalog. Errors: `StoreBackendError`; what was packed stays packed.
    pub async fn pack(&self, until: Instant) -> Result<Packed, Error> {
        let counter = self.counter().await?;
        self.pack_vectors(&counter.active(), counter.next_id, until).await
    }

    /// As [`Cache::pack`], of the vectors that `serving` is of, all of which stand in the rows below `next_id`.
    pub(crate) async fn pack_vectors(&self, serving: &Serving, next_id: u64, until: Instant) -> Result<Packed, Error> {
        let full = next_id.saturating_sub(1) / RANGE_IDS;
        let dim = serving.dim.map_or(0, |dim| dim as usize);
        let mut packed = Packed::default();
        if full < LEAST_RANGES || !DIMS.contains(&dim) {
            return Ok(packed);
        }
        let mut known = match self.table.catalog(serving.era).await? {
            Some(catalog) => self.basis(&catalog).await?.map(|basis| (catalog, basis)),
            None => None,
        };
        if let Some((catalog, basis)) = &known
            && self.has_drifted(catalog, basis).await?
        {
            known = None;
        }
        let (mut catalog, basis) = match known {
            Some(known) => known,
            None => match self.learn(serving, dim, next_id).await? {
                Some(learned) => learned,
                None => return Ok(packed),
            },
        };
        packed.basis_learned = catalog.ranges == 0;
        while catalog.ranges < full {
            if Instant::now() >= until {
                packed.unfinished = true;
                break;
            }
            let is_empty = catalog.emptied.contains(catalog.ranges);
            if !self.pack_next(serving, &mut catalog, &basis).await? {
                // Another instance packs, too.
                break;
            }
            packed.ranges_packed += u64::from(!is_empty);
        }
        Ok(packed)
    }

    /// What the put does that filled range `number`: packs the active embedder's vectors of it. Where earlier ranges were missed, of
    /// the first two that are not packed, so that each put that fills one makes up for another.
    ///
    /// Reads: the counter, the catalog, the basis, the ranges' rows. Writes: as [`Cache::pack`].
    pub async fn pack_range(&self, number: u64) -> Result<(), Error> {
        let serving = self.counter().await?.active();
        if let Some(mut catalog) = self.table.catalog(serving.era).await?.filter(|catalog| catalog.ranges <= number)
            && let Some(basis) = self.basis(&catalog).await?
            && self.pack_next(&serving, &mut catalog, &basis).await?
            && catalog.ranges <= number
        {
            self.pack_next(&serving, &mut catalog, &basis).await?;
        }
        Ok(())
    }

    /// The basis of `catalog`; `None` where it is missing or torn. Reads: its parts.
    pub(crate) async fn basis(&self, catalog: &Catalog) -> Result<Option<Arc<Basis>>, Error> {
        let Some(bytes) = self.table.basis_bytes(catalog).await? else { return Ok(None) };
        let basis = Basis::from_bytes(&bytes);
        Ok(basis.inspect_err(|error| tracing::warn!(%error, "the basis in the table is of no use")).ok().map(Arc::new))
    }

    /// Packs the range after those of `catalog`, unless it is one that holds nothing, and counts it and those after it that hold
    /// nothing. False when another instance has done so.
    async fn pack_next(&self, serving: &Serving, catalog: &mut Catalog, basis: &Arc<Basis>) -> Result<bool, Error> {
        let number = catalog.ranges;
        if !catalog.emptied.contains(number) {
            self.put_segment(serving, catalog.generation, number, basis).await?;
        }
        let next = catalog.emptied.first_outside(number + 1);
        if !self.table.count_ranges(catalog, next).await? {
            return Ok(false);
        }
        catalog.ranges = next;
        Ok(true)
    }

    /// Packs range `number` on the `basis` of `generation`. Reads: its rows. Writes: its segment, over the one that is there.
    pub(super) async fn put_segment(
        &self,
        serving: &Serving,
        generation: u64,
        number: u64,
        basis: &Arc<Basis>,
    ) -> Result<(), Error> {
        let ids = ids_of(number).filter_map(EntryId::new).map(RowKey::from);
        let rows = self.table.batch_get(ids, Projection::Vectors).await?;
        let segment = segment_of(&rows, number, serving, basis)?;
        self.table.put_derived(segment.to_item(RowKey::segment(generation, number), number)).await
    }

    /// Learns a basis from a sample of the entries below `next_id`, and begins a catalog on it. `None` when there are too few
    /// vectors, or another instance has begun one.
    async fn learn(&self, serving: &Serving, dim: usize, next_id: u64) -> Result<Option<(Catalog, Arc<Basis>)>, Error> {
        let emptied = self.emptied_ranges(serving).await?;
        let ids = (1..next_id).filter(|id| !emptied.contains((id - 1) / RANGE_IDS));
        let sample = fastrand::choose_multiple(ids, SAMPLE_ROWS);
        let keys = sample.into_iter().filter_map(EntryId::new).map(RowKey::from);
        let rows = self.table.batch_get(keys, Projection::Vectors).await?;
        let vectors: Vec<Embedding> = rows.iter().filter_map(|(_, item)| vector(item, serving, dim)).collect();
        if (vectors.len() as u64) < RANGE_IDS {
            return Ok(None);
        }
        let learned = tokio::task::spawn_blocking(move || {
            Basis::train(dim, vectors.iter().map(Embedding::as_slice)).map(Arc::new)
        });
        let basis = learned.await.map_err(Error::internal)?.map_err(Error::internal)?;
        // Above every generation before, so that no key of theirs is ever used again.
        let generation = u64::try_from(self.clock.now_ms()).unwrap_or(0);
        let basis_parts = self.table.put_basis(generation, &basis.to_bytes()).await?;
        let catalog = Catalog { era: serving.era, generation, basis_parts, ranges: 0, emptied };
        let seen = self.table.catalog(serving.era).await?;
        let replaced = self.table.replace_catalog(seen.as_ref(), &catalog).await?;
        Ok(replaced.then_some((catalog, basis)))
    }

    /// The ranges that hold nothing, as far as is known: what embedder a catalog is of makes no difference to that.
    /// Reads: the counter and up to two catalogs.
    async fn emptied_ranges(&self, serving: &Serving) -> Result<Emptied, Error> {
        for era in [serving.era, self.counter().await?.active().era] {
            if let Some(catalog) = self.table.catalog(era).await? {
                return Ok(catalog.emptied);
            }
        }
        Ok(Emptied::default())
    }

    /// Whether the entries packed last fit the basis so badly that another one would be better. Reads: some segments.
    async fn has_drifted(&self, catalog: &Catalog, basis: &Arc<Basis>) -> Result<bool, Error> {
        let last = catalog.ranges.saturating_sub(DRIFT_RANGES)..catalog.ranges;
        let keys = last.map(|number| (number, RowKey::segment(catalog.generation, number))).collect::<Vec<_>>();
        let items = self.table.glance(keys.iter().map(|(_, key)| *key)).await?;
        let mut index = Index::with_basis(basis.clone());
        for (number, key) in keys {
            let segment = items.get(key).and_then(|item| Segment::from_item(item, number));
            if let Some(codes) = segment.and_then(|segment| segment.codes) {
                // One that is torn is no evidence.
                mneme_search::segment::CodeSegment::read(&codes).and_then(|codes| index.load(&codes)).ok();
            }
        }
        Ok(index.has_drifted())
    }
}

fn vector(item: &Item, serving: &Serving, dim: usize) -> Option<Embedding> {
    serving.vector(item).filter(|vector| vector.dim() == dim)
}

/// The segment of range `number`, whose entries are in `rows`.
fn segment_of(rows: &Rows, number: u64, serving: &Serving, basis: &Arc<Basis>) -> Result<Segment, Error> {
    let mut index = Index::with_basis(basis.clone());
    let mut segment = Segment::default();
    let mut entries: Vec<(RowRef, &Item)> =
        rows.iter().filter_map(|(_, item)| Some((RowRef::from_item(item)?, item))).collect();
    entries.sort_unstable_by_key(|(row, _)| row.id);
    for (row, item) in entries {
        let group = position(&mut segment.groups, (row.namespace.hash(), Partition::in_row(item)));
        let digest = exact_digest(item);
        segment.facts.push(Fact { id: row.id.get(), group, prefix: row.query_hash.prefix(), digest });
        if let Some(vector) = vector(item, serving, basis.dim()) {
            index.insert(row.id.get(), vector.as_slice()).map_err(Error::internal)?;
        }
    }
    segment.codes = index.pack(ids_of(number)).map_err(Error::internal)?;
    Ok(segment)
}

/// Where `group` stands in `groups`, which get it if they lack it. A range has fewer groups than a u16 has values.
fn position(groups: &mut Vec<(NamespaceHash, Option<Partition>)>, group: (NamespaceHash, Option<Partition>)) -> u16 {
    let at = groups.iter().position(|other| *other == group).unwrap_or_else(|| {
        groups.push(group);
        groups.len() - 1
    });
    at as u16
}
