//! How much of a move is done.

use mneme_model::embedder::SecondEmbedder;
use mneme_model::error::Error;
use mneme_store::counter::Counter;
use mneme_store::key::RowKey;
use mneme_store::move_progress::{MovePhase, MoveProgress};

use crate::cache::Cache;

/// The embedders of the cache, and how far a move between them has come.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// As it was read last.
    pub counter: Counter,
    /// How far vectors of the other embedder have been added, or removed; `None` without a move.
    pub progress: Option<MoveProgress>,
    /// Whether there is nothing left to do in this phase. While vectors are added: of a step's own reply also that they are packed.
    pub complete: bool,
}

impl State {
    /// Ids that were not gone through.
    pub fn ids_left(&self) -> u64 {
        self.progress.map_or(0, |progress| self.counter.next_id.saturating_sub(progress.next_id))
    }
}

/// Item 0, whatever embedder is configured. Errors: `NotFound` where there is none yet; `StoreBackendError`.
pub(super) async fn move_counter(cache: &Cache) -> Result<Counter, Error> {
    match cache.table.get(RowKey::COUNTER, true).await? {
        Some(item) => Counter::from_item(&item),
        None => Err(Error::not_found(
            "there is nothing to move: the cache has not been opened yet",
            "configure the new embedder, and use it from the first entry on",
        )),
    }
}

/// How far the move has come. Reads: item 0, and a derived item. Errors: `StoreBackendError`, `NotFound`.
pub async fn status(cache: &Cache) -> Result<State, Error> {
    let counter = move_counter(cache).await?;
    let Some(SecondEmbedder { generation, ending, .. }) = counter.second else {
        return Ok(State { counter, progress: None, complete: true });
    };
    let phase = if ending { MovePhase::Removing } else { MovePhase::Adding };
    let progress = cache.table.progress(generation, phase).await?;
    let complete = progress.next_id >= counter.next_id && !ending;
    Ok(State { counter, progress: Some(progress), complete })
}
