//! AWS Signature Version 4, for requests that no client of the SDK makes.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::Request;
use thiserror::Error;

use crate::sdk_error::cause_chain;

/// Signs requests for one service in one region.
#[derive(Debug)]
pub struct Signer {
    credentials: SharedCredentialsProvider,
    region: String,
    service: &'static str,
}

/// Why a request has no signature.
#[derive(Debug, Error)]
pub enum SignError {
    /// Neither the caller nor the configuration names a region.
    #[error("no AWS region is known")]
    NoRegion,
    /// The reason is for the log.
    #[error("there are no AWS credentials: {0}")]
    NoCredentials(String),
    /// The reason is for the log.
    #[error("the request cannot be signed: {0}")]
    Unsignable(String),
}

impl Signer {
    /// A signer for `service`, the name that signatures have in them. `region`: the one to sign for; `None` takes that of
    /// the configuration. Reads nothing.
    ///
    /// # Errors
    /// No region is known, or the configuration names no source of credentials.
    pub fn new(config: &SdkConfig, service: &'static str, region: Option<&str>) -> Result<Self, SignError> {
        let configured = || config.region().map(|region| region.as_ref().to_owned());
        let region = region.map(str::to_owned).or_else(configured).ok_or(SignError::NoRegion)?;
        let no_source = || SignError::NoCredentials("no source is configured".to_owned());
        Ok(Self { credentials: config.credentials_provider().ok_or_else(no_source)?, region, service })
    }

    /// The region that requests are signed for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Adds the signature to `request`. It covers the body and all headers that the request has by now.
    ///
    /// # Errors
    /// There are no credentials, or the request has no host.
    pub async fn sign<B: AsRef<[u8]>>(&self, request: &mut Request<B>) -> Result<(), SignError> {
        let credentials = self.credentials.provide_credentials().await;
        let credentials = credentials.map_err(|error| SignError::NoCredentials(cause_chain(&error)))?;
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| SignError::Unsignable(cause_chain(&error)))?
            .into();
        if request.uri().host().is_none() {
            return Err(SignError::Unsignable("its address has no host".to_owned()));
        }
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let (method, uri) = (request.method().as_str(), request.uri().to_string());
        let unsignable = |error| SignError::Unsignable(cause_chain(&error));
        let body = SignableBody::Bytes(request.body().as_ref());
        let signable = SignableRequest::new(method, uri, headers, body).map_err(unsignable)?;
        let (instructions, _) = sign(signable, &params).map_err(unsignable)?.into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }
}
