//! Repairing what one page of the table holds.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mneme_model::answer::AnswerStamp;
use mneme_model::embedder::EmbedderGeneration;
use mneme_model::entry::EntryHeader;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::answer_item::stamp_of;
use mneme_store::attribute as name;
use mneme_store::entry_row::header_from_item;
use mneme_store::item::{Item, number, text};
use mneme_store::key::{DerivedKind, RowKey};
use mneme_store::read::{Projection, pointed_entry};
use mneme_store::settings::quota_from_item;
use mneme_store::tag_blocks::TagBlock;
use mneme_store::tag_deletion::TagDeletion;

use super::answers::delete_orphaned_answers;
use super::obsolete::LiveVersions;
use super::pass::VacuumPass;
use super::pointers::set_pointers;
use super::tags::{clean_blocks, finish_deletions, restore_blocks};
use super::verdicts::clean_verdicts;
use crate::cache::Cache;
use crate::maintain::directory;
use crate::maintain::eviction::enforce_all_caps;
use crate::settings::read::repair_settings_directory;
use crate::write::remove::{Reason, remove};

/// How many derived items are written at once.
const WRITES_AT_ONCE: usize = 8;

/// The items of one page, by what they are.
#[derive(Default)]
pub(super) struct TablePage {
    /// The entries that the pass covers.
    rows: Vec<EntryHeader>,
    /// The highest id of an entry, covered or not.
    highest_id: u64,
    /// Pointers without verdicts, and the entries that they name.
    pointers: Vec<(RowKey, EntryId)>,
    /// Pointers with verdicts.
    judged: Vec<RowKey>,
    /// Answer items.
    answers: Vec<(RowKey, AnswerStamp)>,
    /// Derived items with a time to live that has ended: idempotency records, leases, lease boards and hour stats.
    expired_items: Vec<RowKey>,
    /// Segments and parts of a basis, with the version of their basis.
    basis_items: Vec<(RowKey, u64)>,
    /// Segments, with the number of their entries.
    segments: Vec<(RowKey, u64)>,
    /// Items that belong to one embedder, with its generation.
    embedder_items: Vec<(RowKey, EmbedderGeneration)>,
    /// Tag blocks.
    tag_blocks: Vec<TagBlock>,
    /// Deletions by a tag, in namespaces that the pass covers.
    tag_deletions: Vec<TagDeletion>,
    /// The quotas of namespaces that the pass covers.
    quotas: Vec<(Namespace, u64)>,
    /// The namespaces with settings.
    configured: Vec<Namespace>,
}

impl TablePage {
    /// Sorts `items` into what `pass` has to do with them.
    pub(super) fn new(pass: &VacuumPass, items: &[Item], now_secs: i64) -> Self {
        let mut page = Self::default();
        for item in items {
            if let Some(row) = header_from_item(item) {
                page.highest_id = page.highest_id.max(row.id.get());
                if pass.covers(&row.namespace) {
                    page.rows.push(row);
                }
                continue;
            }
            let Some(key) = item.get(name::ID).and_then(RowKey::from_attribute) else { continue };
            match key.derived_kind() {
                Some(DerivedKind::Pointer) if item.contains_key(name::NAME) => page.judged.push(key),
                Some(DerivedKind::Pointer) => page.pointers.extend(pointed_entry(item).map(|id| (key, id))),
                Some(DerivedKind::Answer) => page.answers.extend(stamp_of(item).map(|stamp| (key, stamp))),
                Some(
                    DerivedKind::IdempotencyRecord
                    | DerivedKind::Lease
                    | DerivedKind::LeaseBoard
                    | DerivedKind::HourStats,
                ) if number(item, name::TTL).is_some_and(|until: i64| until <= now_secs) => {
                    page.expired_items.push(key);
                }
                Some(DerivedKind::Settings) => {
                    page.configured.extend(text(item, name::NAME).map(Namespace::from_row));
                    page.quotas.extend(quota_from_item(item).filter(|(namespace, _)| pass.covers(namespace)));
                }
                Some(DerivedKind::TagBlock) => page.tag_blocks.extend(TagBlock::from_item(item)),
                Some(DerivedKind::TagDeletion) => {
                    let deletion = TagDeletion::from_item(item);
                    page.tag_deletions.extend(deletion.filter(|deletion| pass.covers(&deletion.namespace)));
                }
                _ => {
                    page.basis_items.extend(key.basis_version().map(|version| (key, version)));
                    page.segments.extend(number(item, name::ENTRIES).map(|entries| (key, entries)));
                    page.embedder_items.extend(key.embedder_generation().map(|generation| (key, generation)));
                }
            }
        }
        page
    }

