//! Ending a move: the active embedder stays, and the vectors of the other one are removed.

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
use super::missing_vectors::{MissingVector, make_missing_vectors};
use super::relocate::relocate;
use super::state::{State, move_counter, status};
use super::step_budget::StepBudget;
use super::visit::{Visited, WRITES_AT_ONCE, visit_entries};
use crate::cache::Cache;
use crate::embedders::layout::EntryVectors;
use crate::embedders::text_embedding::TextEmbedding;

/// Begins or continues to end the move. `keep` names the embedder that stays, which must be the active one. From the
/// first call on the other embedder is not served. Its vectors are removed in steps. The returned state is complete
/// when the move has ended.
///
/// An entry that has only a vector of the other embedder gets one of the active embedder, under a new id, if that
/// embedder is configured here and the query is stored. Otherwise only the exact layer finds the entry from then on.
/// Reads: item 0, the rows. Writes: two transactions on item 0, one mutation each; each row that has to change, by an
/// UpdateItem with a condition on the row; the progress. Errors: `EmbedderMismatchError` if the other embedder is
/// active; `StoreBackendError`; the embedder's own.
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
        // The change fails if entries were stored meanwhile. The next round visits them.
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

/// Removes the vectors of `other` from the rows that were not visited yet, within `budget`. Returns the counter as it
/// was read last, and the progress; `None` if another call ended the move meanwhile.
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
        let visited =
            visit_entries(cache, ids.clone(), |rows| Box::pin(keep_active_vectors(cache, &counter, rows))).await?;
        progress.advance(&ids, &visited, began.elapsed());
        budget.spend(&ids, began.elapsed());
        cache.table.save_progress(other.generation, MovePhase::Removing, &progress).await?;
        // Entries that were stored meanwhile, or got a new id, are visited, too.
        counter = move_counter(cache).await?;
        if !counter.second.as_ref().is_some_and(|second| second.is_same(other)) {
            return Ok(None);
        }
    }
    Ok(Some((counter, progress)))
}

/// Leaves `rows` only the active embedder's vectors.
async fn keep_active_vectors(cache: &Cache, counter: &Counter, rows: Rows) -> Result<Vec<Visited>, Error> {
    let has_embedder = cache.embedders().slot_of(&counter.active_embedder()).is_some();
    let lacks = |entry: &Entry| {
        let held = EntryVectors::of_row(entry, counter);
        let can_have = entry.query.is_some() && has_embedder;
        held.active.is_none() && held.second.is_some() && can_have && !entry.is_expired(cache.now_secs())
    };
    let entries = rows.iter().filter_map(|(key, _)| rows.entry(key.entry()?));
    let (lacking, rest): (Vec<_>, Vec<_>) = entries.partition(lacks);
    let vectors = make_missing_vectors(cache, counter, &lacking, MissingVector::Active).await?;
    let mut visited = Vec::new();
    // Each new id needs a transaction with the counter, so these writes run one after the other.
    for (entry, vector) in lacking.into_iter().zip(vectors) {
        visited.push((entry.id, keep_active_vector(cache, counter, &entry, vector).await?));
    }
    let writes = rest.into_iter().map(async |entry| {
        let counts = keep_active_vector(cache, counter, &entry, None).await?;
        Ok::<_, Error>((entry.id, counts))
    });
    // The futures are collected into a vector, because they are large.
    let writes = stream::iter(writes.collect::<Vec<_>>()).buffer_unordered(WRITES_AT_ONCE);
    visited.extend(writes.try_collect::<Vec<_>>().await?);
    Ok(visited)
}

/// Leaves `entry` only its vector of the active embedder. `made`: a vector of that embedder for an entry that lacks
/// one; the entry gets it if the item has room. Returns `None` if another writer changed the entry meanwhile.
async fn keep_active_vector(
    cache: &Cache,
    counter: &Counter,
    entry: &Entry,
    made: Option<TextEmbedding>,
) -> Result<Option<VisitedCounts>, Error> {
    let held = EntryVectors::of_row(entry, counter);
    let is_embeddable = made != Some(TextEmbedding::NotEmbeddable);
    let was_made = made.is_some();
    if let Some(TextEmbedding::Vector { embedding, unread }) = made {
        let added = EntryVectors { active: Some(embedding.to_bytes()), second: None, unread };
        let row = Entry { vectors: added.to_row_vectors(None, counter, &cache.config)?, ..entry.clone() };
        if entry_to_item(&row).is_ok() {
            // The entry is counted when a later block visits its new id.
            return Ok(relocate(cache, entry, &added, counter).await?.then(VisitedCounts::default));
        }
    }
    let counts = match (&held.active, &held.second, &entry.query) {
        (Some(_), ..) => VisitedCounts { ready: 1, ..VisitedCounts::default() },
        (None, None, _) => VisitedCounts { without_vector: 1, ..VisitedCounts::default() },
        (None, Some(_), None) => VisitedCounts { without_query: 1, ..VisitedCounts::default() },
        (None, Some(_), Some(_)) if !is_embeddable => VisitedCounts { not_embeddable: 1, ..VisitedCounts::default() },
        (None, Some(_), Some(_)) if was_made => VisitedCounts { too_large: 1, ..VisitedCounts::default() },
        (None, Some(_), Some(_)) => VisitedCounts { refused: 1, ..VisitedCounts::default() },
    };
    let kept = EntryVectors { second: None, ..held }.to_row_vectors(Some(entry), counter, &cache.config)?;
    // A row without a vector names no generation. The same applies if the item has no room for the zeros that a table
    // shared with the Python library stores in place of a vector.
    let fits = || entry_to_item(&Entry { vectors: kept.clone(), ..entry.clone() }).is_ok();
    let kept = if kept.embedding.is_some() && fits() { kept } else { RowVectors::default() };
    if kept == entry.vectors {
        return Ok(Some(counts));
    }
    Ok(cache.table.set_vectors(entry, &kept).await?.then_some(counts))
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
