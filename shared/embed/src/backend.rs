//! The provider that the configuration names.

use aws_config::SdkConfig;
use tokio::time::Instant;

use crate::bedrock::Bedrock;
use crate::error::EmbedError;
use crate::key::KeySource;
use crate::openai::OpenAi;
use crate::provider::{Limits, Provider};
use crate::spec::{Spec, SpecError};

/// One of the providers of this build.
pub enum Backend {
    /// Amazon Bedrock.
    Bedrock(Bedrock),
    /// An OpenAI-compatible service.
    OpenAi(Box<OpenAi>),
}

impl Backend {
    /// The provider of `spec`; `None` where callers bring their vectors. Sends nothing.
    ///
    /// `key` is for `openai` alone; `aws` holds the credentials, and the region where no ARN names one.
    ///
    /// Errors: an embedder that this build does not have.
    pub fn new(spec: &Spec, key: KeySource, aws: &SdkConfig) -> Result<Option<Self>, SpecError> {
        match spec {
            Spec::None => Ok(None),
            Spec::Bedrock(spec) => Ok(Some(Self::Bedrock(Bedrock::new(spec.clone(), aws)))),
            Spec::OpenAi(spec) => Ok(Some(Self::OpenAi(Box::new(OpenAi::new(spec.clone(), key, aws)?)))),
            Spec::MiniLm => Err(SpecError::new(
                "this build has no minilm",
                "none, bedrock:<model id>[:<dimension>], or openai:<model>[:<dimension>]@<base URL>",
            )),
        }
    }
}

impl Provider for Backend {
    fn fingerprint(&self) -> &str {
        match self {
            Self::Bedrock(provider) => provider.fingerprint(),
            Self::OpenAi(provider) => provider.fingerprint(),
        }
    }

    fn dim(&self) -> Option<usize> {
        match self {
            Self::Bedrock(provider) => provider.dim(),
            Self::OpenAi(provider) => provider.dim(),
        }
    }

    fn limits(&self) -> Limits {
        match self {
            Self::Bedrock(provider) => provider.limits(),
            Self::OpenAi(provider) => provider.limits(),
        }
    }

    fn check(&self, text: &str) -> Result<(), EmbedError> {
        match self {
            Self::Bedrock(provider) => provider.check(text),
            Self::OpenAi(provider) => provider.check(text),
        }
    }

    async fn call(&self, texts: &[&str], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        match self {
            Self::Bedrock(provider) => provider.call(texts, deadline).await,
            Self::OpenAi(provider) => provider.call(texts, deadline).await,
        }
    }
}
