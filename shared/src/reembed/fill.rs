//! Adding the vectors of the embedder that is not active.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mneme_model::embedder::SecondEmbedder;
use mneme_model::entry::Entry;
use mneme_model::error::{Error, ErrorKind};
use mneme_store::counter::Counter;
use mneme_store::entry_row::entry_to_item;
use mneme_store::move_progress::{MovePhase, VisitedCounts};
use mneme_store::read::Rows;
use tokio::time::Instant;

use super::missing_vectors::{MissingVector, make_missing_vectors};
use super::relocate::relocate;
use super::state::{State, move_counter};
use super::step_budget::StepBudget;
use super::visit::{Visited, WRITES_AT_ONCE, visit_entries};
use crate::cache::Cache;
use crate::embedders::layout::EntryVectors;
use crate::embedders::scale::learn_scales;
use crate::embedders::text_embedding::TextEmbedding;
use crate::segments::write::write_segments;

/// What a step has to do with one entry.
enum EntryState {
    /// Nothing. The entry is counted.
    Settled(VisitedCounts),
    /// The entry lacks a vector that can be made.
    Lacks(Box<Entry>, MissingVector),
    /// Nothing. The entry is gone or has expired, and is not counted.
    Gone,
}

const READY: VisitedCounts =
    VisitedCounts { ready: 1, without_query: 0, refused: 0, too_large: 0, not_embeddable: 0, without_vector: 0 };

/// Continues to add the missing vectors of the embedder that is not active, after learning its scale if it has none. When none is missing, writes the segments
/// of these vectors, so that new instances are as fast after the switch as before.
///
/// An entry that lacks the active embedder's vector gets it, too, if that embedder is configured here. The entry then
/// gets a new id.
/// Reads: item 0, the rows. Writes: each row that lacks a vector, by an UpdateItem with a condition on the row; the
/// progress, after each block of ids; segments. Errors: `InvalidRequest` without a move; `EmbedderMismatchError` if the
/// embedder is not configured, or if the move was ended or switched meanwhile; the embedder's own; `StoreBackendError`.
/// Vectors that were added before the error stay, and the next call continues after them.
pub async fn step(cache: &Cache, budget: StepBudget) -> Result<State, Error> {
    let counter = move_counter(cache).await?;
    let Some(other) = counter.second.clone().filter(|other| !other.ending) else { return Err(nothing_to_add()) };
    learn_scales(cache).await?;
    let mut state = fill(cache, budget, &other).await?;
    let inactive = state.counter.second_embedder().filter(|_| state.complete);
    if let Some(inactive) = inactive {
        let written = write_segments(cache, &inactive, state.counter.next_id, budget.until).await?;
        state.complete = !written.unfinished;
    }
    Ok(state)
}

/// Adds the missing vectors of `other`.
pub(super) async fn fill(cache: &Cache, mut budget: StepBudget, other: &SecondEmbedder) -> Result<State, Error> {
    let mut progress = cache.table.progress(other.generation, MovePhase::Adding).await?;
    // No vector may be added to a row whose range has a segment of these vectors.
    let first_open_id = cache.table.manifest(other.generation).await?.map_or(1, |manifest| manifest.next_id());
    loop {
        let counter = move_counter(cache).await?;
        if !counter.second.as_ref().is_some_and(|second| second.is_same(other)) {
            return Err(Error::new(
                ErrorKind::EmbedderMismatchError,
                "the embedders of the cache were switched, or the move was ended, during this call",
                "look at `status`, and go on from there",
            ));
        }
        let complete = progress.next_id >= counter.next_id;
        if complete || !budget.is_left() {
            return Ok(State { counter, progress: Some(progress), complete });
        }
        let began = Instant::now();
        let ids = budget.block(progress.next_id, counter.next_id);
        let visited =
            visit_entries(cache, ids.clone(), |rows| Box::pin(fill_rows(cache, &counter, rows, first_open_id))).await?;
        progress.advance(&ids, &visited, began.elapsed());
        budget.spend(&ids, began.elapsed());
        cache.table.save_progress(other.generation, MovePhase::Adding, &progress).await?;
    }
}

