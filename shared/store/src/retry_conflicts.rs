//! Makes the SDK send a single write again that conflicts with a transaction. The SDK does not do so by itself.

use aws_sdk_dynamodb::config::interceptors::InterceptorContext;
use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;

/// Classifies a conflict with a transaction as throttling, so that the SDK sends the write as often as a throttled one.
/// DynamoDB applied nothing of a write that it refused.
///
/// Source: API reference, `UpdateItem`, "Errors": `TransactionConflictException`, "Operation was rejected because there
/// is an ongoing transaction for the item".
#[derive(Debug)]
pub(crate) struct RetryConflicts;

impl ClassifyRetry for RetryConflicts {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else { return RetryAction::NoActionIndicated };
        let Some(error) = error.as_operation_error() else { return RetryAction::NoActionIndicated };
        let code = error
            .downcast_ref::<UpdateItemError>()
            .map(ProvideErrorMetadata::code)
            .or_else(|| error.downcast_ref::<PutItemError>().map(ProvideErrorMetadata::code))
            .or_else(|| error.downcast_ref::<DeleteItemError>().map(ProvideErrorMetadata::code));
        match code.flatten() {
            Some("TransactionConflictException") => RetryAction::throttling_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "RetryConflicts"
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::get_item::GetItemError;
    use aws_smithy_runtime_api::client::interceptors::context::{Error, Input};
    use aws_smithy_runtime_api::client::orchestrator::OrchestratorError;

    use super::*;

    const CONFLICT: &str = "TransactionConflictException";

    fn classify<E>(error: E) -> RetryAction
    where
        E: std::error::Error + Debug + Send + Sync + 'static,
    {
        let mut context = InterceptorContext::new(Input::erase(()));
        context.set_output_or_error(Err(OrchestratorError::operation(Error::erase(error))));
        RetryConflicts.classify_retry(&context)
    }

    fn metadata(code: &str) -> ErrorMetadata {
        ErrorMetadata::builder().code(code).build()
    }

    #[test]
    fn classify_retry_of_write_with_conflict_is_throttling() {
        assert_eq!(classify(UpdateItemError::generic(metadata(CONFLICT))), RetryAction::throttling_error());
        assert_eq!(classify(PutItemError::generic(metadata(CONFLICT))), RetryAction::throttling_error());
        assert_eq!(classify(DeleteItemError::generic(metadata(CONFLICT))), RetryAction::throttling_error());
    }

    #[test]
    fn classify_retry_of_other_error_indicates_no_action() {
        let other_code = UpdateItemError::generic(metadata("ConditionalCheckFailedException"));
        assert_eq!(classify(other_code), RetryAction::NoActionIndicated);
        let not_a_write = GetItemError::generic(metadata(CONFLICT));
        assert_eq!(classify(not_a_write), RetryAction::NoActionIndicated);
    }
}
