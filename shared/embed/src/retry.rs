//! Attempts: how often, how far apart, and never past the deadline.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::error::EmbedError;

/// How often a request is sent at most.
const ATTEMPTS: u32 = 3;
/// The longest pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The value of the first attempt that succeeds.
///
/// Errors that may pass are tried again, three attempts in all, after a pause between zero and a bound that doubles (full
/// jitter: AWS Architecture Blog, "Exponential Backoff and Jitter") or the one the service asked for, if that is longer.
/// There is no attempt and no pause that the deadline does not leave time for; an attempt under way ends with it.
/// Embedding changes nothing, so sending a request twice does no harm.
pub(crate) async fn persist<T, F>(deadline: Instant, mut attempt: impl FnMut() -> F) -> Result<T, EmbedError>
where
    F: Future<Output = Result<T, EmbedError>>,
{
    let begun = Instant::now();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let error = match timeout_at(deadline, attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => EmbedError::timed_out(),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(pause) = pause(&error, attempts, fastrand::f64(), left) else {
            return Err(error.after(attempts, begun.elapsed()));
        };
        let (kind, pause_ms) = (error.kind.name(), pause.as_millis());
        tracing::info!(kind, attempts, pause_ms, cause = error.causes(), "the embedder is asked again");
        sleep(pause).await;
    }
}

/// How long to wait after `attempts` attempts, the last of which ended with `error`, when `left` is the time to the deadline
/// and `share`, in [0, 1), is drawn at random. `None`: there is no further attempt.
fn pause(error: &EmbedError, attempts: u32, share: f64, left: Duration) -> Option<Duration> {
    let bound = FIRST_PAUSE * 2u32.pow(attempts - 1);
    let pause = bound.mul_f64(share).max(error.retry_after.unwrap_or_default());
    (error.kind.is_passing() && attempts < ATTEMPTS && pause < left).then_some(pause)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};

    use super::*;
    use crate::error::EmbedErrorKind;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_bound_doubles_until_the_last_attempt() {
        let error = EmbedError::unavailable(503);
        let of = |attempts, share| pause(&error, attempts, share, HOUR);
        assert_eq!(of(1, 0.0), Some(Duration::ZERO));
        assert_eq!((of(1, 0.5), of(2, 0.5)), (Some(FIRST_PAUSE / 2), Some(FIRST_PAUSE)));
        assert_eq!(of(3, 0.0), None);
    }

    #[test]
    fn what_the_service_asks_for_is_kept_or_left_to_the_caller() {
        let of = |asked| pause(&EmbedError::throttled().retry_after(Some(asked)), 1, 0.5, HOUR);
        assert_eq!(of(Duration::from_secs(7)), Some(Duration::from_secs(7)));
        assert_eq!(of(Duration::ZERO), Some(FIRST_PAUSE / 2));
        assert_eq!((of(HOUR), of(Duration::MAX)), (None, None));
    }

    #[test]
    fn there_is_no_pause_that_ends_after_the_deadline() {
        let error = EmbedError::unreachable();
        assert_eq!(pause(&error, 1, 0.5, FIRST_PAUSE / 2), None);
        assert_eq!(pause(&error, 1, 0.0, Duration::ZERO), None);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for kind in [
            EmbedErrorKind::Refused,
            EmbedErrorKind::UnknownModel,
            EmbedErrorKind::BadRequest,
            EmbedErrorKind::Malformed,
            EmbedErrorKind::WrongDimension,
            EmbedErrorKind::TimedOut,
        ] {
            assert_eq!(pause(&EmbedError::new(kind, "", ""), 1, 0.0, HOUR), None, "{kind:?}");
        }
        for kind in [EmbedErrorKind::Throttled, EmbedErrorKind::Unreachable, EmbedErrorKind::Unavailable] {
            assert_eq!(pause(&EmbedError::new(kind, "", ""), 1, 0.0, HOUR), Some(Duration::ZERO), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn an_attempt_ends_with_the_deadline_and_is_not_repeated() {
        let calls = Cell::new(0);
        let error = persist(Instant::now() + Duration::from_millis(20), || {
            calls.set(calls.get() + 1);
            pending::<Result<(), EmbedError>>()
        })
        .await
        .unwrap_err();
        assert_eq!((calls.get(), error.kind), (1, EmbedErrorKind::TimedOut));
    }

    #[tokio::test]
    async fn the_error_tells_how_often_it_was_tried() {
        let calls = Cell::new(0);
        let error = persist(Instant::now() + HOUR, || {
            calls.set(calls.get() + 1);
            ready(Err::<(), _>(EmbedError::unavailable(503)))
        })
        .await
        .unwrap_err();
        assert_eq!((calls.get(), error.kind), (3, EmbedErrorKind::Unavailable));
        let told = "the embedder failed with HTTP status 503 (3 attempts in ";
        assert!(error.detail.starts_with(told), "{}", error.detail);
    }
}
