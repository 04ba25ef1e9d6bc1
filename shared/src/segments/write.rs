//! Writing segments for the ranges that have none yet.

use std::sync::Arc;
use std::time::Duration;

use mneme_model::embedder::ServedEmbedder;
use mneme_model::error::Error;
use mneme_search::{Basis, DIMS};
use mneme_store::key::RowKey;
use mneme_store::segments::RANGE_IDS;
use mneme_store::segments::manifest::SegmentManifest;
use serde::Serialize;
use tokio::time::Instant;

use super::basis::{LARGE_SAMPLE_ROWS, SMALL_SAMPLE_ROWS, has_drifted, load_basis, train_basis};
use super::segment::write_segment;
use crate::cache::Cache;

/// The least number of full ranges for which segments are written. Fewer entries are read fast enough without segments,
/// and are too few to train a basis on.
const MIN_RANGES: u64 = 2;

/// How long a training may take. None is begun with less time left.
const TRAINING_TIME: Duration = Duration::from_secs(10);
/// With less time left than this, a training uses the smaller sample.
const LARGE_TRAINING_TIME: Duration = Duration::from_secs(60);

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

/// Writes segments with the vectors of `served` for the full ranges below `next_id` that have none yet, until `until`.
///
/// The first call trains a basis on a sample of the entries. A later call trains a new one if the data has drifted away
/// from the basis, and then writes all segments again. Does nothing for a cache with few entries, or with a dimension
/// that codes do not support.
///
/// Reads: the manifest, the basis, the last segments, the rows of each range; up to 8,192 rows for a training. Writes: a
/// segment for each range, the manifest, a new basis. Errors: `StoreBackendError`. Segments that were written before the
/// error stay.
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
    let (mut manifest, basis) = match usable_basis(cache, served, next_id).await? {
        Some(stored) => stored,
        None => {
            let left = until.saturating_duration_since(Instant::now());
            if left < TRAINING_TIME {
                return Ok(SegmentsWritten { unfinished: true, ..written });
            }
            let rows = if left < LARGE_TRAINING_TIME { SMALL_SAMPLE_ROWS } else { LARGE_SAMPLE_ROWS };
            match train_basis(cache, served, dim, next_id, rows).await? {
                Some(trained) => trained,
                None => return Ok(written),
            }
        }
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

/// The manifest and the basis of `served`; `None` if there is none, if the data has drifted away from the basis, or if
/// the manifest is from a later state of the table.
async fn usable_basis(
    cache: &Cache,
    served: &ServedEmbedder,
    next_id: u64,
) -> Result<Option<(SegmentManifest, Arc<Basis>)>, Error> {
    let Some(manifest) = valid_manifest(cache, served, next_id).await? else { return Ok(None) };
    let Some(basis) = load_basis(&cache.table, &manifest).await? else { return Ok(None) };
    let has_drifted = has_drifted(cache, &manifest, &basis).await?;
    Ok((!has_drifted).then_some((manifest, basis)))
}

/// The manifest of `served`. A manifest that covers ids which were not given out belongs to a later state of the table,
/// from before it was restored. Such a manifest is deleted, because other entries will get these ids.
///
/// `next_id`: as the counter has it. Reads: the manifest; if it is ahead, the counter. Writes: as said.
async fn valid_manifest(
    cache: &Cache,
    served: &ServedEmbedder,
    next_id: u64,
) -> Result<Option<SegmentManifest>, Error> {
    let Some(manifest) = cache.table.manifest(served.generation).await? else { return Ok(None) };
    // Other writers may have filled and packed further ranges since the caller read the counter.
    if manifest.next_id() <= next_id || manifest.next_id() <= cache.counter_of_any_embedder().await?.next_id {
        return Ok(Some(manifest));
    }
    tracing::warn!(ranges = manifest.ranges, "the segments are from a later state of the table, and are written again");
    cache.table.delete_derived(RowKey::manifest(served.generation)).await?;
    Ok(None)
}

/// Writes the segment of `range` with the active embedder's vectors. A put that fills a range calls this, so that
/// nobody has to call `vacuum` after an import.
///
/// If earlier ranges have no segment, the first two of them are written instead. Each put that fills a range thus also
/// makes up for an earlier one. The first put that finds enough full ranges and no manifest trains the basis.
/// Reads: the counter, the manifest, the basis, the rows of the ranges; for a training up to 2,048 rows. Writes: up to
/// two segments, the manifest, a new basis. Errors: `StoreBackendError`.
pub async fn write_range(cache: &Cache, range: u64) -> Result<(), Error> {
    let counter = cache.counter_of_any_embedder().await?;
    let served = counter.active_embedder();
    let stored = match valid_manifest(cache, &served, counter.next_id).await? {
        Some(manifest) => load_basis(&cache.table, &manifest).await?.map(|basis| (manifest, basis)),
        None => first_basis(cache, &served, counter.next_id).await?,
    };
    if let Some((mut manifest, basis)) = stored
        && manifest.ranges <= range
        && write_next(cache, &served, &mut manifest, &basis).await?
        && manifest.ranges <= range
    {
        write_next(cache, &served, &mut manifest, &basis).await?;
    }
    Ok(())
}

/// A basis for a cache that has none yet; `None` if the cache is too small or there is not enough time.
async fn first_basis(
    cache: &Cache,
    served: &ServedEmbedder,
    next_id: u64,
) -> Result<Option<(SegmentManifest, Arc<Basis>)>, Error> {
    let dim = served.dim.map_or(0, |dim| dim as usize);
    let is_large_enough = next_id.saturating_sub(1) / RANGE_IDS >= MIN_RANGES && DIMS.contains(&dim);
    if !is_large_enough || cache.deadline.saturating_duration_since(Instant::now()) < TRAINING_TIME {
        return Ok(None);
    }
    train_basis(cache, served, dim, next_id, SMALL_SAMPLE_ROWS).await
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
