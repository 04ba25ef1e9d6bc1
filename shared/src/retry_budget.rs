//! How often one write is tried again, and how long the pauses are.

use std::time::Duration;

use mneme_model::error::Error;
use mneme_store::backend_error::throttled;
use mneme_store::capacity::CapacityMeter;
use tokio::time::Instant;

/// The ceiling of the first pause. Each further ceiling is twice as high, up to [`MAX_CEILING`].
const MIN_CEILING: Duration = Duration::from_millis(10);
/// The highest ceiling.
const MAX_CEILING: Duration = Duration::from_millis(500);

/// The attempts that one write has left.
#[derive(Debug)]
pub(crate) struct RetryBudget<'a> {
    meter: &'a CapacityMeter,
    lost_races: u32,
    contentions: u32,
    max_lost_races: u32,
    deadline: Instant,
}

impl<'a> RetryBudget<'a> {
    /// A budget of `max_lost_races` retries after lost races. Nothing is tried again past `deadline`.
    pub(crate) fn new(meter: &'a CapacityMeter, max_lost_races: u32, deadline: Instant) -> Self {
        Self { meter, lost_races: 0, contentions: 0, max_lost_races, deadline }
    }

    /// Waits after another writer moved the counter first, or gives up with the contract's error.
    ///
    /// `is_first`: whether the write is first in the writer queue. Only writers without a ticket compete with it then,
    /// so it does not wait.
    pub(crate) async fn after_lost_race(&mut self, is_first: bool) -> Result<(), Error> {
        self.meter.usage().lost_races += 1;
        let ceiling = if is_first { Duration::ZERO } else { ceiling(self.lost_races) };
        if self.lost_races == self.max_lost_races || !self.pause(ceiling).await {
            return Err(Error::backend(
                format!("DynamoDB insert lost the counter race after {} retries", self.lost_races),
                "try again, or lower the number of concurrent writers",
            )
            .retry_after(1));
        }
        self.lost_races += 1;
        Ok(())
    }

    /// Waits after another transaction or a lack of capacity stopped the write. Such an attempt has not lost a race for
    /// the counter, so only the deadline limits the number of attempts.
    pub(crate) async fn after_contention(&mut self) -> Result<(), Error> {
        if !self.pause(ceiling(self.contentions)).await {
            return Err(throttled().caused_by("transactions conflicted until the deadline"));
        }
        self.contentions += 1;
        Ok(())
    }

    /// Sleeps with full jitter: a random time up to `ceiling` (AWS Architecture Blog, "Exponential Backoff And
    /// Jitter"). Returns false at once when the deadline comes first.
    async fn pause(&self, ceiling: Duration) -> bool {
        let pause = ceiling.mul_f64(fastrand::f64());
        if Instant::now() + pause >= self.deadline {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }
}

fn ceiling(attempt: u32) -> Duration {
    MIN_CEILING.saturating_mul(1 << attempt.min(10)).min(MAX_CEILING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lost_race_beyond_the_budget_returns_the_contracts_error() {
        let meter = CapacityMeter::default();
        let mut budget = RetryBudget::new(&meter, 2, Instant::now() + Duration::from_secs(60));
        budget.after_lost_race(false).await.unwrap();
        budget.after_contention().await.unwrap();
        budget.after_lost_race(true).await.unwrap();
        let error = budget.after_lost_race(true).await.unwrap_err();
        assert_eq!(error.detail, "DynamoDB insert lost the counter race after 2 retries");
        assert_eq!(error.retry_after_secs, Some(1));
        assert_eq!(meter.take().lost_races, 3);
        assert_eq!(meter.take().lost_races, 0);
    }

    #[tokio::test]
    async fn retry_past_the_deadline_returns_an_error() {
        let meter = CapacityMeter::default();
        let mut budget = RetryBudget::new(&meter, 100, Instant::now());
        assert!(budget.after_lost_race(false).await.is_err());
        assert!(budget.after_contention().await.is_err());
    }
}
