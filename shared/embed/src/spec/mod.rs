//! Which embedder is configured: the value of `MNEME_EMBEDDER`, parsed.
//!
//! ```text
//! embedder = "none" | "" | "minilm" | "bedrock:" bedrock | "openai:" openai
//! bedrock  = model [":" dim] ["@" arn]
//! openai   = model [":" dim] "@" base-url
//! dim      = 2 to 5 digits without a leading zero, at most 65536
//! ```
//!
//! Model ids may contain colons (`amazon.titan-embed-text-v2:0`, `nomic-embed-text:v1.5`). So only a last part of the
//! form `dim` is a dimension. A dimension has at least two digits, so Bedrock's version `:0` is not one.

mod bedrock;
mod max_tokens;
mod openai;

use std::fmt;
use std::str::FromStr;

pub(crate) use bedrock::is_region;
pub use bedrock::{BedrockSpec, Family};
use max_tokens::max_tokens_of;
pub use openai::OpenAiSpec;

/// The accepted forms of `MNEME_EMBEDDER`.
pub const FORMS: &str = "none, bedrock:<model id>[:<dimension>][@<profile ARN>], \
                         openai:<model>[:<dimension>]@<base URL>, or minilm";

/// The largest dimension that a cache may have (`MNEME_EMBEDDER_DIM`).
const MAX_DIM: usize = 65_536;

/// Identifies the vectors of `minilm`. The version after the slash goes up if the weights or the tokenizer change.
const MINILM_FINGERPRINT: &str = "minilm:all-MiniLM-L6-v2/1";

/// The length of the vectors of `minilm`.
pub(crate) const MINILM_DIM: usize = 384;

/// How many word pieces `minilm` reads.
pub(crate) const MINILM_MAX_TOKENS: usize = 256;

/// The configured embedder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Spec {
    /// None: callers send the vectors.
    #[default]
    None,
    /// A model on Amazon Bedrock.
    Bedrock(BedrockSpec),
    /// A model behind an OpenAI-compatible `POST <base URL>/embeddings`.
    OpenAi(OpenAiSpec),
    /// The model all-MiniLM-L6-v2 inside the function.
    MiniLm,
}

/// Why a text was not accepted, and the accepted form. It never repeats the text, which may contain a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fact}; accepted: {accepted}")]
pub struct SpecError {
    fact: String,
    accepted: String,
}

impl SpecError {
    pub(crate) fn new(fact: impl Into<String>, accepted: impl Into<String>) -> Self {
        Self { fact: fact.into(), accepted: accepted.into() }
    }
}

impl Spec {
    /// Identifies the vectors of this embedder: `<provider>:<model>[:<dimension>]/<version>`. The table is stamped
    /// with it.
    ///
    /// The same model in another region, profile or host has the same fingerprint. `version` goes up if this crate
    /// calls the model in a way that makes other vectors. `None` if callers send the vectors.
    pub fn fingerprint(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Bedrock(spec) => Some(spec.fingerprint()),
            Self::OpenAi(spec) => Some(spec.fingerprint()),
            Self::MiniLm => Some(MINILM_FINGERPRINT.to_owned()),
        }
    }

    /// The length of the vectors; `None` if the configuration does not determine it.
    pub fn dim(&self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Bedrock(spec) => Some(spec.dim),
            Self::OpenAi(spec) => spec.dim,
            Self::MiniLm => Some(MINILM_DIM),
        }
    }

    /// How many tokens of a text the embedder reads. For a model that is not known it is rather too low than too high.
    /// `None` if callers send the vectors.
    pub fn max_tokens(&self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Bedrock(spec) => Some(max_tokens_of(&spec.model)),
            Self::OpenAi(spec) => Some(max_tokens_of(&spec.model)),
            Self::MiniLm => Some(MINILM_MAX_TOKENS),
        }
    }
}

impl FromStr for Spec {
    type Err = SpecError;

    /// Errors: the fact and the accepted form.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        let text = text.trim();
        let provider = text.split(':').next().unwrap_or_default();
        match (provider, text.split_once(':')) {
            ("" | "none", None) => Ok(Self::None),
            ("minilm", None) => Ok(Self::MiniLm),
            ("bedrock", Some((_, rest))) => rest.parse().map(Self::Bedrock),
            ("openai", Some((_, rest))) => rest.parse().map(Self::OpenAi),
            _ => Err(SpecError::new("that names no embedder", FORMS)),
        }
    }
}

/// Writes the configured form, which parses to an equal value.
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::MiniLm => f.write_str("minilm"),
            Self::Bedrock(spec) => write!(f, "bedrock:{spec}"),
            Self::OpenAi(spec) => write!(f, "openai:{spec}"),
        }
    }
}

