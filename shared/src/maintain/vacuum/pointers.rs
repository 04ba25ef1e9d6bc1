//! One live entry and one pointer for each entry key.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use mneme_model::entry::EntryHeader;
use mneme_model::error::Error;
use mneme_store::entry_row::header_from_item;
use mneme_store::key::RowKey;
use mneme_store::read::{Projection, pointed_entry};

use super::pass::VacuumPass;
use crate::cache::Cache;
use crate::write::remove::{Reason, remove};

/// Makes sure that the pointer of each entry key names a live entry, and removes the other live `rows` of the key as
/// duplicates. A pointer that is missing, or names no live entry of the key, is set to the newest of `rows`.
///
/// Reads: the pointers, then the entries that they name. Writes: pointers and removals. Errors: `StoreBackendError`.
pub(super) async fn set_pointers(cache: &Cache, pass: &mut VacuumPass, rows: &[EntryHeader]) -> Result<(), Error> {
    let mut by_pointer: BTreeMap<RowKey, Vec<&EntryHeader>> = BTreeMap::new();
    for row in rows {
        by_pointer.entry(RowKey::pointer(&row.namespace, &row.query_hash)).or_default().push(row);
    }
    let pointers = cache.table.batch_get(by_pointer.keys().copied(), Projection::All).await?;
    let pointed = |key: RowKey| pointers.get(key).and_then(pointed_entry);
    let targets = by_pointer.keys().filter_map(|key| pointed(*key)).map(RowKey::from);
    let targets = cache.table.batch_get(targets, Projection::Lru).await?;
    let now = cache.now_secs();
    let mut duplicates = Vec::new();
    for (pointer, mut entries) in by_pointer {
        entries.sort_unstable_by_key(|row| Reverse((row.created_at, row.id)));
        let newest = entries[0];
        let seen = pointed(pointer);
        let target = seen.and_then(|id| header_from_item(targets.get(id.into())?)).filter(|target| {
            !target.is_expired(now) && target.namespace == newest.namespace && target.query_hash == newest.query_hash
        });
        let kept = match target {
            Some(target) => target.id,
            None if cache.table.set_pointer(pointer, seen, newest.id).await? => {
                pass.repaired.pointers_set += 1;
                newest.id
            }
            // A put has set the pointer meanwhile, and has removed other entries of the key itself.
            None => continue,
        };
        duplicates.extend(entries.into_iter().filter(|row| row.id != kept).cloned());
    }
    pass.repaired.duplicates += remove(cache, &duplicates, Reason::Requested).await?.removed;
    Ok(())
}
