//! Turns errors of DynamoDB into errors for callers. `mneme_aws::sdk_error` classifies them.

use std::error::Error as StdError;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use mneme_aws::sdk_error::{SdkErrorKind, ServiceText, classify, log_line};
use mneme_model::error::{Error, ErrorKind};

/// The error for the caller of a failed `operation` (`GetItem`, …). Its cause goes to the log only.
pub(crate) fn from_sdk<E>(operation: &str, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let action = denied_action(error.message().unwrap_or_default()).unwrap_or(operation).to_owned();
    let for_caller = match classify(&error) {
        SdkErrorKind::ResourceMissing => table_missing(),
        SdkErrorKind::AccessDenied => Error::backend(
            format!("the function may not call dynamodb:{action}, or its credentials are not valid"),
            format!("allow dynamodb:{action} on the table and its indexes in the function's IAM role"),
        ),
        SdkErrorKind::Throttled => throttled(),
        SdkErrorKind::InvalidRequest => Error::new(
            ErrorKind::Internal,
            "the table refused a request of the cache as malformed",
            "look for this request's id in the function's log, and report it",
        ),
        SdkErrorKind::QuotaExceeded
        | SdkErrorKind::NotSent
        | SdkErrorKind::TimedOut
        | SdkErrorKind::Unreachable
        | SdkErrorKind::ServiceUnavailable
        | SdkErrorKind::Other => unreachable(operation),
    };
    for_caller.caused_by(log_cause(operation, &error))
}

/// The text about a failed call for the log.
pub(crate) fn log_cause<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    log_line(operation, error, ServiceText::Logged)
}

/// Whether the condition of a write held, so that the item was written. `is_refusal` recognises the error of a
/// condition that did not hold.
pub(crate) fn condition_held<T, E>(
    operation: &str,
    sent: Result<T, SdkError<E, HttpResponse>>,
    is_refusal: fn(&E) -> bool,
) -> Result<bool, Error>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    match sent {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(is_refusal) => Ok(false),
        Err(error) => Err(from_sdk(operation, error)),
    }
}

/// An error of kind `StoreBackendError`: the table is missing.
pub fn table_missing() -> Error {
    Error::backend(
        "the cache's table does not exist",
        "set MNEME_CREATE_TABLE=true (create_table) in development, deploy the template, or invoke `provision`; \
         then check MNEME_TABLE_NAME and the region",
    )
}

/// An error of kind `StoreBackendError`: DynamoDB throttled the request.
pub fn throttled() -> Error {
    Error::backend(
        "DynamoDB throttled the request",
        "try again after a pause; if it persists, raise the table's capacity or switch it to on-demand",
    )
    .retry_after(1)
}

/// An error of kind `StoreBackendError`: there was no answer to `operation`.
pub fn unreachable(operation: &str) -> Error {
    Error::backend(
        format!("DynamoDB did not answer {operation} in time"),
        "try again; if it persists, check the function's network, region, endpoint and credentials",
    )
    .retry_after(1)
}

/// The denied action in IAM's message "… is not authorized to perform: dynamodb:GetItem on resource: …".
fn denied_action(message: &str) -> Option<&str> {
    let rest = message.split("dynamodb:").nth(1)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denied_action_of_iam_message_is_its_dynamodb_action() {
        let message = "User: arn:aws:sts::1:assumed-role/r is not authorized to perform: dynamodb:PutItem on resource: \
                       arn:aws:dynamodb:us-east-1:1:table/t";
        assert_eq!(denied_action(message), Some("PutItem"));
        assert_eq!(denied_action("no"), None);
    }
}
