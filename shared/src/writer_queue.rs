//! The queue that orders writers which lost a race for the counter.
//!
//! Only commits move the counter. An attempt fails if another writer commits between reading the counter and writing
//! it, in a window of length w. If attempts arrive at rate λ, an attempt succeeds with probability e^(−μw), where μw =
//! W(λw) (Lambert's W): 8 % at λw = 32. Random backoff alone needs idle time: for five retries to fail less than once
//! in a million puts, nine attempts in ten must succeed, and then the counter is used a tenth of the time. Therefore a
//! writer that has lost a race takes a ticket from a derived item and waits until the ticket before its own is
//! released. Then it competes only with writers that have no ticket, and those take one when they lose.
//!
//! The queue only reduces contention; correctness comes from the conditions of the transactions. A ticket whose holder
//! disappeared is skipped after a time-out. An instance that is first in the queue a few times in a row stops taking
//! tickets, so that a single writer does without the queue.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mneme_model::clock::Clock;
use mneme_store::counter::Counter;
use mneme_store::table::Table;
use tokio::time::{Instant, timeout_at};

/// After so many puts in a row as first in the queue, an instance stops taking tickets.
const QUIET_PUTS_TO_LEAVE: u8 = 3;
/// A holder of a ticket counts as lost after the time of this many turns, …
const HOLDER_TIMEOUT_TURNS: u32 = 20;
/// … but not before this time, …
const MIN_HOLDER_TIMEOUT: Duration = Duration::from_millis(500);
/// … and no later than after this time.
const MAX_HOLDER_TIMEOUT: Duration = Duration::from_secs(3);
/// How many holders that may be lost a writer waits for, one after the other.
const MAX_LOST_HOLDERS: u32 = 4;
/// How far the clocks of two instances may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(1);
/// How long before the deadline a writer stops waiting and tries to write.
const WRITE_RESERVE: Duration = Duration::from_secs(2);
/// The most time that a put spends on releasing its ticket.
const RELEASE_TIMEOUT: Duration = Duration::from_millis(300);

/// What an instance remembers of the queue.
#[derive(Debug)]
pub(crate) struct QueueMemory {
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// How many further puts take a ticket, if each is first in the queue.
    tickets: u8,
    /// A moving average of the length of this instance's turns, as an estimate for all writers. The time between two
    /// releases in the queue would be a bad estimate: a writer that wakes late lengthens it, and all writers would then
    /// sleep longer.
    turn: Duration,
}

impl Default for QueueMemory {
    fn default() -> Self {
        Self { state: Mutex::new(State { tickets: 0, turn: Duration::from_millis(10) }) }
    }
}

impl QueueMemory {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_contended(&self) -> bool {
        self.change(|state| state.tickets > 0)
    }

    fn note_lost_race(&self) {
        self.change(|state| state.tickets = QUIET_PUTS_TO_LEAVE + 1);
    }

    /// Notes that a ticket was taken with `ahead` others before it.
    fn note_position(&self, ahead: u64) {
        self.change(|state| {
            state.tickets = if ahead == 0 { state.tickets.saturating_sub(1) } else { QUIET_PUTS_TO_LEAVE };
        });
    }

    fn note_turn(&self, time: Duration) {
        self.change(|state| state.turn = (state.turn * 3 + time.min(MAX_HOLDER_TIMEOUT)) / 4);
    }

    /// With `ahead` writers before this one: how long to sleep before the next look, and after which time they count as
    /// lost.
    fn waits(&self, ahead: u64) -> (Duration, Duration) {
        let State { turn, .. } = self.change(|state| *state);
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        // Waking early costs a read. Waking late delays every writer behind this one.
        let pause = if ahead > 1 { turn.saturating_mul(ahead - 1).mul_f64(0.8) } else { turn.mul_f64(0.4) };
        // Only the first in the queue replaces a lost holder. If several did, they would compete for the counter again.
        let timeout = turn.saturating_mul(HOLDER_TIMEOUT_TURNS).clamp(MIN_HOLDER_TIMEOUT, MAX_HOLDER_TIMEOUT);
        (pause.min(MAX_HOLDER_TIMEOUT), timeout.saturating_mul(ahead.min(MAX_LOST_HOLDERS)))
    }
}

/// A place in the queue. It is returned with [`WriterQueue::release`], also after a failure.
#[derive(Debug)]
pub(crate) struct Ticket {
    number: u64,
    turn_began: Instant,
    /// Whether every ticket before this one was released, so that only writers without a ticket compete. False if the
    /// time ran out, or if a holder counts as lost.
    pub(crate) is_first: bool,
    /// Whether the writer waited for others. A counter that was read before is stale then.
    pub(crate) waited: bool,
    /// The counter, if it was read after the wait.
    pub(crate) counter: Option<Counter>,
}

/// The queue, for one invocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriterQueue<'a> {
    memory: &'a QueueMemory,
    table: &'a Table,
    clock: &'a Clock,
    deadline: Instant,
}

