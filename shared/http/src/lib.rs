//! HTTP requests to services other than AWS's.
//!
//! The AWS SDK links hyper, and rustls with aws-lc, in any case. This crate uses the same crates.

use std::fmt;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Body;
pub use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use mneme_aws::sdk_error::cause_chain;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// How long opening a TCP connection may take. The TLS handshake is not included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long sent bytes may stay unacknowledged. Lambda freezes an idle instance, whose connections may be lost when it
/// continues.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an idle connection is kept. AWS's NAT gateways close one after 350 s, its load balancers after 60 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// The error of a request's body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Pool = legacy::Client<HttpsConnector<HttpConnector>, UnsyncBoxBody<Bytes, BoxError>>;

/// Whether connections need the certificates of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Only `http://` URLs are requested.
    Http,
    /// `https://` URLs are requested.
    Https,
}

/// A pool of connections. They are opened when they are first needed.
pub struct HttpClient {
    scheme: Scheme,
    pool: OnceLock<Pool>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// Why a request has no reply. The text is for the log.
#[derive(Debug, Error)]
#[error("{causes}")]
pub struct NoReply {
    causes: String,
    /// Whether the connection could not be opened, so that the service has received nothing.
    pub is_unsent: bool,
}

impl HttpClient {
    /// A pool without connections.
    pub fn new(scheme: Scheme) -> Self {
        Self { scheme, pool: OnceLock::new() }
    }

    /// Sends a request, and waits for the head of the reply. Redirects are not followed: they would send the body and the
    /// key to another server.
    ///
    /// Errors: there was no connection, or it broke.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Response<Incoming>, NoReply>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let pool = self.pool().map_err(|error| NoReply { causes: error.to_string(), is_unsent: true })?;
        let sent = pool.request(request.map(|body| body.map_err(Into::into).boxed_unsync())).await;
        sent.map_err(|error| NoReply { causes: cause_chain(&error), is_unsent: error.is_connect() })
    }

    /// The pool. The first call creates it, and reads the system's certificates for [`Scheme::Https`].
    fn pool(&self) -> io::Result<&Pool> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let connector = HttpsConnectorBuilder::new().with_tls_config(self.tls()?).https_or_http().enable_http1();
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector.wrap_connector(http_connector()));
        Ok(self.pool.get_or_init(|| pool))
    }

    fn tls(&self) -> io::Result<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        Ok(match self.scheme {
            Scheme::Https => builder.with_native_roots()?.with_no_client_auth(),
            Scheme::Http => builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
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
