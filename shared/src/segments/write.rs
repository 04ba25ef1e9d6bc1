//! Learning the basis, and packing ranges of ids.

use std::sync::Arc;

use mneme_model::context_key::ContextKey;
use mneme_model::embedder::ServedEmbedder;
use mneme_model::embedding::Embedding;
use mneme_model::entry::EntryHeader;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::NamespaceHash;
use mneme_search::{Basis, DIMS, Index};
use mneme_store::entry_row::{context_key, header_from_item, number_fingerprint, served_vector};
use mneme_store::item::Item;
use mneme_store::key::RowKey;
use mneme_store::read::{Projection, Rows};
use mneme_store::segments::empty_ranges::EmptyRanges;
use mneme_store::segments::manifest::SegmentManifest;
use mneme_store::segments::segment::{Segment, SegmentEntry};
use mneme_store::segments::{RANGE_IDS, ids_of, range_of};
use mneme_store::table::Table;
use serde::Serialize;
use tokio::time::Instant;

use crate::cache::Cache;

/// From how many full ranges on they are packed: fewer entries are read soon enough, and teach a basis too little.
const MIN_RANGES: u64 = 2;

/// How many entries the basis is learned from, at most.
const SAMPLE_ROWS: usize = 8192;

/// How many of the last ranges are asked whether the data has drifted away from the basis.
const DRIFT_RANGES: u64 = 4;

/// What packing came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SegmentsWritten {
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

/// Packs the active embedder's vectors of the full ranges of ids that are not packed yet, until `until`. The first time, and again when the data has
/// drifted away from the basis, it learns one, from a sample of the entries; all ranges are packed anew then. Nothing
/// is done for a cache of few entries, or of a dimension that has no basis.
///
/// Reads: the manifest, the basis, a sample of up to 8,192 rows where one is learned, the rows of each range.
/// Writes: a segment for each range and the manifest. Errors: `StoreBackendError`; what was packed stays packed.
pub async fn write_active_segments(cache: &Cache, until: Instant) -> Result<SegmentsWritten, Error> {
    let counter = cache.counter().await?;
    write_segments(cache, &counter.active_embedder(), counter.next_id, until).await
}

