//! What the errors of AWS's services mean here, and how its clients are set up.

use std::error::Error as StdError;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_bedrockruntime::config::http::HttpResponse;
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use mneme_aws::sdk_error::{SdkErrorKind, ServiceText, classify, http_status, log_line};

use crate::error::{EmbedError, EmbedErrorKind};
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
    let named = match classify(&error) {
        SdkErrorKind::Throttled => EmbedError::throttled(),
        SdkErrorKind::TimedOut | SdkErrorKind::Unreachable => EmbedError::unreachable(),
        SdkErrorKind::ServiceUnavailable => EmbedError::unavailable(http_status(&error)),
        SdkErrorKind::NotSent => EmbedError::new(
            EmbedErrorKind::Refused,
            "there are no AWS credentials, or no region, to call Amazon Bedrock with",
            "give the function an IAM role; outside Lambda, set AWS_REGION, and AWS_PROFILE or the keys",
        ),
        SdkErrorKind::AccessDenied => EmbedError::new(
            EmbedErrorKind::Refused,
            "the function may not call bedrock:InvokeModel on the model, or its credentials are not valid",
            "allow bedrock:InvokeModel on the model's ARN (and the inference profile's, where one is used) in the \
             function's IAM role, and see that the account has access to the model",
        ),
        SdkErrorKind::ResourceMissing => EmbedError::new(
            EmbedErrorKind::UnknownModel,
            "Amazon Bedrock knows no such model in this region",
            "check the model id or the ARN in MNEME_EMBEDDER, and that the model is offered in the region",
        ),
        SdkErrorKind::QuotaExceeded => EmbedError::new(
            EmbedErrorKind::Refused,
            "the account's quota for the model is spent",
            "raise the quota in Service Quotas, or use another model or region",
        ),
        SdkErrorKind::InvalidRequest | SdkErrorKind::Other => EmbedError::new(
            EmbedErrorKind::BadRequest,
            "Amazon Bedrock refused the request as not valid for the model",
            "shorten the text; if short texts are refused too, the model may be offered through an inference profile \
             only: put its id, as us.cohere.embed-v4:0, into MNEME_EMBEDDER",
        ),
    };
    let pause = error.raw_response().and_then(|reply| pause::asked_for(|name| reply.headers().get(name)));
    named.retry_after(pause).caused_by(log_line("InvokeModel", &error, ServiceText::Withheld))
}

/// The named error of a failed `action` (`ssm:GetParameter`, …) on the key.
pub(crate) fn key_error<E>(action: &str, error: SdkError<E, HttpResponse>) -> EmbedError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let kind = match classify(&error) {
        SdkErrorKind::Throttled => EmbedErrorKind::Throttled,
        SdkErrorKind::TimedOut | SdkErrorKind::Unreachable => EmbedErrorKind::Unreachable,
        SdkErrorKind::ServiceUnavailable => EmbedErrorKind::Unavailable,
        SdkErrorKind::NotSent
        | SdkErrorKind::AccessDenied
        | SdkErrorKind::ResourceMissing
        | SdkErrorKind::QuotaExceeded
        | SdkErrorKind::InvalidRequest
        | SdkErrorKind::Other => EmbedErrorKind::Refused,
    };
    let named = EmbedError::new(
        kind,
        format!("the embedder's API key could not be fetched with {action}"),
        format!(
            "check the ARN in MNEME_EMBEDDER_API_KEY; allow {action} on it in the function's IAM role, and kms:Decrypt \
             where it is encrypted with a key of your own"
        ),
    );
    named.caused_by(log_line(action, &error, ServiceText::Withheld))
}
