//! What invokes a function, told apart by its shape before it is parsed, and the reply in the caller's form.

pub mod batch;
mod fields;
mod http;

use lambda_http::http::StatusCode;
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::access::Access;
use mneme_model::error::Error;

/// A request's fields, from wherever they came.
pub type Fields = Map<String, Value>;

/// An event's payload. One that is not JSON is kept as what is wrong with it, so that the function, not the runtime,
/// answers it.
#[derive(Debug)]
pub enum Payload {
    /// Any JSON.
    Json(Value),
    /// Where and why it is not JSON.
    Malformed(String),
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Value::deserialize(deserializer).map_or_else(|error| Self::Malformed(error.to_string()), Self::Json))
    }
}

/// Who invoked the function, which decides the form of the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// The Invoke API, an SDK, another AWS service: the payload is the request.
    Direct,
    /// An EventBridge rule or schedule.
    Schedule,
    /// API Gateway's REST API, payload format 1.0.
    RestApi,
    /// API Gateway's HTTP API, payload format 2.0, or a Function URL.
    HttpApi,
}

/// What a function answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<T> {
    /// The HTTP status, for callers who came that way.
    pub status: StatusCode,
    /// The response object.
    pub body: T,
}

impl<T> Reply<T> {
    /// 200.
    pub fn ok(body: T) -> Self {
        Self { status: StatusCode::OK, body }
    }

    /// 503.
    pub fn unavailable(body: T) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, body }
    }

    /// 201.
    pub fn created(body: T) -> Self {
        Self { status: StatusCode::CREATED, body }
    }
}

/// An event: who sent it, what the sender may use, and what is asked.
#[derive(Debug)]
pub struct Event {
    /// Who invoked the function.
    pub caller: Caller,
    /// The namespaces that the caller may use: all, but for HTTP callers where a claim lists them.
    pub access: Access,
    /// The request's fields. `InvalidRequest`, saying what was wrong with the event.
    pub fields: Result<Fields, Error>,
}

/// Tells who called and collects the request's fields.
///
/// `function` is the operation's name, whose routes say what path parameters mean; `on_schedule`, what a scheduled event
/// stands for, if it is taken; `claim`, which claim of an HTTP caller's token lists the namespaces that the caller may
/// use.
pub fn read(payload: Payload, function: &str, on_schedule: Option<Fields>, claim: Option<&str>) -> Event {
    let event = match payload {
        Payload::Json(Value::Object(event)) => event,
        Payload::Json(other) => {
            return Event { caller: Caller::Direct, access: Access::All, fields: Err(not_an_object(&other)) };
        }
        Payload::Malformed(why) => {
            let error = Error::invalid(format!("the payload is not JSON: {why}"), "send one JSON object");
            return Event { caller: Caller::Direct, access: Access::All, fields: Err(error) };
        }
    };
    let context = event.get("requestContext").and_then(Value::as_object);
    let access = match (context, claim) {
        (Some(context), Some(claim)) => Access::from_claim(http::claim(context, claim)),
        _ => Access::All,
    };
    if context.is_some_and(|context| context.contains_key("http")) {
        return Event { caller: Caller::HttpApi, access, fields: http::read_v2(event, function) };
    }
    if context.is_some() && event.contains_key("httpMethod") {
        return Event { caller: Caller::RestApi, access, fields: http::read_v1(event, function) };
    }
    let access = Access::All;
    if event.get("detail-type").is_some() && event.get("source").is_some() {
        let fields = on_schedule.ok_or_else(|| {
            Error::invalid(
                format!("`{function}` takes no scheduled or EventBridge events"),
                "schedule `vacuum`, or give the schedule an input of this operation's own fields",
            )
        });
        return Event { caller: Caller::Schedule, access, fields };
    }
    Event { caller: Caller::Direct, access, fields: Ok(event) }
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

/// The most characters of a caller's own text that an error gives back.
const MAX_ECHOED_CHARS: usize = 300;

fn shortened(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(MAX_ECHOED_CHARS) {
        text.truncate(at);
        text.push('…');
    }
    text
}

/// The request in `fields`. Errors: `InvalidRequest`, naming the field.
pub fn parse<T: DeserializeOwned>(fields: Fields) -> Result<T, Error> {
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let path = error.path().to_string();
        let what = error.into_inner();
        let detail = if path == "." { what.to_string() } else { format!("{path}: {what}") };
        Error::invalid(shortened(detail), "send this operation's fields with the types it documents, and no others")
    })
}

/// The outcome in the caller's form: what a direct invocation gets as its result or as a function error, and what
/// API Gateway turns into an HTTP response.
pub fn render<T: Serialize>(caller: Caller, outcome: Result<Reply<T>, Error>) -> Result<Box<RawValue>, Error> {
    match (caller, outcome) {
        (Caller::Direct | Caller::Schedule, outcome) => to_raw_value(&outcome?.body).map_err(Error::internal),
        (Caller::RestApi, outcome) => http::reply_v1(outcome),
        (Caller::HttpApi, outcome) => http::reply_v2(outcome),
    }
}

/// `{}`: a request without fields. Anything else is refused.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

#[cfg(test)]
mod tests;
