//! Where the API key of an embedder is stored: the value of `MNEME_EMBEDDER_API_KEY`, parsed.

use http::HeaderValue;

use crate::spec::{SpecError, is_region};

/// The accepted forms.
pub const FORM: &str = "the key itself, arn:aws:secretsmanager:<region>:<account>:secret:<name>, or \
                    arn:aws:ssm:<region>:<account>:parameter/<name>";

/// Where the key is stored (`MNEME_EMBEDDER_API_KEY`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Nowhere: the service needs no key.
    None,
    /// In the variable itself.
    Given(ApiKey),
    /// In Secrets Manager. The secret is the key, or a JSON object whose only member is the key.
    SecretsManager(KeyArn),
    /// In Parameter Store, which decrypts it.
    ParameterStore(KeyArn),
}

/// The full ARN of a secret or a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyArn {
    arn: String,
    region: String,
}

impl KeyArn {
    /// The whole ARN.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The region that the ARN names.
    pub fn region(&self) -> &str {
        &self.region
    }
}

/// A key in the form of the `Authorization` header that it is sent in. Its `Debug` hides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey(HeaderValue);

impl ApiKey {
    /// `None` if `key` is empty or has characters that a header cannot hold.
    pub(crate) fn new(key: &str) -> Option<Self> {
        let key = key.trim();
        let fits = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        let mut header = HeaderValue::try_from(format!("Bearer {key}")).ok().filter(|_| fits)?;
        header.set_sensitive(true);
        Some(Self(header))
    }

    /// The value of the `Authorization` header, which is marked as sensitive.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl KeySource {
    /// Parses a key or the ARN of a secret or parameter. An empty text is [`KeySource::None`].
    ///
    /// Errors: the fact and the accepted forms, never `text`, which may be a key.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::None);
        }
        if !text.starts_with("arn:") {
            let key =
                ApiKey::new(text).ok_or_else(|| SpecError::new("the key has characters that no key has", FORM))?;
            return Ok(Self::Given(key));
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let source = match parts[..] {
            ["arn", partition, service, region, account, resource]
                if partition.starts_with("aws")
                    && is_region(region)
                    && !account.is_empty()
                    && account.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                let arn = KeyArn { arn: text.to_owned(), region: region.to_owned() };
                match service {
                    "secretsmanager" if is_named(resource, "secret:") => Some(Self::SecretsManager(arn)),
                    "ssm" if is_named(resource, "parameter/") => Some(Self::ParameterStore(arn)),
                    _ => None,
                }
            }
            _ => None,
        };
        source.ok_or_else(|| SpecError::new("the ARN is neither a secret's nor a parameter's", FORM))
    }
}

/// Whether `resource` is `kind` followed by a name.
fn is_named(resource: &str, kind: &str) -> bool {
    resource.strip_prefix(kind).is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_with_key_or_arn_returns_its_source() {
        assert_eq!(KeySource::parse(" "), Ok(KeySource::None));
        assert!(matches!(KeySource::parse("sk-abc"), Ok(KeySource::Given(_))));
        let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/key-AbCdEf";
        assert_eq!(
            KeySource::parse(secret),
            Ok(KeySource::SecretsManager(KeyArn { arn: secret.to_owned(), region: "eu-west-1".to_owned() }))
        );
        assert!(matches!(
            KeySource::parse("arn:aws-cn:ssm:cn-north-1:123456789012:parameter/prod/key"),
            Ok(KeySource::ParameterStore(_))
        ));
    }

    #[test]
    fn parse_with_other_text_returns_accepted_forms_without_the_text() {
        for text in [
            "sk-secret two",
            "sk-secret\u{e9}",
            "arn:aws:s3:::sk-secret",
            "arn:aws:secretsmanager:eu-west-1:123456789012:sk-secret",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:",
            "arn:aws:ssm:eu-west-1::parameter/sk-secret",
            "arn:aws:ssm:EU:1:parameter/sk-secret",
        ] {
            let error = KeySource::parse(text).unwrap_err().to_string();
            assert!(error.contains("; accepted: the key itself"), "{error}");
            assert!(!error.contains("sk-secret"), "{error}");
        }
    }

    #[test]
    fn debug_of_key_hides_it() {
        let source = KeySource::parse("sk-secret").unwrap();
        assert_eq!(format!("{source:?}"), "Given(ApiKey(Sensitive))");
    }
}
