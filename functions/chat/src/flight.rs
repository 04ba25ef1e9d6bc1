//! Single flight: of several requests for one new answer, one calls the upstream, and the others wait for what it stores.
//!
//! They find each other by the leases of the table, so they may run on different instances.

use std::time::Duration;

use mneme_core::cache::Cache;
use mneme_core::lease::{self, LeaseState};
use mneme_core::lookup::outcome::LookupOutcome;
use mneme_core::lookup::query::Query;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::config::Leases;
use mneme_model::error::Error;
use tokio::time::{Instant, sleep, timeout_at};

use crate::stored::{Destination, Found, Stored};

/// The longest pause before the second lookup of a request that waits. Each further pause may be twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause of all.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long releasing a lease may take. A lease that is not released ends at its time.
const RELEASE_LIMIT: Duration = Duration::from_secs(1);

/// What a request has to do with the calls of others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flight {
    /// The token of the lease that the request holds: others wait for its answer.
    pub(crate) lease_token: Option<String>,
    /// Whether the request waited for another's answer.
    pub(crate) has_waited: bool,
}

/// The lease that a request waits for.
#[derive(Debug, Clone, Copy)]
enum Awaited {
    Nobody,
    /// The lease that ends at this time.
    First(i64),
    /// The first lease is over, and there is another one. The answer may have been stored in between.
    Changed,
}

impl Awaited {
    /// What is awaited after a lease was seen that ends at `until_ms`. `None`: nothing, because the call that was waited
    /// for stored no answer.
    fn after(self, until_ms: i64) -> Option<Self> {
        match self {
            Self::Nobody => Some(Self::First(until_ms)),
            Self::First(first) if first == until_ms => Some(self),
            Self::First(_) => Some(Self::Changed),
            Self::Changed => None,
        }
    }
}

impl Stored {
    /// After `outcome`: takes the lease of the question, or waits until a lookup finds the answer of the request that
    /// holds it. Returns the last outcome.
    ///
    /// A request waits for one call. It stops if that call stored nothing, after `MNEME_CHAT_WAIT_MS`, or after half of
    /// the invocation's time. `budget_until`: when the first lease must be taken or given up.
    ///
    /// Errors: a lookup failed while the request waited.
    pub(crate) async fn join_flight(
        &self,
        cache: &Cache,
        invocation: &Invocation,
        query: &Query,
        mut outcome: LookupOutcome,
        budget_until: Instant,
    ) -> (Result<LookupOutcome, Found>, Flight) {
        let mut flight = Flight::default();
        let begun = Instant::now();
        let half = cache.reply_by().saturating_duration_since(begun) / 2;
        let wait = Duration::from_millis(cache.config.chat.wait_ms).min(half);
        if wait.is_zero() || cache.config.leases == Leases::Off {
            return (Ok(outcome), flight);
        }
        let until = begun + wait;
        let lease_secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let (mut awaited, mut longest_pause, mut take_until) = (Awaited::Nobody, FIRST_PAUSE, budget_until);
        loop {
            match &outcome {
                LookupOutcome::Miss(miss) if miss.reason.is_leased() => {}
                _ => return (Ok(outcome), flight),
            }
            match timeout_at(take_until, lease::take(cache, query, lease_secs)).await {
                Ok(Ok(LeaseState::Granted { token, .. })) => {
                    flight.lease_token = Some(token);
                    return (Ok(outcome), flight);
                }
                Ok(Ok(LeaseState::Held { until_ms, .. })) => match awaited.after(until_ms) {
                    Some(next) => awaited = next,
                    None => return (Ok(outcome), flight),
                },
                Ok(Err(error)) => {
                    invocation.record_failure("taking a lease", &error);
                    return (Ok(outcome), flight);
                }
                Err(_) => return (Ok(outcome), flight),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return (Ok(outcome), flight);
            }
            flight.has_waited = true;
            // Half of the pause is random, so that those who wait do not ask at once.
            sleep(longest_pause.mul_f64(0.5 + fastrand::f64() / 2.0).min(left)).await;
            longest_pause = (longest_pause * 2).min(LONGEST_PAUSE);
            outcome = match self.search(cache, invocation, query).await {
                Ok(outcome) => outcome,
                Err(found) => return (Err(found), flight),
            };
            take_until = Instant::now() + Duration::from_millis(cache.config.chat.budget_ms);
        }
    }

    /// Releases the lease of a request that stored no answer, so that nobody waits for it.
    pub(crate) async fn release(&self, cache: &Cache, invocation: &Invocation, destination: Destination<'_>) {
        let Destination { question, namespace, lease_token, .. } = destination;
        let Some(token) = lease_token else { return };
        let until = cache.deadline.min(Instant::now() + RELEASE_LIMIT);
        let released = timeout_at(until, lease::release(cache, namespace, &question.hash, token)).await;
        let released = released.unwrap_or_else(|_| Err(Error::internal("the table did not answer in time")));
        if let Err(error) = released {
            invocation.record_failure("releasing a lease", &error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of times that a lease is seen until nothing is awaited.
    fn seen(ends: &[i64]) -> Option<usize> {
        let mut awaited = Awaited::Nobody;
        ends.iter().position(|until_ms| match awaited.after(*until_ms) {
            Some(next) => {
                awaited = next;
                false
            }
            None => true,
        })
    }

    #[test]
    fn awaited_lease_that_changed_hands_is_over_after_one_more_lookup() {
        assert_eq!(seen(&[5, 5, 5, 5]), None);
        assert_eq!(seen(&[5, 5, 9]), None);
        assert_eq!(seen(&[5, 5, 9, 9]), Some(3));
        assert_eq!(seen(&[5, 9, 12]), Some(2));
    }
}
