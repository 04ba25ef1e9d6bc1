//! `TransactWriteItems`, called from here alone: sent, its outcome settled, its refusals sorted.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, TransactWriteItem};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::backend_error as fault;
use crate::item::Item;
use crate::table::Table;
use mneme_aws::sdk_error::{SdkErrorKind, classify};
use mneme_model::error::Error;

/// The most actions one transaction takes (API reference, `TransactWriteItems`).
pub const MAX_ACTIONS: usize = 100;

/// How often a throttled transaction is sent.
const THROTTLED_ATTEMPTS: u32 = 4;
/// How often one is sent whose outcome is unknown: for some seconds, in which a partition fails over.
const SETTLE_ATTEMPTS: u32 = 8;

/// What became of a transaction.
#[derive(Debug)]
pub enum TransactionOutcome {
    /// All actions were applied.
    Committed,
    /// None was. One outcome per action, in the order of the actions.
    Cancelled(Vec<ActionOutcome>),
    /// All were or none was: there was no answer, however often it was sent. What to tell a caller for whom that cannot be
    /// found out.
    Unknown(Error),
}

/// What one action had to do with a cancellation.
#[derive(Debug)]
pub enum ActionOutcome {
    /// Nothing.
    Fine,
    /// Its condition did not hold; the row as it is, where there is one and it was asked for.
    ConditionFailed(Option<Item>),
    /// Another transaction held the row.
    Conflict,
    /// The table's capacity was used up.
    Throttled,
    /// It can never be applied: the service's code and text.
    Invalid(String),
}

impl ActionOutcome {
    /// Sources: API reference, `TransactWriteItems`, "Errors": reasons come in the order of the items, with
    /// the code `None` where an item has no part in the cancellation.
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
    /// Whether the action at `position` failed its condition.
    pub fn failed_condition(&self, position: usize) -> bool {
        match self {
            Self::Committed | Self::Unknown(_) => false,
            Self::Cancelled(outcomes) => matches!(outcomes.get(position), Some(ActionOutcome::ConditionFailed(_))),
        }
    }

    /// Whether another transaction or the table's capacity was in the way, and nothing else was.
    pub fn was_contended(&self) -> bool {
        match self {
            Self::Committed | Self::Unknown(_) => false,
            Self::Cancelled(outcomes) => outcomes
                .iter()
                .all(|v| matches!(v, ActionOutcome::Fine | ActionOutcome::Conflict | ActionOutcome::Throttled)),
        }
    }
}

impl Table {
    /// Applies `actions` together or not at all, exactly once.
    ///
    /// The request carries a fresh `ClientRequestToken`. When the answer is lost, it is sent again with the same
    /// token, which DynamoDB answers without applying it twice for ten minutes (API reference,
    /// `TransactWriteItems`, "ClientRequestToken"); so an outcome is learnt, never guessed. The SDK's own retries are
    /// off here: after a lost answer a throttling says nothing about the first sending, and they would hide that.
    ///
    /// Errors: `StoreBackendError` when the table is missing, forbidden or throttled, so that nothing was applied;
    /// `Internal` for an action that can never be applied.
    pub async fn transact(
        &self,
        actions: Vec<TransactWriteItem>,
        deadline: Instant,
    ) -> Result<TransactionOutcome, Error> {
        let token = Uuid::new_v4().to_string();
        let once = aws_sdk_dynamodb::Config::builder().retry_config(RetryConfig::disabled());
        let mut unanswered = false;
        let mut attempt = 0;
        loop {
            if attempt > 0 {
                self.capacity.usage().retries += 1;
            }
            #[expect(clippy::disallowed_methods, reason = "the one place")]
            let sending = self
                .client
                .transact_write_items()
                .set_transact_items(Some(actions.clone()))
                .client_request_token(&token)
                .customize()
                .config_override(once.clone())
                .send();
            let error = match timeout_at(deadline, sending).await {
                Ok(Ok(_)) => return Ok(TransactionOutcome::Committed),
                Ok(Err(error)) => error,
                Err(_) => return Ok(TransactionOutcome::Unknown(fault::unreachable("TransactWriteItems"))),
            };
            if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() {
                let outcome = classify_reasons(cancelled.cancellation_reasons())?;
                if outcome.was_contended() {
                    self.capacity.usage().conflicts += 1;
                }
                return Ok(outcome);
            }
            let again = match classify(&error) {
                // Also while the first sending of this very token is still at work (`TransactionInProgress`).
                SdkErrorKind::QuotaExceeded
                | SdkErrorKind::NotSent
                | SdkErrorKind::TimedOut
                | SdkErrorKind::Unreachable
                | SdkErrorKind::ServiceUnavailable
                | SdkErrorKind::Other => {
                    unanswered = true;
                    true
                }
                SdkErrorKind::Throttled => true,
                SdkErrorKind::ResourceMissing | SdkErrorKind::AccessDenied | SdkErrorKind::InvalidRequest => false,
            };
            attempt += 1;
            let most = if unanswered { SETTLE_ATTEMPTS } else { THROTTLED_ATTEMPTS };
            let pause = Duration::from_millis(25 << attempt).mul_f64(fastrand::f64());
            if !again || attempt >= most || Instant::now() + pause >= deadline {
                // What became of an unanswered sending, the answer to a later one does not tell.
                return if unanswered {
                    let cause = fault::cause("TransactWriteItems", &error);
                    Ok(TransactionOutcome::Unknown(fault::unreachable("TransactWriteItems").caused_by(cause)))
                } else {
                    Err(fault::named("TransactWriteItems", error))
                };
            }
            tokio::time::sleep(pause).await;
        }
    }
}

fn classify_reasons(reasons: &[CancellationReason]) -> Result<TransactionOutcome, Error> {
    let outcomes: Vec<ActionOutcome> = reasons.iter().map(ActionOutcome::of).collect();
    match outcomes.iter().find_map(|outcome| if let ActionOutcome::Invalid(why) = outcome { Some(why) } else { None }) {
        Some(why) => Err(Error::internal(format!("a transaction was refused: {why}"))),
        None => Ok(TransactionOutcome::Cancelled(outcomes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::types::AttributeValue;

    fn reason(code: &str) -> CancellationReason {
        CancellationReason::builder().code(code).message("m").build()
    }

    #[test]
    fn verdicts_keep_their_positions() {
        let row = Item::from([("id".to_owned(), AttributeValue::N("0".to_owned()))]);
        let failed = CancellationReason::builder().code("ConditionalCheckFailed").set_item(Some(row)).build();
        let outcome = classify_reasons(&[reason("None"), failed, reason("TransactionConflict")]).unwrap();
        assert!(!outcome.failed_condition(0) && outcome.failed_condition(1) && !outcome.failed_condition(2));
        assert!(!outcome.was_contended());
        let crowded =
            classify_reasons(&[reason("None"), reason("TransactionConflict"), reason("ThrottlingError")]).unwrap();
        assert!(crowded.was_contended());
        assert!(classify_reasons(&[reason("ValidationError"), reason("None")]).is_err());
    }
}
