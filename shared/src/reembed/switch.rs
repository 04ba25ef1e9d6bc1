//! Making the other embedder the active one.

use tokio::time::Instant;

use super::{Bounds, FIRST_AT_ONCE, State};
use crate::cache::Cache;
use crate::embedders::Side;
use crate::error::{Error, ErrorKind};
use crate::key::RowKey;
use crate::write::embedder::Change;

/// The most ids that a switch goes through itself; more are a step's.
const MOST_IDS_LEFT: u64 = 1024;

impl Cache {
    /// Makes the embedder at this end of the move the active one, unless it is. The lookups that begin after this has returned
    /// compare with its vectors.
    ///
    /// It goes through the entries that came in since the last step, and does it again if more come in before the switch is
    /// written. `leave_behind`: it does not, and entries without a vector of that embedder are found exactly, until a step
    /// gives them one.
    /// Reads and writes: as [`Cache::reembed_step`]; then one transaction on item 0, one mutation. After a lost race also the
    /// line before the counter.
    /// Errors: `InvalidRequest` without a move, or with more than 1,024 ids left to go through; as [`Cache::reembed_step`];
    /// `StoreBackendError` when entries came in each time.
    pub async fn reembed_switch(&self, to: Side, leave_behind: bool) -> Result<State, Error> {
        let mut turn = None;
        let mut pace = self.pace();
        let switched = loop {
            let state = match self.ready_to_switch(to, leave_behind).await {
                Ok(Some(state)) => state,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            match self.change_embedders(&state.counter, &Change::Switch { leave_behind }).await {
                Ok(true) => break Ok(()),
                Ok(false) => {}
                Err(error) => break Err(error),
            }
            if let Err(error) = pace.after_lost_race(turn.is_some()).await {
                break Err(Error::backend(
                    "entries came in each time before the switch was written",
                    "switch again, or lower the number of concurrent writers",
                )
                .retry_after(1)
                .caused_by(error));
            }
            if turn.is_none() {
                self.turns.lost();
                turn = self.take_turn().await;
            }
        };
        if let Some(turn) = turn {
            self.end_turn(turn).await;
        }
        switched?;
        self.reembed_status().await
    }

    /// What the switch is to be written over; `None`: it is written.
    async fn ready_to_switch(&self, to: Side, leave_behind: bool) -> Result<Option<State>, Error> {
        let state = self.reembed_status().await?;
        let Some(other) = state.counter.other.clone() else {
            return Err(Error::invalid("no move to another embedder is under way", "`start` one"));
        };
        if state.counter.side() == Some(to) {
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
            self.table.drop_derived(RowKey::reembedding(state.counter.era)).await?;
            return Ok(Some(state));
        }
        if state.ids_left() > MOST_IDS_LEFT {
            return Err(Error::invalid(
                format!("{} ids are left to go through for vectors of {:?}", state.ids_left(), other.fingerprint),
                "go on with `step` until it is complete, then switch",
            ));
        }
        let bounds = Bounds { until: self.deadline, ids: u64::MAX, at_once: FIRST_AT_ONCE };
        let began = Instant::now();
        let state = self.fill(bounds, &other).await?;
        tracing::debug!(took_ms = began.elapsed().as_millis(), "gone through before the switch");
        if !state.complete {
            return Err(Error::backend("the time ran out before the switch", "switch again").retry_after(1));
        }
        Ok(Some(state))
    }
}
