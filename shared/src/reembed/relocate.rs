//! Giving an entry a further vector under a new id. Replicas and segments that know the old id stay valid.

use mneme_model::entry::{Entry, EntryHeader};
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_store::actions::DeleteCondition;
use mneme_store::answer_item::{answer_to_item, place_answer};
use mneme_store::counter::Counter;
use mneme_store::entry_row::entry_to_item;
use mneme_store::key::RowKey;
use mneme_store::pair_verdicts::Pointer;
use mneme_store::read::Projection;
use mneme_store::tag_blocks::TagAdditions;
use mneme_store::transaction::TransactionOutcome;

use crate::cache::Cache;
use crate::embedders::layout::EntryVectors;
use crate::writer_queue::Ticket;

/// Stores the entry under a new id with `vectors` in addition to those that it has. Everything else stays the same.
/// Returns false and changes nothing if the row is no longer as in `seen`, or if its pointer names another entry.
///
/// `vectors`: of the query in `seen`. `embedders`: the counter that the move was read from.
/// Reads: the counter, then the row and its pointer, then its answer item. The order matters: the write is conditional on
/// the counter's version, so the row cannot be newer than the counter. Writes: one transaction, one mutation; after a
/// lost race also the writer queue.
/// Errors: `StoreBackendError`.
pub(crate) async fn relocate(
    cache: &Cache,
    seen: &Entry,
    vectors: &EntryVectors,
    embedders: &Counter,
) -> Result<bool, Error> {
    let mut ticket = None;
    let relocated = relocate_with_ticket(cache, seen, vectors, embedders, &mut ticket).await;
    if let Some(ticket) = ticket {
        cache.writer_queue().release(ticket).await;
    }
    relocated
}

/// `ticket`: receives the place in the writer queue, if one was taken. The caller releases it.
async fn relocate_with_ticket(
    cache: &Cache,
    seen: &Entry,
    vectors: &EntryVectors,
    embedders: &Counter,
    ticket: &mut Option<Ticket>,
) -> Result<bool, Error> {
    let table = &cache.table;
    let mut budget = cache.retry_budget();
    let pointer = RowKey::pointer(&seen.namespace, &seen.query_hash);
    loop {
        let Some(counter) = table.read_counter().await? else { return Ok(false) };
        if (counter.generation, &counter.second) != (embedders.generation, &embedders.second) {
            return Ok(false);
        }
        let rows = table.batch_get([seen.id.into(), pointer], Projection::All).await?;
        let found = rows.get(pointer).map(Pointer::from_item).unwrap_or_default();
        let Some(mut row) = rows.entry(seen.id) else { return Ok(false) };
        let is_same = row.query == seen.query && row.vectors == seen.vectors;
        if !is_same || row.is_expired(cache.now_secs()) || found.own().is_some_and(|id| id != row.id) {
            return Ok(false);
        }
        let header = EntryHeader::from(&row);
        if !table.read_answer(&mut row).await? {
            return Ok(false);
        }
        let id = EntryId::new(counter.next_id).ok_or_else(|| Error::internal("`next_id` is 0"))?;
        let all = vectors.clone().or(EntryVectors::of_row(&row, &counter));
        let mut tagged = TagAdditions::default();
        tagged.add(&row.namespace, &row.tags, id);
        let mut new = Entry { id, vectors: all.to_row_vectors(None, &counter, &cache.config)?, ..row };
        place_answer(&mut new, cache.config.is_shared_with_library());
        let mut actions = vec![
            table.claim_ids(&counter, 1, 1, None)?,
            table.insert_row(entry_to_item(&new)?)?,
            table.delete_row(&header, DeleteCondition::Exists)?,
            table.point(pointer, found.named, id)?,
        ];
        actions.extend(table.add_tagged(&tagged)?);
        actions.extend(answer_to_item(&new)?.map(|answer| table.put_answer(answer)).transpose()?);
        if header.has_answer_item {
            actions.push(table.delete_answer(header.id)?);
        }
        let outcome = table.transact(actions, cache.deadline).await?;
        match outcome {
            TransactionOutcome::Committed => return Ok(true),
            TransactionOutcome::Unknown(error) => return Err(error),
            _ if outcome.was_contended() => budget.after_contention().await?,
            TransactionOutcome::Cancelled(_) => {
                budget.after_lost_race(ticket.as_ref().is_some_and(|ticket| ticket.is_first)).await?;
                cache.writer_queue().requeue(ticket).await;
            }
        }
    }
}
