//! Adding the vectors of the embedder that is not active.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mneme_model::embedder::SecondEmbedder;
use mneme_model::embedding::Embedding;
use mneme_model::entry::Entry;
use mneme_model::error::{Error, ErrorKind};
use mneme_store::counter::Counter;
use mneme_store::entry_row::entry_to_item;
use mneme_store::move_progress::{MovePhase, VisitedCounts};
use mneme_store::read::Rows;
use tokio::time::Instant;

use super::relocate::relocate;
use super::state::{State, move_counter};
use super::step_budget::StepBudget;
use super::visit::{Visited, WRITES_AT_ONCE, visit_entries};
use crate::cache::Cache;
use crate::embedders::layout::EntryVectors;
use crate::embedders::providers::EmbedderSlot;
use crate::segments::write::write_segments;

/// A text that every embedder takes: whether it answers at all, and with how many numbers.
const PROBE: &str = "What is the capital of France?";

/// What an entry lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// The vector of the embedder that is not active.
    Second,
    /// The active one's, having the other one's: it was put by an instance that serves that one.
    Active,
}

/// What one entry comes to.
enum Found {
    VisitedCounts(VisitedCounts),
    Lacking(Box<Entry>, Lack),
    /// Nothing that counts.
    Gone,
}

const READY: VisitedCounts = VisitedCounts { ready: 1, without_query: 0, refused: 0, too_large: 0, without_vector: 0 };

/// Goes on adding the vectors that are missing of the embedder that is not active, and then packs them, so that new
/// instances are as quick after the switch as before.
///
/// An entry that lacks the active embedder's vector gets it, too, if that one is configured here, and with it a new id.
/// Reads: item 0, the rows. Writes: each row that lacks something, by an UpdateItem that is conditional on the row; how far
/// it has come, after every some ids.
/// Errors: `InvalidRequest` without a move; `EmbedderMismatchError` without the embedder, or when the move was ended
/// meanwhile; the embedder's own; `StoreBackendError`. What was added stays, and the next call goes on there.
pub async fn step(cache: &Cache, budget: StepBudget) -> Result<State, Error> {
    let counter = move_counter(cache).await?;
    let Some(other) = counter.second.clone().filter(|other| !other.ending) else { return Err(nothing_to_add()) };
    let mut state = fill(cache, budget, &other).await?;
    let inactive = state.counter.second_embedder().filter(|_| state.complete);
    if let Some(inactive) = inactive {
        let packed = write_segments(cache, &inactive, state.counter.next_id, budget.until).await?;
        state.complete = !packed.unfinished;
    }
    Ok(state)
}

/// Adds what is missing of `other`'s vectors.
pub(super) async fn fill(cache: &Cache, mut budget: StepBudget, other: &SecondEmbedder) -> Result<State, Error> {
    let mut progress = cache.table.progress(other.generation, MovePhase::Adding).await?;
    // Where these vectors have been packed, none may be added to a row.
    let packed = cache.table.manifest(other.generation).await?.map_or(1, |manifest| manifest.next_id());
    loop {
        let counter = move_counter(cache).await?;
        if counter.second.as_ref() != Some(other) {
            return Err(Error::new(
                ErrorKind::EmbedderMismatchError,
                "the embedders of the cache were switched, or the move was ended, meanwhile",
                "look at `status`, and go on from there",
            ));
        }
        let complete = progress.next_id >= counter.next_id;
        if complete || !budget.is_left() {
            return Ok(State { counter, progress: Some(progress), complete });
        }
        let began = Instant::now();
        let ids = budget.block(progress.next_id, counter.next_id);
        let passed =
            visit_entries(cache, ids.clone(), |rows| Box::pin(fill_rows(cache, &counter, rows, packed))).await?;
        progress.advance(&ids, &passed, began.elapsed());
        budget.spend(&ids, began.elapsed());
        cache.table.save_progress(other.generation, MovePhase::Adding, &progress).await?;
    }
}

/// Adds what is missing to `rows`; what became of each entry.
async fn fill_rows(cache: &Cache, counter: &Counter, rows: Rows, packed: u64) -> Result<Vec<Visited>, Error> {
    let mut lacking: [Vec<Entry>; 2] = Default::default();
    let mut became = Vec::new();
    for id in rows.iter().filter_map(|(key, _)| key.entry()) {
        match look_at(cache, rows.entry(id), counter) {
            Found::VisitedCounts(one) => became.push((id, Some(one))),
            Found::Lacking(entry, Lack::Second) => lacking[0].push(*entry),
            Found::Lacking(entry, Lack::Active) => lacking[1].push(*entry),
            Found::Gone => {}
        }
    }
    for (entries, lack) in lacking.into_iter().zip([Lack::Second, Lack::Active]) {
        became.extend(fill_entries(cache, counter, entries, lack, packed).await?);
    }
    Ok(became)
}

fn look_at(cache: &Cache, entry: Option<Entry>, counter: &Counter) -> Found {
    let Some(entry) = entry.filter(|entry| !entry.is_expired(cache.now_secs())) else { return Found::Gone };
    let held = EntryVectors::of_row(&entry, counter);
    match (held.active.is_some(), held.second.is_some()) {
        (false, false) => Found::VisitedCounts(VisitedCounts { without_vector: 1, ..VisitedCounts::default() }),
        (true, true) => Found::VisitedCounts(READY),
        (true, false) if entry.query.is_none() => {
            Found::VisitedCounts(VisitedCounts { without_query: 1, ..VisitedCounts::default() })
        }
        (true, false) => Found::Lacking(Box::new(entry), Lack::Second),
        (false, true) if entry.query.is_some() && cache.embedders().slot_of(&counter.active_embedder()).is_some() => {
            Found::Lacking(Box::new(entry), Lack::Active)
        }
        (false, true) => Found::VisitedCounts(READY),
    }
}