/// Adds the missing vectors to `rows`.
async fn fill_rows(cache: &Cache, counter: &Counter, rows: Rows, first_open_id: u64) -> Result<Vec<Visited>, Error> {
    let (mut lack_second, mut lack_active) = (Vec::new(), Vec::new());
    let mut visited = Vec::new();
    for id in rows.iter().filter_map(|(key, _)| key.entry()) {
        match entry_state(cache, rows.entry(id), counter) {
            EntryState::Settled(counts) => visited.push((id, Some(counts))),
            EntryState::Lacks(entry, MissingVector::Second) => lack_second.push(*entry),
            EntryState::Lacks(entry, MissingVector::Active) => lack_active.push(*entry),
            EntryState::Gone => {}
        }
    }
    for (entries, missing) in [(lack_second, MissingVector::Second), (lack_active, MissingVector::Active)] {
        visited.extend(fill_entries(cache, counter, entries, missing, first_open_id).await?);
    }
    Ok(visited)
}

fn entry_state(cache: &Cache, entry: Option<Entry>, counter: &Counter) -> EntryState {
    let Some(entry) = entry.filter(|entry| !entry.is_expired(cache.now_secs())) else { return EntryState::Gone };
    let held = EntryVectors::of_row(&entry, counter);
    match (held.active.is_some(), held.second.is_some()) {
        (false, false) => EntryState::Settled(VisitedCounts { without_vector: 1, ..VisitedCounts::default() }),
        (true, true) => EntryState::Settled(READY),
        (true, false) if entry.query.is_none() => {
            EntryState::Settled(VisitedCounts { without_query: 1, ..VisitedCounts::default() })
        }
        (true, false) => EntryState::Lacks(Box::new(entry), MissingVector::Second),
        (false, true) if entry.query.is_some() && cache.embedders().slot_of(&counter.active_embedder()).is_some() => {
            EntryState::Lacks(Box::new(entry), MissingVector::Active)
        }
        (false, true) => EntryState::Settled(READY),
    }
}

/// Makes the vectors that `entries` lack, and writes them.
async fn fill_entries(
    cache: &Cache,
    counter: &Counter,
    entries: Vec<Entry>,
    missing: MissingVector,
    first_open_id: u64,
) -> Result<Vec<Visited>, Error> {
    let vectors = make_missing_vectors(cache, counter, &entries, missing).await?;
    // Each new id needs a transaction with the counter, so these writes run one after the other.
    let takes_ids = missing == MissingVector::Active || entries.iter().any(|entry| entry.id.get() < first_open_id);
    let at_once = if takes_ids { 1 } else { WRITES_AT_ONCE };
    let written = entries.into_iter().zip(vectors).map(async |(entry, vector)| {
        let counts = match vector {
            // The entry already has the vector of the embedder that is not active.
            None | Some(TextEmbedding::NotEmbeddable) if missing == MissingVector::Active => Some(READY),
            None => Some(VisitedCounts { refused: 1, ..VisitedCounts::default() }),
            Some(TextEmbedding::NotEmbeddable) => Some(VisitedCounts { not_embeddable: 1, ..VisitedCounts::default() }),
            Some(TextEmbedding::Vector { embedding, unread }) => {
                let vector = Some(embedding.to_bytes());
                let added = match missing {
                    MissingVector::Active => EntryVectors { active: vector, second: None, unread },
                    MissingVector::Second => EntryVectors { active: None, second: vector, unread },
                };
                add_vector(cache, counter, &entry, added, missing, first_open_id).await?
            }
        };
        Ok::<_, Error>((entry.id, counts))
    });
    // The futures are collected into a vector, because they are large.
    stream::iter(written.collect::<Vec<_>>()).buffer_unordered(at_once).try_collect().await
}

/// Writes the vector that `entry` lacks. Returns `None` if another writer changed the entry meanwhile.
async fn add_vector(
    cache: &Cache,
    counter: &Counter,
    entry: &Entry,
    added: EntryVectors,
    missing: MissingVector,
    first_open_id: u64,
) -> Result<Option<VisitedCounts>, Error> {
    let all = added.clone().or(EntryVectors::of_row(entry, counter));
    let vectors = all.to_row_vectors(Some(entry), counter, &cache.config)?;
    let row = Entry { vectors, ..entry.clone() };
    if entry_to_item(&row).is_err() {
        return Ok(Some(match missing {
            MissingVector::Active => READY,
            MissingVector::Second => VisitedCounts { too_large: 1, ..VisitedCounts::default() },
        }));
    }
    if missing == MissingVector::Active || entry.id.get() < first_open_id {
        // The entry is counted when a later block visits its new id.
        return Ok(relocate(cache, entry, &added, counter).await?.then(VisitedCounts::default));
    }
    Ok(cache.table.set_vectors(entry, &row.vectors).await?.then_some(READY))
}

fn nothing_to_add() -> Error {
    Error::invalid(
        "no move to another embedder is under way, or it is being ended",
        "`start` one, or go on with `finish` or `abort`",
    )
}
