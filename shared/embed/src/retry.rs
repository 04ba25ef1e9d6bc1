//! Retries of a call to an embedder.
//!
//! The crate `backon` runs the loop. This module gives it the pauses, the deadline, and the pause that a service asked
//! for. The AWS SDK's own retries are off ([`crate::bedrock`], [`crate::openai`]), for two reasons. They do not know the
//! caller's deadline. If a service asks for a long pause, they shorten it to some seconds and retry too early, while
//! here such an error is returned with the pause. Every provider has the same rules this way.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backon::Retryable as _;
use tokio::time::{Instant, timeout_at};

use crate::error::{EmbedError, EmbedErrorKind};

/// The longest pause before the second attempt, and before the third, which is the last.
const PAUSE_BOUNDS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(200)];

/// Calls `attempt` until it succeeds, at most three times.
///
/// A transient error is followed by another attempt. The pause before it is random between zero and a bound that
/// doubles (full jitter: AWS Architecture Blog, "Exponential Backoff and Jitter"). If the service asked for a longer
/// pause, that one is kept. The first attempt ends after half of the time, so that a service that hangs once can be
/// asked again. A later attempt that is still running at the deadline ends with `TimedOut`. No pause extends beyond the
/// deadline: the error is returned instead. Embedding changes nothing, so a request may be sent twice.
///
/// Errors: that of the last attempt, with the number of attempts and the time they took.
pub(crate) async fn with_retries<T, F>(deadline: Instant, mut attempt: impl FnMut() -> F) -> Result<T, EmbedError>
where
    F: Future<Output = Result<T, EmbedError>>,
{
    let begun = Instant::now();
    let half = begun + deadline.saturating_duration_since(begun) / 2;
    let attempts = AtomicU32::new(1);
    let made = || attempts.load(Ordering::Relaxed);
    let bounded = || {
        let attempt = timeout_at(if made() == 1 { half } else { deadline }, attempt());
        async { attempt.await.unwrap_or_else(|_| Err(EmbedError::timed_out())) }
    };
    let result = bounded
        .retry(PAUSE_BOUNDS.into_iter().map(full_jitter))
        .when(|error| error.kind.is_transient() || (error.kind == EmbedErrorKind::TimedOut && made() == 1))
        .adjust(|error, backoff| pause(error, backoff?, deadline.saturating_duration_since(Instant::now())))
        .notify(|error, pause| {
            let (kind, pause_ms) = (error.kind.name(), pause.as_millis());
            tracing::info!(
                kind,
                attempts = made(),
                pause_ms,
                cause = error.causes(),
                "the call to the embedder is retried"
            );
            attempts.fetch_add(1, Ordering::Relaxed);
        })
        .await;
    result.map_err(|error| error.after(made(), begun.elapsed()))
}

fn full_jitter(bound: Duration) -> Duration {
    bound.mul_f64(fastrand::f64())
}

/// The pause after `error`; `None` if it does not end within `left`, the time to the deadline.
fn pause(error: &EmbedError, backoff: Duration, left: Duration) -> Option<Duration> {
    let pause = backoff.max(error.retry_after.unwrap_or_default());
    (pause < left).then_some(pause)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const BACKOFF: Duration = Duration::from_millis(50);

    /// How often an attempt that always fails with `error` is made in an hour, and the final error.
    async fn attempts_with(error: EmbedError) -> (u32, EmbedError) {
        let calls = Cell::new(0);
        let failing = || {
            calls.set(calls.get() + 1);
            ready(Err::<(), _>(error.clone()))
        };
        let error = with_retries(Instant::now() + HOUR, failing).await.unwrap_err();
        (calls.get(), error)
    }

    #[test]
    fn pause_bounds_double() {
        assert_eq!(PAUSE_BOUNDS[1], PAUSE_BOUNDS[0] * 2);
        for bound in PAUSE_BOUNDS {
            assert!((0..100).all(|_| full_jitter(bound) < bound));
        }
    }

    #[test]
    fn pause_with_longer_pause_of_the_service_keeps_it() {
        let with = |asked| pause(&EmbedError::throttled().retry_after(Some(asked)), BACKOFF, HOUR);
        assert_eq!(with(Duration::from_secs(7)), Some(Duration::from_secs(7)));
        assert_eq!(with(Duration::ZERO), Some(BACKOFF));
        assert_eq!((with(HOUR), with(Duration::MAX)), (None, None));
    }

    #[test]
    fn pause_beyond_the_deadline_is_none() {
        let error = EmbedError::unreachable();
        assert_eq!(pause(&error, BACKOFF, BACKOFF), None);
        assert_eq!(pause(&error, Duration::ZERO, Duration::ZERO), None);
    }

    #[tokio::test]
    async fn with_retries_with_permanent_error_makes_one_attempt() {
        for kind in [
            EmbedErrorKind::Refused,
            EmbedErrorKind::UnknownModel,
            EmbedErrorKind::BadRequest,
            EmbedErrorKind::Malformed,
            EmbedErrorKind::WrongDimension,
        ] {
            let (attempts, error) = attempts_with(EmbedError::new(kind, "", "")).await;
            assert_eq!((attempts, error.kind), (1, kind));
        }
    }

    #[tokio::test]
    async fn with_retries_with_transient_error_makes_three_attempts_and_counts_them() {
        for kind in [EmbedErrorKind::Throttled, EmbedErrorKind::Unreachable, EmbedErrorKind::Unavailable] {
            let (attempts, error) = attempts_with(EmbedError::new(kind, "it failed", "")).await;
            assert_eq!((attempts, error.kind), (3, kind));
            assert!(error.detail.starts_with("it failed (3 attempts in "), "{}", error.detail);
        }
    }

    #[tokio::test]
    async fn with_retries_with_attempts_that_hang_makes_two_and_times_out() {
        let calls = Cell::new(0);
        // Half of it is longer than the longest pause before the second attempt.
        let error = with_retries(Instant::now() + PAUSE_BOUNDS[0] * 10, || {
            calls.set(calls.get() + 1);
            pending::<Result<(), EmbedError>>()
        })
        .await
        .unwrap_err();
        assert_eq!((calls.get(), error.kind), (2, EmbedErrorKind::TimedOut));
    }
}