/// Splits `<model>:<dim>` if the last part has the form of a dimension.
///
/// Errors: a dimension above 65536.
fn split_dim<'a>(text: &'a str, accepted: &str) -> Result<(&'a str, Option<usize>), SpecError> {
    let Some((model, last)) = text.rsplit_once(':') else { return Ok((text, None)) };
    let digits = last.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || !(2..=5).contains(&last.len()) || last.starts_with('0') {
        return Ok((text, None));
    }
    match last.parse() {
        Ok(dim) if dim <= MAX_DIM => Ok((model, Some(dim))),
        _ => Err(SpecError::new(format!("the dimension {last} is above {MAX_DIM}"), accepted)),
    }
}

/// Whether a model's name is valid in a request and in a fingerprint: 1 to 256 visible ASCII characters.
fn is_name(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parse_with_single_word_returns_spec() {
        assert_eq!("".parse(), Ok(Spec::None));
        assert_eq!(" none ".parse(), Ok(Spec::None));
        assert_eq!("minilm".parse(), Ok(Spec::MiniLm));
        assert_eq!(Spec::default(), Spec::None);
    }

    #[test]
    fn parse_with_unknown_provider_returns_accepted_forms() {
        for text in ["titan", "none:", "minilm:x", "bedrock", "openai", "BEDROCK:x", ":", "https://x"] {
            let error = text.parse::<Spec>().unwrap_err().to_string();
            assert_eq!(error, format!("that names no embedder; accepted: {FORMS}"), "{text}");
        }
    }

    fn bedrock() -> impl Strategy<Value = Spec> {
        let model = prop_oneof![
            Just(("amazon.titan-embed-text-v2:0", vec![256, 512, 1024])),
            Just(("cohere.embed-english-v3", vec![1024])),
            Just(("cohere.embed-multilingual-v3", vec![1024])),
            Just(("cohere.embed-v4:0", vec![256, 512, 1024, 1536])),
            Just(("cohere.embed-v4", vec![256, 512, 1024, 1536])),
        ];
        let place = prop_oneof![
            Just(String::new()),
            "(us|eu|apac|global|us-gov)\\.",
            "arn:aws(-cn|-us-gov)?:bedrock:[a-z]{2}-[a-z]{4,9}-[1-9]::foundation-model/",
            "arn:aws:bedrock:[a-z]{2}-[a-z]{4,9}-[1-9]:[0-9]{12}:inference-profile/(us|eu|global)\\.",
        ];
        let target = prop::option::of(
            "arn:aws:bedrock:[a-z]{2}-[a-z]{4,9}-[1-9]:[0-9]{12}:(application-inference-profile|provisioned-model)/[a-z0-9]{12}",
        );
        (model, place, any::<prop::sample::Index>(), prop::option::of(Just(())), target).prop_map(
            |((model, dims), place, pick, dim, target)| {
                let dim = dim.map(|()| format!(":{}", pick.get(&dims))).unwrap_or_default();
                let target = target.map(|arn| format!("@{arn}")).unwrap_or_default();
                format!("bedrock:{place}{model}{dim}{target}").parse().expect("well formed")
            },
        )
    }

    fn openai() -> impl Strategy<Value = Spec> {
        let model = "[A-Za-z@][A-Za-z0-9./_-]{0,20}(:[a-z][a-z0-9.]{0,6})?";
        let url = "https?://[a-z][a-z0-9-]{0,8}[a-z](\\.[a-z]{2,5}){0,2}(:[1-9][0-9]{1,3})?(/[a-z0-9@]{1,6}){0,2}/?";
        (model, prop::option::of(10usize..=MAX_DIM), url).prop_map(|(model, dim, url)| {
            let dim = dim.map(|dim| format!(":{dim}")).unwrap_or_default();
            format!("openai:{model}{dim}@{url}").parse().expect("well formed")
        })
    }

    proptest! {
        #[test]
        fn parse_with_displayed_spec_returns_equal_spec(spec in prop_oneof![bedrock(), openai()]) {
            let again: Spec = spec.to_string().parse().unwrap();
            prop_assert_eq!(&again, &spec);
            prop_assert_eq!(again.fingerprint(), spec.fingerprint());
        }

        #[test]
        fn parse_with_any_text_returns_spec_or_accepted_form(text in "(bedrock:|openai:|)[ -~]{0,60}") {
            match text.parse::<Spec>() {
                Ok(spec) => prop_assert_eq!(spec.to_string().parse::<Spec>(), Ok(spec)),
                Err(error) => prop_assert!(error.to_string().contains("; accepted: "), "{}", error),
            }
        }

        #[test]
        fn split_dim_with_two_to_five_digits_returns_dimension(model in "[a-z:.0-9]{1,20}", dim in 10usize..=MAX_DIM) {
            let text = format!("{model}:{dim}");
            prop_assert_eq!(split_dim(&text, ""), Ok((model.as_str(), Some(dim))));
            for last in ["0", "9", "8k", "007", "v2", ""] {
                let text = format!("{model}:{last}");
                prop_assert_eq!(split_dim(&text, ""), Ok((text.as_str(), None)));
            }
        }
    }
}