/// As [`Cache::pack`], of the vectors that `served` is of, all of which stand in the rows below `next_id`.
pub(crate) async fn write_segments(
    cache: &Cache,
    served: &ServedEmbedder,
    next_id: u64,
    until: Instant,
) -> Result<SegmentsWritten, Error> {
    let full = next_id.saturating_sub(1) / RANGE_IDS;
    let dim = served.dim.map_or(0, |dim| dim as usize);
    let mut packed = SegmentsWritten::default();
    if full < MIN_RANGES || !DIMS.contains(&dim) {
        return Ok(packed);
    }
    let mut known = match cache.table.manifest(served.generation).await? {
        Some(manifest) => basis(&cache.table, &manifest).await?.map(|basis| (manifest, basis)),
        None => None,
    };
    if let Some((manifest, basis)) = &known
        && has_drifted(cache, manifest, basis).await?
    {
        known = None;
    }
    let (mut manifest, basis) = match known {
        Some(known) => known,
        None => match learn(cache, served, dim, next_id).await? {
            Some(learned) => learned,
            None => return Ok(packed),
        },
    };
    packed.basis_learned = manifest.ranges == 0;
    while manifest.ranges < full {
        if Instant::now() >= until {
            packed.unfinished = true;
            break;
        }
        let is_empty = manifest.empty_ranges.contains(manifest.ranges);
        if !write_next(cache, served, &mut manifest, &basis).await? {
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
/// Reads: the counter, the manifest, the basis, the ranges' rows. Writes: as [`Cache::pack`].
pub async fn write_range(cache: &Cache, number: u64) -> Result<(), Error> {
    let served = cache.counter().await?.active_embedder();
    if let Some(mut manifest) =
        cache.table.manifest(served.generation).await?.filter(|manifest| manifest.ranges <= number)
        && let Some(basis) = basis(&cache.table, &manifest).await?
        && write_next(cache, &served, &mut manifest, &basis).await?
        && manifest.ranges <= number
    {
        write_next(cache, &served, &mut manifest, &basis).await?;
    }
    Ok(())
}

/// The basis of `manifest`; `None` where it is missing or torn. Reads: its parts.
pub(crate) async fn basis(table: &Table, manifest: &SegmentManifest) -> Result<Option<Arc<Basis>>, Error> {
    let Some(bytes) = table.basis_bytes(manifest).await? else { return Ok(None) };
    let basis = Basis::from_bytes(&bytes);
    Ok(basis.inspect_err(|error| tracing::warn!(%error, "the basis in the table is of no use")).ok().map(Arc::new))
}

/// Packs the range after those of `manifest`, unless it is one that holds nothing, and counts it and those after it that hold
/// nothing. False when another instance has done so.
async fn write_next(
    cache: &Cache,
    served: &ServedEmbedder,
    manifest: &mut SegmentManifest,
    basis: &Arc<Basis>,
) -> Result<bool, Error> {
    let number = manifest.ranges;
    if !manifest.empty_ranges.contains(number) {
        put_segment(cache, served, manifest.basis_version, number, basis).await?;
    }
    let next = manifest.empty_ranges.first_outside(number + 1);
    if !cache.table.set_ranges(manifest, next).await? {
        return Ok(false);
    }
    manifest.ranges = next;
    Ok(true)
}

/// Packs range `number` on the `basis` of `generation`. Reads: its rows. Writes: its segment, over the one that is there.
pub(super) async fn put_segment(
    cache: &Cache,
    served: &ServedEmbedder,
    basis_version: u64,
    number: u64,
    basis: &Arc<Basis>,
) -> Result<(), Error> {
    let ids = ids_of(number).filter_map(EntryId::new).map(RowKey::from);
    let rows = cache.table.batch_get(ids, Projection::Replica).await?;
    let segment = encode_range(&rows, number, served, basis)?;
    cache.table.put_derived(segment.to_item(RowKey::segment(basis_version, number), number)).await
}

/// Learns a basis from a sample of the entries below `next_id`, and begins a manifest on it. `None` when there are too few
/// vectors, or another instance has begun one.
async fn learn(
    cache: &Cache,
    served: &ServedEmbedder,
    dim: usize,
    next_id: u64,
) -> Result<Option<(SegmentManifest, Arc<Basis>)>, Error> {
    let empty_ranges = empty_ranges(cache, served).await?;
    let ids = (1..next_id).filter(|id| !empty_ranges.contains(range_of(*id)));
    let sample = fastrand::choose_multiple(ids, SAMPLE_ROWS);
    let keys = sample.into_iter().filter_map(EntryId::new).map(RowKey::from);
    let rows = cache.table.batch_get(keys, Projection::Replica).await?;
    let vectors: Vec<Embedding> = rows.iter().filter_map(|(_, item)| vector(item, served, dim)).collect();
    if (vectors.len() as u64) < RANGE_IDS {
        return Ok(None);
    }
    let learned =
        tokio::task::spawn_blocking(move || Basis::train(dim, vectors.iter().map(Embedding::as_slice)).map(Arc::new));
    let basis = learned.await.map_err(Error::internal)?.map_err(Error::internal)?;
    // Above every generation before, so that no key of theirs is ever used again.
    let basis_version = u64::try_from(cache.clock.now_ms()).unwrap_or(0);
    let basis_parts = cache.table.put_basis(basis_version, &basis.to_bytes()).await?;
    let manifest =
        SegmentManifest { generation: served.generation, basis_version, basis_parts, ranges: 0, empty_ranges };
    let seen = cache.table.manifest(served.generation).await?;
    let replaced = cache.table.replace_manifest(seen.as_ref(), &manifest).await?;
    Ok(replaced.then_some((manifest, basis)))
}

/// The ranges that hold nothing, as far as is known: what embedder a manifest is of makes no difference to that.
/// Reads: the counter and up to two manifests.
async fn empty_ranges(cache: &Cache, served: &ServedEmbedder) -> Result<EmptyRanges, Error> {
    for generation in [served.generation, cache.counter().await?.active_embedder().generation] {
        if let Some(manifest) = cache.table.manifest(generation).await? {
            return Ok(manifest.empty_ranges);
        }
    }
    Ok(EmptyRanges::default())
}

/// Whether the entries packed last fit the basis so badly that another one would be better. Reads: some segments.
async fn has_drifted(cache: &Cache, manifest: &SegmentManifest, basis: &Arc<Basis>) -> Result<bool, Error> {
    let last = manifest.ranges.saturating_sub(DRIFT_RANGES)..manifest.ranges;
    let keys = last.map(|number| (number, RowKey::segment(manifest.basis_version, number))).collect::<Vec<_>>();
    let items = cache.table.batch_get_eventual(keys.iter().map(|(_, key)| *key)).await?;
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

fn vector(item: &Item, served: &ServedEmbedder, dim: usize) -> Option<Embedding> {
    served_vector(item, served).filter(|vector| vector.dim() == dim)
}

/// The segment of range `number`, whose entries are in `rows`.
fn encode_range(rows: &Rows, number: u64, served: &ServedEmbedder, basis: &Arc<Basis>) -> Result<Segment, Error> {
    let mut index = Index::with_basis(basis.clone());
    let mut segment = Segment::default();
    let mut entries: Vec<(EntryHeader, &Item)> =
        rows.iter().filter_map(|(_, item)| Some((header_from_item(item)?, item))).collect();
    entries.sort_unstable_by_key(|(row, _)| row.id);
    for (row, item) in entries {
        let context = position(&mut segment.contexts, (row.namespace.hash(), context_key(item)));
        segment.entries.push(SegmentEntry {
            id: row.id.get(),
            context,
            hash_prefix: row.query_hash.prefix(),
            number_fingerprint: number_fingerprint(item),
        });
        if let Some(vector) = vector(item, served, basis.dim()) {
            index.insert(row.id.get(), vector.as_slice()).map_err(Error::internal)?;
        }
    }
    segment.codes = index.pack(ids_of(number)).map_err(Error::internal)?;
    Ok(segment)
}

/// Where `group` stands in `groups`, which get it if they lack it. A range has fewer groups than a u16 has values.
fn position(groups: &mut Vec<(NamespaceHash, Option<ContextKey>)>, group: (NamespaceHash, Option<ContextKey>)) -> u16 {
    let at = groups.iter().position(|other| *other == group).unwrap_or_else(|| {
        groups.push(group);
        groups.len() - 1
    });
    at as u16
}
