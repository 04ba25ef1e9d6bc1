//! Loading and training the basis that the codes of segments use.

use std::sync::Arc;

use mneme_model::embedder::ServedEmbedder;
use mneme_model::embedding::Embedding;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_search::segment::CodeSegment;
use mneme_search::{Basis, Index};
use mneme_store::entry_row::served_vector;
use mneme_store::key::RowKey;
use mneme_store::read::Projection;
use mneme_store::segments::empty_ranges::EmptyRanges;
use mneme_store::segments::manifest::SegmentManifest;
use mneme_store::segments::segment::Segment;
use mneme_store::segments::{RANGE_IDS, range_of};
use mneme_store::table::Table;

use crate::cache::Cache;

/// How many entries a basis is trained on, …
pub(super) const LARGE_SAMPLE_ROWS: usize = 8192;
/// … and how many if there is little time.
pub(super) const SMALL_SAMPLE_ROWS: usize = 2048;

/// How many of the last segments are read to find out whether the data has drifted away from the basis.
const DRIFT_RANGES: u64 = 4;

/// The basis of `manifest`; `None` if it is missing or corrupt. Reads: its parts. Errors: `StoreBackendError`.
pub(crate) async fn load_basis(table: &Table, manifest: &SegmentManifest) -> Result<Option<Arc<Basis>>, Error> {
    let Some(bytes) = table.basis_bytes(manifest).await? else { return Ok(None) };
    let basis = Basis::from_bytes(&bytes);
    Ok(basis.inspect_err(|error| tracing::warn!(%error, "the stored basis cannot be read")).ok().map(Arc::new))
}

/// Trains a basis on a sample of `sample_rows` of the entries below `next_id`, and stores a manifest without ranges for it. Returns
/// `None` if there are too few vectors, or if another instance has stored a manifest meanwhile.
///
/// Reads: these rows, the counter, up to three manifests. Writes: the parts of the basis, the manifest.
/// Errors: `StoreBackendError`.
pub(super) async fn train_basis(
    cache: &Cache,
    served: &ServedEmbedder,
    dim: usize,
    next_id: u64,
    sample_rows: usize,
) -> Result<Option<(SegmentManifest, Arc<Basis>)>, Error> {
    let empty_ranges = known_empty_ranges(cache, served).await?;
    let ids = (1..next_id).filter(|id| !empty_ranges.contains(range_of(*id)));
    let sample = fastrand::choose_multiple(ids, sample_rows);
    let keys = sample.into_iter().filter_map(EntryId::new).map(RowKey::from);
    let rows = cache.table.batch_get(keys, Projection::Replica).await?;
    let vectors: Vec<Embedding> =
        rows.iter().filter_map(|(_, item)| served_vector(item, served).filter(|vector| vector.dim() == dim)).collect();
    if (vectors.len() as u64) < RANGE_IDS {
        return Ok(None);
    }
    let training =
        tokio::task::spawn_blocking(move || Basis::train(dim, vectors.iter().map(Embedding::as_slice)).map(Arc::new));
    let basis = training.await.map_err(Error::internal)?.map_err(Error::internal)?;
    // The time is above every earlier version, so no key of an earlier basis is used again.
    let basis_version = u64::try_from(cache.clock.now_ms()).unwrap_or(0);
    let basis_parts = cache.table.put_basis(basis_version, &basis.to_bytes()).await?;
    let manifest =
        SegmentManifest { generation: served.generation, basis_version, basis_parts, ranges: 0, empty_ranges };
    let seen = cache.table.manifest(served.generation).await?;
    let is_stored = cache.table.replace_manifest(seen.as_ref(), &manifest).await?;
    Ok(is_stored.then_some((manifest, basis)))
}

/// The ranges that are known to hold no entry. They are the same for each embedder, so the active embedder's manifest
/// is read if `served` has none. Reads: the counter and up to two manifests.
async fn known_empty_ranges(cache: &Cache, served: &ServedEmbedder) -> Result<EmptyRanges, Error> {
    for generation in [served.generation, cache.counter_of_any_embedder().await?.active_embedder().generation] {
        if let Some(manifest) = cache.table.manifest(generation).await? {
            return Ok(manifest.empty_ranges);
        }
    }
    Ok(EmptyRanges::default())
}

/// Whether the entries of the last segments fit the basis so badly that a new basis would be better. Reads: up to four
/// segments, eventually consistent. Errors: `StoreBackendError`.
pub(super) async fn has_drifted(cache: &Cache, manifest: &SegmentManifest, basis: &Arc<Basis>) -> Result<bool, Error> {
    let last = manifest.ranges.saturating_sub(DRIFT_RANGES)..manifest.ranges;
    let keys = last.map(|range| (range, RowKey::segment(manifest.basis_version, range))).collect::<Vec<_>>();
    let items = cache.table.batch_get_eventual(keys.iter().map(|(_, key)| *key)).await?;
    let mut index = Index::with_basis(basis.clone());
    for (range, key) in keys {
        let segment = items.get(key).and_then(|item| Segment::from_item(item, range));
        if let Some(codes) = segment.and_then(|segment| segment.codes) {
            // A corrupt segment says nothing about the data, so it is skipped.
            CodeSegment::read(&codes).and_then(|codes| index.load(&codes)).ok();
        }
    }
    Ok(index.has_drifted())
}
