//! Changing parts of an entry.

use aws_sdk_dynamodb::types::TransactWriteItem;
use mneme_model::entry::Entry;
use mneme_model::error::Error;
use mneme_model::tag::Tags;
use mneme_store::actions::StatsChange;
use mneme_store::answer_item::{answer_to_item, place_answer};
use mneme_store::attribute as name;
use mneme_store::entry_row::{entry_from_item, entry_to_item};
use mneme_store::item::Item;
use mneme_store::tag_blocks::TagAdditions;
use serde_json::{Map, Value};

use super::commit::commit;
use crate::cache::Cache;
use crate::entries::{live_row, with_answer};

/// The attributes of a row that hold an answer, or say where it is.
const ANSWER_ATTRIBUTES: [&str; 5] =
    [name::RESPONSE, name::METADATA, name::ANSWER_STAMP, name::ANSWER_BYTES, name::ANSWER_REFUSED];

/// What is changed of an entry. A field that is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntryChange {
    /// The new answer.
    pub response: Option<String>,
    /// The new metadata.
    pub metadata: Option<Map<String, Value>>,
    /// The new tags.
    pub tags: Option<Tags>,
    /// The new trust in the answer, from 0 to 1.
    pub confidence_score: Option<f64>,
    /// The new epoch second of expiry; `Some(None)`: the entry lives for ever.
    pub expires_at: Option<Option<i64>>,
}

impl EntryChange {
    /// The entry with this change.
    fn applied_to(&self, entry: &Entry) -> Entry {
        let mut changed = entry.clone();
        if let Some(response) = &self.response {
            changed.response.clone_from(response);
        }
        if let Some(metadata) = &self.metadata {
            changed.metadata.clone_from(metadata);
        }
        if let Some(tags) = &self.tags {
            changed.tags.clone_from(tags);
        }
        changed.confidence_score = self.confidence_score.unwrap_or(entry.confidence_score);
        changed.expires_at = self.expires_at.unwrap_or(entry.expires_at);
        changed
    }

    /// The attributes of a row that change.
    fn attributes(&self) -> Vec<&'static str> {
        let all = [
            (name::RESPONSE, self.response.is_some()),
            (name::METADATA, self.metadata.is_some()),
            (name::TAGS, self.tags.is_some()),
            (name::CONFIDENCE_SCORE, self.confidence_score.is_some()),
            (name::TTL, self.expires_at.is_some()),
        ];
        all.into_iter().filter_map(|(attribute, is_changed)| is_changed.then_some(attribute)).collect()
    }

    /// Whether an answer item changes: it holds response and metadata, and expires with its row.
    fn concerns_answer_item(&self) -> bool {
        self.response.is_some() || self.metadata.is_some() || self.expires_at.is_some()
    }

    /// Whether the answer of `seen` is in its row and has to be in an item of its own after this change.
    fn sets_answer_apart(&self, cache: &Cache, seen: &Entry) -> bool {
        let is_changed = self.response.is_some() || self.metadata.is_some();
        is_changed && seen.apart.is_none() && placed(cache, self.applied_to(seen)).apart.is_some()
    }
}

/// `entry` with the decision where its answer is stored.
fn placed(cache: &Cache, mut entry: Entry) -> Entry {
    place_answer(&mut entry, cache.config.is_shared_with_library());
    entry
}

/// Changes the entry `row`, which was read as a live entry, and returns it as it is then. `None` if it is gone or has
/// expired. What another writer changes at the same time stays, unless `change` names it as well.
///
/// An answer that becomes long moves to an item of its own, and one that becomes short moves back to its row.
/// Reads: the answer item before the write, if it changes, and row and answer item after the write. If the answer moves
/// out of its row, the row as well. If another writer changes the answer or its place meanwhile, all of it is done again.
/// Writes: one transaction of the row, its answer item, the blocks of its new tags, the counter and, for an entry that begins
/// to expire, the statistics. Errors: `EntryTooLarge` if an item would pass 400 KB; `StoreBackendError`.
pub async fn update(cache: &Cache, mut row: Entry, change: &EntryChange) -> Result<Option<Entry>, Error> {
    loop {
        let seen = if change.concerns_answer_item() { with_answer(cache, row).await? } else { Some(row) };
        let Some(mut seen) = seen else { return Ok(None) };
        let mut moved = None;
        if change.sets_answer_apart(cache, &seen) {
            // The conditions of the move compare attributes as they are stored, which the Python library writes in
            // another form.
            let Some(item) = cache.table.get(seen.id.into(), true).await? else { return Ok(None) };
            seen = entry_from_item(&item)?;
            if seen.is_expired(cache.now_secs()) {
                return Ok(None);
            }
            if !change.sets_answer_apart(cache, &seen) {
                row = seen;
                continue;
            }
            moved = Some(item);
        }
        let is_committed = commit(cache, &actions(cache, &seen, change, moved.as_ref())?).await?;
        let Some(now) = live_row(cache, seen.id).await? else { return Ok(None) };
        if is_committed {
            return with_answer(cache, now).await;
        }
        if moved.is_none() && now.apart == seen.apart {
            return Ok(None);
        }
        row = now;
    }
}

/// The transaction that changes `seen`, which has its answer if the change concerns an answer item. `moved`: the stored
/// row, if its answer moves to an item of its own.
fn actions(
    cache: &Cache,
    seen: &Entry,
    change: &EntryChange,
    moved: Option<&Item>,
) -> Result<Vec<TransactWriteItem>, Error> {
    let table = &cache.table;
    let mut changed = change.applied_to(seen);
    let mut attributes = change.attributes();
    let mut answer = None;
    if moved.is_some() || (seen.apart.is_some() && change.concerns_answer_item()) {
        changed = placed(cache, changed);
        attributes.retain(|attribute| !ANSWER_ATTRIBUTES.contains(attribute));
        attributes.extend(ANSWER_ATTRIBUTES);
        answer = Some(match answer_to_item(&changed)? {
            Some(item) => table.put_answer(item)?,
            None => table.delete_answer(seen.id)?,
        });
    }
    // The answer item takes over what the change does not name.
    let taken = [
        (name::RESPONSE, change.response.is_none()),
        (name::METADATA, change.metadata.is_none()),
        (name::TTL, change.expires_at.is_none()),
    ];
    let taken = taken.into_iter().filter(|(_, is_taken)| *is_taken);
    let unchanged: Vec<_> = moved
        .map(|item| taken.map(|(attribute, _)| (attribute, item.get(attribute).cloned())).collect())
        .unwrap_or_default();
    let mut actions = vec![table.update_row(seen, &entry_to_item(&changed)?, &attributes, &unchanged)?];
    actions.extend(answer);
    if let Some(tags) = &change.tags {
        // A block may have lost an entry that kept its tag, so the tags that stay are added as well.
        let mut tagged = TagAdditions::default();
        tagged.add(&seen.namespace, tags, seen.id);
        actions.extend(table.add_tagged(&tagged)?);
    }
    actions.push(table.raise_version(1)?);
    if change.expires_at.flatten().is_some() {
        let stats = StatsChange { has_ttl: true, ..StatsChange::default() };
        actions.extend(table.change_stats([(&seen.namespace, stats)], cache.table_stats_key())?);
    }
    Ok(actions)
}