/// Makes the vectors that `entries` lack and writes them; what became of each.
async fn fill_entries(
    cache: &Cache,
    counter: &Counter,
    entries: Vec<Entry>,
    lack: Lack,
    packed: u64,
) -> Result<Vec<Visited>, Error> {
    let vectors = vectors_for(cache, counter, &entries, lack).await?;
    // New ids are given out one after the other.
    let takes_ids = lack == Lack::Active || entries.iter().any(|entry| entry.id.get() < packed);
    let at_once = if takes_ids { 1 } else { WRITES_AT_ONCE };
    let written = entries.into_iter().zip(vectors).map(async |(entry, vector)| {
        let one = match vector {
            // It stays the other embedder's, where it is that one's already.
            None if lack == Lack::Active => Some(READY),
            None => Some(VisitedCounts { refused: 1, ..VisitedCounts::default() }),
            Some(vector) => add_vector(cache, counter, &entry, vector, lack, packed).await?,
        };
        Ok::<_, Error>((entry.id, one))
    });
    // Boxed by the collection: the futures of the writes are large.
    stream::iter(written.collect::<Vec<_>>()).buffer_unordered(at_once).try_collect().await
}

/// The vectors that `entries`, which have queries, lack, in their order; `None` for a text that the embedder refuses.
pub(super) async fn vectors_for(
    cache: &Cache,
    counter: &Counter,
    entries: &[Entry],
    lack: Lack,
) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let served = match lack {
        Lack::Active => Some(counter.active_embedder()),
        Lack::Second => counter.second_embedder(),
    };
    let Some(served) = served.filter(|_| !entries.is_empty()) else { return Ok(Vec::new()) };
    let slot = cache.embedders().slot_of(&served).ok_or_else(|| {
        let fingerprint = served.fingerprint.as_deref().unwrap_or_default();
        Error::new(
            ErrorKind::EmbedderMismatchError,
            format!("{} entries lack a vector of {fingerprint:?}, which is not configured here", entries.len()),
            "set MNEME_EMBEDDER or MNEME_EMBEDDER_NEXT to that embedder",
        )
    })?;
    let texts: Vec<&str> = entries.iter().map(|entry| entry.query.as_deref().unwrap_or_default()).collect();
    let mut vectors = Vec::with_capacity(texts.len());
    for (text, vector) in texts.iter().zip(cache.embedders().embed(slot, &texts).await) {
        // What was refused among others is asked for alone before it counts as a text that cannot be embedded.
        let vector = match vector {
            Err(error) if error.kind == ErrorKind::InvalidRequest => embed_alone(cache, slot, text).await?,
            vector => Some(vector?),
        };
        if let Some(Err(error)) = vector.as_ref().map(|vector| served.check_dim(vector.dim())) {
            cache.embedders().forget(text);
            return Err(error);
        }
        vectors.push(vector.map(|vector| vector.to_bytes()));
    }
    Ok(vectors)
}

/// The vector of a text; `None` where the embedder refuses this text, but not every text.
async fn embed_alone(cache: &Cache, slot: EmbedderSlot, text: &str) -> Result<Option<Embedding>, Error> {
    match embed_one(cache, slot, text).await {
        Err(error) if error.kind == ErrorKind::InvalidRequest => {
            cache.embedders().forget(PROBE);
            match embed_one(cache, slot, PROBE).await {
                Ok(_) => Ok(None),
                Err(refused) => Err(Error::new(
                    ErrorKind::EmbedderError,
                    format!("the embedder refuses every text: {}", refused.detail),
                    refused.remediation,
                )),
            }
        }
        embedded => embedded.map(Some),
    }
}

async fn embed_one(cache: &Cache, slot: EmbedderSlot, text: &str) -> Result<Embedding, Error> {
    let embedded = cache.embedders().embed(slot, &[text]).await.pop();
    embedded.unwrap_or_else(|| Err(Error::internal("a text was not embedded")))
}

/// The length of the vectors of a configured embedder, which has to answer for that. Errors: as [`Cache::embed`].
pub async fn embedder_dim(cache: &Cache, slot: EmbedderSlot) -> Result<u32, Error> {
    let vector = embed_one(cache, slot, PROBE).await?;
    u32::try_from(vector.dim()).map_err(Error::internal)
}

/// Writes the vector that `entry` lacks; `None`: it was written to meanwhile.
async fn add_vector(
    cache: &Cache,
    counter: &Counter,
    entry: &Entry,
    vector: Vec<u8>,
    lack: Lack,
    packed: u64,
) -> Result<Option<VisitedCounts>, Error> {
    let lacked = match lack {
        Lack::Active => EntryVectors { active: Some(vector), second: None },
        Lack::Second => EntryVectors { active: None, second: Some(vector) },
    };
    let all = lacked.clone().or(EntryVectors::of_row(entry, counter));
    let wanted = all.to_row_vectors(entry.vectors.generation, counter, &cache.config)?;
    let whole = Entry { vectors: wanted, ..entry.clone() };
    if entry_to_item(&whole).is_err() {
        return Ok(Some(match lack {
            Lack::Active => READY,
            Lack::Second => VisitedCounts { too_large: 1, ..VisitedCounts::default() },
        }));
    }
    if lack == Lack::Active || entry.id.get() < packed {
        // It comes by again, at its new id.
        return Ok(relocate(cache, entry, &lacked, counter).await?.then(VisitedCounts::default));
    }
    Ok(cache.table.set_vectors(entry, &whole.vectors).await?.then_some(READY))
}

fn nothing_to_add() -> Error {
    Error::invalid(
        "no move to another embedder is under way, or it is being ended",
        "`start` one, or go on with `finish` or `abort`",
    )
}
