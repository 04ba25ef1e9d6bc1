//! The two doors of a cache: its HTTP API, and Lambda's Invoke API.

use http::{HeaderValue, Request, Uri, header};
use mneme_api::operations::OperationSpec;
use mneme_aws::signer::Signer;

use super::error::CallError;
use super::fields::Fields;
use super::route;
use super::sign::configuration;
use crate::arguments::Connection;

/// The alias that the template gives each function.
const ALIAS: &str = "live";

/// Where a cache is, and how a request to it proves who sends it.
#[derive(Debug)]
pub(super) enum Target {
    /// The HTTP API.
    Http {
        /// The base URL without a trailing slash.
        base: String,
        auth: Auth,
    },
    /// Lambda's Invoke API.
    Invoke {
        stack: String,
        /// The URL of the Invoke API without a trailing slash.
        endpoint: String,
        signer: Signer,
    },
}

/// What a request to the HTTP API carries.
#[derive(Debug)]
pub(super) enum Auth {
    /// Nothing.
    Open,
    /// The value of the header `Authorization`.
    Bearer(HeaderValue),
    /// A signature.
    Signature(Signer),
}

impl Target {
    /// The door that `connection` names.
    ///
    /// # Errors
    /// The URL or the token cannot be used, or no region is known.
    pub(super) async fn of(connection: &Connection) -> Result<Self, CallError> {
        let profile = connection.profile.as_deref();
        if let Some(stack) = &connection.stack {
            let signer = Signer::new(&configuration(profile).await, "lambda", None)?;
            let endpoint = invoke_endpoint(signer.region(), |name| std::env::var(name).ok());
            return Ok(Self::Invoke { stack: stack.clone(), endpoint, signer });
        }
        let base = connection.url.trim_end_matches('/').to_owned();
        let uri: Option<Uri> = base.parse().ok();
        let host = uri.as_ref().filter(|uri| uri.scheme().is_some()).and_then(Uri::host);
        let host = host.ok_or_else(|| CallError::Unsendable {
            detail: format!("{base:?} is no URL of an HTTP API"),
            remediation: "give a URL such as http://127.0.0.1:3000, or the name of a stack with --stack",
        })?;
        let auth = match (&connection.token, aws_host(host)) {
            (Some(token), _) => Auth::Bearer(bearer(token)?),
            (None, Some((service, region))) => {
                Auth::Signature(Signer::new(&configuration(profile).await, service, Some(region))?)
            }
            // A custom domain of API Gateway.
            (None, None) if profile.is_some() => {
                Auth::Signature(Signer::new(&configuration(profile).await, "execute-api", None)?)
            }
            (None, None) => Auth::Open,
        };
        Ok(Self::Http { base, auth })
    }

    /// The URL or the stack.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Http { base, .. } => base,
            Self::Invoke { stack, .. } => stack,
        }
    }

    /// The request that calls `operation`, with its credentials.
    ///
    /// # Errors
    /// The request cannot be made or signed.
    pub(super) async fn request(
        &self,
        operation: &OperationSpec,
        fields: Fields,
    ) -> Result<Request<Vec<u8>>, CallError> {
        match self {
            Self::Http { base, auth } => {
                let mut request = route::request(base, operation, fields)?;
                match auth {
                    Auth::Open => {}
                    Auth::Bearer(value) => {
                        request.headers_mut().insert(header::AUTHORIZATION, value.clone());
                    }
                    Auth::Signature(signer) => signer.sign(&mut request).await?,
                }
                Ok(request)
            }
            Self::Invoke { stack, endpoint, signer } => {
                let function = format!("{stack}-{}", operation.name);
                let url = format!("{endpoint}/2015-03-31/functions/{function}/invocations?Qualifier={ALIAS}");
                let payload = serde_json::json!(fields).to_string().into_bytes();
                let request = Request::post(&url).header(header::CONTENT_TYPE, "application/json").body(payload);
                let mut request = request.map_err(|_| CallError::Unsendable {
                    detail: format!("{stack:?} is no name of a stack"),
                    remediation: "give the name that `sam deploy` used",
                })?;
                signer.sign(&mut request).await?;
                Ok(request)
            }
        }
    }
}

fn bearer(token: &str) -> Result<HeaderValue, CallError> {
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    let mut value = value.map_err(|_| CallError::Unsendable {
        detail: "the token has characters that no header takes".to_owned(),
        remediation: "give the token alone, without line breaks",
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The URL of the Invoke API: that of the SDKs' environment variables, or AWS's own in this region.
fn invoke_endpoint(region: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let configured = variable("AWS_ENDPOINT_URL_LAMBDA").or_else(|| variable("AWS_ENDPOINT_URL"));
    configured.map(|url| url.trim_end_matches('/').to_owned()).unwrap_or_else(|| {
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("https://lambda.{region}.{suffix}")
    })
}

/// The service and the region that a host of AWS names: API Gateway's, or that of a Function URL.
fn aws_host(host: &str) -> Option<(&'static str, &str)> {
    let of_api = host.strip_suffix(".cn").unwrap_or(host).strip_suffix(".amazonaws.com");
    if let Some((_, region)) = of_api.and_then(|host| host.split_once(".execute-api.")) {
        return Some(("execute-api", region));
    }
    let (_, region) = host.strip_suffix(".on.aws")?.split_once(".lambda-url.")?;
    Some(("lambda", region))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_host_names_service_and_region() {
        let api = ("execute-api", "eu-central-1");
        assert_eq!(aws_host("abc.execute-api.eu-central-1.amazonaws.com"), Some(api));
        assert_eq!(aws_host("abc.execute-api.cn-north-1.amazonaws.com.cn"), Some(("execute-api", "cn-north-1")));
        assert_eq!(aws_host("abc.lambda-url.us-east-1.on.aws"), Some(("lambda", "us-east-1")));
        for other in ["127.0.0.1", "cache.example.com", "execute-api.us-east-1.amazonaws.com.evil.example"] {
            assert_eq!(aws_host(other), None, "{other}");
        }
    }

    #[test]
    fn invoke_endpoint_follows_the_environment_and_the_region() {
        assert_eq!(invoke_endpoint("us-east-1", |_| None), "https://lambda.us-east-1.amazonaws.com");
        assert_eq!(invoke_endpoint("cn-north-1", |_| None), "https://lambda.cn-north-1.amazonaws.com.cn");
        let set = |name: &str| (name == "AWS_ENDPOINT_URL_LAMBDA").then(|| "http://127.0.0.1:3000/".to_owned());
        assert_eq!(invoke_endpoint("us-east-1", set), "http://127.0.0.1:3000");
    }
}
