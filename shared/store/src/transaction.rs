//! Sends transactions with `TransactWriteItems`, finds out whether each was committed, and classifies cancellations.
//!
//! No other module calls `TransactWriteItems`; `clippy.toml` forbids it.

use std::time::Duration;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, TransactWriteItem};
use mneme_aws::client_config::no_retries;
use mneme_aws::sdk_error::{SdkErrorKind, classify};
use mneme_model::error::Error;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::backend_error;
use crate::item::Item;
use crate::table::Table;

/// The largest number of actions in one transaction (API reference, `TransactWriteItems`).
pub const MAX_ACTIONS: usize = 100;

/// How often a throttled transaction is sent, unless the caller is patient ([`Table::patient_until`]).
const MAX_THROTTLED_ATTEMPTS: u32 = 4;
/// How often a transaction with an unknown outcome is sent. The attempts take some seconds, which is enough for the
/// failover of a partition.
const MAX_UNKNOWN_ATTEMPTS: u32 = 8;

/// The outcome of a transaction.
#[derive(Debug)]
pub enum TransactionOutcome {
    /// All actions were applied.
    Committed,
    /// No action was applied. There is one outcome per action, in the order of the actions.
    Cancelled(Vec<ActionOutcome>),
    /// Either all actions were applied or none was: no attempt got an answer that decides it. The error is for a caller
    /// if the outcome cannot be found out in another way.
    Unknown(Error),
}

/// The part of one action in a cancellation.
#[derive(Debug)]
pub enum ActionOutcome {
    /// The action has no part in the cancellation.
    Fine,
    /// The condition did not hold. The row is there if it exists and the action requested it.
    ConditionFailed(Option<Item>),
    /// Another transaction was writing the row.
    Conflict,
    /// The capacity of the table was used up.
    Throttled,
    /// The action can never be applied. The text is the service's code and message.
    Invalid(String),
}

impl ActionOutcome {
    /// Reads the reason of one action.
    ///
    /// Source: API reference, `TransactWriteItems`, "Errors". The reasons are in the order of the items. The code is
    /// `None` for an item that has no part in the cancellation.
    fn of(reason: &CancellationReason) -> Self {
        match reason.code().unwrap_or("None") {
            "None" => Self::Fine,
            "ConditionalCheckFailed" => Self::ConditionFailed(reason.item.clone().filter(|item| !item.is_empty())),
            "TransactionConflict" => Self::Conflict,
            "ThrottlingError" | "ProvisionedThroughputExceeded" => Self::Throttled,
            code => Self::Invalid(format!("{code}: {}", reason.message().unwrap_or_default())),
        }
    }
}

impl TransactionOutcome {
    /// Whether the condition of the action at `position` did not hold.
    pub fn failed_condition(&self, position: usize) -> bool {
        match self {
            Self::Committed | Self::Unknown(_) => false,
            Self::Cancelled(outcomes) => matches!(outcomes.get(position), Some(ActionOutcome::ConditionFailed(_))),
        }
    }

    /// The row of the action at `position`, whose condition did not hold, if the row exists and the action requested it.
    pub fn row_at(&self, position: usize) -> Option<&Item> {
        match self {
            Self::Cancelled(outcomes) => match outcomes.get(position) {
                Some(ActionOutcome::ConditionFailed(row)) => row.as_ref(),
                _ => None,
            },
            Self::Committed | Self::Unknown(_) => None,
        }
    }

    /// Whether the transaction was cancelled only by conflicts with other transactions or by throttling.
    pub fn was_contended(&self) -> bool {
        match self {
            Self::Committed | Self::Unknown(_) => false,
            Self::Cancelled(outcomes) => outcomes.iter().all(|outcome| {
                matches!(outcome, ActionOutcome::Fine | ActionOutcome::Conflict | ActionOutcome::Throttled)
            }),
        }
    }
}

/// The state of a transaction after an attempt that failed without a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailedAttempt {
    /// The attempt may have been committed.
    Unknown,
    /// The attempt was not carried out, and a later one may be.
    Throttled,
    /// The attempt was not carried out, and no later one will be.
    Refused,
}

impl FailedAttempt {
    fn of(error: SdkErrorKind) -> Self {
        match error {
            // `TransactionInProgress` is `Other`: an earlier attempt with the same token is still being carried out.
            SdkErrorKind::QuotaExceeded
            | SdkErrorKind::NotSent
            | SdkErrorKind::TimedOut
            | SdkErrorKind::Unreachable
            | SdkErrorKind::ServiceUnavailable
            | SdkErrorKind::Other => Self::Unknown,
            SdkErrorKind::Throttled => Self::Throttled,
            SdkErrorKind::ResourceMissing | SdkErrorKind::AccessDenied | SdkErrorKind::InvalidRequest => Self::Refused,
        }
    }
}

