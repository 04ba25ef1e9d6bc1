//! Taking turns at the counter.
//!
//! Only commits move the counter, and an attempt is lost when another commits between reading the counter and writing
//! it: within a window w. With attempts arriving at rate λ an attempt succeeds with probability e^(−μw), where
//! μw = W(λw) (Lambert's W): 8 % at λw = 32. Holding back at random buys certainty with idleness: for five retries to
//! fail less than once in a million puts, nine attempts in ten must succeed, and then the counter is used a tenth of
//! the time. So writers that have met each other stand in line instead (`table/line`): each takes a ticket, waits until
//! the one before it is done, and then has the counter to itself but for newcomers, who join the line when they lose.
//!
//! The line is advice. A writer that vanished is passed over after a while, and an instance that found nobody before it
//! a few times in a row stops taking tickets, so that a single writer pays nothing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::Cache;

/// After so many puts in a row with nobody before it, an instance stops taking tickets.
const CALM_PUTS: u8 = 3;
/// A writer that holds the line up for this many steps' time …
const PATIENCE_STEPS: u32 = 20;
/// … and at least this long is taken to be gone.
const PATIENCE: Duration = Duration::from_millis(1500);
/// The longest time between two looks at the line.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long before the deadline a writer stops waiting and tries.
const RESERVE: Duration = Duration::from_secs(2);

/// What an instance remembers of the line.
#[derive(Debug)]
pub(crate) struct Turns {
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// For how many further puts a ticket is taken, if all is calm.
    tickets: u8,
    /// In what time the line moves on by one, of late.
    step: Duration,
    /// How long this instance's own turns take, of late: less than a step, which has the next one's look in it.
    turn: Duration,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            state: Mutex::new(State { tickets: 0, step: Duration::from_millis(15), turn: Duration::from_millis(10) }),
        }
    }
}

impl Turns {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_crowded(&self) -> bool {
        self.change(|state| state.tickets > 0)
    }

    /// A ticket was taken with `ahead` others before it.
    fn met(&self, ahead: u64) {
        self.change(|state| state.tickets = if ahead == 0 { state.tickets.saturating_sub(1) } else { CALM_PUTS });
    }

    /// The line moved on by `turns` in `time`.
    fn moved(&self, turns: u64, time: Duration) {
        let turns = u32::try_from(turns).unwrap_or(u32::MAX).max(1);
        self.change(|state| state.step = (state.step * 3 + time / turns) / 4);
    }

    /// A turn of this instance's took `time`.
    fn ended(&self, time: Duration) {
        self.change(|state| state.turn = (state.turn * 3 + time) / 4);
    }

    /// How long to wait before the next look, with `ahead` others before, and how long before these are given up.
    fn waits(&self, ahead: u64) -> (Duration, Duration) {
        let State { step, turn, .. } = self.change(|state| *state);
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        // Wake before it is time, rather than after: all the others wait for the first in line.
        let pause = if ahead > 1 { step.saturating_mul(ahead - 1).mul_f64(0.8) } else { turn.mul_f64(0.4) };
        // The first in line takes the turn of one who is gone; were all to, they would meet again.
        let patience = step.saturating_mul(PATIENCE_STEPS).max(PATIENCE).saturating_mul(ahead);
        (pause.min(LONGEST_PAUSE), patience)
    }
}

/// A place at the head of the line. To be given back with [`Cache::end_turn`], also after a failure.
#[derive(Debug)]
pub(crate) struct Turn {
    ticket: u64,
    began: Instant,
}

impl Cache {
    /// A turn at the counter, if this instance has met other writers of late. Waits for it.
    pub(crate) async fn turn_if_crowded(&self) -> Option<Turn> {
        if self.turns.is_crowded() { self.take_turn().await } else { None }
    }

    /// A turn at the counter, after other writers were met. Waits for it; `None` when the line cannot be used, and the
    /// race is open.
    ///
    /// Writes: one UpdateItem. Reads: the line, a few times.
    pub(crate) async fn take_turn(&self) -> Option<Turn> {
        let first = self.table.take_ticket().await.ok()?;
        let ticket = first.issued;
        let ahead = |served: u64| ticket.saturating_sub(served + 1);
        self.turns.met(ahead(first.served));
        let (mut served, mut moved_at) = (first.served, Instant::now());
        while ahead(served) > 0 && Instant::now() + RESERVE < self.deadline {
            let (pause, patience) = self.turns.waits(ahead(served));
            if moved_at.elapsed() > patience {
                break;
            }
            tokio::time::sleep(pause).await;
            let now = self.table.line().await.ok()?.served;
            if now > served {
                self.turns.moved(now - served, moved_at.elapsed());
                (served, moved_at) = (now, Instant::now());
            }
        }
        Some(Turn { ticket, began: Instant::now() })
    }

    /// Lets the next in line go. Nothing depends on it but their time.
    pub(crate) async fn end_turn(&self, turn: Turn) {
        if let Err(error) = self.table.serve_next(turn.ticket).await {
            tracing::debug!(%error, "the next writer in line waits until its patience ends");
        }
        self.turns.ended(turn.began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_taken_while_others_are_met_and_a_little_longer() {
        let turns = Turns::default();
        assert!(!turns.is_crowded());
        turns.met(1);
        for _ in 0..CALM_PUTS {
            assert!(turns.is_crowded());
            turns.met(0);
        }
        assert!(!turns.is_crowded());
    }

    #[test]
    fn the_lines_pace_is_learnt() {
        let turns = Turns::default();
        for _ in 0..50 {
            turns.moved(4, Duration::from_millis(400));
            turns.ended(Duration::from_millis(50));
        }
        let near = |found: Duration, ms: u64| found.abs_diff(Duration::from_millis(ms)) < Duration::from_millis(1);
        let (pause, patience) = turns.waits(11);
        assert!(near(pause, 800) && near(patience, 22_000), "{pause:?} {patience:?}");
        let (pause, patience) = turns.waits(1);
        assert!(near(pause, 20) && near(patience, 2_000), "{pause:?} {patience:?}");
    }
}
