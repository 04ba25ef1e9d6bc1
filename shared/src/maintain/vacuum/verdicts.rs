//! What callers said of the answers to questions, in pointers.

use std::collections::BTreeMap;

use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::pair_verdicts::{PairVerdict, PairVerdicts};
use mneme_store::attribute as name;
use mneme_store::entry_row::header_from_item;
use mneme_store::item::text;
use mneme_store::key::RowKey;
use mneme_store::pair_verdicts::Pointer;
use mneme_store::read::{Projection, Rows, pointed_entry};

use crate::cache::Cache;

/// Removes the verdicts on entries that are gone or have expired from `pointers`, and gives the others the ids that their
/// entries have now. A pointer that then names no entry is deleted. No answer changes by it. Returns how many pointers were
/// changed.
///
/// Reads: the pointers, the entries that they name, and the pointers of entries that are not found. Writes: one UpdateItem
/// or DeleteItem for each pointer that changes. Errors: `StoreBackendError`.
pub(crate) async fn clean_verdicts(cache: &Cache, pointers: &[RowKey]) -> Result<u64, Error> {
    let seen = read_pointers(cache, pointers).await?;
    let mut rows = entries_of(cache, &seen).await?;
    let is_missing = |verdict: &&PairVerdict| rows.get(verdict.id.into()).is_none();
    let moved: BTreeMap<RowKey, Option<EntryId>> = {
        let own_pointers = seen.iter().flat_map(|(_, namespace, pointer)| {
            let missing = pointer.verdicts.iter().filter(is_missing);
            missing.map(|verdict| RowKey::pointer(namespace, &verdict.query_hash))
        });
        let own_pointers: Vec<RowKey> = own_pointers.collect();
        let found = cache.table.batch_get(own_pointers.iter().copied(), Projection::All).await?;
        own_pointers.into_iter().map(|key| (key, found.get(key).and_then(pointed_entry))).collect()
    };
    cache.table.fetch_missing(&mut rows, moved.values().flatten().map(|id| RowKey::from(*id))).await?;
    let now = cache.now_secs();
    let current = |namespace: &Namespace, verdict: &PairVerdict| {
        let is_live = |id: &EntryId| {
            let row = rows.get((*id).into()).and_then(header_from_item);
            row.is_some_and(|row| {
                row.namespace == *namespace && row.query_hash == verdict.query_hash && !row.is_expired(now)
            })
        };
        let moved_to = moved.get(&RowKey::pointer(namespace, &verdict.query_hash)).copied().flatten();
        [Some(verdict.id), moved_to].into_iter().flatten().find(is_live)
    };
    let cleaned = |namespace: &Namespace, verdicts: &PairVerdicts| {
        let with_id =
            |verdict: &PairVerdict| current(namespace, verdict).map(|id| PairVerdict { id, ..verdict.clone() });
        let alias = verdicts.alias.clone().and_then(|mut alias| {
            alias.verdict = with_id(&alias.verdict)?;
            Some(alias)
        });
        PairVerdicts { alias, bars: verdicts.bars.iter().filter_map(with_id).collect() }
    };
    write(cache, &seen, &rows, cleaned).await
}

/// Removes all verdicts from `pointers`. A pointer that then names no entry is deleted. Returns how many pointers were
/// changed.
///
/// Reads: the pointers and the entries that they name. Writes and errors: as [`clean_verdicts`].
pub(crate) async fn remove_verdicts(cache: &Cache, pointers: &[RowKey]) -> Result<u64, Error> {
    let seen = read_pointers(cache, pointers).await?;
    let rows = entries_of(cache, &seen).await?;
    write(cache, &seen, &rows, |_, _| PairVerdicts::default()).await
}

/// The pointers that have or had verdicts, each with its key and its namespace.
async fn read_pointers(cache: &Cache, pointers: &[RowKey]) -> Result<Vec<(RowKey, Namespace, Pointer)>, Error> {
    let items = cache.table.batch_get(pointers.iter().copied(), Projection::All).await?;
    let seen = items.iter().filter_map(|(key, item)| {
        let namespace = Namespace::from_row(text(item, name::NAME)?);
        Some((key, namespace, Pointer::from_item(item)))
    });
    Ok(seen.collect())
}

/// The rows of the entries that `pointers` and their verdicts name.
async fn entries_of(cache: &Cache, pointers: &[(RowKey, Namespace, Pointer)]) -> Result<Rows, Error> {
    let mut keys: Vec<RowKey> = Vec::new();
    for (.., pointer) in pointers {
        keys.extend(pointer.verdicts.iter().map(|verdict| verdict.id).chain(pointer.named).map(RowKey::from));
    }
    cache.table.batch_get(keys, Projection::Lru).await
}

/// Writes the verdicts that `cleaned` leaves of each of the pointers `seen`. `rows`: the entries that they name.
async fn write(
    cache: &Cache,
    seen: &[(RowKey, Namespace, Pointer)],
    rows: &Rows,
    cleaned: impl Fn(&Namespace, &PairVerdicts) -> PairVerdicts,
) -> Result<u64, Error> {
    let mut changed = 0;
    for (key, namespace, pointer) in seen {
        let verdicts = cleaned(namespace, &pointer.verdicts);
        let own = pointer.own().filter(|id| rows.get((*id).into()).is_some());
        let named = own.or_else(|| verdicts.iter().next_back().map(|verdict| verdict.id));
        if verdicts.is_empty() || verdicts != pointer.verdicts || named != pointer.named {
            changed += u64::from(cache.table.clean_verdicts(*key, namespace, pointer, named, &verdicts).await?);
        }
    }
    Ok(changed)
}
