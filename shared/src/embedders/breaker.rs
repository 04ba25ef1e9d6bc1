//! Keeps lookups from waiting for an embedder that did not answer a moment ago.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long an embedder is not asked after its first failure. Each further failure doubles the time, …
const MIN_OPEN: Duration = Duration::from_secs(2);
/// … up to this one.
const MAX_OPEN: Duration = Duration::from_secs(60);

/// A circuit breaker (M. Nygard, "Release It!"): open after a failure, so that calls fail at once. After some time one
/// call is let through, and its success closes the breaker.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Failures since the last success.
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// Whether a call may be sent at `now`. The call that is let through after a failure keeps others out meanwhile.
    pub(super) fn admits(&self, now: Instant) -> bool {
        self.change(|state| {
            let admits = state.open_until.is_none_or(|until| now >= until);
            if admits && state.failures > 0 {
                state.open_until = Some(now + open_time(state.failures));
            }
            admits
        })
    }

    /// Notes that the embedder answered.
    pub(super) fn note_success(&self) {
        self.change(|state| *state = State::default());
    }

    /// Notes at `now` that the embedder did not answer.
    pub(super) fn note_failure(&self, now: Instant) {
        self.change(|state| {
            state.failures = state.failures.saturating_add(1);
            state.open_until = Some(now + open_time(state.failures));
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn open_time(failures: u32) -> Duration {
    MIN_OPEN.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(MAX_OPEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaker_opens_after_a_failure_and_lets_one_call_through_after_a_while() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        assert!(breaker.admits(now) && breaker.admits(now));
        breaker.note_failure(now);
        assert!(!breaker.admits(now));
        assert!(breaker.admits(now + MIN_OPEN), "one call is let through");
        assert!(!breaker.admits(now + MIN_OPEN), "others are not");
        breaker.note_failure(now + MIN_OPEN);
        assert!(!breaker.admits(now + MIN_OPEN * 2), "a second failure doubles the time");
        breaker.note_success();
        assert!(breaker.admits(now + MIN_OPEN * 2));
        (0..50).for_each(|_| breaker.note_failure(now));
        assert!(breaker.admits(now + MAX_OPEN));
    }
}