    /// The segments and basis parts of an obsolete basis, and the items of a retired embedder.
    fn obsolete_items(&self, versions: &LiveVersions) -> Vec<RowKey> {
        let of_basis = self.basis_items.iter().filter(|(_, version)| versions.is_obsolete_basis(*version));
        let of_embedder = self.embedder_items.iter().filter(|(_, generation)| versions.is_retired(*generation));
        of_basis.map(|(key, _)| *key).chain(of_embedder.map(|(key, _)| *key)).collect()
    }
}

/// Removes expired entries, repairs pointers, tag blocks and the counter, finishes deletions by a tag, removes derived
/// items that no reader uses and verdicts on entries that are gone, and enforces the page's quotas. Returns false if the
/// time ran out before all entries that have to go were removed.
///
/// `next_id`: as at the start of the pass. It only grows, so an id below it stays below it.
/// Reads: the pointers of the page's entries, the entries of its pointers and verdicts, and the directory of settings if
/// the page has settings. Errors: `StoreBackendError`.
pub(super) async fn repair_page(
    cache: &Cache,
    pass: &mut VacuumPass,
    page: TablePage,
    next_id: u64,
    versions: &LiveVersions,
) -> Result<bool, Error> {
    let table = &cache.table;
    let now = cache.now_secs();
    let obsolete = page.obsolete_items(versions);
    pass.repaired.examined += page.rows.len() as u64;
    let (expired, live): (Vec<EntryHeader>, Vec<EntryHeader>) =
        page.rows.into_iter().partition(|row| row.is_expired(now));
    let removal = remove(cache, &expired, Reason::Expired).await?;
    pass.removed.expired += removal.removed;
    if removal.left > 0 {
        return Ok(false);
    }
    if page.highest_id >= next_id {
        pass.repaired.counter_moved |= table.raise_next_id_above(page.highest_id).await?;
    }
    set_pointers(cache, pass, &live).await?;
    restore_blocks(cache, pass, &live).await?;
    pass.repaired.derived_removed += clean_blocks(cache, &page.tag_blocks).await?;
    if !finish_deletions(cache, pass, &page.tag_deletions).await? {
        return Ok(false);
    }
    if let Some(ranges) = &mut pass.ranges {
        live.iter().for_each(|row| ranges.add_entry(row.id));
        page.segments.iter().for_each(|(key, entries)| ranges.add_segment(*key, *entries));
    }
    if let Some(namespaces) = &mut pass.namespaces {
        namespaces.extend(live.iter().map(|row| row.namespace.hash()));
    }
    if cache.config.max_entries.is_some() {
        for namespace in live.iter().map(|row| &row.namespace).collect::<BTreeSet<_>>() {
            directory::add(cache, namespace).await?;
        }
    }

    repair_settings_directory(cache, &page.configured).await?;

    let targets = table.batch_get(page.pointers.iter().map(|(_, id)| (*id).into()), Projection::Lru).await?;
    let dangling = page.pointers.into_iter().filter(|(_, id)| targets.get((*id).into()).is_none());
    let pointers: Vec<bool> = stream::iter(dangling)
        .map(|(pointer, id)| table.delete_pointer(pointer, id))
        .buffer_unordered(WRITES_AT_ONCE)
        .try_collect()
        .await?;
    let ended: Vec<bool> = stream::iter(page.expired_items)
        .map(|key| table.delete_expired_derived(key, now))
        .buffer_unordered(WRITES_AT_ONCE)
        .try_collect()
        .await?;
    stream::iter(obsolete.clone())
        .map(|key| table.delete_derived(key))
        .buffer_unordered(WRITES_AT_ONCE)
        .try_collect::<()>()
        .await?;
    let removed = pointers.iter().chain(&ended).filter(|removed| **removed).count() + obsolete.len();
    let judged = clean_verdicts(cache, &page.judged).await?;
    let orphaned = delete_orphaned_answers(cache, &page.answers).await?;
    pass.repaired.derived_removed += removed as u64 + judged + orphaned;
    let evictions = enforce_all_caps(cache, &page.quotas, None).await?;
    pass.removed.add(evictions);
    Ok(!evictions.unfinished)
}
