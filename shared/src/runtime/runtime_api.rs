//! Lambda's Runtime API, for a function whose replies may be streamed.
//!
//! The loop of `lambda_runtime` leaves Nagle's algorithm on: a small packet waits until the one before it is
//! acknowledged, which may take 40 ms. A streamed reply is several packets, so its first byte would be that late. This
//! loop uses a connection without the algorithm. It does not set `_X_AMZN_TRACE_ID`, so the AWS SDK sends no trace header.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming>

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Frame};
use lambda_runtime::{Diagnostic, MetadataPrelude};
use mneme_api::http::{HeaderValue, Request, StatusCode, header};
use mneme_http::{BoxError, HttpClient, NoReply, Scheme};
use thiserror::Error;
use tokio::sync::mpsc;

/// The variable with the address of the API.
const ADDRESS: &str = "AWS_LAMBDA_RUNTIME_API";
/// The header of an invocation that replies to it repeat.
const ECHOED: &str = "lambda-runtime-invocation-id";
/// What separates the prelude of a streamed reply from its body.
const SEPARATOR: [u8; 8] = [0; 8];

/// The API of the environment that this process runs in.
pub(super) struct RuntimeApi {
    client: HttpClient,
    base: String,
}

/// What names an invocation to the API.
#[derive(Clone)]
pub(super) struct InvocationId {
    pub(super) request_id: String,
    /// A header that is given back, if the API sent it.
    echoed: Option<HeaderValue>,
}

/// One invocation.
pub(super) struct Next {
    /// Its id.
    pub(super) id: InvocationId,
    /// How long the function may take.
    pub(super) remaining: Duration,
    /// The event.
    pub(super) payload: Bytes,
}

/// A reply that has begun.
pub(super) struct Streamed {
    /// Its status and headers.
    pub(super) prelude: MetadataPrelude,
    /// The parts of its body. It ends with its sender.
    pub(super) body: mpsc::Receiver<Bytes>,
}

/// Why the loop ended.
#[derive(Debug, Error)]
pub(super) enum RuntimeApiError {
    #[error("{ADDRESS} is not set")]
    NoAddress,
    #[error(transparent)]
    NoReply(#[from] NoReply),
    #[error("the Runtime API gave no invocation: status {0}")]
    Refused(StatusCode),
    #[error("the Runtime API's reply broke off")]
    BrokenOff,
    #[error("a message to the Runtime API cannot be made: {0}")]
    Unmade(BoxError),
}

impl RuntimeApi {
    /// The API at the address in the environment. Errors: there is none.
    pub(super) fn from_env() -> Result<Self, RuntimeApiError> {
        let address = std::env::var(ADDRESS).map_err(|_| RuntimeApiError::NoAddress)?;
        let base = format!("http://{address}/2018-06-01/runtime/invocation");
        Ok(Self { client: HttpClient::new(Scheme::Http), base })
    }

    /// Waits for the next invocation.
    pub(super) async fn next(&self) -> Result<Next, RuntimeApiError> {
        let request = Request::get(format!("{}/next", self.base)).body(Full::<Bytes>::default());
        let reply = self.client.send(request.map_err(|error| RuntimeApiError::Unmade(error.into()))?).await?;
        let (head, body) = reply.into_parts();
        if !head.status.is_success() {
            return Err(RuntimeApiError::Refused(head.status));
        }
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let deadline_ms: u64 = text("lambda-runtime-deadline-ms").parse().unwrap_or_default();
        let deadline = UNIX_EPOCH + Duration::from_millis(deadline_ms);
        let request_id = text("lambda-runtime-aws-request-id").to_owned();
        Ok(Next {
            id: InvocationId { request_id, echoed: head.headers.get(ECHOED).cloned() },
            remaining: deadline.duration_since(SystemTime::now()).unwrap_or_default(),
            payload: body.collect().await.map_err(|_| RuntimeApiError::BrokenOff)?.to_bytes(),
        })
    }

    /// Sends a whole reply.
    pub(super) async fn reply(&self, id: &InvocationId, payload: impl Into<Bytes>) -> Result<(), RuntimeApiError> {
        self.post(id, "response", &[], Full::new(payload.into())).await
    }

    /// Sends an error in place of a reply.
    pub(super) async fn fail(&self, id: &InvocationId, error: &Diagnostic) -> Result<(), RuntimeApiError> {
        let body = serde_json::to_vec(error).map_err(|error| RuntimeApiError::Unmade(error.into()))?;
        let kind = [("lambda-runtime-function-error-type", error.error_type.as_str())];
        self.post(id, "error", &kind, Full::new(body.into())).await
    }

    /// Sends a reply, each part as it comes. Returns after its end.
    pub(super) async fn stream(&self, id: &InvocationId, streamed: Streamed) -> Result<(), RuntimeApiError> {
        let Streamed { mut prelude, body } = streamed;
        prelude.headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/octet-stream"));
        let mut head = serde_json::to_vec(&prelude).map_err(|error| RuntimeApiError::Unmade(error.into()))?;
        head.extend(SEPARATOR);
        let parts = stream::unfold((Some(Bytes::from(head)), body), async |(head, mut body)| {
            let part = match head {
                Some(head) => head,
                None => body.recv().await?,
            };
            Some((Ok::<_, Infallible>(Frame::data(part)), (None, body)))
        });
        let headers = [
            ("lambda-runtime-function-response-mode", "streaming"),
            ("content-type", "application/vnd.awslambda.http-integration-response"),
        ];
        self.post(id, "response", &headers, StreamBody::new(parts)).await
    }

    /// Sends a message about an invocation. A refusal of it has no effect: Lambda tells the caller.
    async fn post<B>(
        &self,
        id: &InvocationId,
        kind: &str,
        headers: &[(&str, &str)],
        body: B,
    ) -> Result<(), RuntimeApiError>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let request = Request::post(format!("{}/{}/{kind}", self.base, id.request_id));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = id.echoed.iter().fold(request, |request, value| request.header(ECHOED, value));
        let request = request.body(body).map_err(|error| RuntimeApiError::Unmade(error.into()))?;
        let reply = self.client.send(request).await?;
        if !reply.status().is_success() {
            tracing::warn!(status = %reply.status(), "the Runtime API refused a reply");
        }
        // The connection is used again only once the reply was read.
        reply.into_body().collect().await.map(drop).map_err(|_| RuntimeApiError::BrokenOff)
    }
}
