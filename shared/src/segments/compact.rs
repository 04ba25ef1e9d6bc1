//! Rewriting and deleting segments. Ids are never reused, so a range only loses entries.

use std::collections::HashMap;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mneme_model::embedder::ServedEmbedder;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_store::key::RowKey;
use mneme_store::segments::manifest::SegmentManifest;
use mneme_store::segments::range_of;
use tokio::time::Instant;

use super::basis::load_basis;
use super::segment::write_segment;
use crate::cache::Cache;

/// A segment is rewritten if more than one in this many of its entries is gone. Each entry that is gone may cost a
/// lookup a read.
const MAX_GONE_DIVISOR: u64 = 4;

/// How many segments are deleted at once.
const WRITES_AT_ONCE: usize = 8;

/// How many entries each range of ids has, and how many its segment has. Filled by a pass over the whole table.
#[derive(Debug, Default)]
pub(crate) struct RangeCounts {
    /// Live entries by range.
    live: HashMap<u64, u64>,
    /// Entries by segment.
    in_segment: HashMap<RowKey, u64>,
}

/// What has to be done to a range that the manifest covers.
#[derive(Debug, PartialEq, Eq)]
enum Compaction {
    /// The range is empty. Its segment, if there is one, is deleted.
    Delete(Option<RowKey>),
    /// The segment is missing, or lost too many entries. It is written again.
    Rewrite,
    /// The segment stays.
    Keep,
}

impl RangeCounts {
    /// Counts a live entry.
    pub(crate) fn add_entry(&mut self, id: EntryId) {
        *self.live.entry(range_of(id.get())).or_default() += 1;
    }

    /// Records a segment with `entries` entries.
    pub(crate) fn add_segment(&mut self, key: RowKey, entries: u64) {
        self.in_segment.insert(key, entries);
    }

    /// What has to be done to `range`, whose segment has the key `key`.
    fn compaction(&self, range: u64, key: RowKey) -> Compaction {
        let live = self.live.get(&range).copied().unwrap_or_default();
        match self.in_segment.get(&key) {
            stored if live == 0 => Compaction::Delete(stored.map(|_| key)),
            Some(stored) if stored.saturating_sub(live) * MAX_GONE_DIVISOR <= *stored => Compaction::Keep,
            _ => Compaction::Rewrite,
        }
    }
}

/// Makes the segments of `served` agree with the entries that a pass over the whole table has counted: deletes the
/// segments of empty ranges, rewrites segments that lost many entries, and writes missing ones. Returns the number of
/// segments that were deleted or written.
///
/// `manifest`: as it was when the pass began. Every range that it covers was full by then.
/// Reads: the manifest; for a rewritten segment the basis and the rows. Writes: the manifest, segments.
/// Errors: `StoreBackendError`. What was done before the error stays.
pub(crate) async fn compact(
    cache: &Cache,
    served: &ServedEmbedder,
    manifest: &SegmentManifest,
    counts: &RangeCounts,
    until: Instant,
) -> Result<u64, Error> {
    let Some(mut current) = cache.table.manifest(served.generation).await? else { return Ok(0) };
    if current.basis_version != manifest.basis_version {
        return Ok(0);
    }
    let (mut deleted, mut rewritten) = (Vec::new(), Vec::new());
    let stored_empty_ranges = std::mem::take(&mut current.empty_ranges);
    for range in 0..manifest.ranges {
        match counts.compaction(range, RowKey::segment(manifest.basis_version, range)) {
            Compaction::Delete(key) => {
                current.empty_ranges.insert(range);
                deleted.extend(key);
            }
            Compaction::Rewrite => rewritten.push(range),
            Compaction::Keep => {}
        }
    }
    // The empty ranges are recorded before the segments are deleted. Otherwise a reader would read the rows of a range
    // whose segment is missing.
    if current.empty_ranges != stored_empty_ranges && !cache.table.save_empty_ranges(&current).await? {
        return Ok(0);
    }
    // The next pass does what there is no time for now.
    let is_in_time = |_: &RowKey| std::future::ready(Instant::now() < until);
    let mut compacted = stream::iter(deleted)
        .take_while(is_in_time)
        .map(|key| cache.table.delete_derived(key))
        .buffer_unordered(WRITES_AT_ONCE)
        .try_fold(0, |count, ()| std::future::ready(Ok(count + 1)))
        .await?;
    if rewritten.is_empty() {
        return Ok(compacted);
    }
    let Some(basis) = load_basis(&cache.table, &current).await? else { return Ok(compacted) };
    for range in rewritten {
        if Instant::now() >= until {
            break;
        }
        write_segment(cache, served, current.basis_version, range, &basis).await?;
        compacted += 1;
    }
    Ok(compacted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_deleted_rewritten_or_kept_by_the_entries_that_are_left() {
        let key = |range| RowKey::segment(1, range);
        let mut counts = RangeCounts::default();
        for (range, live, in_segment) in [(0, 0, Some(9)), (1, 5, None), (2, 75, Some(100)), (3, 74, Some(100))] {
            (0..live).for_each(|at| counts.add_entry(EntryId::new(range * 1024 + 1 + at).unwrap()));
            in_segment.into_iter().for_each(|entries| counts.add_segment(key(range), entries));
        }
        assert_eq!(counts.compaction(0, key(0)), Compaction::Delete(Some(key(0))));
        assert_eq!(counts.compaction(1, key(1)), Compaction::Rewrite, "the segment is missing");
        assert_eq!(counts.compaction(2, key(2)), Compaction::Keep);
        assert_eq!(counts.compaction(3, key(3)), Compaction::Rewrite, "more than a quarter of its entries are gone");
        assert_eq!(counts.compaction(4, key(4)), Compaction::Delete(None), "an empty range without a segment");
    }
}
