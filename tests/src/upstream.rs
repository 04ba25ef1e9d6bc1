//! A fake service with OpenAI's Chat Completions API. It fails as a test demands.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, Response};
use futures::StreamExt as _;
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// How the service answers.
#[derive(Debug, Clone)]
pub enum Behavior {
    /// It finishes an answer with this text, in the form that the request asks for.
    Say(String),
    /// It replies with these parts.
    Reply(Canned),
    /// It does what the `model` of the request names: see [`of_model`].
    ByModel,
    /// It takes a permit of the semaphore for each request, and then does the other thing.
    After(Arc<Semaphore>, Box<Behavior>),
    /// It never answers.
    Hang,
}

/// A reply that was prepared.
#[derive(Debug, Clone)]
pub struct Canned {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub content_type: &'static str,
    /// The parts of the body, each sent alone.
    pub parts: Vec<Bytes>,
    /// The pause before each part but the first.
    pub pause: Duration,
    /// Whether the connection breaks after the last part.
    pub is_cut: bool,
}

impl Canned {
    /// A reply in JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        let parts = vec![body.to_string().into()];
        Self { status, content_type: "application/json", parts, pause: Duration::ZERO, is_cut: false }
    }

    /// A stream of server-sent events, as text.
    pub fn stream(text: &str) -> Self {
        let parts = vec![Bytes::copy_from_slice(text.as_bytes())];
        Self { status: 200, content_type: "text/event-stream", parts, pause: Duration::ZERO, is_cut: false }
    }
}

/// A request that the service received.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method and the path: `POST /v1/chat/completions`.
    pub route: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
}

#[derive(Debug)]
struct State {
    behavior: Behavior,
    received: Vec<Received>,
}

/// The service. It ends with the test's runtime.
#[derive(Debug)]
pub struct Upstream {
    /// Its base URL, without the version.
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Upstream {
    /// Starts the service on a free port. It says `Hello.`.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State { behavior: Behavior::Say("Hello.".to_owned()), received: Vec::new() }));
        let shared = Arc::clone(&state);
        let app = Router::new().fallback(move |request| answer(Arc::clone(&shared), request));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, state }
    }

    /// The value of `MNEME_UPSTREAM` for this service.
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.url)
    }

    /// Changes how the service answers from now on.
    pub fn set(&self, behavior: Behavior) {
        self.state().behavior = behavior;
    }

    /// The number of requests since the last call of [`Upstream::take_received`].
    pub fn received(&self) -> usize {
        self.state().received.len()
    }

    /// The requests since the last call.
    pub fn take_received(&self) -> Vec<Received> {
        std::mem::take(&mut self.state().received)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(state: Arc<Mutex<State>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a whole request");
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let route = format!("{} {}", head.method, head.uri.path());
    let received = Received { route, headers: head.headers, body };
    let mut behavior = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if received.route == "GET /calls" {
            return reply(Canned::json(200, &json!(state.received.len())));
        }
        state.received.push(received);
        state.behavior.clone()
    };
    while let Behavior::After(permits, then) = behavior {
        permits.acquire().await.expect("an open semaphore").forget();
        behavior = *then;
    }
    match behavior {
        Behavior::After(..) | Behavior::Hang => std::future::pending().await,
        Behavior::Reply(canned) => reply(canned),
        Behavior::ByModel => reply(of_model(request["model"].as_str().unwrap_or_default(), request["stream"] == true)),
        Behavior::Say(text) if request["stream"] == true => reply(Canned::stream(&events(&text, "stop"))),
        Behavior::Say(text) => reply(Canned::json(200, &completion(&text, "stop"))),
    }
}

/// The text that [`of_model`] says.
pub const TEXT: &str = "Grüße aus 東京 👋, says the model.";

