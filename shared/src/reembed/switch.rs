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

/// The most ids that a switch visits itself. If more are left, a step has to visit them first.
const MAX_IDS_LEFT: u64 = 1024;

/// Makes the embedder at the end `to` of the move the active one, unless it is active already. Lookups that begin after
/// this has returned compare with its vectors.
///
/// Visits the entries that were stored since the last step, and again those that are stored before the switch is
/// written.
/// `leave_behind`: these entries are not visited. Only the exact layer finds an entry without a vector of that
/// embedder, until a step adds the vector.
/// Reads and writes: as [`step`](super::fill::step), without segments; then one transaction on item 0, one mutation.
/// After a lost race also the writer queue.
/// Errors: `InvalidRequest` without a move, or with more than 1,024 ids left to visit; `EmbedderMismatchError` if the
/// move is being ended; as [`step`](super::fill::step); `StoreBackendError` if entries were stored in each attempt.
pub async fn switch(cache: &Cache, to: MoveEnd, leave_behind: bool) -> Result<State, Error> {
    let mut ticket = None;
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
        if let Err(error) = retry_budget.after_lost_race(ticket.is_some()).await {
            break Err(Error::backend(
                "entries came in each time before the switch was written",
                "switch again, or lower the number of concurrent writers",
            )
            .retry_after(1)
            .caused_by(error));
        }
        if ticket.is_none() {
            cache.writer_queue().note_lost_race();
            ticket = cache.writer_queue().acquire().await;
        }
    };
    if let Some(ticket) = ticket {
        cache.writer_queue().release(ticket).await;
    }
    switched?;
    status(cache).await
}

/// The state on which the switch is conditional; `None` if `to` is the active embedder already.
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
        // Later steps visit all entries from the first one on, so they find those that are left behind.
        cache.table.delete_derived(RowKey::move_progress(state.counter.generation)).await?;
        return Ok(Some(state));
    }
    if state.ids_left() > MAX_IDS_LEFT {
        return Err(Error::invalid(
            format!("{} ids are left to visit for vectors of {:?}", state.ids_left(), other.fingerprint),
            "go on with `step` until it is complete, then switch",
        ));
    }
    let budget = StepBudget::until_deadline(cache);
    let began = Instant::now();
    let state = fill(cache, budget, &other).await?;
    tracing::debug!(took_ms = began.elapsed().as_millis(), "visited the remaining entries before the switch");
    if !state.complete {
        return Err(Error::backend("the time ran out before the switch", "switch again").retry_after(1));
    }
    Ok(Some(state))
}
