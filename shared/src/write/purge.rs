//! Removing what the cache keeps of a namespace besides its entries.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::namespace_settings::NamespaceSettings;
use mneme_store::attribute as name;
use mneme_store::item::{Item, text};
use mneme_store::key::{DerivedKind, RowKey};
use mneme_store::read::{Projection, pointed_entry};
use mneme_store::tag_blocks::TagBlock;

use crate::cache::Cache;
use crate::maintain::vacuum::{clean_blocks, remove_verdicts};
use crate::settings::change::change_settings;

/// How many items are deleted at once.
const DELETES_AT_ONCE: usize = 8;

/// What a purge finds in the table.
#[derive(Default)]
struct Remains {
    /// Items that hold the name of the namespace.
    named: Vec<RowKey>,
    /// Idempotency records, and the entries that they name.
    records: Vec<(RowKey, EntryId)>,
    tag_blocks: Vec<TagBlock>,
    /// Pointers with verdicts.
    judged: Vec<RowKey>,
}

impl Remains {
    fn add(&mut self, item: &Item, namespace: &Namespace) {
        let Some(key) = item.get(name::ID).and_then(RowKey::from_attribute) else { return };
        match key.derived_kind() {
            Some(DerivedKind::NamespaceStats | DerivedKind::HourStats | DerivedKind::TagDeletion)
                if text(item, name::NAME).as_deref() == Some(namespace.as_str()) =>
            {
                self.named.push(key);
            }
            Some(DerivedKind::Pointer) if text(item, name::NAME).as_deref() == Some(namespace.as_str()) => {
                self.judged.push(key);
            }
            Some(DerivedKind::IdempotencyRecord) => self.records.extend(pointed_entry(item).map(|id| (key, id))),
            Some(DerivedKind::TagBlock) => self.tag_blocks.extend(TagBlock::from_item(item)),
            _ => {}
        }
    }
}

/// Removes the settings, the statistics, the hours, the verdicts of callers and the deletions by tag of `namespace`, its
/// name in the directory, and all idempotency records and tag blocks whose entries are gone. The entries must be removed
/// before. Returns how many items were removed.
///
/// Reads: the whole table, then the entries that records and tag blocks name. Writes: the settings by one transaction with
/// the counter, which is one mutation, and single deletions of derived items. Errors: `StoreBackendError`; what was
/// removed before the error stays removed.
pub async fn purge(cache: &Cache, namespace: &Namespace) -> Result<u64, Error> {
    let table = &cache.table;
    let to_none = |settings: NamespaceSettings| (!settings.is_empty()).then(NamespaceSettings::default);
    let settings = change_settings(cache, namespace, to_none).await?;
    let mut remains = Remains::default();
    table.scan(Projection::Stats, |item| remains.add(&item, namespace)).await?;
    let named = remains.named.len() as u64;
    stream::iter(remains.named)
        .map(|key| table.delete_derived(key))
        .buffer_unordered(DELETES_AT_ONCE)
        .try_collect::<()>()
        .await?;
    let entries = table.batch_get(remains.records.iter().map(|(_, id)| RowKey::from(*id)), Projection::Lru).await?;
    let orphaned = remains.records.into_iter().filter(|(_, id)| entries.get(RowKey::from(*id)).is_none());
    let records: Vec<bool> = stream::iter(orphaned)
        .map(|(record, id)| table.delete_pointer(record, id))
        .buffer_unordered(DELETES_AT_ONCE)
        .try_collect()
        .await?;
    let judged = remove_verdicts(cache, &remains.judged).await?;
    let blocks = clean_blocks(cache, &remains.tag_blocks).await?;
    table.remove_name(RowKey::directory(namespace), namespace).await?;
    let records = records.into_iter().filter(|removed| *removed).count() as u64;
    Ok(u64::from(settings.is_some()) + named + records + judged + blocks)
}
