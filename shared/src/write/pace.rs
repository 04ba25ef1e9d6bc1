//! How a write that was not let through waits before it tries again.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::table::throttled;

/// The longest single pause.
const LONGEST: Duration = Duration::from_millis(500);

/// The attempts of one write.
#[derive(Debug)]
pub(crate) struct Pace {
    lost: u32,
    crowded: u32,
    retries: u32,
    deadline: Instant,
}

impl Pace {
    /// `retries`: how many lost races are tried again. Nothing is tried past `deadline`.
    pub(crate) fn new(retries: u32, deadline: Instant) -> Self {
        Self { lost: 0, crowded: 0, retries, deadline }
    }

    /// Another writer committed first: waits, or gives up with the contract's error.
    pub(crate) async fn after_lost_race(&mut self) -> Result<(), Error> {
        if self.lost == self.retries || !self.pause(self.lost).await {
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
        if !self.pause(self.crowded).await {
            return Err(throttled().caused_by("transactions conflicted until the deadline"));
        }
        self.crowded += 1;
        Ok(())
    }

    /// Full jitter: anything from nothing to a ceiling that doubles (AWS Architecture Blog, "Exponential Backoff
    /// And Jitter"). False when the deadline comes first.
    async fn pause(&self, round: u32) -> bool {
        let ceiling = Duration::from_millis(10).saturating_mul(1 << round.min(10)).min(LONGEST);
        let pause = ceiling.mul_f64(fastrand::f64());
        if Instant::now() + pause >= self.deadline {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lost_races_are_counted_and_named() {
        let mut pace = Pace::new(2, Instant::now() + Duration::from_secs(60));
        pace.after_lost_race().await.unwrap();
        pace.after_crowding().await.unwrap();
        pace.after_lost_race().await.unwrap();
        let error = pace.after_lost_race().await.unwrap_err();
        assert_eq!(error.detail, "DynamoDB insert lost the counter race after 2 retries");
        assert_eq!(error.retry_after_secs, Some(1));
    }

    #[tokio::test]
    async fn nothing_is_tried_past_the_deadline() {
        let mut pace = Pace::new(100, Instant::now());
        assert!(pace.after_lost_race().await.is_err());
        assert!(pace.after_crowding().await.is_err());
    }
}
