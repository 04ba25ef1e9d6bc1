//! The tag blocks of one tag, by ranges of ids.

use std::ops::Range;

use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::tag::Tag;
use mneme_store::key::RowKey;
use mneme_store::read::Projection;
use mneme_store::segments::manifest::SegmentManifest;
use mneme_store::segments::range_of;
use mneme_store::tag_blocks::TagBlock;

use crate::cache::Cache;

/// How many tag blocks are read at once: the keys of one BatchGetItem.
pub(crate) const BLOCKS_AT_ONCE: u64 = 100;

/// Where the blocks of one tag may be.
pub(crate) struct TagBlocks<'a> {
    cache: &'a Cache,
    namespace: &'a Namespace,
    tag: &'a Tag,
    manifest: Option<SegmentManifest>,
    /// The number of the range after the last one that has ids.
    pub(crate) end: u64,
}

impl<'a> TagBlocks<'a> {
    /// Reads the counter and the segment manifest, strongly. Errors: `StoreBackendError`.
    pub(crate) async fn of(cache: &'a Cache, namespace: &'a Namespace, tag: &'a Tag) -> Result<Self, Error> {
        let counter = cache.read_counter().await?;
        let manifest = cache.table.manifest(counter.generation).await?;
        let end = if counter.next_id > 1 { range_of(counter.next_id - 1) + 1 } else { 0 };
        Ok(Self { cache, namespace, tag, manifest, end })
    }

    /// The blocks of the ranges with these numbers, ascending. Reads, strongly: one key for each range that is not known to
    /// be empty. Errors: `StoreBackendError`.
    pub(crate) async fn read(&self, ranges: Range<u64>) -> Result<Vec<TagBlock>, Error> {
        let is_empty = |range| self.manifest.as_ref().is_some_and(|manifest| manifest.empty_ranges.contains(range));
        let keys = ranges.filter(|range| !is_empty(*range));
        let keys = keys.map(|range| RowKey::tag_block(self.namespace, self.tag, range));
        let items = self.cache.table.batch_get(keys, Projection::All).await?;
        let mut blocks: Vec<TagBlock> = items.iter().filter_map(|(_, item)| TagBlock::from_item(item)).collect();
        blocks.sort_unstable_by_key(|block| block.range);
        Ok(blocks)
    }
}
