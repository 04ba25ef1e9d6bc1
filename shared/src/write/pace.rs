//! How a write that was not let through waits before it tries again.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::table::meter::Meter;
use crate::table::throttled;

/// The ceiling of the first pause; each further one is twice as long, …
const SHORTEST: Duration = Duration::from_millis(10);
/// … up to this.
const LONGEST: Duration = Duration::from_millis(500);

/// The attempts of one write.
#[derive(Debug)]
pub(crate) struct Pace<'a> {
    meter: &'a Meter,
    lost: u32,
    crowded: u32,
    retries: u32,
    deadline: Instant,
}

impl<'a> Pace<'a> {
    /// `retries`: how many lost races are tried again. Nothing is tried past `deadline`.
    pub(crate) fn new(meter: &'a Meter, retries: u32, deadline: Instant) -> Self {
        Self { meter, lost: 0, crowded: 0, retries, deadline }
    }

    /// Other writers came first: waits a little, or gives up with the contract's error. `has_turn`: whether the write has
    /// the counter to itself but for newcomers, so that there is nothing to wait for.
    pub(crate) async fn after_lost_race(&mut self, has_turn: bool) -> Result<(), Error> {
        self.meter.usage().lost_races += 1;
        let ceiling = if has_turn { Duration::ZERO } else { ceiling(self.lost) };
        if self.lost == self.retries || !self.pause(ceiling).await {
            return Err(Error::backend(
                format!("DynamoDB insert lost the counter race after {} retries", self.lost),
                "try again, or lower the number of concurrent writers",
            )
            .retry_after(1));
        }
        self.lost += 1;
        Ok(())
    }

    /// A transaction in progress, or the table's capacity, was in the way, so that nothing is known about the race:
    /// waits, until the deadline.
    pub(crate) async fn after_crowding(&mut self) -> Result<(), Error> {
        if !self.pause(ceiling(self.crowded)).await {
            return Err(throttled().caused_by("transactions conflicted until the deadline"));
        }
        self.crowded += 1;
        Ok(())
    }

    /// Full jitter: anything from nothing to `ceiling` (AWS Architecture Blog, "Exponential Backoff And Jitter"). False,
    /// at once, when the deadline comes first.
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
    SHORTEST.saturating_mul(1 << attempt.min(10)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lost_races_are_counted_and_named() {
        let meter = Meter::default();
        let mut pace = Pace::new(&meter, 2, Instant::now() + Duration::from_secs(60));
        pace.after_lost_race(false).await.unwrap();
        pace.after_crowding().await.unwrap();
        pace.after_lost_race(true).await.unwrap();
        let error = pace.after_lost_race(true).await.unwrap_err();
        assert_eq!(error.detail, "DynamoDB insert lost the counter race after 2 retries");
        assert_eq!(error.retry_after_secs, Some(1));
        assert_eq!(meter.take().lost_races, 3);
        assert_eq!(meter.take().lost_races, 0);
    }

    #[tokio::test]
    async fn nothing_is_tried_past_the_deadline() {
        let meter = Meter::default();
        let mut pace = Pace::new(&meter, 100, Instant::now());
        assert!(pace.after_lost_race(false).await.is_err());
        assert!(pace.after_crowding().await.is_err());
    }
}
