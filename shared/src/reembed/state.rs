//! How much of a move is done.

use mneme_model::embedder::SecondEmbedder;
use mneme_model::error::Error;
use mneme_store::counter::Counter;
use mneme_store::key::RowKey;
use mneme_store::move_progress::{MovePhase, MoveProgress};

use crate::cache::Cache;

/// The embedders of the cache, and the progress of a move between them.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Item 0 as it was read last.
    pub counter: Counter,
    /// How many ids were visited to add, or to remove, vectors of the other embedder; `None` without a move.
    pub progress: Option<MoveProgress>,
    /// Whether nothing is left to do in this phase. In the reply of a step this includes the segments.
    pub complete: bool,
}

impl State {
    /// The number of ids that were not visited yet.
    pub fn ids_left(&self) -> u64 {
        self.progress.map_or(0, |progress| self.counter.next_id.saturating_sub(progress.next_id))
    }
}

/// Item 0, without a check of the configured embedder. Errors: `NotFound` if there is no item 0 yet;
/// `StoreBackendError`.
pub(super) async fn move_counter(cache: &Cache) -> Result<Counter, Error> {
    match cache.table.get(RowKey::COUNTER, true).await? {
        Some(item) => Counter::from_item(&item),
        None => Err(Error::not_found(
            "there is nothing to move: the cache has not been opened yet",
            "configure the new embedder, and use it from the first entry on",
        )),
    }
}

/// The state of the move. Reads: item 0, and a derived item. Errors: `StoreBackendError`, `NotFound`.
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
