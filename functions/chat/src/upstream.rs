//! The service that answers what the cache cannot.

use std::net::IpAddr;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use mneme_aws::signer::{SignError, Signer};
use mneme_embed::key::{ApiKey, KeySource};
use mneme_embed::key_cache::KeyCache;
use mneme_http::{HttpClient, Incoming, NoReply, Scheme};
use mneme_model::config::ChatConfig;
use mneme_model::error::{Error, ErrorKind};
use tokio::time::{Instant, sleep, timeout_at};

/// The header in which a caller sends its own credentials for the upstream, where [`header::AUTHORIZATION`] has those
/// for this cache.
const OWN_AUTHORIZATION: HeaderName = HeaderName::from_static("x-mneme-upstream-authorization");
/// The headers of a request that are handed on. Further ones are those whose names begin with [`HANDED_ON_PREFIXES`].
const HANDED_ON: [HeaderName; 3] = [header::ACCEPT, header::CONTENT_TYPE, header::USER_AGENT];
const HANDED_ON_PREFIXES: [&str; 4] = ["openai-", "x-stainless-", "x-client-request-id", "idempotency-key"];
/// The headers of a reply that belong to the upstream's connection or its own site, and are not handed on.
const NOT_HANDED_BACK: [HeaderName; 14] = [
    header::ALT_SVC,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::DATE,
    header::PROXY_AUTHENTICATE,
    header::SERVER,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::VARY,
    header::VIA,
];
/// The value of `MNEME_UPSTREAM` for Amazon Bedrock.
const BEDROCK: &str = "bedrock";
/// How often a request is sent again that the upstream has not received.
const RETRIES: u32 = 2;
/// The pause before the first of them. Each further pause is twice as long.
const PAUSE: Duration = Duration::from_millis(50);

/// The service.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// The base URL without a slash at its end.
    base: String,
    client: HttpClient,
    credentials: Credentials,
    timeout: Duration,
}

/// What proves to the service who sends a request.
#[derive(Debug)]
enum Credentials {
    /// Each caller's own.
    OfCaller,
    /// The key of the configuration.
    Key(KeyCache),
    /// The function's role, which signs.
    Role(Signer),
}

/// A request of a caller.
#[derive(Debug)]
pub(crate) struct Call<'r> {
    pub(crate) method: &'static str,
    /// The path below the base URL: `/chat/completions`.
    pub(crate) path: &'static str,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) body: &'r [u8],
    /// Whether `authorization` has the caller's credentials for the upstream, because nobody else reads them.
    pub(crate) passes_authorization: bool,
}

impl Upstream {
    /// The service in the configuration; `None` without one. Sends nothing.
    ///
    /// Errors: the sentence about the bad variable.
    pub(crate) fn new(config: &ChatConfig, aws: &SdkConfig) -> Result<Option<Self>, String> {
        let Some(text) = config.upstream.as_deref().map(str::trim) else { return Ok(None) };
        let refused = |fact: &str| {
            format!(
                "MNEME_UPSTREAM={text:?}: {fact}; accepted: the base URL of an OpenAI-compatible service, such as https://api.openai.com/v1, or {BEDROCK}"
            )
        };
        let has_key = config.upstream_key != KeySource::None;
        let (base, credentials) = if text == BEDROCK {
            if has_key {
                return Err(refused("requests to it are signed by the role, so leave MNEME_UPSTREAM_API_KEY empty"));
            }
            let signer = Signer::new(aws, BEDROCK, None).map_err(|error| refused(&error.to_string()))?;
            (bedrock_url(aws, signer.region()), Credentials::Role(signer))
        } else {
            let key = || KeyCache::new(config.upstream_key.clone(), "MNEME_UPSTREAM_API_KEY", aws);
            let credentials = if has_key { Credentials::Key(key()) } else { Credentials::OfCaller };
            (text.trim_end_matches('/').to_owned(), credentials)
        };
        let uri: Uri = base.parse().map_err(|error| refused(&format!("it is no URL: {error}")))?;
        let scheme = match uri.scheme_str() {
            Some("https") => Scheme::Https,
            Some("http") => Scheme::Http,
            _ => return Err(refused("it does not begin with https:// or http://")),
        };
        let has_user = uri.authority().is_none_or(|authority| authority.as_str().contains('@'));
        if has_user || uri.query().is_some() || base.contains('#') {
            return Err(refused("it has a user, a query or a fragment"));
        }
        if has_key && scheme == Scheme::Http && !is_this_machine(&uri) {
            return Err(refused("MNEME_UPSTREAM_API_KEY would be sent in clear text: use https://"));
        }
        let timeout = Duration::from_millis(config.upstream_timeout_ms);
        Ok(Some(Self { base, client: HttpClient::new(scheme), credentials, timeout }))
    }

