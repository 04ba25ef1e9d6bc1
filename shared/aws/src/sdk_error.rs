//! Classifies errors of the AWS SDK, and writes the log line of a failed call.
//!
//! [`classify`] is the one list of error codes. Each user maps [`SdkErrorKind`] to its own errors.

use std::error::Error;
use std::iter;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId as _;

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SdkErrorKind {
    /// There were more requests than the capacity or the quota per second allows. The request was not carried out.
    Throttled,
    /// The table, index, model, secret or parameter does not exist.
    ResourceMissing,
    /// The credentials do not allow the action, or they are not valid.
    AccessDenied,
    /// A quota of the account is used up.
    QuotaExceeded,
    /// The service refused the request as malformed.
    InvalidRequest,
    /// The request was not sent: there are no credentials or no region, or the SDK could not build the request.
    NotSent,
    /// No answer arrived within the client's own time limit. The request may have been carried out.
    TimedOut,
    /// There was no connection, or it broke before the whole answer arrived. The request may have been carried out.
    Unreachable,
    /// The service failed to process the request. The request may have been carried out.
    ServiceUnavailable,
    /// Neither the code nor the status of the answer is known. The request may have been carried out.
    Other,
}

/// Classifies an error by how the call ended, then by the service's error code, then by the HTTP status.
///
/// The status decides only if the code is unknown. DynamoDB itself answers with 400, 500 and 503 only, so another
/// status comes from a server in between.
///
/// Sources: Amazon DynamoDB API Reference, "Common Errors" and the "Errors" of each operation; DynamoDB Developer
/// Guide, "Error handling with DynamoDB"; Amazon Bedrock API Reference, `InvokeModel`, "Errors"; the API References of
/// AWS Secrets Manager and AWS Systems Manager.
pub fn classify<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> SdkErrorKind {
    match error {
        SdkError::ServiceError(answer) => {
            of_code(answer.err().code().unwrap_or_default()).unwrap_or_else(|| of_status(http_status(error)))
        }
        SdkError::TimeoutError(_) => SdkErrorKind::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => SdkErrorKind::Unreachable,
        SdkError::ResponseError(_) => SdkErrorKind::Unreachable,
        // `SdkError` may get further variants, all of which are errors before an answer.
        _ => SdkErrorKind::NotSent,
    }
}

fn of_code(code: &str) -> Option<SdkErrorKind> {
    Some(match code {
        "LimitExceededException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "ThrottlingException"
        | "TooManyRequestsException"
        | "TransactionConflictException" => SdkErrorKind::Throttled,
        "ResourceNotFoundException" => SdkErrorKind::ResourceMissing,
        "AccessDeniedException"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException"
        | "UnrecognizedClientException" => SdkErrorKind::AccessDenied,
        "ServiceQuotaExceededException" => SdkErrorKind::QuotaExceeded,
        "ItemCollectionSizeLimitExceededException" | "SerializationException" | "ValidationException" => {
            SdkErrorKind::InvalidRequest
        }
        "InternalServerError"
        | "InternalServerException"
        | "InternalServiceError"
        | "ModelErrorException"
        | "ModelNotReadyException"
        | "ModelTimeoutException" => SdkErrorKind::ServiceUnavailable,
        _ => return None,
    })
}

fn of_status(status: u16) -> SdkErrorKind {
    match status {
        401 | 403 => SdkErrorKind::AccessDenied,
        404 => SdkErrorKind::ResourceMissing,
        429 => SdkErrorKind::Throttled,
        408 | 500.. => SdkErrorKind::ServiceUnavailable,
        _ => SdkErrorKind::Other,
    }
}

/// The HTTP status of the answer; 0 if there was none.
pub fn http_status<E>(error: &SdkError<E, HttpResponse>) -> u16 {
    error.raw_response().map_or(0, |answer| answer.status().as_u16())
}

/// Whether the log may contain the service's message about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceText {
    /// The log has the service's message.
    Logged,
    /// The service may repeat a caller's text or a secret. The log has its message only where access was denied.
    Withheld,
}

/// The log line of a failed call of `operation`.
///
/// If the service answered, the line has its code, its message as `text` allows, the HTTP status and the request id.
/// Otherwise the line has the chain of causes. The line never has the body of the answer, which may hold an item of a
/// table.
pub fn log_line<E>(operation: &str, error: &SdkError<E, HttpResponse>, text: ServiceText) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let withheld = text == ServiceText::Withheld;
    if error.as_service_error().is_none() {
        return match error {
            SdkError::ResponseError(_) if withheld => format!("{operation}: the reply could not be read"),
            _ => format!("{operation}: {}", cause_chain(error)),
        };
    }
    let code = error.code().unwrap_or("no code");
    let message = match withheld && classify(error) != SdkErrorKind::AccessDenied {
        true => "its message is left out",
        false => error.message().unwrap_or("no message"),
    };
    let (status, request_id) = (http_status(error), error.meta().request_id().unwrap_or("none"));
    format!("{operation}: {code}: {message} (HTTP status {status}, request id {request_id})")
}

