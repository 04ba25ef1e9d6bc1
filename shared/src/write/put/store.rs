//! Storing entries: reading, writing, and trying again.

use std::time::Duration;

use aws_sdk_dynamodb::types::TransactWriteItem;
use mneme_model::error::{Error, ErrorKind};
use mneme_store::attribute as name;
use mneme_store::backend_error::unreachable;
use mneme_store::counter::Counter;
use mneme_store::item::Item;
use mneme_store::key::RowKey;
use mneme_store::read::Projection;
use mneme_store::transaction::{ActionOutcome, TransactionOutcome};
use tokio::time::{Instant, timeout_at};

use super::new_entry::{NewEntry, StoredEntry};
use super::plan::{ActionRole, Planner, PutPlan, distinct_len};
use super::snapshot::PutSnapshot;
use crate::cache::Cache;
use crate::writer_queue::Ticket;

/// How long before the deadline no further transaction of a batch is begun.
const BATCH_MARGIN: Duration = Duration::from_secs(1);

/// The part of a put's time that is kept to find out, by reading, what happened to a transaction that was not answered.
const SETTLE_RESERVE: Duration = Duration::from_millis(400);

/// The attributes of a stored row that an access or a move to another embedder may change.
const CHANGED_LATER: [&[&str]; 2] = [&[name::LAST_ACCESSED_AT, name::ACCESS_COUNT], &name::VECTOR_ATTRIBUTES];

/// Stores each of `entries`. An entry replaces the live entry for the same query in the same namespace, if there is
/// one. Returns a result for each, in their order.
///
/// A replaced entry whose vectors stay the same keeps its id. With other vectors the entry takes a new id, and the old
/// row is deleted in the same transaction. Either way it is one mutation. Of several entries for one query the last one
/// stays. During a move to another embedder, the replaced entry's vector of an embedder for which no new vector is
/// given is kept: it is a vector of the same text.
///
/// Reads, at once: the counter, the pointers, `gsi_hash`, and the idempotency records and leases; then the rows that
/// these name. Writes: as few transactions as take the entries (100 actions, 4 MB), each of the rows, the counter, the
/// pointers, the leases and the statistics. After a lost race also the writer queue.
/// Errors, of each entry alone: `EmbedderDimensionError`, `EntryTooLarge`, `InvalidRequest`; of all entries of a
/// transaction: `StoreBackendError`; of either: `EmbedderMismatchError`. An entry with an error is not stored.
pub async fn put_all(cache: &Cache, entries: &[NewEntry]) -> Vec<Result<StoredEntry, Error>> {
    let mut results = Vec::with_capacity(entries.len());
    while results.len() < entries.len() {
        if !results.is_empty() && Instant::now() + BATCH_MARGIN >= cache.deadline {
            let remedy = "send it again, in a smaller batch";
            results.push(Err(Error::backend("the time ran out before this entry's turn", remedy)));
            continue;
        }
        let rest = &entries[results.len()..];
        let some = &rest[..distinct_len(rest)];
        // A time-out here must not lose the results of the transactions before.
        match timeout_at(cache.reply_by(), store_first(cache, some)).await {
            Ok(stored) => results.extend(stored),
            Err(_) => results.extend(some.iter().map(|_| Err(unreachable("TransactWriteItems")))),
        }
    }
    results
}

/// Stores the first of `entries`, as many as one transaction takes, and returns their results: at least one.
async fn store_first(cache: &Cache, entries: &[NewEntry]) -> Vec<Result<StoredEntry, Error>> {
    let mut ticket = None;
    let outcome = store_with_ticket(cache, entries, &mut ticket).await;
    if let Some(ticket) = ticket {
        cache.writer_queue().release(ticket).await;
    }
    match outcome {
        Ok(results) => results,
        // DynamoDB refused the transaction because of one entry and does not say which. Each entry is stored alone, so
        // that the others need not fail with it.
        Err(error) if error.kind == ErrorKind::Internal && entries.len() > 1 => {
            let mut results = Vec::new();
            for entry in entries.chunks(1) {
                results.extend(Box::pin(store_first(cache, entry)).await);
            }
            results
        }
        Err(error) => {
            let copies: Vec<_> = entries[1..].iter().map(|_| Err(error.for_caller())).collect();
            [Err(error)].into_iter().chain(copies).collect()
        }
    }
}