    /// Sends the caller's request, and waits for the head of the reply. If the upstream refuses the configured key and the
    /// key's store has another one, the request is sent again with that key.
    ///
    /// Errors: `UpstreamError`.
    pub(crate) async fn send(&self, call: &Call<'_>, deadline: Instant) -> Result<Response<Incoming>, Error> {
        let deadline = deadline.min(Instant::now() + self.timeout);
        let sent = timeout_at(deadline, self.send_with_key(call)).await;
        sent.unwrap_or_else(|_| {
            Err(failed(
                "the upstream did not begin its reply in time",
                "try again; if it persists, raise MNEME_UPSTREAM_TIMEOUT_MS",
            ))
        })
    }

    async fn send_with_key(&self, call: &Call<'_>) -> Result<Response<Incoming>, Error> {
        let key_cache = match &self.credentials {
            Credentials::OfCaller => return self.send_with(call, own_authorization(call)).await,
            Credentials::Role(_) => return self.send_with(call, None).await,
            Credentials::Key(key) => key,
        };
        let key = key_cache.key().await.map_err(key_error)?;
        let reply = self.send_with(call, key.as_ref().map(ApiKey::header)).await?;
        if let (StatusCode::UNAUTHORIZED, Some(refused)) = (reply.status(), &key)
            && let Some(other) = key_cache.replacement_of(refused).await.map_err(key_error)?
        {
            return self.send_with(call, Some(other.header())).await;
        }
        Ok(reply)
    }

    async fn send_with(
        &self,
        call: &Call<'_>,
        authorization: Option<HeaderValue>,
    ) -> Result<Response<Incoming>, Error> {
        let mut retries = 0;
        loop {
            let mut request = self.request(call, authorization.clone())?;
            if let Credentials::Role(signer) = &self.credentials {
                signer.sign(&mut request).await.map_err(unsigned)?;
            }
            match self.client.send(request.map(Full::new)).await {
                Ok(reply) => return Ok(reply),
                Err(error) if error.is_unsent && retries < RETRIES => {
                    sleep(PAUSE * 2u32.pow(retries)).await;
                    retries += 1;
                }
                Err(error) => return Err(no_reply(error)),
            }
        }
    }

    fn request(&self, call: &Call<'_>, authorization: Option<HeaderValue>) -> Result<Request<Bytes>, Error> {
        let mut request = Request::new(Bytes::copy_from_slice(call.body));
        *request.method_mut() = Method::from_bytes(call.method.as_bytes()).map_err(Error::internal)?;
        *request.uri_mut() = format!("{}{}", self.base, call.path).parse().map_err(Error::internal)?;
        let headers = request.headers_mut();
        let is_handed_on = |name: &HeaderName| {
            HANDED_ON.contains(name) || HANDED_ON_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
        };
        for (name, value) in call.headers.iter().filter(|(name, _)| is_handed_on(name)) {
            headers.append(name, value.clone());
        }
        if !call.body.is_empty() {
            headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        }
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        Ok(request)
    }
}

/// The credentials that the caller has for the upstream.
fn own_authorization(call: &Call<'_>) -> Option<HeaderValue> {
    let passed = call.headers.get(header::AUTHORIZATION).filter(|_| call.passes_authorization);
    let mut value = call.headers.get(OWN_AUTHORIZATION).or(passed)?.clone();
    value.set_sensitive(true);
    Some(value)
}

