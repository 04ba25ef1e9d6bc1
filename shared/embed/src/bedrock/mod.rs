//! Models on Amazon Bedrock: Amazon Titan Text Embeddings V2, Cohere Embed v3 and v4.

mod error;
mod wire;

use std::num::NonZeroUsize;

use aws_config::{Region, SdkConfig};
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::primitives::Blob;
use mneme_aws::client_config::{connect_timeout_only, no_retries};
use tokio::time::Instant;

use crate::error::{EmbedError, EmbedErrorKind};
use crate::provider::{Limits, Provider, TextVector, refuse_blank};
use crate::retry::with_retries;
use crate::spec::{BedrockSpec, Family};

const TITAN_LIMITS: Limits = Limits {
    texts_per_call: NonZeroUsize::new(1).expect("not zero"),
    concurrent_calls: NonZeroUsize::new(8).expect("not zero"),
};
const COHERE_LIMITS: Limits = Limits {
    texts_per_call: NonZeroUsize::new(96).expect("not zero"),
    concurrent_calls: NonZeroUsize::new(4).expect("not zero"),
};

/// A model on Amazon Bedrock.
pub struct Bedrock {
    spec: BedrockSpec,
    fingerprint: String,
    max_tokens: usize,
    client: Client,
}

impl Bedrock {
    /// Sends nothing. The credentials are those of `aws`. The region is that of the ARN in `spec`, or else that of
    /// `aws`.
    /// `max_tokens`: how much of a text the model reads.
    pub fn new(spec: BedrockSpec, max_tokens: usize, aws: &SdkConfig) -> Self {
        let mut config = aws_sdk_bedrockruntime::config::Builder::from(aws)
            .retry_config(no_retries())
            .timeout_config(connect_timeout_only());
        if let Some(region) = &spec.region {
            config = config.region(Region::new(region.clone()));
        }
        Self { fingerprint: spec.fingerprint(), max_tokens, client: Client::from_conf(config.build()), spec }
    }

    /// Sends one `InvokeModel` and reads the vectors of its reply.
    async fn attempt(&self, request: &Blob) -> Result<Vec<Vec<f32>>, EmbedError> {
        let sent = self
            .client
            .invoke_model()
            .model_id(&self.spec.target)
            .content_type("application/json")
            .accept("application/json")
            .body(request.clone())
            .send();
        // Boxed: the SDK's futures nest deeply.
        let reply = Box::pin(sent).await.map_err(error::model_error)?;
        wire::vectors(self.spec.family, reply.body.as_ref())
    }
}

impl Provider for Bedrock {
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn dim(&self) -> Option<usize> {
        Some(self.spec.dim)
    }

    /// Titan takes one text per call, Cohere 96.
    fn limits(&self) -> Limits {
        match self.spec.family {
            Family::TitanV2 => TITAN_LIMITS,
            Family::CohereV3 | Family::CohereV4 => COHERE_LIMITS,
        }
    }

    /// Refuses a blank text and one with too many characters.
    ///
    /// Titan takes 50,000 characters (Amazon Bedrock User Guide, "Amazon Titan Text Embeddings models"). Cohere v3
    /// takes 2,048.
    fn check(&self, text: &str) -> Result<(), EmbedError> {
        refuse_blank(text)?;
        let max_chars = match self.spec.family {
            Family::TitanV2 => 50_000,
            Family::CohereV3 => 2_048,
            Family::CohereV4 => return Ok(()),
        };
        let chars = text.chars().count();
        if chars > max_chars {
            return Err(EmbedError::new(
                EmbedErrorKind::BadRequest,
                format!("the text has {chars} characters, and the embedding model takes {max_chars}"),
                "shorten it, or use a model that takes longer texts",
            ));
        }
        Ok(())
    }

    async fn call(&self, texts: &[&str], deadline: Instant) -> Result<Vec<TextVector>, EmbedError> {
        let request = Blob::new(wire::request(&self.spec, texts));
        let vectors = with_retries(deadline, || self.attempt(&request)).await?;
        Ok(TextVector::of_service(vectors, texts, self.max_tokens))
    }
}
