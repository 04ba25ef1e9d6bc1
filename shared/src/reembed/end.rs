//! Ending a move: the active embedder stays, and the other one's vectors go.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mneme_model::embedder::{MoveEnd, SecondEmbedder};
use mneme_model::entry::Entry;
use mneme_model::error::{Error, ErrorKind};
use mneme_model::row_vectors::RowVectors;
use mneme_store::counter::Counter;
use mneme_store::entry_row::entry_to_item;
use mneme_store::key::RowKey;
use mneme_store::move_progress::{MovePhase, MoveProgress, VisitedCounts};
use mneme_store::read::Rows;
use tokio::time::Instant;

use super::change::{Change, change_embedders};
use super::fill::{Lack, vectors_for};
use super::relocate::relocate;
use super::state::{State, move_counter, status};
use super::step_budget::StepBudget;
use super::visit::{Visited, WRITES_AT_ONCE, visit_entries};
use crate::cache::Cache;
use crate::embedders::layout::EntryVectors;

/// Goes on ending the move, which keeps the embedder at this end of it, the active one: the other one is not served any
/// more from the first call on, and its vectors are removed. Complete when there is no move any more.
///
/// An entry that has a vector of the other embedder alone gets one of the active embedder, and a new id with it, if
/// that one is configured here and its query is stored; else it is found exactly from then on.
/// Reads: item 0, the rows. Writes: two transactions on item 0, one mutation each; each row that has to change, by an
/// UpdateItem that is conditional on the row. Errors: `EmbedderMismatchError` when the other one is active;
/// `StoreBackendError`; the embedder's own.
pub async fn end(cache: &Cache, keep: MoveEnd, mut budget: StepBudget) -> Result<State, Error> {
    loop {
        let counter = move_counter(cache).await?;
        let Some(other) = counter.second.clone() else { return status(cache).await };
        if counter.active_end() != Some(keep) {
            return Err(not_active(&counter, &other));
        }
        if !other.ending {
            change_embedders(cache, &counter, &Change::End).await?;
            continue;
        }
        let Some((counter, progress)) = remove_vectors(cache, &mut budget, &counter, &other).await? else { continue };
        if progress.next_id < counter.next_id {
            return Ok(State { counter, progress: Some(progress), complete: false });
        }
        // Where entries came in meanwhile, these have to be gone through as well.
        if change_embedders(cache, &counter, &Change::Ended).await? {
            for key in [
                RowKey::move_progress(other.generation),
                RowKey::move_progress(counter.generation),
                RowKey::manifest(other.generation),
            ] {
                cache.table.delete_derived(key).await?;
            }
        }
    }
}

/// Removes `other`'s vectors from the rows that were not gone through, within `budget`. Returns the counter that the last
/// rows were gone through by; `None` when the move was ended meanwhile, by another call.
async fn remove_vectors(
    cache: &Cache,
    budget: &mut StepBudget,
    counter: &Counter,
    other: &SecondEmbedder,
) -> Result<Option<(Counter, MoveProgress)>, Error> {
    let mut counter = counter.clone();
    let mut progress = cache.table.progress(other.generation, MovePhase::Removing).await?;
    while progress.next_id < counter.next_id && budget.is_left() {
        let began = Instant::now();
        let ids = budget.block(progress.next_id, counter.next_id);
        let passed = visit_entries(cache, ids.clone(), |rows| Box::pin(settle_rows(cache, &counter, rows))).await?;
        progress.advance(&ids, &passed, began.elapsed());
        budget.spend(&ids, began.elapsed());
        cache.table.save_progress(other.generation, MovePhase::Removing, &progress).await?;
        // An entry that got a new id, or came in, is gone through as well.
        counter = move_counter(cache).await?;
        if counter.second.as_ref() != Some(other) {
            return Ok(None);
        }
    }
    Ok(Some((counter, progress)))
}

