//! Beginning a move.

use mneme_model::embedder::MoveEnd;
use mneme_model::error::{Error, ErrorKind};
use mneme_store::move_progress::{MovePhase, MoveProgress};

use super::change::{Change, change_embedders};
use super::state::{State, move_counter, status};
use crate::cache::Cache;

/// Begins a move to the embedder with this fingerprint and dimension. Does nothing if that move has begun already.
///
/// Reads: item 0. Writes: a transaction on item 0, one mutation; a derived item with the progress. Errors:
/// `EmbedderMismatchError` while another move is under way; `InvalidRequest` if the cache has no embedder stamped, or
/// has this one already; `StoreBackendError`.
pub async fn start(cache: &Cache, fingerprint: &str, dim: u32) -> Result<State, Error> {
    loop {
        let counter = move_counter(cache).await?;
        if let Some(other) = &counter.second {
            let target = match counter.active_end() {
                Some(MoveEnd::Target) => (counter.fingerprint.as_deref(), counter.dim),
                _ => (Some(other.fingerprint.as_str()), Some(other.dim)),
            };
            if target == (Some(fingerprint), Some(dim)) && !other.ending {
                return status(cache).await;
            }
            let phase = if other.ending { "being ended" } else { "under way" };
            return Err(Error::new(
                ErrorKind::EmbedderMismatchError,
                format!(
                    "a move between {:?} and {:?} is {phase}",
                    counter.fingerprint.as_deref().unwrap_or_default(),
                    other.fingerprint
                ),
                "`finish` or `abort` it, then start the other one",
            ));
        }
        let (Some(stamped), Some(_)) = (&counter.fingerprint, counter.dim) else {
            return Err(Error::invalid(
                "the cache is not stamped with the embedder that it has now",
                "set MNEME_EMBEDDER_FINGERPRINT and MNEME_EMBEDDER_DIM to its values, invoke `provision`, and start again",
            ));
        };
        if stamped == fingerprint {
            return Err(Error::invalid(
                format!("the cache holds embeddings of {fingerprint:?} already"),
                "configure the embedder to move to as MNEME_EMBEDDER_NEXT",
            ));
        }
        let start = Change::Start { fingerprint: fingerprint.to_owned(), dim };
        if change_embedders(cache, &counter, &start).await? {
            // A later switch back need not visit the entries that exist now: they have the source's vectors, or never
            // will.
            let progress = MoveProgress { next_id: counter.next_id, ..MoveProgress::default() };
            cache.table.save_progress(counter.generation, MovePhase::Adding, &progress).await?;
        }
    }
}
