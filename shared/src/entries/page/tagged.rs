//! Pages of the entries that have a tag.

use std::collections::BTreeSet;

use mneme_api::access::Access;
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::tag::Tag;
use mneme_store::segments::{ids_of, range_of};

use super::{Page, Position, Reader, Wanted};
use crate::cache::Cache;
use crate::entries::tag_blocks::{BLOCKS_AT_ONCE, TagBlocks};

/// The most ranges of ids whose blocks one page reads: a million ids.
const MAX_RANGES: u64 = 1000;

/// Up to `limit` live entries of `namespace` that have `tag` and that `is_wanted` accepts, in ascending order of ids
/// after the id `after`. What one page reads is bounded, so a page may have fewer entries.
///
/// Reads: the counter, the segment manifest, up to 1,000 tag blocks, 100 in a call, and the rows that they name; all
/// strongly consistent. Answers in items of their own are read only for rows that `is_wanted` accepts without them. A page
/// ends early once it has read 8 MB of rows and answers. Errors: `StoreBackendError`.
pub async fn page_of_tag(
    cache: &Cache,
    namespace: &Namespace,
    tag: &Tag,
    after: Option<EntryId>,
    limit: usize,
    is_wanted: Wanted<'_>,
) -> Result<Page, Error> {
    let access = Access::Only(BTreeSet::from([namespace.clone()]));
    let is_tagged = |entry: &Entry| entry.tags.contains(tag) && is_wanted(entry);
    let mut reader = Reader::new(cache, &access, limit, &is_tagged);
    let blocks = TagBlocks::of(cache, namespace, tag).await?;
    let first = after.map_or(1, |id| id.get().saturating_add(1));
    let mut at = range_of(first);
    let until = blocks.end.min(at.saturating_add(MAX_RANGES));
    while at < until {
        let end = until.min(at.saturating_add(BLOCKS_AT_ONCE));
        let ids = blocks.read(at..end).await?.into_iter().flat_map(|block| block.ids);
        let ids: Vec<EntryId> = ids.filter(|id| id.get() >= first).collect();
        let mut rest = ids.as_slice();
        while !rest.is_empty() {
            let (some, more) = rest.split_at(reader.step().min(rest.len()));
            if let Some(last) = reader.read(some).await? {
                let is_last = end == blocks.end && ids.last() == Some(&last);
                return Ok(Page { entries: reader.entries, next: (!is_last).then_some(Position::Id(Some(last))) });
            }
            rest = more;
        }
        at = end;
    }
    let is_cut = until < blocks.end;
    let next = until.checked_sub(1).filter(|_| is_cut).and_then(|range| EntryId::new(*ids_of(range).end()));
    Ok(Page { entries: reader.entries, next: next.map(|id| Position::Id(Some(id))) })
}
