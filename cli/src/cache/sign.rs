//! Signatures of requests: AWS Signature Version 4 by the default chain of credentials.

use std::time::SystemTime;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::Request;

use super::error::CallError;

/// Signs requests for one service in one region.
#[derive(Debug)]
pub(super) struct Signer {
    credentials: SharedCredentialsProvider,
    region: String,
    service: &'static str,
}

/// Loads the AWS configuration of the environment and of `profile`.
pub(super) async fn configuration(profile: Option<&str>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    loader.load().await
}

impl Signer {
    /// A signer for `service`. `region`: the one to sign for; `None` takes that of the configuration.
    ///
    /// # Errors
    /// No region is known, or the configuration names no source of credentials.
    pub(super) fn new(config: &SdkConfig, service: &'static str, region: Option<&str>) -> Result<Self, CallError> {
        let configured = || config.region().map(|region| region.as_ref().to_owned());
        let region = region.map(str::to_owned).or_else(configured).ok_or_else(|| CallError::Unsendable {
            detail: "no AWS region is known".to_owned(),
            remediation: "set AWS_REGION, or name a profile that has a region with --profile",
        })?;
        let credentials = config.credentials_provider().ok_or_else(|| missing("no source is configured"))?;
        Ok(Self { credentials, region, service })
    }

    /// The region that requests are signed for.
    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// Adds the signature to `request`.
    ///
    /// # Errors
    /// There are no credentials.
    pub(super) async fn sign(&self, request: &mut Request<Vec<u8>>) -> Result<(), CallError> {
        let credentials = self.credentials.provide_credentials().await.map_err(|error| missing(&chain(&error)))?;
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(&error))?
            .into();
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let (method, uri) = (request.method().as_str(), request.uri().to_string());
        let body = SignableBody::Bytes(request.body());
        let signable = SignableRequest::new(method, uri, headers, body).map_err(|error| unsigned(&error))?;
        let (instructions, _) = sign(signable, &params).map_err(|error| unsigned(&error))?.into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }
}

fn missing(reason: &str) -> CallError {
    CallError::Unsendable {
        detail: format!("there are no AWS credentials: {reason}"),
        remediation: "configure them as for the AWS CLI; `aws sts get-caller-identity` must answer",
    }
}

fn unsigned(error: &dyn std::error::Error) -> CallError {
    CallError::Unsendable {
        detail: format!("the request cannot be signed: {error}"),
        remediation: "check the address and the credentials",
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
