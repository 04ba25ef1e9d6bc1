//! Events and replies. The shape of an event says who invoked the function, and so which form the reply has.
//!
//! | to learn about | read |
//! | --- | --- |
//! | the events of API Gateway and the replies to them | `http` |
//! | how path, query and body become one request | `http_request` |
//! | which JSON is refused | `json` |
//! | how fields become an operation's request, and the errors about fields | [`parse`], in `request` |
//! | requests that hold a list of requests | [`batch`] |
//! | requests whose body is not read here, and their replies | [`raw`] |

pub mod batch;
mod http;
mod http_request;
mod json;
pub mod raw;
mod request;

use lambda_http::http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::access::{Access, Identity, Scope};
use mneme_model::config::Claims;
use mneme_model::error::Error;

pub use self::request::parse;

/// The fields of a request: those of a direct payload, or those of an HTTP request's path, query and body.
pub type RequestFields = Map<String, Value>;

/// The payload of an invocation.
///
/// Reading a payload never fails. The function answers malformed JSON itself, because the runtime's error would have
/// neither a name nor a remedy.
#[derive(Debug, Clone)]
pub enum Payload {
    /// JSON text. It is not parsed yet: [`read`] refuses some JSON and says why.
    Json(Box<RawValue>),
    /// The payload is not JSON, for this reason.
    Malformed(String),
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Box::<RawValue>::deserialize(deserializer)
            .map_or_else(|error| Self::Malformed(error.to_string()), Self::Json))
    }
}

/// Who invoked the function. This decides the form of the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// The Invoke API, an SDK or another AWS service. The payload is the request.
    Direct,
    /// An EventBridge rule or schedule.
    Schedule,
    /// API Gateway's REST API, payload format 1.0.
    RestApi,
    /// API Gateway's HTTP API, payload format 2.0, or a Function URL.
    HttpApi,
}

/// The answer of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<T> {
    /// The HTTP status. Only HTTP callers get it.
    pub status: StatusCode,
    /// The response object.
    pub body: T,
    /// What HTTP callers get in place of the response object's JSON.
    pub document: Option<Document>,
}

/// A text for HTTP callers, with its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The headers, with `Content-Type`.
    pub headers: HeaderMap,
    /// The text.
    pub text: &'static str,
}

impl<T> Reply<T> {
    fn new(status: StatusCode, body: T) -> Self {
        Self { status, body, document: None }
    }

    /// A reply with status 200.
    pub fn ok(body: T) -> Self {
        Self::new(StatusCode::OK, body)
    }

    /// A reply with status 503.
    pub fn unavailable(body: T) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, body)
    }

    /// A reply with status 201.
    pub fn created(body: T) -> Self {
        Self::new(StatusCode::CREATED, body)
    }

    /// The same reply, of which HTTP callers get `text` with `headers`.
    pub fn with_document(self, text: &'static str, headers: HeaderMap) -> Self {
        Self { document: Some(Document { headers, text }), ..self }
    }
}

/// An event: its caller, the caller's identity, and the request.
#[derive(Debug)]
pub struct Event {
    /// Who invoked the function.
    pub caller: Caller,
    /// What is known of the caller.
    pub identity: Identity,
    /// The request. Errors: `InvalidRequest` and `UnsupportedContentEncoding`.
    pub fields: Result<RequestFields, Error>,
}

/// Finds out who called, and collects the request's fields.
///
/// - `function`: the operation's name. Only its routes are accepted.
/// - `on_schedule`: the request that a scheduled event is read as. `None`: scheduled events are refused.
/// - `claims`: the claims of an HTTP caller's token that say what the caller may do.
pub fn read(payload: Payload, function: &str, on_schedule: Option<RequestFields>, claims: &Claims) -> Event {
    let identity = Identity::TRUSTED;
    let event = match object(payload) {
        Ok(event) => event,
        Err(error) => return Event { caller: Caller::Direct, identity, fields: Err(error) },
    };
    let context = event.get("requestContext").and_then(Value::as_object);
    let identity = context.map_or(identity, |context| http_identity(context, claims));
    if context.is_some_and(|context| context.contains_key("http")) {
        let fields = http::read_v2(event).and_then(|request| request.fields(function));
        return Event { caller: Caller::HttpApi, identity, fields };
    }
    if context.is_some() && event.contains_key("httpMethod") {
        let fields = http::read_v1(event).and_then(|request| request.fields(function));
        return Event { caller: Caller::RestApi, identity, fields };
    }
    let identity = Identity::TRUSTED;
    if event.get("detail-type").is_some() && event.get("source").is_some() {
        let fields = on_schedule.ok_or_else(|| {
            Error::invalid(
                format!("`{function}` takes no scheduled or EventBridge events"),
                "schedule `vacuum`, or give the schedule an input with this operation's own fields",
            )
        });
        return Event { caller: Caller::Schedule, identity, fields };
    }
    Event { caller: Caller::Direct, identity, fields: Ok(event) }
}

/// The identity of an HTTP caller: all namespaces and every scope, except for what a claim is configured.
fn http_identity(context: &RequestFields, claims: &Claims) -> Identity {
    let claim = |name: &String| http::claim(context, name);
    Identity {
        access: claims
            .namespace
            .as_ref()
            .map_or(Access::All, |name| Access::from_claim(claim(name), claims.namespace_form)),
        scope: claims.scope.as_ref().map_or(Some(Scope::Admin), |name| Scope::from_claim(claim(name))),
        principal: http::principal(context),
    }
}

/// The payload as an object. Errors: `InvalidRequest`.
fn object(payload: Payload) -> Result<Map<String, Value>, Error> {
    match payload {
        Payload::Json(text) => match json::from_text(text.get(), "the payload")? {
            Value::Object(event) => Ok(event),
            other => Err(not_an_object(&other)),
        },
        Payload::Malformed(reason) => {
            Err(Error::invalid(format!("the payload is not JSON: {reason}"), "send one JSON object, in UTF-8"))
        }
    }
}

fn not_an_object(value: &Value) -> Error {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Error::invalid(format!("the request is {kind}, not an object"), "send one JSON object")
}

/// The largest number of characters of a caller's text that an error repeats.
const MAX_ECHOED_CHARS: usize = 300;

/// The start of a text that contains what a caller sent.
fn shortened(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(MAX_ECHOED_CHARS) {
        text.truncate(at);
        text.push('…');
    }
    text
}

/// The outcome in the caller's form.
///
/// A direct invocation gets the response object as its result, and an error as a function error. For an HTTP caller,
/// both are a response in API Gateway's form. Errors: the outcome's, of a direct invocation.
pub fn render<T: Serialize>(caller: Caller, outcome: Result<Reply<T>, Error>) -> Result<Box<RawValue>, Error> {
    match (caller, outcome) {
        (Caller::Direct | Caller::Schedule, outcome) => to_raw_value(&outcome?.body).map_err(Error::internal),
        (Caller::RestApi, outcome) => http::reply_v1(outcome),
        (Caller::HttpApi, outcome) => http::reply_v2(outcome),
    }
}

/// A request without fields.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

#[cfg(test)]
mod tests;
