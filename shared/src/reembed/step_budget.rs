//! The limits of one call that moves a cache to another embedder.

use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::Cache;

/// How long before the deadline a step begins no further block of ids.
const MARGIN: Duration = Duration::from_secs(1);

/// The most ids in one block.
const MAX_BLOCK_IDS: u64 = 256;
/// The number of ids in the first block, before the time of a block is known.
const FIRST_BLOCK_IDS: u64 = 32;
/// How long one block should take. Blocks are larger with a fast embedder, and smaller with a slow one.
const BLOCK_TIME: Duration = Duration::from_secs(2);

/// The limits of one call.
#[derive(Debug, Clone, Copy)]
pub struct StepBudget {
    /// The time from which on no further block is begun.
    pub until: Instant,
    /// How many further ids may be visited.
    pub ids: u64,
    /// The number of ids in the next block.
    block_ids: u64,
}

impl StepBudget {
    /// A budget without a limit of ids, until the deadline of `cache`.
    pub(super) fn until_deadline(cache: &Cache) -> Self {
        Self { until: cache.deadline, ids: u64::MAX, block_ids: FIRST_BLOCK_IDS }
    }

    /// A budget for a call that may take `limit`, but not longer than the deadline of `cache`, and may visit `ids` ids.
    pub fn new(cache: &Cache, limit: Duration, ids: u64) -> Self {
        let end = cache.deadline.checked_sub(MARGIN).unwrap_or(cache.deadline);
        Self { until: end.min(Instant::now() + limit), ids, block_ids: FIRST_BLOCK_IDS }
    }

    /// The next block: ids from `from` on and below `end`.
    pub(super) fn block(&self, from: u64, end: u64) -> Range<u64> {
        from..end.min(from + self.block_ids.min(self.ids))
    }

    /// Subtracts `ids`, whose visit took that time, and adapts the size of the next block.
    pub(super) fn spend(&mut self, ids: &Range<u64>, took: Duration) {
        self.ids -= ids.end - ids.start;
        self.block_ids = match took {
            took if took > BLOCK_TIME => (self.block_ids / 2).max(1),
            took if took < BLOCK_TIME / 4 => (self.block_ids * 2).min(MAX_BLOCK_IDS),
            _ => self.block_ids,
        };
    }

    /// Whether time and ids are left.
    pub(super) fn is_left(&self) -> bool {
        self.ids > 0 && Instant::now() < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(ids: u64) -> StepBudget {
        StepBudget { until: Instant::now() + Duration::from_secs(60), ids, block_ids: FIRST_BLOCK_IDS }
    }

    #[test]
    fn block_is_limited_by_the_end_and_by_the_ids_left() {
        assert_eq!(budget(1000).block(5, 10_000), 5..37);
        assert_eq!(budget(1000).block(5, 10), 5..10);
        assert_eq!(budget(3).block(5, 10_000), 5..8);
    }

    #[test]
    fn block_grows_if_blocks_are_fast_and_shrinks_if_they_are_slow() {
        let mut fast = budget(u64::MAX);
        (0..9).for_each(|_| fast.spend(&(0..1), Duration::from_millis(1)));
        assert_eq!(fast.block_ids, MAX_BLOCK_IDS);
        let mut slow = budget(u64::MAX);
        (0..9).for_each(|_| slow.spend(&(0..1), Duration::from_secs(3)));
        assert_eq!(slow.block_ids, 1);
        slow.spend(&(0..1), Duration::from_secs(1));
        assert_eq!(slow.block_ids, 1, "a block that takes about the wanted time changes nothing");
    }

    #[test]
    fn budget_without_ids_or_time_is_used_up() {
        let mut by_ids = budget(2);
        assert!(by_ids.is_left());
        by_ids.spend(&(0..2), Duration::ZERO);
        assert!(!by_ids.is_left());
        assert!(!StepBudget { until: Instant::now(), ..budget(2) }.is_left());
    }
}
