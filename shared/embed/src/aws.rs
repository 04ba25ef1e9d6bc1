//! What the errors of AWS's services mean here, and how its clients are set up.

use std::error::Error as StdError;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_bedrockruntime::config::http::HttpResponse;
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::operation::RequestId as _;

use crate::error::{EmbedError, EmbedErrorKind, chain};
use crate::pause;

/// Attempts are counted in one place, `retry`.
pub(crate) fn no_retries() -> RetryConfig {
    RetryConfig::disabled()
}

/// Only connecting has a limit of its own; all else ends with the deadline.
pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(Duration::from_secs(1)).build()
}

/// The named error of a failed `InvokeModel`.
pub(crate) fn model_error<E>(error: SdkError<E, HttpResponse>) -> EmbedError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let status = status(&error);
    let code = error.code().unwrap_or_default();
    let named = match fault(&error) {
        Fault::Throttled => EmbedError::throttled(),
        Fault::Unreachable => EmbedError::unreachable(),
        Fault::Unavailable => EmbedError::unavailable(status),
        Fault::NoCredentials => EmbedError::new(
            EmbedErrorKind::Refused,
            "there are no AWS credentials, or no region, to call Amazon Bedrock with",
            "give the function an IAM role; outside Lambda, set AWS_REGION, and AWS_PROFILE or the keys",
        ),
        Fault::Forbidden => EmbedError::new(
            EmbedErrorKind::Refused,
            "the function may not call bedrock:InvokeModel on the model, or its credentials are not valid",
            "allow bedrock:InvokeModel on the model's ARN (and the inference profile's, where one is used) in the \
             function's IAM role, and see that the account has access to the model",
        ),
        Fault::Missing => EmbedError::new(
            EmbedErrorKind::UnknownModel,
            "Amazon Bedrock knows no such model in this region",
            "check the model id or the ARN in MNEME_EMBEDDER, and that the model is offered in the region",
        ),
        Fault::Refused if code == "ServiceQuotaExceededException" => EmbedError::new(
            EmbedErrorKind::Refused,
            "the account's quota for the model is spent",
            "raise the quota in Service Quotas, or use another model or region",
        ),
        Fault::Refused => EmbedError::new(
            EmbedErrorKind::BadRequest,
            "Amazon Bedrock refused the request as not valid for the model",
            "shorten the text; if short texts are refused too, the model may be offered through an inference profile \
             only: put its id, as us.cohere.embed-v4:0, into MNEME_EMBEDDER",
        ),
    };
    let pause = error.raw_response().and_then(|reply| pause::asked_for(|name| reply.headers().get(name)));
    named.retry_after(pause).caused_by(cause("InvokeModel", &error))
}

/// The named error of a failed `action` (`ssm:GetParameter`, …) on the key.
pub(crate) fn key_error<E>(action: &str, error: SdkError<E, HttpResponse>) -> EmbedError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let kind = match fault(&error) {
        Fault::Throttled => EmbedErrorKind::Throttled,
        Fault::Unreachable => EmbedErrorKind::Unreachable,
        Fault::Unavailable => EmbedErrorKind::Unavailable,
        Fault::NoCredentials | Fault::Forbidden | Fault::Missing | Fault::Refused => EmbedErrorKind::Refused,
    };
    let named = EmbedError::new(
        kind,
        format!("the embedder's API key could not be fetched with {action}"),
        format!(
            "check the ARN in MNEME_EMBEDDER_API_KEY; allow {action} on it in the function's IAM role, and kms:Decrypt \
             where it is encrypted with a key of your own"
        ),
    );
    named.caused_by(cause(action, &error))
}

/// How a failed call is to be taken.
enum Fault {
    Throttled,
    NoCredentials,
    Forbidden,
    Missing,
    Refused,
    Unreachable,
    Unavailable,
}

/// Sorts an SDK error by its code, then by its status.
///
/// Source: Amazon Bedrock API Reference, InvokeModel, "Errors"; AWS Secrets Manager and Systems Manager API Reference.
fn fault<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Fault {
    match error {
        SdkError::ServiceError(_) => {}
        SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => return Fault::Unreachable,
        // A reply that breaks off is one that cannot be read.
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => return Fault::Unreachable,
        // Nothing was sent: for want of credentials or of a region.
        _ => return Fault::NoCredentials,
    }
    match error.code().unwrap_or_default() {
        "ThrottlingException" | "TooManyRequestsException" => return Fault::Throttled,
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "ExpiredTokenException"
        | "MissingAuthenticationTokenException" => return Fault::Forbidden,
        "ResourceNotFoundException" => return Fault::Missing,
        "ModelErrorException"
        | "ModelNotReadyException"
        | "ModelTimeoutException"
        | "InternalServerException"
        | "InternalServiceError"
        | "InternalServerError" => return Fault::Unavailable,
        _ => {}
    }
    match status(error) {
        401 | 403 => Fault::Forbidden,
        404 => Fault::Missing,
        408 | 500.. => Fault::Unavailable,
        429 => Fault::Throttled,
        _ => Fault::Refused,
    }
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> u16 {
    error.raw_response().map_or(0, |reply| reply.status().as_u16())
}

/// What the log says of it: the code and the request id, or why there was no answer. Of the service's own words only those
/// on permissions: others may repeat the text.
fn cause<E>(action: &str, error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    if error.as_service_error().is_none() {
        return match error {
            SdkError::ResponseError(_) => format!("{action}: the reply could not be read"),
            _ => format!("{action}: {}", chain(error)),
        };
    }
    let code = error.code().unwrap_or("no code");
    let request_id = error.meta().request_id().unwrap_or("none");
    let message = match fault(error) {
        Fault::Forbidden => error.message().unwrap_or("no message"),
        _ => "its message is left out",
    };
    format!("{action}: {code}: {message} (HTTP status {}, request id {request_id})", status(error))
}
