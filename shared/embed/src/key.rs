//! The API key of an embedder: from the environment, from Secrets Manager or from Parameter Store; never shown.

use std::time::Duration;

use aws_config::{Region, SdkConfig};
use hyper::http::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::aws;
use crate::error::{EmbedError, EmbedErrorKind};
use crate::spec::{SpecError, is_region};

/// After a key was refused and its source had no other, for how long the source is not asked again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);

/// The accepted forms.
pub const FORM: &str = "the key itself, arn:aws:secretsmanager:<region>:<account>:secret:<name>, or \
                    arn:aws:ssm:<region>:<account>:parameter/<name>";

/// Where the key is (`MNEME_EMBEDDER_API_KEY`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The service asks for none.
    None,
    /// Here.
    Given(ApiKey),
    /// In Secrets Manager: the secret's text, or the only member of the JSON object that it is.
    SecretsManager(KeyArn),
    /// In Parameter Store, decrypted.
    ParameterStore(KeyArn),
}

/// The full ARN of a secret or a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyArn {
    arn: String,
    region: String,
}

/// A key, as the `Authorization` header that it is sent in. Its `Debug` does not show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey(HeaderValue);

impl ApiKey {
    /// `None`: no header can hold it.
    fn new(key: &str) -> Option<Self> {
        let key = key.trim();
        let fits = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        let mut header = HeaderValue::try_from(format!("Bearer {key}")).ok().filter(|_| fits)?;
        header.set_sensitive(true);
        Some(Self(header))
    }

    /// For the `Authorization` header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl KeySource {
    /// The key, or the ARN of where it is; an empty text is no key.
    ///
    /// Errors: the accepted forms; never the text.
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
        let place = match parts[..] {
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
        place.ok_or_else(|| SpecError::new("the ARN is neither a secret's nor a parameter's", FORM))
    }
}

fn is_named(resource: &str, kind: &str) -> bool {
    resource.strip_prefix(kind).is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// Who keeps the key.
enum Store {
    Secrets(aws_sdk_secretsmanager::Client, String),
    Parameters(aws_sdk_ssm::Client, String),
}

impl Store {
    /// The key as it is now. Errors: those of the service; `Refused` where what it keeps is no key.
    async fn fetch(&self) -> Result<ApiKey, EmbedError> {
        let (text, action) = match self {
            Self::Secrets(client, arn) => {
                let action = "secretsmanager:GetSecretValue";
                let sent = Box::pin(client.get_secret_value().secret_id(arn).send()).await;
                (sent.map_err(|error| aws::key_error(action, error))?.secret_string, action)
            }
            Self::Parameters(client, arn) => {
                let action = "ssm:GetParameter";
                let sent = Box::pin(client.get_parameter().name(arn).with_decryption(true).send()).await;
                (sent.map_err(|error| aws::key_error(action, error))?.parameter.and_then(|found| found.value), action)
            }
        };
        text.as_deref().and_then(key_in).ok_or_else(|| {
            EmbedError::new(
                EmbedErrorKind::Refused,
                format!("what {action} returned is no API key"),
                "store the key as plain text, or as the only member of a JSON object, its value a string",
            )
        })
    }
}

/// The key that a stored text is: itself, or the only member of a JSON object, as Secrets Manager's console writes.
fn key_in(text: &str) -> Option<ApiKey> {
    if !text.trim_start().starts_with('{') {
        return ApiKey::new(text);
    }
    let members: std::collections::BTreeMap<String, String> = serde_json::from_str(text).ok()?;
    match members.into_values().collect::<Vec<_>>().as_slice() {
        [only] => ApiKey::new(only),
        _ => None,
    }
}

/// The key of one instance: fetched when first needed, and again when it is refused.
pub(crate) struct KeyHolder {
    store: Option<Store>,
    held: Mutex<Held>,
}

struct Held {
    key: Option<ApiKey>,
    /// When its source last had no other.
    unchanged: Option<Instant>,
}

impl KeyHolder {
    pub(crate) fn new(source: KeySource, aws: &SdkConfig) -> Self {
        let (key, store) = match source {
            KeySource::None => (None, None),
            KeySource::Given(key) => (Some(key), None),
            KeySource::SecretsManager(KeyArn { arn, region }) => {
                let config = aws_sdk_secretsmanager::config::Builder::from(aws)
                    .region(Region::new(region))
                    .retry_config(aws::no_retries())
                    .timeout_config(aws::timeouts())
                    .build();
                (None, Some(Store::Secrets(aws_sdk_secretsmanager::Client::from_conf(config), arn)))
            }
            KeySource::ParameterStore(KeyArn { arn, region }) => {
                let config = aws_sdk_ssm::config::Builder::from(aws)
                    .region(Region::new(region))
                    .retry_config(aws::no_retries())
                    .timeout_config(aws::timeouts())
                    .build();
                (None, Some(Store::Parameters(aws_sdk_ssm::Client::from_conf(config), arn)))
            }
        };
        Self { store, held: Mutex::new(Held { key, unchanged: None }) }
    }

    /// The key, `None` where the service asks for none. One caller fetches, the others wait for it.
    pub(crate) async fn key(&self) -> Result<Option<ApiKey>, EmbedError> {
        let mut held = self.held.lock().await;
        if let (None, Some(store)) = (&held.key, &self.store) {
            held.key = Some(store.fetch().await?);
        }
        Ok(held.key.clone())
    }

    /// Another key than the refused one; `None` where there is none, and for half a minute after that was found.
    pub(crate) async fn other_than(&self, refused: &ApiKey) -> Result<Option<ApiKey>, EmbedError> {
        let mut held = self.held.lock().await;
        if let Some(key) = held.key.as_ref().filter(|key| *key != refused) {
            return Ok(Some(key.clone()));
        }
        let Some(store) = &self.store else { return Ok(None) };
        if held.unchanged.is_some_and(|since| since.elapsed() < RENEWAL_PAUSE) {
            return Ok(None);
        }
        let key = store.fetch().await?;
        if key == *refused {
            held.unchanged = Some(Instant::now());
            return Ok(None);
        }
        held.key = Some(key.clone());
        Ok(Some(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_arns_are_told_apart() {
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
    fn what_is_neither_yields_the_forms_and_no_key() {
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
    fn debug_does_not_show_the_key() {
        let source = KeySource::parse("sk-secret").unwrap();
        assert_eq!(format!("{source:?}"), "Given(ApiKey(Sensitive))");
    }

    #[test]
    fn a_secret_is_the_key_or_its_only_member() {
        let key = ApiKey::new("sk-abc");
        assert!(key.is_some());
        for text in ["sk-abc", " sk-abc\n", r#"{"api_key": "sk-abc"}"#, " {\"OPENAI\":\"sk-abc\"}\n"] {
            assert_eq!(key_in(text), key, "{text}");
        }
        for text in ["", "{}", r#"{"a":"1","b":"2"}"#, r#"{"a":1}"#, r#"{"a":"#] {
            assert_eq!(key_in(text), None, "{text}");
        }
    }
}