impl Table {
    /// Applies all of `actions` or none, and never twice.
    ///
    /// The request has a new `ClientRequestToken`. If the answer is lost, the request is sent again with the same
    /// token. For ten minutes DynamoDB does not apply a token twice (API reference, `TransactWriteItems`,
    /// "ClientRequestToken"). So the answer to a later attempt gives the outcome of the first. The SDK's own retries
    /// are off, because they hide how each attempt ended: a throttled attempt after a lost answer says nothing about
    /// the first attempt.
    ///
    /// Writes: up to 100 items. Errors, after which nothing was applied: `StoreBackendError` if the table is missing,
    /// the action is not allowed or the table is throttled; `Internal` for an action that can never be applied.
    pub async fn transact(
        &self,
        actions: Vec<TransactWriteItem>,
        deadline: Instant,
    ) -> Result<TransactionOutcome, Error> {
        let token = Uuid::new_v4().to_string();
        let without_retries = aws_sdk_dynamodb::Config::builder().retry_config(no_retries());
        let mut is_unknown = false;
        let mut attempt = 0;
        loop {
            if attempt > 0 {
                self.capacity.usage().retries += 1;
            }
            #[expect(clippy::disallowed_methods, reason = "this is the one call that `clippy.toml` refers to")]
            let request = self
                .client
                .transact_write_items()
                .set_transact_items(Some(actions.clone()))
                .client_request_token(&token)
                .customize()
                .config_override(without_retries.clone())
                .send();
            let error = match timeout_at(deadline, request).await {
                Ok(Ok(_)) => return Ok(TransactionOutcome::Committed),
                Ok(Err(error)) => error,
                Err(_) => return Ok(TransactionOutcome::Unknown(backend_error::unreachable("TransactWriteItems"))),
            };
            if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() {
                let outcome = classify_reasons(cancelled.cancellation_reasons())?;
                if outcome.was_contended() {
                    self.capacity.usage().conflicts += 1;
                }
                return Ok(outcome);
            }
            let failed = FailedAttempt::of(classify(&error));
            is_unknown |= failed == FailedAttempt::Unknown;
            attempt += 1;
            let max_attempts = match is_unknown {
                true => MAX_UNKNOWN_ATTEMPTS,
                false if self.patience.is_some() => u32::MAX,
                false => MAX_THROTTLED_ATTEMPTS,
            };
            let pause = Duration::from_millis(25 << attempt.min(MAX_UNKNOWN_ATTEMPTS)).mul_f64(fastrand::f64());
            let is_refused = failed == FailedAttempt::Refused;
            if is_refused || attempt >= max_attempts || Instant::now() + pause >= deadline {
                // A later attempt that is throttled or refused does not say whether an earlier one was committed.
                return if is_unknown {
                    let cause = backend_error::log_cause("TransactWriteItems", &error);
                    Ok(TransactionOutcome::Unknown(backend_error::unreachable("TransactWriteItems").caused_by(cause)))
                } else {
                    Err(backend_error::from_sdk("TransactWriteItems", error))
                };
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// The outcome of a cancelled transaction. Errors: `Internal` if an action can never be applied.
fn classify_reasons(reasons: &[CancellationReason]) -> Result<TransactionOutcome, Error> {
    let outcomes: Vec<ActionOutcome> = reasons.iter().map(ActionOutcome::of).collect();
    let invalid = outcomes.iter().find_map(|outcome| match outcome {
        ActionOutcome::Invalid(reason) => Some(reason),
        _ => None,
    });
    match invalid {
        Some(reason) => Err(Error::internal(format!("DynamoDB refused a transaction: {reason}"))),
        None => Ok(TransactionOutcome::Cancelled(outcomes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute as name;
    use crate::item::n;

    fn reason(code: &str) -> CancellationReason {
        CancellationReason::builder().code(code).message("m").build()
    }

    #[test]
    fn classify_reasons_with_failed_condition_keeps_position_and_row() {
        let row = Item::from([(name::ID.to_owned(), n(0))]);
        let failed = CancellationReason::builder().code("ConditionalCheckFailed").set_item(Some(row.clone())).build();
        let outcome = classify_reasons(&[reason("None"), failed, reason("TransactionConflict")]).unwrap();
        assert!(!outcome.failed_condition(0) && outcome.failed_condition(1) && !outcome.failed_condition(2));
        assert!(!outcome.was_contended());
        let TransactionOutcome::Cancelled(outcomes) = outcome else { panic!("{outcome:?}") };
        assert!(matches!(&outcomes[1], ActionOutcome::ConditionFailed(Some(found)) if *found == row));
    }

    #[test]
    fn classify_reasons_with_conflict_and_throttling_is_contended() {
        let reasons = ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"].map(reason);
        assert!(classify_reasons(&reasons).unwrap().was_contended());
    }

    #[test]
    fn classify_reasons_with_invalid_action_is_internal_error() {
        let error = classify_reasons(&[reason("ValidationError"), reason("None")]).unwrap_err();
        assert_eq!(error.kind, mneme_model::error::ErrorKind::Internal);
    }

    #[test]
    fn failed_attempt_without_answer_is_unknown() {
        for kind in [SdkErrorKind::TimedOut, SdkErrorKind::Unreachable, SdkErrorKind::ServiceUnavailable] {
            assert_eq!(FailedAttempt::of(kind), FailedAttempt::Unknown, "{kind:?}");
        }
        assert_eq!(FailedAttempt::of(SdkErrorKind::Throttled), FailedAttempt::Throttled);
        assert_eq!(FailedAttempt::of(SdkErrorKind::AccessDenied), FailedAttempt::Refused);
    }
}