/// Leaves `rows` the active embedder's vectors; what became of each entry.
async fn settle_rows(cache: &Cache, counter: &Counter, rows: Rows) -> Result<Vec<Visited>, Error> {
    let has_embedder = cache.embedders().slot_of(&counter.active_embedder()).is_some();
    let lacks = |entry: &Entry| {
        let held = EntryVectors::of_row(entry, counter);
        let can_have = entry.query.is_some() && has_embedder;
        held.active.is_none() && held.second.is_some() && can_have && !entry.is_expired(cache.now_secs())
    };
    let entries = rows.iter().filter_map(|(key, _)| rows.entry(key.entry()?));
    let (lacking, rest): (Vec<_>, Vec<_>) = entries.partition(lacks);
    let vectors = vectors_for(cache, counter, &lacking, Lack::Active).await?;
    let mut became = Vec::new();
    // New ids are given out one after the other.
    for (entry, vector) in lacking.into_iter().zip(vectors) {
        became.push((entry.id, settle(cache, counter, &entry, vector).await?));
    }
    let settled = rest.into_iter().map(async |entry| {
        let one = settle(cache, counter, &entry, None).await?;
        Ok::<_, Error>((entry.id, one))
    });
    // Boxed by the collection: the futures of the writes are large.
    let settled = stream::iter(settled.collect::<Vec<_>>()).buffer_unordered(WRITES_AT_ONCE);
    became.extend(settled.try_collect::<Vec<_>>().await?);
    Ok(became)
}

/// Leaves `entry` its vector of the active embedder alone, or gives it `vector`, of that one, where that fits its item; `None`:
/// it was written to meanwhile.
async fn settle(
    cache: &Cache,
    counter: &Counter,
    entry: &Entry,
    vector: Option<Vec<u8>>,
) -> Result<Option<VisitedCounts>, Error> {
    let held = EntryVectors::of_row(entry, counter);
    let has_vector = vector.is_some();
    if vector.is_some() {
        let given = EntryVectors { active: vector, second: None };
        let row = Entry { vectors: given.clone().to_row_vectors(None, counter, &cache.config)?, ..entry.clone() };
        if entry_to_item(&row).is_ok() {
            // It comes by again, at its new id.
            return Ok(relocate(cache, entry, &given, counter).await?.then(VisitedCounts::default));
        }
    }
    let passed = match (&held.active, &held.second, &entry.query) {
        (Some(_), ..) => VisitedCounts { ready: 1, ..VisitedCounts::default() },
        (None, None, _) => VisitedCounts { without_vector: 1, ..VisitedCounts::default() },
        (None, Some(_), None) => VisitedCounts { without_query: 1, ..VisitedCounts::default() },
        (None, Some(_), Some(_)) if has_vector => VisitedCounts { too_large: 1, ..VisitedCounts::default() },
        (None, Some(_), Some(_)) => VisitedCounts { refused: 1, ..VisitedCounts::default() },
    };
    let wanted =
        EntryVectors { second: None, ..held }.to_row_vectors(entry.vectors.generation, counter, &cache.config)?;
    // A row without any vector says nothing of whose it is; nor does one that has no room for what stands for none.
    let fits = || entry_to_item(&Entry { vectors: wanted.clone(), ..entry.clone() }).is_ok();
    let wanted = if wanted.embedding.is_some() && fits() { wanted } else { RowVectors::default() };
    if wanted == entry.vectors {
        return Ok(Some(passed));
    }
    Ok(cache.table.set_vectors(entry, &wanted).await?.then_some(passed))
}

fn not_active(counter: &Counter, other: &SecondEmbedder) -> Error {
    let active = counter.fingerprint.as_deref().unwrap_or_default();
    let (remedy, back) = match counter.active_end() {
        Some(MoveEnd::Target) => ("`finish`, or `switch_back` and then `abort`", "source"),
        _ => ("`abort`, or `switch` and then `finish`", "target"),
    };
    Error::new(
        ErrorKind::EmbedderMismatchError,
        format!("{active:?} is active, and the {back}, {:?}, is not", other.fingerprint),
        remedy,
    )
}
