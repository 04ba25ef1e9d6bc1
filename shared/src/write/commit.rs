//! Committing a transaction that does not depend on the counter's values.

use aws_sdk_dynamodb::types::TransactWriteItem;
use mneme_model::error::Error;
use mneme_store::transaction::TransactionOutcome;

use crate::cache::Cache;

/// Commits a transaction that does not depend on the counter's values. Returns false if one of its conditions does not
/// hold.
///
/// Errors: `StoreBackendError`, also when the outcome cannot be found out.
pub(crate) async fn commit(cache: &Cache, actions: &[TransactWriteItem]) -> Result<bool, Error> {
    let mut budget = cache.retry_budget();
    loop {
        let outcome = cache.table.transact(actions.to_vec(), cache.deadline).await?;
        match outcome {
            TransactionOutcome::Committed => return Ok(true),
            TransactionOutcome::Unknown(error) => return Err(error),
            _ if outcome.was_contended() => budget.after_contention().await?,
            TransactionOutcome::Cancelled(_) => return Ok(false),
        }
    }
}
