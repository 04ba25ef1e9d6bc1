//! Waiting out a lack of capacity, and how many calls run at once meanwhile.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use mneme_aws::sdk_error::{SdkErrorKind, classify};
use tokio::time::{Instant, timeout_at};

use crate::table::Table;

/// The ceiling of the first pause. Each further ceiling is twice as high, …
const MIN_CEILING: Duration = Duration::from_millis(25);
/// … up to this one.
const MAX_CEILING: Duration = Duration::from_secs(1);

/// The most calls of one read that run at once.
const MAX_LANES: usize = 8;

/// The pauses between the attempts of one call, with full jitter (AWS Architecture Blog, "Exponential Backoff And
/// Jitter").
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Sleeps before the next attempt. Returns false at once if the pause would not end before `until`, if that is given.
    pub(crate) async fn pause(&mut self, until: Option<Instant>) -> bool {
        let ceiling = MIN_CEILING.saturating_mul(1 << self.attempts.min(10)).min(MAX_CEILING);
        self.attempts += 1;
        let wake = Instant::now() + ceiling.mul_f64(fastrand::f64());
        if until.is_some_and(|until| wake >= until) {
            return false;
        }
        tokio::time::sleep_until(wake).await;
        true
    }

    /// Starts again with the shortest pause.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// How many calls of one read run at once. Clones share the number, so a read begins as carefully as the last one ended.
///
/// A throttled call halves the number, and a call that was answered in full raises it by one.
#[derive(Debug, Clone)]
pub(crate) struct Lanes(Arc<AtomicUsize>);

impl Default for Lanes {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(MAX_LANES)))
    }
}

impl Lanes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether calls were throttled lately.
    pub(crate) fn are_narrowed(&self) -> bool {
        self.count() < MAX_LANES
    }

    pub(crate) fn note_answered(&self) {
        self.change(|lanes| (lanes + 1).min(MAX_LANES));
    }

    pub(crate) fn note_throttled(&self) {
        self.change(|lanes| (lanes / 2).max(1));
    }

    fn change(&self, change: impl Fn(usize) -> usize) {
        // Only `change` writes the number, and a lost update merely delays the adaptation.
        self.0.store(change(self.count()), Ordering::Relaxed);
    }
}

/// Whether a call that failed in this way may succeed if it is sent again.
pub(crate) fn is_transient(error: SdkErrorKind) -> bool {
    match error {
        SdkErrorKind::Throttled
        | SdkErrorKind::TimedOut
        | SdkErrorKind::Unreachable
        | SdkErrorKind::ServiceUnavailable => true,
        SdkErrorKind::ResourceMissing
        | SdkErrorKind::AccessDenied
        | SdkErrorKind::QuotaExceeded
        | SdkErrorKind::InvalidRequest
        | SdkErrorKind::NotSent
        | SdkErrorKind::Other => false,
    }
}

impl Table {
    /// The same table for a caller that waits until `until`.
    ///
    /// A call that is throttled or not answered is sent again after a pause, as often as the time allows. Every call
    /// ends by `until`. Without this method, the SDK sends a call up to three times.
    pub fn patient_until(&self, until: Instant) -> Self {
        Self { client: self.patient_client.clone(), patience: Some(until), ..self.clone() }
    }

    /// The same table for a call that must not be sent twice.
    pub(crate) fn without_retries(&self) -> Self {
        Self { client: self.patient_client.clone(), patience: None, ..self.clone() }
    }

    /// Calls `send` once, or, if the caller is patient, until it succeeds or the time is over.
    pub(crate) async fn patiently<T, E, F>(&self, send: impl Fn() -> F) -> Result<T, SdkError<E, HttpResponse>>
    where
        E: ProvideErrorMetadata,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let Some(until) = self.patience else { return send().await };
        let mut backoff = Backoff::default();
        loop {
            let error = match timeout_at(until, send()).await {
                Ok(Ok(answer)) => {
                    self.lanes.note_answered();
                    return Ok(answer);
                }
                Ok(Err(error)) => error,
                Err(elapsed) => SdkError::timeout_error(elapsed),
            };
            if !is_transient(classify(&error)) {
                return Err(error);
            }
            self.lanes.note_throttled();
            if !backoff.pause(self.patience).await {
                return Err(error);
            }
            self.capacity.usage().retries += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_halved_by_throttling_and_grow_by_one() {
        let lanes = Lanes::default();
        let counts: Vec<usize> = (0..5)
            .map(|_| {
                lanes.note_throttled();
                lanes.count()
            })
            .collect();
        assert_eq!(counts, [4, 2, 1, 1, 1]);
        lanes.clone().note_answered();
        assert_eq!(lanes.count(), 2);
        (0..20).for_each(|_| lanes.note_answered());
        assert_eq!(lanes.count(), MAX_LANES);
    }

    #[tokio::test]
    async fn pause_that_would_end_after_the_time_returns_false() {
        let mut backoff = Backoff::default();
        assert!(!backoff.pause(Some(Instant::now())).await);
        assert!(backoff.pause(Some(Instant::now() + Duration::from_secs(60))).await);
    }
}