/// What the service does for a model's name.
///
/// | name | the service |
/// | --- | --- |
/// | `slow` | pauses between events |
/// | `bytes` | sends each byte alone, with CRLF and comments |
/// | `cut` | breaks off after half of the reply |
/// | `long` | ends with `length` |
/// | `refusal` | refuses |
/// | `limit` | answers with status 429 |
/// | `tools` | calls a tool |
/// | any other | says [`TEXT`] |
pub fn of_model(model: &str, is_stream: bool) -> Canned {
    let whole = |text: &str, finish_reason: &str| match is_stream {
        true => Canned::stream(&events(text, finish_reason)),
        false => Canned::json(200, &completion(text, finish_reason)),
    };
    let said = whole(TEXT, "stop");
    let text = String::from_utf8_lossy(&said.parts.concat()).into_owned();
    let bytes = |text: &str, size: usize| text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect::<Vec<_>>();
    match model {
        "slow" => Canned {
            parts: text.split_inclusive("\n\n").map(|event| Bytes::copy_from_slice(event.as_bytes())).collect(),
            pause: Duration::from_millis(20),
            ..said
        },
        "bytes" if is_stream => {
            Canned { parts: bytes(&format!(": keep-alive\n\n{text}").replace('\n', "\r\n"), 1), ..said }
        }
        "cut" => Canned { parts: bytes(&text, text.len() / 2).into_iter().take(1).collect(), is_cut: true, ..said },
        "long" => whole(TEXT, "length"),
        "refusal" => with_message(json!({"content": null, "refusal": "I will not."}), "stop", is_stream),
        "tools" => {
            let function = json!({"name": "weather", "arguments": "{\"city\":\"Paris\"}"});
            let call = json!({"index": 0, "id": "call_1", "type": "function", "function": function});
            with_message(json!({"content": null, "tool_calls": [call]}), "tool_calls", is_stream)
        }
        "limit" => {
            let error = json!({"message": "Rate limit reached", "type": "requests", "param": null, "code": "rate_limit_exceeded"});
            Canned::json(429, &json!({"error": error}))
        }
        _ => said,
    }
}

/// A reply whose message has these members.
fn with_message(members: Value, finish_reason: &str, is_stream: bool) -> Canned {
    if is_stream {
        let delta = format!("\"delta\":{members}");
        return Canned::stream(&events("", finish_reason).replacen("\"delta\":{}", &delta, 1));
    }
    let mut reply = completion("", finish_reason);
    for (name, value) in members.as_object().into_iter().flatten() {
        reply["choices"][0]["message"][name] = value.clone();
    }
    if let Some(Value::Object(call)) = reply.pointer_mut("/choices/0/message/tool_calls/0") {
        call.remove("index");
    }
    Canned::json(200, &reply)
}

fn reply(Canned { status, content_type, parts, pause, is_cut }: Canned) -> Response<Body> {
    let reply = Response::builder().status(status).header("content-type", content_type);
    let reply = reply.header("x-request-id", "req_1").header("set-cookie", "of-the-upstream=1");
    // The server sends what it has while it waits for the next part.
    let end = stream::iter(is_cut.then_some(())).then(|()| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Err(io::Error::other("cut off"))
    });
    let body = stream::iter(parts.into_iter().enumerate()).then(move |(at, part)| async move {
        if at > 0 && !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        Ok::<_, io::Error>(part)
    });
    reply.body(Body::from_stream(body.chain(end))).expect("well-formed")
}

/// The usage that the service reports.
pub fn usage() -> Value {
    json!({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12})
}

/// The JSON body of an answer.
pub fn completion(text: &str, finish_reason: &str) -> Value {
    json!({
        "id": "chatcmpl-upstream", "object": "chat.completion", "created": 1_795_348_800, "model": "model-2026",
        "choices": [{
            "index": 0, "logprobs": null, "finish_reason": finish_reason,
            "message": {"role": "assistant", "content": text, "refusal": null, "annotations": []},
        }],
        "usage": usage(), "service_tier": "default", "system_fingerprint": "fp_upstream",
    })
}

/// The events of an answer: the role alone, each word, the finish reason, the usage, `[DONE]`.
pub fn events(text: &str, finish_reason: &str) -> String {
    let event = |choices: Value, usage: Value| {
        let event = json!({
            "id": "chatcmpl-upstream", "object": "chat.completion.chunk", "created": 1_795_348_800,
            "model": "model-2026", "service_tier": "default", "system_fingerprint": "fp_upstream",
            "choices": choices, "usage": usage,
        });
        format!("data: {event}\n\n")
    };
    let choice = |delta: Value, finish_reason: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]);
    let mut events = vec![event(choice(json!({"role": "assistant", "content": ""}), Value::Null), Value::Null)];
    let words = text.split_inclusive(' ');
    events.extend(words.map(|word| event(choice(json!({"content": word}), Value::Null), Value::Null)));
    events.push(event(choice(json!({}), finish_reason.into()), Value::Null));
    events.push(event(json!([]), usage()));
    events.push("data: [DONE]\n\n".to_owned());
    events.concat()
}
