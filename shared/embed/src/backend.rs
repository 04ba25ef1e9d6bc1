//! The provider that the configuration names.

use aws_config::SdkConfig;
use tokio::time::Instant;

use crate::bedrock::Bedrock;
use crate::error::EmbedError;
use crate::key::KeySource;
use crate::minilm::MiniLm;
use crate::openai::OpenAi;
use crate::provider::{Limits, Provider};
use crate::spec::Spec;

/// One of the providers of this build.
pub enum Backend {
    /// Amazon Bedrock.
    Bedrock(Bedrock),
    /// An OpenAI-compatible service.
    OpenAi(Box<OpenAi>),
    /// all-MiniLM-L6-v2 inside the process.
    MiniLm(MiniLm),
}

impl Backend {
    /// The provider of `spec`; `None` where callers bring their vectors. Sends nothing.
    ///
    /// `key` is for `openai` alone; `aws` holds the credentials, and the region where no ARN names one. Where the model of
    /// `minilm` is, the environment tells ([`MiniLm::from_env`]).
    pub fn new(spec: &Spec, key: KeySource, aws: &SdkConfig) -> Option<Self> {
        match spec {
            Spec::None => None,
            Spec::Bedrock(spec) => Some(Self::Bedrock(Bedrock::new(spec.clone(), aws))),
            Spec::OpenAi(spec) => Some(Self::OpenAi(Box::new(OpenAi::new(spec.clone(), key, aws)))),
            Spec::MiniLm => Some(Self::MiniLm(MiniLm::from_env())),
        }
    }
}

impl Provider for Backend {
    fn fingerprint(&self) -> &str {
        match self {
            Self::Bedrock(provider) => provider.fingerprint(),
            Self::OpenAi(provider) => provider.fingerprint(),
            Self::MiniLm(provider) => provider.fingerprint(),
        }
    }

    fn dim(&self) -> Option<usize> {
        match self {
            Self::Bedrock(provider) => provider.dim(),
            Self::OpenAi(provider) => provider.dim(),
            Self::MiniLm(provider) => provider.dim(),
        }
    }

    fn limits(&self) -> Limits {
        match self {
            Self::Bedrock(provider) => provider.limits(),
            Self::OpenAi(provider) => provider.limits(),
            Self::MiniLm(provider) => provider.limits(),
        }
    }

    fn check(&self, text: &str) -> Result<(), EmbedError> {
        match self {
            Self::Bedrock(provider) => provider.check(text),
            Self::OpenAi(provider) => provider.check(text),
            Self::MiniLm(provider) => provider.check(text),
        }
    }

    async fn call(&self, texts: &[&str], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        match self {
            Self::Bedrock(provider) => provider.call(texts, deadline).await,
            Self::OpenAi(provider) => provider.call(texts, deadline).await,
            Self::MiniLm(provider) => provider.call(texts, deadline).await,
        }
    }
}
