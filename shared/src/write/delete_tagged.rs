//! Removing the entries of a namespace that have a tag, in bounded slices.

use std::collections::BTreeSet;
use std::time::Duration;

use mneme_model::entry::EntryHeader;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_store::entry_row::header_from_item;
use mneme_store::key::RowKey;
use mneme_store::read::Projection;
use mneme_store::tag_blocks::TagBlock;
use mneme_store::tag_deletion::TagDeletion;
use tokio::time::Instant;

use super::remove::{Reason, remove};
use crate::cache::Cache;
use crate::entries::tag_blocks::{BLOCKS_AT_ONCE, TagBlocks};

/// How long before the deadline no further block is begun.
const MARGIN: Duration = Duration::from_secs(1);

/// The result of one slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaggedSlice {
    /// How many live entries were removed.
    pub removed: u64,
    /// The number of the range of ids with which the next slice starts. `None`: the deletion is complete.
    pub next: Option<u64>,
}

/// Removes the entries that `deletion` covers and `is_wanted` accepts, from the range of ids number `first` on. Ends
/// after the block with which `limit` entries are reached, or when the deadline is near.
///
/// Reads: the counter, the segment manifest, one tag block for each range of 1,024 ids that is not known to be empty, 100
/// in a call, and the rows that the blocks name; all strongly consistent. So no entry acknowledged before is missed,
/// unless its block was lost. Writes: removals, and what is left of the blocks.
/// Errors: `StoreBackendError`. What was removed before the error stays removed.
pub async fn delete_tagged(
    cache: &Cache,
    deletion: &TagDeletion,
    first: u64,
    limit: u64,
    is_wanted: impl Fn(&EntryHeader) -> bool,
) -> Result<TaggedSlice, Error> {
    let blocks = TagBlocks::of(cache, &deletion.namespace, &deletion.tag).await?;
    let mut removed = 0;
    let mut at = first;
    while at < blocks.end {
        let after = blocks.end.min(at.saturating_add(BLOCKS_AT_ONCE));
        for block in blocks.read(at..after).await? {
            if removed >= limit || Instant::now() + MARGIN >= cache.deadline {
                return Ok(TaggedSlice { removed, next: Some(block.range) });
            }
            let (of_block, is_complete) = delete_block(cache, deletion, &block, &is_wanted).await?;
            removed += of_block;
            if !is_complete {
                return Ok(TaggedSlice { removed, next: Some(block.range) });
            }
        }
        at = after;
    }
    Ok(TaggedSlice { removed, next: None })
}

/// Removes the entries of one block. Returns how many live ones were removed, and whether the time sufficed for all.
async fn delete_block(
    cache: &Cache,
    deletion: &TagDeletion,
    block: &TagBlock,
    is_wanted: &impl Fn(&EntryHeader) -> bool,
) -> Result<(u64, bool), Error> {
    let rows = cache.table.batch_get(block.ids.iter().map(|id| RowKey::from(*id)), Projection::Lru).await?;
    let rows = rows.iter().filter_map(|(_, item)| header_from_item(item));
    let tagged = rows.filter(|row| row.namespace == deletion.namespace && row.tags.contains(&deletion.tag));
    let (covered, kept): (Vec<_>, Vec<_>) = tagged.partition(|row| deletion.covers(row) && is_wanted(row));
    let now = cache.now_secs();
    let (expired, live): (Vec<_>, Vec<_>) = covered.into_iter().partition(|row| row.is_expired(now));
    let live = remove(cache, &live, Reason::Tagged(&deletion.tag)).await?;
    let expired = remove(cache, &expired, Reason::Expired).await?;
    if live.left + expired.left > 0 {
        return Ok((live.removed, false));
    }
    let kept: BTreeSet<EntryId> = kept.iter().map(|row| row.id).collect();
    let gone: BTreeSet<EntryId> = block.ids.difference(&kept).copied().collect();
    if !gone.is_empty() || block.ids.is_empty() {
        cache.table.remove_tagged(block.key, &gone).await?;
    }
    Ok((live.removed, true))
}
