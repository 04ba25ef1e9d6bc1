//! A server that keeps what it is asked, and answers as a test says.

use std::sync::{Arc, Mutex, PoisonError};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_bedrockruntime::config::{Credentials, SharedCredentialsProvider};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, Response};
use serde_json::Value;
use tokio::net::TcpListener;

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A status, headers and a body.
    Reply(u16, Vec<(&'static str, String)>, Bytes),
    /// Nothing, ever.
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

    /// As AWS's services name an error.
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

/// A free port, and its URL.
async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, url)
}

type Asks = Arc<Mutex<Vec<Asked>>>;

/// A server on a free port; it ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) url: String,
    asks: Asks,
}

impl Server {
    /// Answers the n-th request, from 1, with `answer(n, request)`.
    pub(crate) async fn start(answer: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> Self {
        let (listener, url) = listen().await;
        let asks = Asks::default();
        let (kept, answer) = (Arc::clone(&asks), Arc::new(answer));
        let app = Router::new().fallback(move |request: Request<Body>| {
            let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
            async move { handle(&kept, answer.as_ref(), request).await }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, asks }
    }

    /// Always the same answer.
    pub(crate) async fn always(answer: Answer) -> Self {
        Self::start(move |_, _| answer.clone()).await
    }

    /// A port on which nobody listens: the listener is gone when this returns.
    pub(crate) async fn refusing() -> Self {
        Self { url: listen().await.1, asks: Asks::default() }
    }

    /// Takes connections and closes them without a word.
    pub(crate) async fn hanging_up() -> Self {
        let (listener, url) = listen().await;
        tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        Self { url, asks: Asks::default() }
    }

    /// Everything asked so far.
    pub(crate) fn asks(&self) -> Vec<Asked> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A configuration in which every AWS service is this server.
    pub(crate) fn aws(&self) -> SdkConfig {
        let credentials = Credentials::new("AKIDTEST", "secret", None, None, "tests");
        self.aws_with(Some(SharedCredentialsProvider::new(credentials)))
    }

    /// The same with other credentials, or none.
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
    asks: &Asks,
    answer: &(dyn Fn(usize, &Asked) -> Answer + Sync),
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a whole request");
    let asked = Asked {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let nth = {
        let mut asks = asks.lock().unwrap_or_else(PoisonError::into_inner);
        asks.push(asked.clone());
        asks.len()
    };
    match answer(nth, &asked) {
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
