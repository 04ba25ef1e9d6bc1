//! Models on Amazon Bedrock: Amazon Titan Text Embeddings V2, Cohere Embed v3 and v4.

mod wire;

use std::num::NonZeroUsize;

use aws_config::{Region, SdkConfig};
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::primitives::Blob;
use tokio::time::Instant;

use crate::aws;
use crate::error::{EmbedError, EmbedErrorKind};
use crate::provider::{Limits, Provider, not_blank};
use crate::retry::persist;
use crate::spec::{BedrockSpec, Family};

/// A model on Amazon Bedrock.
pub struct Bedrock {
    spec: BedrockSpec,
    fingerprint: String,
    client: Client,
}

impl Bedrock {
    /// The model of `spec`, called with the credentials of `aws`, in the region of an ARN or else in that of `aws`.
    pub fn new(spec: BedrockSpec, aws: &SdkConfig) -> Self {
        let mut config = aws_sdk_bedrockruntime::config::Builder::from(aws)
            .retry_config(aws::no_retries())
            .timeout_config(aws::timeouts());
        if let Some(region) = &spec.region {
            config = config.region(Region::new(region.clone()));
        }
        Self { fingerprint: spec.fingerprint(), client: Client::from_conf(config.build()), spec }
    }

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
        let reply = Box::pin(sent).await.map_err(aws::model_error)?;
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

    /// Titan takes one text a call, Cohere 96.
    fn limits(&self) -> Limits {
        let of = |texts, calls| Limits {
            texts_per_call: NonZeroUsize::new(texts).unwrap_or(NonZeroUsize::MIN),
            calls_at_once: NonZeroUsize::new(calls).unwrap_or(NonZeroUsize::MIN),
        };
        match self.spec.family {
            Family::TitanV2 => of(1, 8),
            Family::CohereV3 | Family::CohereV4 => of(96, 4),
        }
    }

    /// Titan takes 50,000 characters (Amazon Bedrock User Guide, "Amazon Titan Text Embeddings models"), Cohere v3 2,048.
    fn check(&self, text: &str) -> Result<(), EmbedError> {
        not_blank(text)?;
        let most = match self.spec.family {
            Family::TitanV2 => 50_000,
            Family::CohereV3 => 2_048,
            Family::CohereV4 => return Ok(()),
        };
        let chars = text.chars().count();
        if chars > most {
            return Err(EmbedError::new(
                EmbedErrorKind::BadRequest,
                format!("the text has {chars} characters, and the embedding model takes {most}"),
                "shorten it, or use a model that takes longer texts",
            ));
        }
        Ok(())
    }

    async fn call(&self, texts: &[&str], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        let request = Blob::new(wire::request(&self.spec, texts));
        persist(deadline, || self.attempt(&request)).await
    }
}