/// The headers of the upstream's reply that the caller gets.
pub(crate) fn handed_back(headers: &HeaderMap) -> HeaderMap {
    let handed_back = headers.iter().filter(|(name, _)| !NOT_HANDED_BACK.contains(name) && *name != "keep-alive");
    handed_back.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The error of a configuration without an upstream.
pub(crate) fn not_configured() -> Error {
    failed(
        "no upstream is configured",
        "set MNEME_UPSTREAM to the base URL of an OpenAI-compatible service, such as https://api.openai.com/v1, or to bedrock",
    )
}

/// The error of an upstream whose reply broke off.
pub(crate) fn broken_off(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    failed("the upstream's reply broke off", "send the request again").caused_by(cause)
}

fn failed(detail: &str, remediation: &str) -> Error {
    Error::new(ErrorKind::UpstreamError, detail, remediation)
}

fn no_reply(error: NoReply) -> Error {
    failed(
        "the upstream could not be reached",
        "try again; if it persists, check MNEME_UPSTREAM and the function's network",
    )
    .caused_by(error)
}

fn key_error(error: mneme_embed::error::EmbedError) -> Error {
    failed(&error.detail, &error.remediation).caused_by(error)
}

fn unsigned(error: SignError) -> Error {
    failed("the request to the upstream could not be signed", "check the credentials of the function's role")
        .caused_by(error)
}

/// The base URL of Amazon Bedrock's OpenAI-compatible API: that of AWS, or of the SDK's own settings for an endpoint.
/// [Amazon Bedrock User Guide, "Invoke a model with the OpenAI Chat Completions API"]
fn bedrock_url(aws: &SdkConfig, region: &str) -> String {
    let key = ServiceConfigKey::builder().service_id("Bedrock Runtime").env("AWS_ENDPOINT_URL").profile("endpoint_url");
    let of_service = || aws.service_config()?.load_config(key.build().ok()?);
    let endpoint = of_service().or_else(|| aws.endpoint_url().map(str::to_owned));
    let endpoint = endpoint.unwrap_or_else(|| format!("https://bedrock-runtime.{region}.amazonaws.com"));
    format!("{}/openai/v1", endpoint.trim_end_matches('/'))
}

/// Whether the host of `uri` is this machine, so that nobody else reads what is sent there.
fn is_this_machine(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use mneme_model::config::Config;

    use super::*;

    fn upstream(url: &str, key: &str) -> Result<Option<Upstream>, String> {
        let config = Config::with(&[("MNEME_UPSTREAM", url), ("MNEME_UPSTREAM_API_KEY", key)]);
        Upstream::new(&config.chat, &SdkConfig::builder().build())
    }

    #[test]
    fn new_with_a_base_url_drops_its_last_slash() {
        assert_eq!(upstream("https://api.openai.com/v1/", "sk-a").unwrap().unwrap().base, "https://api.openai.com/v1");
        assert!(
            upstream("http://127.0.0.1:8000/v1", "sk-a").is_ok() && upstream("http://model.internal/v1", "").is_ok()
        );
        assert!(upstream("", "").unwrap().is_none());
    }

    #[test]
    fn new_with_bedrock_needs_a_region_and_no_key() {
        let nowhere = SdkConfig::builder().build();
        assert_eq!(bedrock_url(&nowhere, "eu-west-1"), "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1");
        let complaint = upstream("bedrock", "").unwrap_err();
        assert!(complaint.contains("no AWS region is known"), "{complaint}");
        let complaint = upstream("bedrock", "sk-a").unwrap_err();
        assert!(complaint.contains("MNEME_UPSTREAM_API_KEY") && !complaint.contains("sk-a"), "{complaint}");
    }

    #[test]
    fn new_with_another_text_says_what_is_accepted() {
        for (url, key) in [
            ("openai", ""),
            ("ftp://a/v1", ""),
            ("https://user@a/v1", ""),
            ("https://a/v1?key=b", ""),
            ("https://a/v1#b", ""),
            ("http://model.internal/v1", "sk-a"),
        ] {
            let complaint = upstream(url, key).unwrap_err();
            assert!(complaint.contains("MNEME_UPSTREAM") && !complaint.contains("sk-a"), "{complaint}");
        }
    }

    #[test]
    fn handed_back_leaves_out_headers_of_the_connection() {
        let headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::CONTENT_LENGTH, HeaderValue::from_static("2")),
            (header::SET_COOKIE, HeaderValue::from_static("a=b")),
            (HeaderName::from_static("x-request-id"), HeaderValue::from_static("r")),
        ]);
        let names: Vec<String> = handed_back(&headers).keys().map(ToString::to_string).collect();
        assert_eq!(names.len(), 2);
        assert!(names.contains(&"content-type".to_owned()) && names.contains(&"x-request-id".to_owned()));
    }
}
