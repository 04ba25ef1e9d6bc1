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

use tokio::time::{Instant, timeout_at};

use crate::cache::Cache;
use crate::table::counter::Counter;

/// After so many puts in a row with nobody before it, an instance stops taking tickets.
const CALM_PUTS: u8 = 3;
/// A writer that holds the line up for this many turns' time …
const PATIENCE_TURNS: u32 = 20;
/// … and at least this long is taken to be gone.
const PATIENCE: Duration = Duration::from_secs(3);
/// For how many that may be gone the others wait, one after the other.
const MOST_GONE: u32 = 4;
/// How far the clocks of two instances may be apart.
const CLOCK_SKEW: Duration = Duration::from_secs(1);
/// How long before the deadline a writer stops waiting and tries, if it has that long.
const RESERVE: Duration = Duration::from_secs(2);
/// The most that a put spends on letting the next one go.
const GOODBYE: Duration = Duration::from_millis(300);

/// What an instance remembers of the line.
#[derive(Debug)]
pub(crate) struct Turns {
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// For how many further puts a ticket is taken, if all is calm.
    tickets: u8,
    /// How long this instance's turns take, of late, which is how long those of the others are taken to last. What it
    /// sees of the line would not do: late wakers would lengthen everybody's sleep, and so their own.
    turn: Duration,
}

impl Default for Turns {
    fn default() -> Self {
        Self { state: Mutex::new(State { tickets: 0, turn: Duration::from_millis(10) }) }
    }
}

impl Turns {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_crowded(&self) -> bool {
        self.change(|state| state.tickets > 0)
    }

    /// Another writer came first.
    pub(crate) fn lost(&self) {
        self.change(|state| state.tickets = CALM_PUTS + 1);
    }

    /// A ticket was taken with `ahead` others before it.
    fn met(&self, ahead: u64) {
        self.change(|state| state.tickets = if ahead == 0 { state.tickets.saturating_sub(1) } else { CALM_PUTS });
    }

    /// A turn of this instance's took `time`.
    fn ended(&self, time: Duration) {
        self.change(|state| state.turn = (state.turn * 3 + time.min(PATIENCE)) / 4);
    }

    /// How long to wait before the next look, with `ahead` others before, and how long before these are given up.
    fn waits(&self, ahead: u64) -> (Duration, Duration) {
        let State { turn, .. } = self.change(|state| *state);
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        // Wake before it is time, rather than after: all the others wait for the first in line.
        let pause = if ahead > 1 { turn.saturating_mul(ahead - 1).mul_f64(0.8) } else { turn.mul_f64(0.4) };
        // The first in line takes the turn of one who is gone; were all to, they would meet again.
        let patience = turn.saturating_mul(PATIENCE_TURNS).max(PATIENCE).saturating_mul(ahead.min(MOST_GONE));
        (pause.min(PATIENCE), patience)
    }
}

/// A place in line, at its head if all went well. To be given back with [`Cache::end_turn`], also after a failure.
#[derive(Debug)]
pub(crate) struct Turn {
    ticket: u64,
    began: Instant,
    /// Whether all before it were done, so that only newcomers can be in the way; else it ran out of time or patience.
    pub(crate) at_head: bool,
    /// Whether others were waited for, so that what was read before is stale.
    pub(crate) waited: bool,
    /// The counter, where it was read since.
    pub(crate) counter: Option<Counter>,
}

impl Cache {
    /// A turn at the counter, if this instance has met other writers of late. Waits for it.
    pub(crate) async fn turn_if_crowded(&self) -> Option<Turn> {
        if self.turns.is_crowded() { self.take_turn().await } else { None }
    }

    /// A turn at the counter, after other writers were met. Waits for it; `None` when there is no line to stand in, and
    /// the race is open.
    ///
    /// Writes: one UpdateItem. Reads: the line and the counter, a few times.
    pub(crate) async fn take_turn(&self) -> Option<Turn> {
        let until = self.deadline.checked_sub(RESERVE)?;
        let before = timeout_at(until, self.table.take_ticket(self.clock.now_ms())).await.ok()?.ok()?;
        let ticket = before.issued + 1;
        let ahead = |served: u64| ticket.saturating_sub(served + 1);
        self.turns.met(ahead(before.served));
        let mut turn = Turn { ticket, began: Instant::now(), at_head: true, waited: false, counter: None };
        let idle_ms = self.clock.now_ms().saturating_sub(before.changed_at_ms);
        if u128::try_from(idle_ms).is_ok_and(|idle| idle > (PATIENCE + CLOCK_SKEW).as_millis()) {
            // Whoever stood here did so long ago.
            return Some(turn);
        }
        let (mut served, mut moved_at) = (before.served, Instant::now());
        while ahead(served) > 0 {
            turn.waited = true;
            let (pause, patience) = self.turns.waits(ahead(served));
            let wake = Instant::now() + pause;
            if wake >= until || moved_at.elapsed() > patience {
                turn.at_head = false;
                break;
            }
            tokio::time::sleep_until(wake).await;
            // A look that fails is made up for by the next one.
            let Ok(Ok((line, counter))) = timeout_at(until, self.table.line_and_counter()).await else { continue };
            if line.issued < ticket {
                // The item vanished, and this is another line.
                return None;
            }
            if line.served > served {
                (served, moved_at) = (line.served, Instant::now());
            }
            turn.counter = counter;
        }
        turn.began = Instant::now();
        Some(turn)
    }

    /// Lets the next in line go. Nothing depends on it but their time, so little of ours is spent on it.
    pub(crate) async fn end_turn(&self, turn: Turn) {
        let until = self.deadline.min(Instant::now() + GOODBYE);
        match timeout_at(until, self.table.serve_next(turn.ticket, self.clock.now_ms())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the next in line waits until its patience ends"),
            Err(_) => tracing::debug!("the next in line waits until its patience ends"),
        }
        if turn.at_head {
            self.turns.ended(turn.began.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_taken_while_others_are_met_and_a_little_longer() {
        let turns = Turns::default();
        assert!(!turns.is_crowded());
        turns.lost();
        turns.met(0);
        for _ in 0..CALM_PUTS {
            assert!(turns.is_crowded());
            turns.met(0);
        }
        assert!(!turns.is_crowded());
        turns.met(1);
        assert!(turns.is_crowded());
    }

    #[test]
    fn waits_are_learnt_and_bounded() {
        let turns = Turns::default();
        for _ in 0..50 {
            turns.ended(Duration::from_millis(100));
        }
        let near = |found: Duration, ms: u64| found.abs_diff(Duration::from_millis(ms)) < Duration::from_millis(1);
        let (pause, patience) = turns.waits(11);
        assert!(near(pause, 800) && near(patience, 12_000), "{pause:?} {patience:?}");
        let (pause, patience) = turns.waits(1);
        assert!(near(pause, 40) && near(patience, 3_000), "{pause:?} {patience:?}");
        let (pause, patience) = turns.waits(u64::MAX);
        assert!(near(pause, 3_000) && near(patience, 12_000), "{pause:?} {patience:?}");
    }
}
