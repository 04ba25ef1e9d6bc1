//! Single writes that a transaction is in the way of, which the SDK does not send again by itself.

use aws_sdk_dynamodb::config::interceptors::InterceptorContext;
use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;

/// Has them sent again, as often as a throttled request. Nothing of a refused write was applied.
///
/// Source: API reference, `UpdateItem`, "Errors": `TransactionConflictException`, "Operation was rejected because there is
/// an ongoing transaction for the item".
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