impl<'a> WriterQueue<'a> {
    pub(crate) fn new(memory: &'a QueueMemory, table: &'a Table, clock: &'a Clock, deadline: Instant) -> Self {
        Self { memory, table, clock, deadline }
    }

    /// Notes that another writer moved the counter first.
    pub(crate) fn note_lost_race(&self) {
        self.memory.note_lost_race();
    }

    /// Takes a ticket and waits for its turn, if this instance has lost a race lately.
    pub(crate) async fn acquire_if_contended(&self) -> Option<Ticket> {
        if self.memory.is_contended() { self.acquire().await } else { None }
    }

    /// Takes a ticket and waits for its turn. Returns `None` if the queue cannot be used; the writer then competes
    /// without it.
    ///
    /// Writes: one UpdateItem. Reads: the queue and the counter, a few times.
    pub(crate) async fn acquire(&self) -> Option<Ticket> {
        let until = self.deadline.checked_sub(WRITE_RESERVE)?;
        let nonce = format!("{:016x}", fastrand::u64(..));
        let before = timeout_at(until, self.table.take_ticket(&nonce, self.clock.now_ms())).await.ok()?.ok()?;
        let number = before.issued + 1;
        let ahead = |served: u64| number.saturating_sub(served + 1);
        self.memory.note_position(ahead(before.served));
        let mut ticket = Ticket { number, turn_began: Instant::now(), is_first: true, waited: false, counter: None };
        let idle_ms = self.clock.now_ms().saturating_sub(before.changed_at_ms);
        if u128::try_from(idle_ms).is_ok_and(|idle| idle > (MAX_HOLDER_TIMEOUT + CLOCK_SKEW).as_millis()) {
            // The queue has not changed for so long that every holder before this one is lost.
            return Some(ticket);
        }
        let (mut served, mut moved_at) = (before.served, Instant::now());
        while ahead(served) > 0 {
            ticket.waited = true;
            let (pause, timeout) = self.memory.waits(ahead(served));
            let wake = Instant::now() + pause;
            if wake >= until || moved_at.elapsed() > timeout {
                ticket.is_first = false;
                break;
            }
            tokio::time::sleep_until(wake).await;
            // A failed read needs no handling: the next one replaces it.
            let Ok(Ok((queue, counter))) = timeout_at(until, self.table.queue_and_counter()).await else { continue };
            if queue.issued < number {
                // The item was lost and created again, so this ticket has no place in it.
                return None;
            }
            if queue.served > served {
                (served, moved_at) = (queue.served, Instant::now());
            }
            ticket.counter = counter;
        }
        ticket.turn_began = Instant::now();
        Some(ticket)
    }

    /// Releases the ticket, so that the next holder may write. A failed release only costs the others time, so it takes
    /// at most 300 ms. Writes: one UpdateItem.
    pub(crate) async fn release(&self, ticket: Ticket) {
        let until = self.deadline.min(Instant::now() + RELEASE_TIMEOUT);
        match timeout_at(until, self.table.release_ticket(ticket.number, self.clock.now_ms())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the next writer waits until this ticket counts as lost"),
            Err(_) => tracing::debug!("the next writer waits until this ticket counts as lost"),
        }
        if ticket.is_first {
            self.memory.note_turn(ticket.turn_began.elapsed());
        }
    }

    /// Keeps `ticket` if it is first, else takes a new one at the end of the queue. To be called after a lost race.
    pub(crate) async fn requeue(&self, ticket: &mut Option<Ticket>) {
        self.note_lost_race();
        if ticket.as_ref().is_some_and(|ticket| ticket.is_first) {
            return;
        }
        if let Some(skipped) = ticket.take() {
            self.release(skipped).await;
        }
        *ticket = self.acquire().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_taken_until_three_puts_in_a_row_were_first() {
        let memory = QueueMemory::default();
        assert!(!memory.is_contended());
        memory.note_lost_race();
        memory.note_position(0);
        for _ in 0..QUIET_PUTS_TO_LEAVE {
            assert!(memory.is_contended());
            memory.note_position(0);
        }
        assert!(!memory.is_contended());
        memory.note_position(1);
        assert!(memory.is_contended());
    }

    #[test]
    fn waits_are_proportional_to_the_measured_turn_within_bounds() {
        let memory = QueueMemory::default();
        for _ in 0..50 {
            memory.note_turn(Duration::from_millis(100));
        }
        let near = |found: Duration, ms: u64| found.abs_diff(Duration::from_millis(ms)) < Duration::from_millis(1);
        for (ahead, expected_pause, expected_timeout) in [(11, 800, 8_000), (1, 40, 2_000), (u64::MAX, 3_000, 8_000)] {
            let (pause, timeout) = memory.waits(ahead);
            assert!(near(pause, expected_pause) && near(timeout, expected_timeout), "{pause:?} {timeout:?}");
        }
    }
}
