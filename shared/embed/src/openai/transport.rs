//! HTTP, over the stack that the AWS SDK links anyway: hyper, and rustls with aws-lc.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use mneme_aws::sdk_error::cause_chain;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use crate::error::EmbedError;

/// The largest reply that is read: 128 vectors of 65,536 numbers take 45 MB in base64.
const MAX_REPLY_BYTES: usize = 64 << 20;
/// How long connecting may take, TLS aside.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long sent bytes may stay unacknowledged: what was frozen with its instance may have lost its connections.
const UNACKNOWLEDGED: Duration = Duration::from_secs(3);
/// How long an idle connection is kept, below the 350 s of AWS's NAT gateways and load balancers' 60 s.
const IDLE: Duration = Duration::from_secs(50);

type Connections = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The connections of one instance to one server, opened when first needed.
pub(crate) struct Http {
    endpoint: Uri,
    connections: OnceLock<Connections>,
}

/// An answer with any status.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Http {
    pub(crate) fn new(endpoint: Uri) -> Self {
        Self { endpoint, connections: OnceLock::new() }
    }

    /// Posts JSON. Redirects are not followed: they would take the texts and the key elsewhere.
    ///
    /// Errors: `Unreachable`; `Malformed`, for a reply above 64 MB.
    pub(crate) async fn post(&self, authorization: Option<HeaderValue>, json: Bytes) -> Result<Reply, EmbedError> {
        let mut request = Request::new(Full::new(json));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json.clone());
        request.headers_mut().insert(header::ACCEPT, json);
        if let Some(authorization) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
        let reply = self.connections()?.request(request).await;
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

    /// The connections; the first caller has the system's certificates read, where the endpoint needs any.
    fn connections(&self) -> Result<&Connections, EmbedError> {
        if let Some(connections) = self.connections.get() {
            return Ok(connections);
        }
        let tls = self.tls().map_err(|error| EmbedError::unreachable().caused_by(error))?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let connections = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector.wrap_connector(http_connector()));
        Ok(self.connections.get_or_init(|| connections))
    }

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
    connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    connector
}
