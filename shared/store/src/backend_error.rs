//! What DynamoDB's errors mean to a caller.

use std::error::Error as StdError;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId as _;
use mneme_embed::error::chain;

use mneme_model::error::{Error, ErrorKind};

/// How an error of the service is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is no such table (or index).
    TableMissing,
    /// The caller's credentials do not allow the action.
    Forbidden,
    /// Too many requests for the capacity there is.
    Throttled,
    /// The service refused the request as malformed; the text is in the cause.
    Refused,
    /// No answer: it is not known whether the request was carried out.
    Unreachable,
}

/// Sorts an SDK error. An answer that names no known error counts as no answer: the request may have been applied.
pub(crate) fn classify<E, R>(error: &SdkError<E, R>) -> Fault
where
    E: ProvideErrorMetadata,
{
    let SdkError::ServiceError(answer) = error else { return Fault::Unreachable };
    match answer.err().code().unwrap_or_default() {
        "ResourceNotFoundException" => Fault::TableMissing,
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "MissingAuthenticationTokenException" => Fault::Forbidden,
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TransactionConflictException"
        | "LimitExceededException" => Fault::Throttled,
        "ValidationException" | "SerializationException" | "ItemCollectionSizeLimitExceededException" => Fault::Refused,
        _ => Fault::Unreachable,
    }
}

/// The named error for a failed `operation` (`GetItem`, …), whose cause stays in the log.
pub(crate) fn named<E, R>(operation: &str, error: SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let fault = classify(&error);
    let action = denied_action(error.message().unwrap_or_default()).unwrap_or(operation).to_owned();
    let named = match fault {
        Fault::TableMissing => table_missing(),
        Fault::Forbidden => Error::backend(
            format!("the function may not call dynamodb:{action}, or its credentials are not valid"),
            format!("allow dynamodb:{action} on the table and its indexes in the function's IAM role"),
        ),
        Fault::Throttled => throttled(),
        Fault::Refused => Error::new(
            ErrorKind::Internal,
            "the table refused a request of the cache as malformed",
            "look for this request's id in the function's log, and report it",
        ),
        Fault::Unreachable => unreachable(operation),
    };
    named.caused_by(cause(operation, &error))
}

/// What the log says of a failed call: the service's code, text and request id, or why there was no answer. Never the
/// answer itself, in which DynamoDB may return an item.
pub(crate) fn cause<E, R>(operation: &str, error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + StdError + 'static,
    R: std::fmt::Debug + 'static,
{
    if error.as_service_error().is_some() {
        let code = error.code().unwrap_or("no code");
        let message = error.message().unwrap_or("no message");
        let request_id = error.meta().request_id().unwrap_or("none");
        return format!("{operation}: {code}: {message} (request id {request_id})");
    }
    format!("{operation}: {}", chain(error))
}

/// What became of a conditional write: true when written, false when the condition did not hold, which `is_refusal`
/// tells.
pub(crate) fn applied<T, E, R>(
    operation: &str,
    sent: Result<T, SdkError<E, R>>,
    is_refusal: fn(&E) -> bool,
) -> Result<bool, Error>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match sent {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(is_refusal) => Ok(false),
        Err(error) => Err(named(operation, error)),
    }
}

/// `StoreBackendError`: the table is missing.
pub fn table_missing() -> Error {
    Error::backend(
        "the cache's table does not exist",
        "set MNEME_CREATE_TABLE=true (create_table) in development, deploy the template, or invoke `provision`; \
         then check MNEME_TABLE_NAME and the region",
    )
}

/// `StoreBackendError`: throttled.
pub fn throttled() -> Error {
    Error::backend(
        "DynamoDB throttled the request",
        "try again after a pause; if it persists, raise the table's capacity or switch it to on-demand",
    )
    .retry_after(1)
}

/// `StoreBackendError`: no answer to `operation`.
pub fn unreachable(operation: &str) -> Error {
    Error::backend(
        format!("DynamoDB did not answer {operation} in time"),
        "try again; if it persists, check the function's network, region, endpoint and credentials",
    )
    .retry_after(1)
}

/// The action that IAM's message names: "… is not authorized to perform: dynamodb:GetItem on resource: …".
fn denied_action(message: &str) -> Option<&str> {
    let rest = message.split("dynamodb:").nth(1)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_denied_action_is_read_from_iams_message() {
        let message = "User: arn:aws:sts::1:assumed-role/r is not authorized to perform: dynamodb:PutItem on resource: \
                       arn:aws:dynamodb:us-east-1:1:table/t";
        assert_eq!(denied_action(message), Some("PutItem"));
        assert_eq!(denied_action("no"), None);
    }
}
