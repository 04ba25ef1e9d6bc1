//! Making the other embedder the active one.

use mneme_model::embedder::MoveEnd;
use mneme_model::error::{Error, ErrorKind};
use mneme_store::key::RowKey;
use tokio::time::Instant;

use super::change::{Change, change_embedders};
use super::fill::fill;
use super::state::{State, status};
use super::step_budget::StepBudget;
use crate::cache::Cache;

/// The most ids that a switch goes through itself; more are a step's.
const MAX_IDS_LEFT: u64 = 1024;

/// Makes the embedder at this end of the move the active one, unless it is. The lookups that begin after this has returned
/// compare with its vectors.
///
/// It goes through the entries that came in since the last step, and does it again if more come in before the switch is
/// written. `leave_behind`: it does not, and entries without a vector of that embedder are found exactly, until a step
/// gives them one.
/// Reads and writes: as [`step`]; then one transaction on item 0, one mutation. After a lost race also the
/// line before the counter.
/// Errors: `InvalidRequest` without a move, or with more than 1,024 ids left to go through; as [`step`];
/// `StoreBackendError` when entries came in each time.
pub async fn switch(cache: &Cache, to: MoveEnd, leave_behind: bool) -> Result<State, Error> {
    let mut turn = None;
    let mut retry_budget = cache.retry_budget();
    let switched = loop {
        let state = match ready_to_switch(cache, to, leave_behind).await {
            Ok(Some(state)) => state,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        match change_embedders(cache, &state.counter, &Change::Switch { leave_behind }).await {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(error) => break Err(error),
        }
        if let Err(error) = retry_budget.after_lost_race(turn.is_some()).await {
            break Err(Error::backend(
                "entries came in each time before the switch was written",
                "switch again, or lower the number of concurrent writers",
            )
            .retry_after(1)
            .caused_by(error));
        }
        if turn.is_none() {
            cache.writer_queue().note_lost_race();
            turn = cache.writer_queue().acquire().await;
        }
    };
    if let Some(turn) = turn {
        cache.writer_queue().release(turn).await;
    }
    switched?;
    status(cache).await
}

/// What the switch is to be written over; `None`: it is written.
async fn ready_to_switch(cache: &Cache, to: MoveEnd, leave_behind: bool) -> Result<Option<State>, Error> {
    let state = status(cache).await?;
    let Some(other) = state.counter.second.clone() else {
        return Err(Error::invalid("no move to another embedder is under way", "`start` one"));
    };
    if state.counter.active_end() == Some(to) {
        return Ok(None);
    }
    if other.ending {
        return Err(Error::new(
            ErrorKind::EmbedderMismatchError,
            format!("the move is being ended, and vectors of {:?} are being removed", other.fingerprint),
            "end it, then start another move",
        ));
    }
    if leave_behind {
        // The steps after it find what is left behind from the first entry on.
        cache.table.delete_derived(RowKey::move_progress(state.counter.generation)).await?;
        return Ok(Some(state));
    }
    if state.ids_left() > MAX_IDS_LEFT {
        return Err(Error::invalid(
            format!("{} ids are left to go through for vectors of {:?}", state.ids_left(), other.fingerprint),
            "go on with `step` until it is complete, then switch",
        ));
    }
    let budget = StepBudget::until_deadline(cache);
    let began = Instant::now();
    let state = fill(cache, budget, &other).await?;
    tracing::debug!(took_ms = began.elapsed().as_millis(), "gone through before the switch");
    if !state.complete {
        return Err(Error::backend("the time ran out before the switch", "switch again").retry_after(1));
    }
    Ok(Some(state))
}
