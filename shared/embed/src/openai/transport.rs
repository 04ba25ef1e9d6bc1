//! HTTP requests to an OpenAI-compatible service.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use mneme_aws::sdk_error::cause_chain;
use mneme_http::{HttpClient, Scheme};

use crate::error::EmbedError;

/// The largest reply that is read, in bytes. 128 vectors of 65,536 numbers take 45 MB in base64.
const MAX_REPLY_BYTES: usize = 64 << 20;

/// The connections to one server.
pub(super) struct Http {
    endpoint: Uri,
    client: HttpClient,
}

/// A reply with any status.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Http {
    pub(super) fn new(endpoint: Uri) -> Self {
        let scheme = if endpoint.scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http };
        Self { endpoint, client: HttpClient::new(scheme) }
    }

    /// Posts JSON.
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
        let reply = self.client.send(request).await;
        let (head, body) = reply.map_err(|error| EmbedError::unreachable().caused_by(error.to_string()))?.into_parts();
        let body = Limited::new(body, MAX_REPLY_BYTES).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return EmbedError::malformed(format!("the embedder's reply is longer than {MAX_REPLY_BYTES} bytes"));
            }
            EmbedError::unreachable().caused_by(cause_chain(error.as_ref()))
        })?;
        Ok(Reply { status: head.status, headers: head.headers, body: body.to_bytes() })
    }
}
