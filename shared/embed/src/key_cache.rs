//! The API key of one instance, fetched from Secrets Manager or Parameter Store and kept in memory.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use mneme_aws::client_config::{connect_timeout_only, no_retries};
use mneme_aws::sdk_error::{SdkErrorKind, ServiceText, classify, log_line};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{EmbedError, EmbedErrorKind};
use crate::key::{ApiKey, KeySource};

/// How long a key that was refused is not fetched again after a fetch returned the same key.
const REFETCH_PAUSE: Duration = Duration::from_secs(30);

/// The service that stores the key, and the key's ARN.
enum KeyStore {
    SecretsManager(aws_sdk_secretsmanager::Client, String),
    ParameterStore(aws_sdk_ssm::Client, String),
}

impl KeyStore {
    /// Fetches the current key. Sends one request.
    ///
    /// Errors: those of [`fetch_error`]; `Refused` if the stored text is not a key.
    async fn fetch(&self, variable: &str) -> Result<ApiKey, EmbedError> {
        let (text, action) = match self {
            Self::SecretsManager(client, arn) => {
                let action = "secretsmanager:GetSecretValue";
                // Boxed: the SDK's futures nest deeply.
                let sent = Box::pin(client.get_secret_value().secret_id(arn).send()).await;
                (sent.map_err(|error| fetch_error(variable, action, error))?.secret_string, action)
            }
            Self::ParameterStore(client, arn) => {
                let action = "ssm:GetParameter";
                let sent = Box::pin(client.get_parameter().name(arn).with_decryption(true).send()).await;
                (
                    sent.map_err(|error| fetch_error(variable, action, error))?.parameter.and_then(|found| found.value),
                    action,
                )
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

/// The key in a stored text: the text itself, or the only member of a JSON object, which Secrets Manager's console
/// writes.
fn key_in(text: &str) -> Option<ApiKey> {
    if !text.trim_start().starts_with('{') {
        return ApiKey::new(text);
    }
    let members: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
    match members.into_values().collect::<Vec<_>>().as_slice() {
        [only] => ApiKey::new(only),
        _ => None,
    }
}

/// The error of a failed `action` (`ssm:GetParameter`, …) on the key of `variable`.
fn fetch_error<E>(variable: &str, action: &str, error: SdkError<E, HttpResponse>) -> EmbedError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let kind = match classify(&error) {
        SdkErrorKind::Throttled => EmbedErrorKind::Throttled,
        SdkErrorKind::TimedOut | SdkErrorKind::Unreachable => EmbedErrorKind::Unreachable,
        SdkErrorKind::ServiceUnavailable => EmbedErrorKind::Unavailable,
        SdkErrorKind::NotSent
        | SdkErrorKind::AccessDenied
        | SdkErrorKind::ResourceMissing
        | SdkErrorKind::QuotaExceeded
        | SdkErrorKind::InvalidRequest
        | SdkErrorKind::Other => EmbedErrorKind::Refused,
    };
    let named = EmbedError::new(
        kind,
        format!("the API key of {variable} could not be fetched with {action}"),
        format!(
            "check the ARN in {variable}; allow {action} on it in the function's IAM role, and kms:Decrypt \
             where it is encrypted with a key of your own"
        ),
    );
    named.caused_by(log_line(action, &error, ServiceText::Withheld))
}

/// The key of one instance. It is fetched when it is first needed, and again when the service refuses it.
pub struct KeyCache {
    /// The variable that names the key, for errors.
    variable: &'static str,
    /// `None` if the key was given, or if there is none.
    store: Option<KeyStore>,
    cached: Mutex<Cached>,
}

struct Cached {
    key: Option<ApiKey>,
    /// When a fetch last returned the key that had been refused.
    unchanged_since: Option<Instant>,
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache").field("variable", &self.variable).finish_non_exhaustive()
    }
}

impl KeyCache {
    /// Sends nothing. `variable`: the variable that `source` was read from. `aws` has the credentials that the key is
    /// fetched with; the ARN names the region.
    pub fn new(source: KeySource, variable: &'static str, aws: &SdkConfig) -> Self {
        let (key, store) = match source {
            KeySource::None => (None, None),
            KeySource::Given(key) => (Some(key), None),
            KeySource::SecretsManager(arn) => {
                let config = aws_sdk_secretsmanager::config::Builder::from(aws)
                    .region(Region::new(arn.region().to_owned()))
                    .retry_config(no_retries())
                    .timeout_config(connect_timeout_only())
                    .build();
                (
                    None,
                    Some(KeyStore::SecretsManager(
                        aws_sdk_secretsmanager::Client::from_conf(config),
                        arn.arn().to_owned(),
                    )),
                )
            }
            KeySource::ParameterStore(arn) => {
                let config = aws_sdk_ssm::config::Builder::from(aws)
                    .region(Region::new(arn.region().to_owned()))
                    .retry_config(no_retries())
                    .timeout_config(connect_timeout_only())
                    .build();
                (None, Some(KeyStore::ParameterStore(aws_sdk_ssm::Client::from_conf(config), arn.arn().to_owned())))
            }
        };
        Self { variable, store, cached: Mutex::new(Cached { key, unchanged_since: None }) }
    }

    /// The key; `None` if the service needs none. Of concurrent callers one fetches the key, and the others wait.
    ///
    /// Errors: the key could not be fetched, or what was fetched is no key.
    pub async fn key(&self) -> Result<Option<ApiKey>, EmbedError> {
        let mut cached = self.cached.lock().await;
        if let (None, Some(store)) = (&cached.key, &self.store) {
            cached.key = Some(store.fetch(self.variable).await?);
        }
        Ok(cached.key.clone())
    }

    /// A key other than `refused`; `None` if there is none. A fetch that returned `refused` again is not repeated for
    /// 30 s.
    ///
    /// Errors: as [`KeyCache::key`].
    pub async fn replacement_of(&self, refused: &ApiKey) -> Result<Option<ApiKey>, EmbedError> {
        let mut cached = self.cached.lock().await;
        if let Some(key) = cached.key.as_ref().filter(|key| *key != refused) {
            return Ok(Some(key.clone()));
        }
        let Some(store) = &self.store else { return Ok(None) };
        if cached.unchanged_since.is_some_and(|since| since.elapsed() < REFETCH_PAUSE) {
            return Ok(None);
        }
        let key = store.fetch(self.variable).await?;
        if key == *refused {
            cached.unchanged_since = Some(Instant::now());
            return Ok(None);
        }
        cached.key = Some(key.clone());
        Ok(Some(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_in_with_plain_text_or_single_member_returns_key() {
        let key = ApiKey::new("sk-abc");
        assert!(key.is_some());
        for text in ["sk-abc", " sk-abc\n", r#"{"api_key": "sk-abc"}"#, " {\"OPENAI\":\"sk-abc\"}\n"] {
            assert_eq!(key_in(text), key, "{text}");
        }
    }

    #[test]
    fn key_in_with_other_text_returns_none() {
        for text in ["", "{}", r#"{"a":"1","b":"2"}"#, r#"{"a":1}"#, r#"{"a":"#] {
            assert_eq!(key_in(text), None, "{text}");
        }
    }
}
