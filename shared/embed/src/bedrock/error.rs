//! What an error of `InvokeModel` means.

use std::error::Error as StdError;

use aws_sdk_bedrockruntime::config::http::HttpResponse;
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use mneme_aws::sdk_error::{SdkErrorKind, ServiceText, classify, http_status, log_line};

use crate::error::{EmbedError, EmbedErrorKind};
use crate::retry_after::retry_after;

/// The error of a failed `InvokeModel`.
///
/// The cause has the service's message only if it is about permissions: another message may repeat the text.
pub(super) fn model_error<E>(error: SdkError<E, HttpResponse>) -> EmbedError
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
    let pause = error.raw_response().and_then(|reply| retry_after(|name| reply.headers().get(name)));
    named.retry_after(pause).caused_by(log_line("InvokeModel", &error, ServiceText::Withheld))
}
