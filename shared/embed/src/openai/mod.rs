//! Any service with an OpenAI-compatible embeddings API: OpenAI, vLLM, Ollama, text-embeddings-inference.

mod transport;
mod wire;

use std::num::NonZeroUsize;

use aws_config::SdkConfig;
use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use self::transport::{Http, Reply};
use crate::error::{EmbedError, EmbedErrorKind};
use crate::key::{ApiKey, KeySource};
use crate::key_cache::KeyCache;
use crate::provider::{Limits, Provider, TextVector, refuse_blank};
use crate::retry::with_retries;
use crate::retry_after::retry_after;
use crate::spec::OpenAiSpec;

/// OpenAI takes 2,048 texts per call (its API reference). text-embeddings-inference takes 32
/// (`--max-client-batch-size`), which is the lower of the two.
const LIMITS: Limits = Limits {
    texts_per_call: NonZeroUsize::new(32).expect("not zero"),
    concurrent_calls: NonZeroUsize::new(4).expect("not zero"),
};

/// A model behind `POST <base URL>/embeddings`.
pub struct OpenAi {
    spec: OpenAiSpec,
    fingerprint: String,
    max_tokens: usize,
    http: Http,
    key: KeyCache,
}

impl OpenAi {
    /// Sends nothing. A key in Secrets Manager or Parameter Store is fetched when it is first needed, with the
    /// credentials of `aws`.
    /// `max_tokens`: how much of a text the model reads.
    pub fn new(spec: OpenAiSpec, max_tokens: usize, key: KeySource, aws: &SdkConfig) -> Self {
        let fingerprint = spec.fingerprint();
        Self {
            fingerprint,
            max_tokens,
            http: Http::new(spec.endpoint.clone()),
            key: KeyCache::new(key, "MNEME_EMBEDDER_API_KEY", aws),
            spec,
        }
    }

    /// Sends one request and reads the vectors of its reply. If the key is refused and its store has another one, a
    /// second request is sent with that key.
    async fn attempt(&self, request: &Bytes) -> Result<Vec<Vec<f32>>, EmbedError> {
        let key = self.key.key().await?;
        let mut reply = self.http.post(key.as_ref().map(ApiKey::header), request.clone()).await?;
        if let (StatusCode::UNAUTHORIZED, Some(refused)) = (reply.status, &key)
            && let Some(other) = self.key.replacement_of(refused).await?
        {
            reply = self.http.post(Some(other.header()), request.clone()).await?;
        }
        if reply.status.is_success() { wire::vectors(&reply.body) } else { Err(refusal(&reply)) }
    }
}

impl Provider for OpenAi {
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn dim(&self) -> Option<usize> {
        self.spec.dim
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn check(&self, text: &str) -> Result<(), EmbedError> {
        refuse_blank(text)
    }

    async fn call(&self, texts: &[&str], deadline: Instant) -> Result<Vec<TextVector>, EmbedError> {
        let request = wire::request(&self.spec.model, self.spec.dim, texts);
        let vectors = with_retries(deadline, || self.attempt(&request)).await?;
        Ok(TextVector::of_service(vectors, texts, self.max_tokens))
    }
}

/// The error of a reply whose status is not a success.
fn refusal(reply: &Reply) -> EmbedError {
    let fault = wire::Fault::of(&reply.body);
    let status = reply.status.as_u16();
    let named = match status {
        429 if fault.code.as_deref() == Some("insufficient_quota") => EmbedError::new(
            EmbedErrorKind::Refused,
            "the embedder's quota is spent",
            "look at the plan and the billing of the account that the API key belongs to",
        ),
        429 => EmbedError::throttled(),
        401 | 403 => EmbedError::new(
            EmbedErrorKind::Refused,
            format!("the embedder refused the API key with HTTP status {status}"),
            "set MNEME_EMBEDDER_API_KEY to a valid key, or to the ARN of a secret or parameter that holds one",
        ),
        404 | 405 | 410 => EmbedError::new(
            EmbedErrorKind::UnknownModel,
            format!("the embedder knows no such model or path (HTTP status {status})"),
            "check the model and the base URL in MNEME_EMBEDDER: `/embeddings` is appended to the URL, which often ends \
             in /v1",
        ),
        408 | 500.. => EmbedError::unavailable(status),
        400..=499 => EmbedError::new(
            EmbedErrorKind::BadRequest,
            format!("the embedder refused the request with HTTP status {status}"),
            "shorten the text; if short texts are refused too, the model may not take the dimension in MNEME_EMBEDDER",
        ),
        _ => EmbedError::malformed(format!("the embedder answered with HTTP status {status}")),
    };
    let pause = retry_after(|name| reply.headers.get(name)?.to_str().ok());
    let request_id = reply.headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or("none");
    named.retry_after(pause).caused_by(format!("HTTP status {status}, {fault} (request id {request_id})"))
}
