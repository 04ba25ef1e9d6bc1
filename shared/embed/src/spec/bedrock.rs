//! `bedrock:<model id>[:<dimension>][@<ARN>]`: the model, and the id or ARN to call it by.

use std::fmt;
use std::str::FromStr;

use super::{SpecError, is_name, split_dim};

/// The accepted form.
const FORM: &str = "bedrock:<model id>[:<dimension>][@<ARN>], where the model is amazon.titan-embed-text-v2:0 \
                    (256, 512 or 1024), cohere.embed-english-v3 or cohere.embed-multilingual-v3 (1024), or \
                    cohere.embed-v4:0 (256, 512, 1024 or 1536), also with a region's prefix (us., eu., global.) or as an \
                    ARN; and after the @ the ARN of an inference profile or a provisioned model to call it by";

/// The version in the fingerprint. It goes up if this crate calls the models in a way that makes other vectors.
const VERSION: u32 = 1;

/// A family of models with one form of request and reply.
///
/// Source: Amazon Bedrock User Guide, "Amazon Titan Embeddings Text", "Cohere Embed v3", "Cohere Embed v4".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Amazon Titan Text Embeddings V2.
    TitanV2,
    /// Cohere Embed v3, English or multilingual.
    CohereV3,
    /// Cohere Embed v4.
    CohereV4,
}

impl Family {
    /// The family of a model id without prefix. A version in it (`:0`) has one digit.
    fn of(model: &str) -> Option<Self> {
        let (name, version) = model.split_once(':').map_or((model, None), |(name, version)| (name, Some(version)));
        if version.is_some_and(|version| version.len() != 1 || !version.bytes().all(|b| b.is_ascii_digit())) {
            return None;
        }
        match name {
            "amazon.titan-embed-text-v2" => Some(Self::TitanV2),
            "cohere.embed-english-v3" | "cohere.embed-multilingual-v3" => Some(Self::CohereV3),
            "cohere.embed-v4" => Some(Self::CohereV4),
            _ => None,
        }
    }

    /// The dimensions to choose from. The last one is the default.
    fn dims(self) -> &'static [usize] {
        match self {
            Self::TitanV2 => &[256, 512, 1024],
            Self::CohereV3 => &[1024],
            Self::CohereV4 => &[256, 512, 1024, 1536],
        }
    }
}

/// A model on Amazon Bedrock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BedrockSpec {
    /// The form of its requests and replies.
    pub family: Family,
    /// The model's own id, without the prefix of a region. It identifies the vectors.
    pub model: String,
    /// The length of the vectors.
    pub dim: usize,
    /// The `modelId` of the requests: the id or the ARN of a model or of an inference profile.
    pub target: String,
    /// The region that an ARN names; `None` for the function's own region.
    pub region: Option<String>,
    /// Whether an ARN follows the `@`. It is then the `target`.
    has_own_target: bool,
    /// Whether the dimension is configured, rather than the default.
    has_own_dim: bool,
}

impl BedrockSpec {
    pub(crate) fn fingerprint(&self) -> String {
        format!("bedrock:{}:{}/{VERSION}", self.model, self.dim)
    }
}

impl FromStr for BedrockSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let refused = |fact: &str| SpecError::new(fact, FORM);
        let (named, arn) = match text.split_once('@') {
            Some((named, arn)) => (named, Some(arn)),
            None => (text, None),
        };
        let (named, dim) = split_dim(named, FORM)?;
        if !is_name(named) {
            return Err(refused("that is no model id"));
        }
        let (mut region, id) = match Arn::of(named) {
            Some(named) => (Some(named.region.to_owned()), named.id),
            None if named.starts_with("arn:") => return Err(refused("that is no ARN of a Bedrock model")),
            None => (None, named),
        };
        let model = without_prefix(id);
        let family = Family::of(model).ok_or_else(|| {
            refused("that model is not one this embedder knows how to call, or the ARN does not say which it is")
        })?;
        let default = family.dims().last().copied().unwrap_or_default();
        let length = dim.unwrap_or(default);
        if !family.dims().contains(&length) {
            return Err(refused("that model has no vectors of that dimension"));
        }
        let target = match arn {
            Some(arn) => {
                region = Some(
                    Arn::of(arn).ok_or_else(|| refused("what follows the @ is no ARN of Bedrock"))?.region.to_owned(),
                );
                arn
            }
            None => named,
        };
        Ok(Self {
            family,
            model: model.to_owned(),
            dim: length,
            target: target.to_owned(),
            region,
            has_own_target: arn.is_some(),
            has_own_dim: dim.is_some(),
        })
    }
}

