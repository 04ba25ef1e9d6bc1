//! How a write that was not let through waits before it tries again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::contention::Contention;
use crate::error::Error;
use crate::table::meter::Meter;
use crate::table::throttled;

/// The longest single pause for a conflict.
const LONGEST: Duration = Duration::from_millis(500);

/// The attempts of one write.
#[derive(Debug)]
pub(crate) struct Pace<'a> {
    contention: &'a Mutex<Contention>,
    meter: &'a Meter,
    lost: u32,
    crowded: u32,
    retries: u32,
    deadline: Instant,
}

impl<'a> Pace<'a> {
    /// `retries`: how many lost races are tried again. Nothing is tried past `deadline`.
    pub(crate) fn new(contention: &'a Mutex<Contention>, meter: &'a Meter, retries: u32, deadline: Instant) -> Self {
        Self { contention, meter, lost: 0, crowded: 0, retries, deadline }
    }

    /// Holds back before the first attempt, where this instance has lost races of late.
    pub(crate) async fn before_first(&self) {
        self.hold_back().await;
    }

    /// A race was won, `window` after the counter was read.
    pub(crate) fn won(&self, window: Duration) {
        self.contention.lock().unwrap_or_else(PoisonError::into_inner).won(window);
    }

    /// `commits` of other writers came first, within `window` after the counter was read: holds back, or gives up with
    /// the contract's error.
    pub(crate) async fn after_lost_race(&mut self, window: Duration, commits: u64) -> Result<(), Error> {
        self.contention.lock().unwrap_or_else(PoisonError::into_inner).lost(window, commits);
        self.meter.usage().lost_races += 1;
        if self.lost == self.retries || !self.hold_back().await {
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
        // Full jitter: anything from nothing to a ceiling that doubles (AWS Architecture Blog, "Exponential Backoff
        // And Jitter").
        let ceiling = Duration::from_millis(10).saturating_mul(1 << self.crowded.min(10)).min(LONGEST);
        if !self.pause(ceiling.mul_f64(fastrand::f64())).await {
            return Err(throttled().caused_by("transactions conflicted until the deadline"));
        }
        self.crowded += 1;
        Ok(())
    }

    async fn hold_back(&self) -> bool {
        let pause = self.contention.lock().unwrap_or_else(PoisonError::into_inner).pause();
        self.pause(pause).await
    }

    /// False, at once, when the deadline comes first.
    async fn pause(&self, pause: Duration) -> bool {
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

    const WINDOW: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn lost_races_are_counted_and_named() {
        let (contention, meter) = (Mutex::default(), Meter::default());
        let mut pace = Pace::new(&contention, &meter, 2, Instant::now() + Duration::from_secs(60));
        pace.after_lost_race(WINDOW, 1).await.unwrap();
        pace.after_crowding().await.unwrap();
        pace.after_lost_race(WINDOW, 1).await.unwrap();
        let error = pace.after_lost_race(WINDOW, 1).await.unwrap_err();
        assert_eq!(error.detail, "DynamoDB insert lost the counter race after 2 retries");
        assert_eq!(error.retry_after_secs, Some(1));
        assert_eq!(meter.take().lost_races, 3);
        assert_eq!(meter.take().lost_races, 0);
    }

    #[tokio::test]
    async fn nothing_is_tried_past_the_deadline() {
        let (contention, meter) = (Mutex::default(), Meter::default());
        let mut pace = Pace::new(&contention, &meter, 100, Instant::now());
        assert!(pace.after_lost_race(WINDOW, 1).await.is_err());
        assert!(pace.after_crowding().await.is_err());
    }
}