/// The messages of `error` and of its causes, outermost first, on one line.
pub fn cause_chain(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<String> =
        iter::successors(Some(error), |error| (**error).source()).map(ToString::to_string).collect();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    type Failed = SdkError<ErrorMetadata, HttpResponse>;

    /// An answer with this status, this code (none if empty) and a message.
    fn answer(status: u16, code: &str) -> Failed {
        let mut metadata = ErrorMetadata::builder().message("about a private matter");
        if !code.is_empty() {
            metadata = metadata.code(code);
        }
        SdkError::service_error(metadata.build(), reply(status))
    }

    fn reply(status: u16) -> HttpResponse {
        HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty())
    }

    fn io_error() -> io::Error {
        io::Error::other("private reset")
    }

    #[test]
    fn classify_with_known_code_ignores_status() {
        for (code, kind) in [
            ("ProvisionedThroughputExceededException", SdkErrorKind::Throttled),
            ("TransactionConflictException", SdkErrorKind::Throttled),
            ("ThrottlingException", SdkErrorKind::Throttled),
            ("ResourceNotFoundException", SdkErrorKind::ResourceMissing),
            ("UnrecognizedClientException", SdkErrorKind::AccessDenied),
            ("IncompleteSignature", SdkErrorKind::AccessDenied),
            ("ServiceQuotaExceededException", SdkErrorKind::QuotaExceeded),
            ("ValidationException", SdkErrorKind::InvalidRequest),
            ("ModelTimeoutException", SdkErrorKind::ServiceUnavailable),
        ] {
            for status in [400, 404, 503] {
                assert_eq!(classify(&answer(status, code)), kind, "{code} {status}");
            }
        }
    }

    #[test]
    fn classify_with_unknown_code_uses_status() {
        for (status, kind) in [
            (400, SdkErrorKind::Other),
            (401, SdkErrorKind::AccessDenied),
            (403, SdkErrorKind::AccessDenied),
            (404, SdkErrorKind::ResourceMissing),
            (408, SdkErrorKind::ServiceUnavailable),
            (429, SdkErrorKind::Throttled),
            (500, SdkErrorKind::ServiceUnavailable),
            (503, SdkErrorKind::ServiceUnavailable),
        ] {
            for code in ["SomethingNew", ""] {
                assert_eq!(classify(&answer(status, code)), kind, "{code} {status}");
            }
        }
    }

    #[test]
    fn classify_without_answer_uses_how_the_call_ended() {
        for (error, kind) in [
            (Failed::timeout_error(io_error()), SdkErrorKind::TimedOut),
            (Failed::dispatch_failure(ConnectorError::io(io_error().into())), SdkErrorKind::Unreachable),
            (Failed::dispatch_failure(ConnectorError::timeout(io_error().into())), SdkErrorKind::Unreachable),
            (Failed::response_error(io_error(), reply(200)), SdkErrorKind::Unreachable),
            (Failed::dispatch_failure(ConnectorError::other(io_error().into(), None)), SdkErrorKind::NotSent),
            (Failed::construction_failure(io_error()), SdkErrorKind::NotSent),
        ] {
            assert_eq!(classify(&error), kind, "{error:?}");
        }
    }

    #[test]
    fn log_line_with_withheld_text_has_message_only_when_access_is_denied() {
        let line = |code| log_line("GetItem", &answer(400, code), ServiceText::Withheld);
        let left_out = "GetItem: ThrottlingException: its message is left out (HTTP status 400, request id none)";
        assert_eq!(line("ThrottlingException"), left_out);
        assert!(line("AccessDeniedException").contains(": about a private matter ("));
        let broken = Failed::response_error(io_error(), reply(200));
        assert_eq!(log_line("GetItem", &broken, ServiceText::Withheld), "GetItem: the reply could not be read");
    }

    #[test]
    fn log_line_with_logged_text_has_message_and_causes() {
        let line = log_line("GetItem", &answer(400, ""), ServiceText::Logged);
        assert_eq!(line, "GetItem: no code: about a private matter (HTTP status 400, request id none)");
        let broken = Failed::response_error(io_error(), reply(200));
        assert!(log_line("GetItem", &broken, ServiceText::Logged).ends_with(": private reset"));
    }
}