/// Stores as [`store_first`]. `ticket`: receives the place in the writer queue, if one was taken. The caller releases
/// it.
async fn store_with_ticket(
    cache: &Cache,
    entries: &[NewEntry],
    ticket: &mut Option<Ticket>,
) -> Result<Vec<Result<StoredEntry, Error>>, Error> {
    let queue = cache.writer_queue();
    let mut budget = cache.retry_budget();
    // The transaction's conditions detect changes to what is read before this writer's turn. Only the counter must be
    // read in its turn.
    let (taken, snapshot) = tokio::join!(queue.acquire_if_contended(), PutSnapshot::read(cache, entries, false));
    *ticket = taken;
    let mut snapshot = snapshot?;
    if let Some(ticket) = ticket.as_mut().filter(|ticket| ticket.waited) {
        snapshot.counter = counter_in_turn(cache, Some(ticket)).await?;
    }
    loop {
        let plan = Planner { cache }.plan(entries, &snapshot)?;
        if plan.actions.is_empty() {
            return Ok(plan.results);
        }
        let PutPlan { results, actions, roles } = plan;
        let rows = rows_of(&actions);
        let until = cache.reply_by().checked_sub(SETTLE_RESERVE).unwrap_or(cache.deadline);
        let outcome = cache.table.transact(actions, until).await?;
        let was_contended = outcome.was_contended();
        let outcomes = match outcome {
            TransactionOutcome::Committed => return Ok(results),
            TransactionOutcome::Cancelled(outcomes) => outcomes,
            TransactionOutcome::Unknown(_) if matches!(any_stored(cache, &rows).await, Ok(true)) => return Ok(results),
            TransactionOutcome::Unknown(error) => return Err(error),
        };
        if was_contended {
            budget.after_contention().await?;
            queue.requeue(ticket).await;
            snapshot = PutSnapshot::read(cache, entries, true).await?;
            continue;
        }
        let failed = |role: ActionRole| {
            let outcomes = roles.iter().zip(&outcomes).filter(|(of, _)| **of == role);
            outcomes.filter(|(_, outcome)| matches!(outcome, ActionOutcome::ConditionFailed(_))).count()
        };
        let counter = roles.iter().position(|of| *of == ActionRole::Counter).and_then(|at| outcomes.get(at));
        // The id is taken although the counter, whose condition held, has not given it out: item 0 was restored from an
        // older state.
        if failed(ActionRole::NewRow) > 0 && matches!(counter, Some(ActionOutcome::Fine)) {
            return Err(Error::backend(
                format!("the next id is {}, but an entry has that id already", snapshot.counter.next_id),
                "invoke `vacuum`, which raises the counter; nothing was overwritten",
            ));
        }
        let is_first = ticket.as_ref().is_some_and(|ticket| ticket.is_first);
        budget.after_lost_race(is_first).await?;
        queue.requeue(ticket).await;
        // If only the counter moved, the rest of the snapshot is still valid. The refusal brought the counter's new
        // state, which is fresh unless the writer waited for a new ticket.
        match counter {
            _ if failed(ActionRole::Rest) > 0 => snapshot = PutSnapshot::read(cache, entries, true).await?,
            Some(ActionOutcome::ConditionFailed(Some(item))) if is_first => {
                snapshot.counter = Counter::from_item(item)?;
            }
            _ => snapshot.counter = counter_in_turn(cache, ticket.as_mut()).await?,
        }
    }
}

/// The counter, now that it is this writer's turn. Reads: the counter, unless the wait for the ticket brought it.
async fn counter_in_turn(cache: &Cache, ticket: Option<&mut Ticket>) -> Result<Counter, Error> {
    match ticket.and_then(|ticket| ticket.counter.take()) {
        Some(counter) => Ok(counter),
        None => cache.counter().await,
    }
}

/// The rows of entries that `actions` write, by key.
fn rows_of(actions: &[TransactWriteItem]) -> Vec<(RowKey, Item)> {
    let items = actions.iter().filter_map(|action| Some(&action.put.as_ref()?.item));
    let keyed = items.filter_map(|item| Some((RowKey::from_attribute(item.get(name::ID)?)?, item.clone())));
    keyed.filter(|(key, _)| key.entry().is_some()).collect()
}

/// Whether the table holds one of `rows` as it was to be written, apart from later accesses and moves. A transaction is
/// applied as a whole, so one row proves all of them. Another writer may have stored an equal row under the same id;
/// then the caller's entry is stored, too.
///
/// Reads: the rows, strongly.
async fn any_stored(cache: &Cache, rows: &[(RowKey, Item)]) -> Result<bool, Error> {
    let found = cache.table.batch_get(rows.iter().map(|(key, _)| *key), Projection::All).await?;
    let as_put = |item: &Item| {
        let mut item = item.clone();
        item.retain(|name, _| !CHANGED_LATER.concat().contains(&name.as_str()));
        item
    };
    Ok(rows.iter().any(|(key, row)| found.get(*key).is_some_and(|item| as_put(item) == as_put(row))))
}
