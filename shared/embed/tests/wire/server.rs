//! A server that records the requests and answers as a test tells it.

use std::sync::{Arc, Mutex, PoisonError};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_bedrockruntime::config::{Credentials, SharedCredentialsProvider};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, Response};
use serde_json::Value;
use tokio::net::TcpListener;

/// A recorded request.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A status, headers and a body.
    Reply(u16, Vec<(&'static str, String)>, Bytes),
    /// No reply: the connection stays open.
    Never,
}

impl Answer {
    pub(crate) fn json(body: &Value) -> Self {
        Self::Reply(200, Vec::new(), body.to_string().into())
    }

    pub(crate) fn text(body: &str) -> Self {
        Self::Reply(200, Vec::new(), body.to_owned().into())
    }

    pub(crate) fn status(status: u16, body: &Value) -> Self {
        Self::Reply(status, Vec::new(), body.to_string().into())
    }

    /// An error in the form of AWS's services.
    pub(crate) fn aws_error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "message": message, "__type": code });
        Self::status(status, &body).with("x-amzn-errortype", code)
    }

    pub(crate) fn with(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Reply(status, mut headers, body) => {
                headers.push((name, value.to_owned()));
                Self::Reply(status, headers, body)
            }
            Self::Never => Self::Never,
        }
    }
}

/// Listens on a free port. Returns the listener and its URL.
async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, url)
}

type Requests = Arc<Mutex<Vec<Recorded>>>;

/// A server on a free port. It ends with the runtime of the test.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Requests,
}

impl Server {
    /// Answers the n-th request with `answer(n, request)`. The first request has n = 1.
    pub(crate) async fn start(answer: impl Fn(usize, &Recorded) -> Answer + Send + Sync + 'static) -> Self {
        let (listener, url) = listen().await;
        let requests = Requests::default();
        let (recorded, answer) = (Arc::clone(&requests), Arc::new(answer));
        let app = Router::new().fallback(move |request: Request<Body>| {
            let (recorded, answer) = (Arc::clone(&recorded), Arc::clone(&answer));
            async move { handle(&recorded, answer.as_ref(), request).await }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, requests }
    }

    /// Gives every request the same answer.
    pub(crate) async fn always(answer: Answer) -> Self {
        Self::start(move |_, _| answer.clone()).await
    }

    /// The URL of a port on which nothing listens any more.
    pub(crate) async fn refusing() -> Self {
        Self { url: listen().await.1, requests: Requests::default() }
    }

    /// Accepts connections and closes them without a reply.
    pub(crate) async fn hanging_up() -> Self {
        let (listener, url) = listen().await;
        tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        Self { url, requests: Requests::default() }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An SDK configuration that sends every request to this server.
    pub(crate) fn aws(&self) -> SdkConfig {
        let credentials = Credentials::new("AKIDTEST", "secret", None, None, "tests");
        self.aws_with(Some(SharedCredentialsProvider::new(credentials)))
    }

    /// The same with other credentials, or without.
    pub(crate) fn aws_with(&self, credentials: Option<SharedCredentialsProvider>) -> SdkConfig {
        let mut config = SdkConfig::builder();
        config
            .set_behavior_version(Some(BehaviorVersion::latest()))
            .set_region(Some(Region::new("eu-west-1")))
            .set_endpoint_url(Some(self.url.clone()))
            .set_credentials_provider(credentials);
        config.build()
    }
}

async fn handle(
    requests: &Requests,
    answer: &(dyn Fn(usize, &Recorded) -> Answer + Sync),
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a whole request");
    let recorded = Recorded {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let nth = {
        let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(recorded.clone());
        requests.len()
    };
    match answer(nth, &recorded) {
        Answer::Never => std::future::pending().await,
        Answer::Reply(status, headers, body) => {
            let mut reply = Response::builder().status(status);
            for (name, value) in headers {
                reply = reply.header(name, value);
            }
            reply.body(Body::from(body)).expect("well-formed headers")
        }
    }
}
