//! Keeping what is packed in proportion to what is stored: ids are given out and never again, entries come and go.

use std::collections::HashMap;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mneme_model::embedder::ServedEmbedder;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_store::key::RowKey;
use mneme_store::segments::manifest::SegmentManifest;
use mneme_store::segments::range_of;
use tokio::time::Instant;

use super::write::{basis, put_segment};
use crate::cache::Cache;

/// A segment is packed anew when more than one in so many of its entries are gone: each is a key in vain to whoever has to read
/// what may be near.
const ONE_GONE_IN: u64 = 4;

/// How many segments are removed at once.
const WRITES_AT_ONCE: usize = 8;

/// What a pass through the whole table has found of the ranges.
#[derive(Debug, Default)]
pub(crate) struct RangeCounts {
    /// Entries by range.
    live: HashMap<u64, u64>,
    /// How many entries each segment has.
    packed: HashMap<RowKey, u64>,
}

impl RangeCounts {
    /// EventCounts a live entry.
    pub(crate) fn add_entry(&mut self, id: EntryId) {
        *self.live.entry(range_of(id.get())).or_default() += 1;
    }

    /// Notes a segment of `entries`.
    pub(crate) fn add_segment(&mut self, key: RowKey, entries: u64) {
        self.packed.insert(key, entries);
    }
}

/// Brings the packed segments of `served` in line with the entries that a whole pass has found: removes those of ranges that
/// hold none any more, packs those anew of which much is gone, and makes those that are missing. `manifest`: as it was when the
/// pass began, so that every range in it was full by then. Returns how many segments it has removed or written.
///
/// Reads: the manifest; where ranges are packed anew, the basis and their rows. Writes: the manifest, segments.
/// Errors: `StoreBackendError`; what was done until then stays done.
pub(crate) async fn compact(
    cache: &Cache,
    served: &ServedEmbedder,
    manifest: &SegmentManifest,
    ranges: &RangeCounts,
    until: Instant,
) -> Result<u64, Error> {
    let Some(mut now) = cache.table.manifest(served.generation).await? else { return Ok(0) };
    if now.basis_version != manifest.basis_version {
        return Ok(0);
    }
    let (mut over, mut anew) = (Vec::new(), Vec::new());
    let seen = std::mem::take(&mut now.empty_ranges);
    for number in 0..manifest.ranges {
        let key = RowKey::segment(manifest.basis_version, number);
        let live = ranges.live.get(&number).copied().unwrap_or_default();
        match ranges.packed.get(&key) {
            packed if live == 0 => {
                now.empty_ranges.insert(number);
                over.extend(packed.map(|_| key));
            }
            Some(packed) if (packed.saturating_sub(live)) * ONE_GONE_IN <= *packed => {}
            _ => anew.push(number),
        }
    }
    // Before the segments go, so that nobody reads the rows for want of them.
    if now.empty_ranges != seen && !cache.table.save_empty_ranges(&now).await? {
        return Ok(0);
    }
    // What the time does not suffice for, the next pass finds again.
    let in_time = |_: &RowKey| std::future::ready(Instant::now() < until);
    let mut thinned = stream::iter(over)
        .take_while(in_time)
        .map(|key| cache.table.delete_derived(key))
        .buffer_unordered(WRITES_AT_ONCE)
        .try_fold(0, |dropped, ()| std::future::ready(Ok(dropped + 1)))
        .await?;
    if anew.is_empty() {
        return Ok(thinned);
    }
    let Some(basis) = basis(&cache.table, &now).await? else { return Ok(thinned) };
    for number in anew {
        if Instant::now() >= until {
            break;
        }
        put_segment(cache, served, now.basis_version, number, &basis).await?;
        thinned += 1;
    }
    Ok(thinned)
}
