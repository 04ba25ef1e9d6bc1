//! How much one call of a move does.

use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::Cache;

/// How long before the deadline a step begins nothing further.
const MARGIN: Duration = Duration::from_secs(1);

/// The most ids that are visited at a time.
const MAX_AT_ONCE: u64 = 256;
/// How many ids are visited at a time before it is known how long that takes.
const FIRST_AT_ONCE: u64 = 32;
/// How long one visit should take. A fast embedder gets more ids, a slow one fewer.
const BLOCK: Duration = Duration::from_secs(2);

/// How much one call does at most.
#[derive(Debug, Clone, Copy)]
pub struct StepBudget {
    /// When it begins nothing further.
    pub until: Instant,
    /// How many ids it goes through.
    pub ids: u64,
    /// Of these, how many at a time.
    at_once: u64,
}

impl StepBudget {
    /// A budget without a limit of ids, until the deadline of `cache`.
    pub(super) fn until_deadline(cache: &Cache) -> Self {
        Self { until: cache.deadline, ids: u64::MAX, at_once: FIRST_AT_ONCE }
    }

    /// For a call of `cache` that may take `limit`, and no longer than its deadline.
    pub fn new(cache: &Cache, limit: Duration, ids: u64) -> Self {
        let end = cache.deadline.checked_sub(MARGIN).unwrap_or(cache.deadline);
        Self { until: end.min(Instant::now() + limit), ids, at_once: FIRST_AT_ONCE }
    }

    /// The next ids from `from` on, of those below `end`.
    pub(super) fn block(&self, from: u64, end: u64) -> Range<u64> {
        from..end.min(from + self.at_once.min(self.ids))
    }

    /// Notes that `ids` were gone through in that time.
    pub(super) fn spend(&mut self, ids: &Range<u64>, took: Duration) {
        self.ids -= ids.end - ids.start;
        self.at_once = match took {
            took if took > BLOCK => (self.at_once / 2).max(1),
            took if took < BLOCK / 4 => (self.at_once * 2).min(MAX_AT_ONCE),
            _ => self.at_once,
        };
    }

    pub(super) fn is_left(&self) -> bool {
        self.ids > 0 && Instant::now() < self.until
    }
}
