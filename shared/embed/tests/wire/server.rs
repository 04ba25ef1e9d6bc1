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
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A status, headers and a body.
    Reply(u16, Vec<(&'static str, String)>, Bytes),
    /// Nothing, ever.
    Never,
}

impl Answer {
    pub fn json(body: &Value) -> Self {
        Self::Reply(200, Vec::new(), body.to_string().into())
    }

    pub fn text(body: &str) -> Self {
        Self::Reply(200, Vec::new(), body.to_owned().into())
    }

    pub fn status(status: u16, body: &Value) -> Self {
        Self::Reply(status, Vec::new(), body.to_string().into())
    }

    /// As AWS's services name an error.
    pub fn aws_error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "message": message, "__type": code });
        Self::status(status, &body).with("x-amzn-errortype", code)
    }

    pub fn with(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Reply(status, mut headers, body) => {
                headers.push((name, value.to_owned()));
                Self::Reply(status, headers, body)
            }
            Self::Never => Self::Never,
        }
    }
}

type Asks = Arc<Mutex<Vec<Asked>>>;

/// A server on a free port; it ends with the test's runtime.
pub struct Server {
    pub url: String,
    asks: Asks,
}

impl Server {
    /// Answers the n-th request, from 1, with `answer(n, request)`.
    pub async fn start(answer: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
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
    pub async fn always(answer: Answer) -> Self {
        Self::start(move |_, _| answer.clone()).await
    }

    /// A port on which nobody listens: the listener is gone when this returns.
    pub async fn refusing() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { url: format!("http://{}", listener.local_addr().unwrap()), asks: Asks::default() }
    }

    /// Takes connections and closes them without a word.
    pub async fn hanging_up() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        Self { url, asks: Asks::default() }
    }

    /// Everything asked so far.
    pub fn asks(&self) -> Vec<Asked> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A configuration in which every AWS service is this server.
    pub fn aws(&self) -> SdkConfig {
        let credentials = Credentials::new("AKIDTEST", "secret", None, None, "tests");
        self.aws_with(Some(SharedCredentialsProvider::new(credentials)))
    }

    /// The same with other credentials, or none.
    pub fn aws_with(&self, credentials: Option<SharedCredentialsProvider>) -> SdkConfig {
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
    let body = to_bytes(body, usize::MAX).await.unwrap();
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
            reply.body(Body::from(body)).unwrap()
        }
    }
}
