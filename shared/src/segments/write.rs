//! Writing segments for the ranges that have none yet.

use std::sync::Arc;

use mneme_model::embedder::ServedEmbedder;
use mneme_model::error::Error;
use mneme_search::{Basis, DIMS};
use mneme_store::segments::RANGE_IDS;
use mneme_store::segments::manifest::SegmentManifest;
use serde::Serialize;
use tokio::time::Instant;

use super::basis::{has_drifted, load_basis, train_basis};
use super::segment::write_segment;
use crate::cache::Cache;

/// The least number of full ranges for which segments are written. Fewer entries are read fast enough without segments,
/// and are too few to train a basis on.
const MIN_RANGES: u64 = 2;

/// What writing segments has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SegmentsWritten {
    /// Ranges for which a segment was written.
    pub ranges_packed: u64,
    /// Segments that were deleted because their range is empty, or rewritten because many of its entries are gone.
    pub ranges_thinned: u64,
    /// Whether a basis was trained.
    pub basis_learned: bool,
    /// Whether ranges remain for which a segment has to be written.
    #[serde(skip)]
    pub unfinished: bool,
}

/// Writes segments with the active embedder's vectors for the full ranges that have none yet, until `until`.
///
/// The first call trains a basis on a sample of the entries. A later call trains a new one if the data has drifted away
/// from the basis, and then writes all segments again. Does nothing for a cache with few entries, or with a dimension
/// that codes do not support.
///
/// Reads: the counter, the manifest, the basis, the last segments, the rows of each range; up to 8,192 rows for a
/// training.
/// Writes: a segment for each range, the manifest, a new basis. Errors: `StoreBackendError`. Segments that were written
/// before the error stay.
pub async fn write_active_segments(cache: &Cache, until: Instant) -> Result<SegmentsWritten, Error> {
    let counter = cache.counter_of_any_embedder().await?;
    write_segments(cache, &counter.active_embedder(), counter.next_id, until).await
}

/// Writes segments as [`write_active_segments`], with the vectors of `served`, for the ranges below `next_id`.
pub(crate) async fn write_segments(
    cache: &Cache,
    served: &ServedEmbedder,
    next_id: u64,
    until: Instant,
) -> Result<SegmentsWritten, Error> {
    let full_ranges = next_id.saturating_sub(1) / RANGE_IDS;
    let dim = served.dim.map_or(0, |dim| dim as usize);
    let mut written = SegmentsWritten::default();
    if full_ranges < MIN_RANGES || !DIMS.contains(&dim) {
        return Ok(written);
    }
    let (mut manifest, basis) = match usable_basis(cache, served).await? {
        Some(stored) => stored,
        None => match train_basis(cache, served, dim, next_id).await? {
            Some(trained) => trained,
            None => return Ok(written),
        },
    };
    written.basis_learned = manifest.ranges == 0;
    while manifest.ranges < full_ranges {
        if Instant::now() >= until {
            written.unfinished = true;
            break;
        }
        let is_empty = manifest.empty_ranges.contains(manifest.ranges);
        if !write_next(cache, served, &mut manifest, &basis).await? {
            // Another instance writes segments at the same time.
            break;
        }
        written.ranges_packed += u64::from(!is_empty);
    }
    Ok(written)
}

/// The manifest and the basis of `served`; `None` if there is none, or if the data has drifted away from it.
async fn usable_basis(cache: &Cache, served: &ServedEmbedder) -> Result<Option<(SegmentManifest, Arc<Basis>)>, Error> {
    let Some(manifest) = cache.table.manifest(served.generation).await? else { return Ok(None) };
    let Some(basis) = load_basis(&cache.table, &manifest).await? else { return Ok(None) };
    let has_drifted = has_drifted(cache, &manifest, &basis).await?;
    Ok((!has_drifted).then_some((manifest, basis)))
}

/// Writes the segment of `range` with the active embedder's vectors. A put that fills a range calls this.
///
/// If earlier ranges have no segment, the first two of them are written instead. Each put that fills a range thus also
/// makes up for an earlier one. Does nothing without a manifest.
/// Reads: the counter, the manifest, the basis, the rows of the ranges. Writes: up to two segments, the manifest.
/// Errors: `StoreBackendError`.
pub async fn write_range(cache: &Cache, range: u64) -> Result<(), Error> {
    let served = cache.counter_of_any_embedder().await?.active_embedder();
    if let Some(mut manifest) =
        cache.table.manifest(served.generation).await?.filter(|manifest| manifest.ranges <= range)
        && let Some(basis) = load_basis(&cache.table, &manifest).await?
        && write_next(cache, &served, &mut manifest, &basis).await?
        && manifest.ranges <= range
    {
        write_next(cache, &served, &mut manifest, &basis).await?;
    }
    Ok(())
}

/// Writes the segment of the first range that `manifest` does not cover, unless the range is known to be empty, and
/// records this range and the empty ranges after it. Returns false if another instance has done so meanwhile.
async fn write_next(
    cache: &Cache,
    served: &ServedEmbedder,
    manifest: &mut SegmentManifest,
    basis: &Arc<Basis>,
) -> Result<bool, Error> {
    let range = manifest.ranges;
    if !manifest.empty_ranges.contains(range) {
        write_segment(cache, served, manifest.basis_version, range, basis).await?;
    }
    let next = manifest.empty_ranges.first_outside(range + 1);
    if !cache.table.set_ranges(manifest, next).await? {
        return Ok(false);
    }
    manifest.ranges = next;
    Ok(true)
}
