//! Tag blocks that name the entries with the tag, and deletions by a tag that their callers did not finish.

use std::collections::{BTreeMap, BTreeSet};

use mneme_model::entry::EntryHeader;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_store::entry_row::header_from_item;
use mneme_store::key::RowKey;
use mneme_store::read::Projection;
use mneme_store::segments::range_of;
use mneme_store::tag_blocks::{TagAdditions, TagBlock};
use mneme_store::tag_deletion::TagDeletion;

use super::pass::VacuumPass;
use crate::cache::Cache;
use crate::write::delete_tagged::delete_tagged;

/// Adds the ids of `rows` to the tag blocks that lack them.
///
/// Reads: the blocks of the rows' tags. Writes: one UpdateItem for each block that lacks an id. Errors:
/// `StoreBackendError`.
pub(super) async fn restore_blocks(cache: &Cache, pass: &mut VacuumPass, rows: &[EntryHeader]) -> Result<(), Error> {
    let mut missing = TagAdditions::default();
    rows.iter().for_each(|row| missing.add(&row.namespace, &row.tags, row.id));
    let blocks = cache.table.batch_get(missing.keys(), Projection::All).await?;
    blocks.iter().filter_map(|(_, item)| TagBlock::from_item(item)).for_each(|block| missing.subtract(&block));
    cache.table.restore_tagged(&missing).await?;
    pass.repaired.tag_blocks_set += missing.len() as u64;
    Ok(())
}

/// Takes ids out of `blocks` whose rows are gone or have lost the tag. A block without ids is deleted. Returns how many
/// blocks were deleted.
///
/// Reads: the rows that the blocks name. Writes: one UpdateItem for each block with such ids, and one DeleteItem for each
/// block that becomes empty. Errors: `StoreBackendError`.
pub(crate) async fn clean_blocks(cache: &Cache, blocks: &[TagBlock]) -> Result<u64, Error> {
    let ids: BTreeSet<EntryId> = blocks.iter().flat_map(|block| block.ids.iter().copied()).collect();
    let rows = cache.table.batch_get(ids.into_iter().map(RowKey::from), Projection::Lru).await?;
    let mut tagged: BTreeMap<RowKey, BTreeSet<EntryId>> = BTreeMap::new();
    for row in rows.iter().filter_map(|(_, item)| header_from_item(item)) {
        for tag in row.tags.iter() {
            let key = RowKey::tag_block(&row.namespace, tag, range_of(row.id.get()));
            tagged.entry(key).or_default().insert(row.id);
        }
    }
    let mut deleted = 0;
    for block in blocks {
        let none = BTreeSet::new();
        let gone = &block.ids - tagged.get(&block.key).unwrap_or(&none);
        if !gone.is_empty() || block.ids.is_empty() {
            deleted += u64::from(cache.table.remove_tagged(block.key, &gone).await?);
        }
    }
    Ok(deleted)
}

/// Carries out `deletions`. An entry that was put again since is kept. Returns false if the time ran out.
///
/// Reads and writes: as `delete_tagged`, and the records of the deletions. Errors: `StoreBackendError`.
pub(super) async fn finish_deletions(
    cache: &Cache,
    pass: &mut VacuumPass,
    deletions: &[TagDeletion],
) -> Result<bool, Error> {
    for deletion in deletions {
        let slice = delete_tagged(cache, deletion, 0, u64::MAX, |row| !deletion.was_put_again(row)).await?;
        pass.repaired.deleted_by_tag += slice.removed;
        if slice.next.is_some() {
            return Ok(false);
        }
        cache.table.visit_tag_deletion(deletion).await?;
    }
    Ok(true)
}
