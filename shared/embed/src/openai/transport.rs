//! HTTP requests to an OpenAI-compatible service.
//!
//! The AWS SDK links hyper, and rustls with aws-lc, in any case. This module uses the same crates.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use mneme_aws::sdk_error::cause_chain;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use crate::error::EmbedError;

/// The largest reply that is read, in bytes. 128 vectors of 65,536 numbers take 45 MB in base64.
const MAX_REPLY_BYTES: usize = 64 << 20;
/// How long opening a TCP connection may take. The TLS handshake is not included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long sent bytes may stay unacknowledged. Lambda freezes an idle instance, whose connections may be lost when it
/// continues.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an idle connection is kept. AWS's NAT gateways close one after 350 s, its load balancers after 60 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

type Pool = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A pool of connections to one server. They are opened when they are first needed.
pub(super) struct Http {
    endpoint: Uri,
    pool: OnceLock<Pool>,
}

/// A reply with any status.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Http {
    pub(super) fn new(endpoint: Uri) -> Self {
        Self { endpoint, pool: OnceLock::new() }
    }

    /// Posts JSON. Redirects are not followed: they would send the texts and the key to another server.
    ///
    /// Errors: `Unreachable`; `Malformed` for a reply above 64 MB.
    pub(super) async fn post(&self, authorization: Option<HeaderValue>, json: Bytes) -> Result<Reply, EmbedError> {
        let mut request = Request::new(Full::new(json));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json.clone());
        request.headers_mut().insert(header::ACCEPT, json);
        if let Some(authorization) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
        let reply = self.pool()?.request(request).await;
        let (head, body) =
            reply.map_err(|error| EmbedError::unreachable().caused_by(cause_chain(&error)))?.into_parts();
        let body = Limited::new(body, MAX_REPLY_BYTES).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return EmbedError::malformed(format!("the embedder's reply is longer than {MAX_REPLY_BYTES} bytes"));
            }
            EmbedError::unreachable().caused_by(cause_chain(error.as_ref()))
        })?;
        Ok(Reply { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    /// The pool. The first call creates it, and reads the system's certificates if the endpoint is `https`.
    fn pool(&self) -> Result<&Pool, EmbedError> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let tls = self.tls().map_err(|error| EmbedError::unreachable().caused_by(error))?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector.wrap_connector(http_connector()));
        Ok(self.pool.get_or_init(|| pool))
    }

    /// The system's roots for `https`; none for `http`.
    fn tls(&self) -> io::Result<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        Ok(if self.endpoint.scheme_str() == Some("https") {
            builder.with_native_roots()?.with_no_client_auth()
        } else {
            builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        })
    }
}

fn http_connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    #[cfg(target_os = "linux")]
    connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT));
    connector
}