impl fmt::Display for BedrockSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.has_own_target { &self.model } else { &self.target })?;
        if self.has_own_dim {
            write!(f, ":{}", self.dim)?;
        }
        if self.has_own_target { write!(f, "@{}", self.target) } else { Ok(()) }
    }
}

/// `arn:<partition>:bedrock:<region>:[<account>]:<kind>/<id>`.
struct Arn<'a> {
    region: &'a str,
    id: &'a str,
}

impl<'a> Arn<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("arn:aws")?;
        let mut parts = rest.splitn(5, ':');
        let (partition, service, region, account, resource) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (kind, id) = resource.split_once('/')?;
        let known = ["foundation-model", "inference-profile", "application-inference-profile", "provisioned-model"];
        let well_formed = (partition.is_empty() || partition.starts_with('-'))
            && service == "bedrock"
            && is_region(region)
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && known.contains(&kind)
            && is_name(id)
            && !id.contains('/');
        well_formed.then_some(Self { region, id })
    }
}

/// Whether a text has the form of a region's name, such as `eu-west-1`.
pub(crate) fn is_region(text: &str) -> bool {
    text.contains('-') && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Removes the prefix from the id of a cross-region inference profile, such as `us.cohere.embed-v4:0`.
fn without_prefix(id: &str) -> &str {
    match id.split_once('.') {
        Some((prefix, model))
            if model.starts_with("amazon.")
                || model.starts_with("cohere.")
                    && !prefix.is_empty()
                    && prefix.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') =>
        {
            model
        }
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> BedrockSpec {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn parse_with_colon_in_model_id_keeps_it() {
        let titan = parse("amazon.titan-embed-text-v2:0");
        assert_eq!(
            (titan.family, titan.model.as_str(), titan.dim),
            (Family::TitanV2, "amazon.titan-embed-text-v2:0", 1024)
        );
        assert_eq!((titan.target.as_str(), titan.region), ("amazon.titan-embed-text-v2:0", None));
        assert_eq!(parse("amazon.titan-embed-text-v2:0:256").dim, 256);
        assert_eq!(parse("amazon.titan-embed-text-v2:0:256").target, "amazon.titan-embed-text-v2:0");
        assert_eq!(parse("cohere.embed-english-v3").dim, 1024);
        assert_eq!(parse("cohere.embed-multilingual-v3:1024").target, "cohere.embed-multilingual-v3");
        assert_eq!(parse("cohere.embed-v4:0").dim, 1536);
    }

    #[test]
    fn parse_with_profile_or_arn_keeps_target_and_fingerprint_of_the_model() {
        let one = parse("cohere.embed-v4:0:512");
        for (text, target, region) in [
            ("us.cohere.embed-v4:0:512", "us.cohere.embed-v4:0", None),
            (
                "arn:aws:bedrock:eu-west-1::foundation-model/cohere.embed-v4:0:512",
                "arn:aws:bedrock:eu-west-1::foundation-model/cohere.embed-v4:0",
                Some("eu-west-1"),
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.cohere.embed-v4:0:512",
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.cohere.embed-v4:0",
                Some("us-east-1"),
            ),
            (
                "cohere.embed-v4:0:512@arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
                Some("us-east-1"),
            ),
        ] {
            let spec = parse(text);
            assert_eq!((spec.target.as_str(), spec.region.as_deref()), (target, region), "{text}");
            assert_eq!(spec.to_string(), text);
            assert_eq!(spec.fingerprint(), one.fingerprint());
        }
        assert_eq!(one.fingerprint(), "bedrock:cohere.embed-v4:0:512/1");
    }

    #[test]
    fn parse_with_invalid_spec_returns_fact_and_accepted_form() {
        for (text, says) in [
            ("", "no model id"),
            ("amazon titan", "no model id"),
            ("amazon.titan-embed-text-v1", "not one this embedder knows"),
            ("amazon.titan-embed-text-v2:0:8k", "not one this embedder knows"),
            ("anthropic.claude-v2:1", "not one this embedder knows"),
            ("amazon.titan-embed-text-v2:0:768", "no vectors of that dimension"),
            ("cohere.embed-english-v3:512", "no vectors of that dimension"),
            ("cohere.embed-v4:0:99999", "the dimension 99999 is above 65536"),
            ("arn:aws:s3:::bucket/key", "no ARN of a Bedrock model"),
            ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", "does not say which it is"),
            ("cohere.embed-v4:0@us-east-1", "what follows the @ is no ARN"),
            ("cohere.embed-v4:0@arn:aws:bedrock:us-east-1:1:agent/abc", "what follows the @ is no ARN"),
        ] {
            let error = text.parse::<BedrockSpec>().unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("; accepted: bedrock:<model id>"), "{text}: {error}");
        }
    }
}
