//! The provider that the configuration selects.

use aws_config::SdkConfig;
use tokio::time::Instant;

use crate::bedrock::Bedrock;
use crate::error::EmbedError;
use crate::key::KeySource;
use crate::minilm::MiniLm;
use crate::openai::OpenAi;
use crate::provider::{Limits, Provider, TextVector};
use crate::spec::Spec;

/// One of the providers.
pub enum Backend {
    /// A model on Amazon Bedrock.
    Bedrock(Bedrock),
    /// A model behind an OpenAI-compatible service.
    OpenAi(Box<OpenAi>),
    /// The model all-MiniLM-L6-v2 inside the process.
    MiniLm(MiniLm),
}

impl Backend {
    /// Creates the provider that `spec` selects; `None` if callers send the vectors. Sends nothing.
    ///
    /// `max_tokens`: how much of a text the model reads; `minilm` knows this itself. `key` is used by `openai` only.
    /// `aws` has the credentials, and the region if no ARN names one. `minilm` finds
    /// its model by the environment ([`MiniLm::from_env`]).
    pub fn new(spec: &Spec, max_tokens: usize, key: KeySource, aws: &SdkConfig) -> Option<Self> {
        match spec {
            Spec::None => None,
            Spec::Bedrock(spec) => Some(Self::Bedrock(Bedrock::new(spec.clone(), max_tokens, aws))),
            Spec::OpenAi(spec) => Some(Self::OpenAi(Box::new(OpenAi::new(spec.clone(), max_tokens, key, aws)))),
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

    async fn call(&self, texts: &[&str], deadline: Instant) -> Result<Vec<TextVector>, EmbedError> {
        match self {
            Self::Bedrock(provider) => provider.call(texts, deadline).await,
            Self::OpenAi(provider) => provider.call(texts, deadline).await,
            Self::MiniLm(provider) => provider.call(texts, deadline).await,
        }
    }
}
