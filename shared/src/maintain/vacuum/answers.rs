//! Answer items: those that rows of older versions lack, and those that no row has.

use mneme_model::answer::AnswerStamp;
use mneme_model::error::{Error, ErrorKind};
use mneme_store::entry_row::header_from_item;
use mneme_store::item::Item;
use mneme_store::key::RowKey;
use mneme_store::read::Projection;

use super::pass::VacuumPass;
use crate::cache::Cache;
use crate::write::commit::commit;

/// Moves the long answers in the rows among `items` to items of their own. A table that is shared with the Python library
/// keeps them.
///
/// No answer changes, so this counts as no mutation. A row that another writer changes meanwhile is left to a later pass.
/// Writes: a transaction for each such row, of the row and its answer item. Errors: `StoreBackendError`.
pub(super) async fn set_answers_apart(cache: &Cache, pass: &mut VacuumPass, items: &[Item]) -> Result<(), Error> {
    if cache.config.is_shared_with_library() {
        return Ok(());
    }
    let now = cache.now_secs();
    let is_covered =
        |item: &&Item| header_from_item(item).is_some_and(|row| pass.covers(&row.namespace) && !row.is_expired(now));
    let covered: Vec<&Item> = items.iter().filter(is_covered).collect();
    for item in covered {
        let actions = match cache.table.set_answer_apart(item) {
            // The answer has no room in an item of its own, which an answer of an earlier version may need.
            Err(error) if error.kind == ErrorKind::EntryTooLarge => continue,
            actions => actions?,
        };
        let Some(actions) = actions else { continue };
        pass.repaired.answers_moved += u64::from(commit(cache, &actions).await?);
    }
    Ok(())
}

/// Deletes those of the answer items `answers` whose entry is gone or has its answer in its row. Returns how many.
///
/// Reads: the entries' rows, strongly. A row and its answer item are written together, so an answer item without a row
/// stays without one: ids are never reused. Writes: DeleteItem. Errors: `StoreBackendError`.
pub(super) async fn delete_orphaned_answers(cache: &Cache, answers: &[(RowKey, AnswerStamp)]) -> Result<u64, Error> {
    let entries = answers.iter().filter_map(|(key, _)| key.answered_entry()).map(RowKey::from);
    let rows = cache.table.batch_get(entries, Projection::Lru).await?;
    let mut deleted = 0;
    for (key, stamp) in answers {
        let row = key.answered_entry().and_then(|id| header_from_item(rows.get(id.into())?));
        if !row.is_some_and(|row| row.has_answer_item) {
            deleted += u64::from(cache.table.delete_orphaned_answer(*key, *stamp).await?);
        }
    }
    Ok(deleted)
}
