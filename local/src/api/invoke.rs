//! Lambda's Invoke API.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>. Signatures are not checked; `LogType: Tail`
//! is ignored (the log is on stderr). An `Event` invocation that fails is not retried.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;
use strum::{EnumString, IntoStaticStr};
use uuid::Uuid;

use crate::{
    body::{self, BodyError},
    lambda::{Function, Functions, Outcome, REQUEST_LIMIT, Reply},
};

const INVOCATION_TYPE: &str = "x-amz-invocation-type";
const EXECUTED_VERSION: HeaderName = HeaderName::from_static("x-amz-executed-version");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

#[derive(Deserialize)]
pub(super) struct Parameters {
    #[serde(rename = "Qualifier")]
    qualifier: Option<String>,
}

pub(super) async fn invoke(
    State(functions): State<Arc<Functions>>,
    Path(name): Path<String>,
    Query(Parameters { qualifier }): Query<Parameters>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let id = Uuid::new_v4();
    let response = match answer(&functions, &name, qualifier.as_deref(), id, &headers, body).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    ([(REQUEST_ID, id.to_string())], response).into_response()
}

async fn answer(
    functions: &Functions,
    name: &str,
    qualifier: Option<&str>,
    id: Uuid,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, InvokeError> {
    let (function, version) = find(functions, name, qualifier)?;
    let payload = match body::read(body, REQUEST_LIMIT).await {
        Ok(payload) if payload.is_empty() => Bytes::from_static(b"{}"),
        Ok(payload) => payload,
        Err(BodyError::TooLarge) => return Err(InvokeError::TooLarge),
        Err(BodyError::Broken | BodyError::TooSlow) => {
            return Err(InvokeError::NotJson("the body is incomplete".to_owned()));
        }
    };
    check_json(&payload)?;

    match invocation_type(headers)? {
        InvocationType::RequestResponse => Ok(respond(buffered(function.invoke(id, payload).await), version)),
        InvocationType::Event => {
            let function = Arc::clone(function);
            tokio::spawn(async move {
                if let Outcome::Error(error) = buffered(function.invoke(id, payload).await) {
                    let error = String::from_utf8_lossy(&error).into_owned();
                    tracing::warn!(function = function.name(), error, "an asynchronous invocation failed");
                }
            });
            Ok(StatusCode::ACCEPTED.into_response())
        }
        InvocationType::DryRun => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// The outcome of a reply. Functions stream only to the door that streams, which is not this one.
fn buffered(reply: Reply) -> Outcome {
    match reply {
        Reply::Whole(outcome) => outcome,
        Reply::Streamed(_) => {
            Outcome::error("ServiceException", "mneme-local does not stream through the Invoke API: use the HTTP route")
        }
    }
}

/// How the function is invoked: the values of the header `X-Amz-Invocation-Type`.
#[derive(Clone, Copy, Default, EnumString)]
enum InvocationType {
    /// The caller waits for the outcome.
    #[default]
    RequestResponse,
    /// The function runs in the background.
    Event,
    /// Only the request is checked.
    DryRun,
}

fn invocation_type(headers: &HeaderMap) -> Result<InvocationType, InvokeError> {
    let Some(value) = headers.get(INVOCATION_TYPE) else { return Ok(InvocationType::default()) };
    value.to_str().ok().and_then(|text| text.parse().ok()).ok_or(InvokeError::InvocationType)
}

fn respond(outcome: Outcome, version: &'static str) -> Response {
    let (payload, failed) = match outcome {
        Outcome::Success(payload) => (payload, false),
        Outcome::Error(payload) => (payload, true),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (EXECUTED_VERSION, HeaderValue::from_static(version)),
    ];
    let mut response = (headers, payload).into_response();
    if failed {
        response.headers_mut().insert(FUNCTION_ERROR, HeaderValue::from_static("Unhandled"));
    }
    response
}

/// Finds the function that a name, a partial ARN or a whole ARN names, each with or without a version. The name is the
/// operation's, or the one that the template gives the function: `<stack>-<operation>`.
///
/// Returns also the version that runs. The template's alias `live` is version 1 here.
fn find<'a>(
    functions: &'a Functions,
    name: &str,
    qualifier: Option<&str>,
) -> Result<(&'a Arc<Function>, &'static str), InvokeError> {
    let unqualified = name.rsplit_once("function:").map_or(name, |(_, name)| name);
    let (name, version) = match unqualified.split_once(':') {
        Some((name, version)) => (name, Some(version)),
        None => (unqualified, qualifier),
    };
    let unknown = || {
        let version = version.map(|version| format!(":{version}")).unwrap_or_default();
        InvokeError::UnknownFunction(format!("arn:aws:lambda:us-east-1:123456789012:function:{name}{version}"))
    };
    let executed = match version {
        None | Some("$LATEST") => "$LATEST",
        Some("live" | "1") => "1",
        Some(_) => return Err(unknown()),
    };
    let operation = name.rsplit_once('-').map_or(name, |(_, operation)| operation);
    Ok((functions.get(operation).ok_or_else(unknown)?, executed))
}

fn check_json(payload: &[u8]) -> Result<(), InvokeError> {
    let text = std::str::from_utf8(payload).map_err(|error| InvokeError::NotJson(error.to_string()))?;
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| InvokeError::NotJson(error.to_string()))
}

/// Why a request does not reach a function, by the name of Lambda's exception.
#[derive(Debug, IntoStaticStr)]
enum InvokeError {
    /// No function has this ARN.
    #[strum(serialize = "ResourceNotFoundException")]
    UnknownFunction(String),
    /// The payload is not JSON, for this reason.
    #[strum(serialize = "InvalidRequestContentException")]
    NotJson(String),
    /// The payload is larger than [`REQUEST_LIMIT`].
    #[strum(serialize = "RequestTooLargeException")]
    TooLarge,
    /// The header `X-Amz-Invocation-Type` has an unknown value.
    #[strum(serialize = "InvalidParameterValueException")]
    InvocationType,
}

impl IntoResponse for InvokeError {
    fn into_response(self) -> Response {
        let exception: &str = (&self).into();
        let user_error = |message: String| json!({ "Type": "User", "message": message });
        let (status, body) = match self {
            // Lambda spells this exception's field with a capital M.
            Self::UnknownFunction(arn) => {
                (StatusCode::NOT_FOUND, json!({ "Type": "User", "Message": format!("Function not found: {arn}") }))
            }
            Self::NotJson(reason) => {
                (StatusCode::BAD_REQUEST, user_error(format!("Could not parse request body into json: {reason}")))
            }
            Self::TooLarge => {
                let message =
                    format!("Request must be smaller than {REQUEST_LIMIT} bytes for the InvokeFunction operation");
                (StatusCode::PAYLOAD_TOO_LARGE, user_error(message))
            }
            Self::InvocationType => {
                let message = "X-Amz-Invocation-Type must be RequestResponse, Event or DryRun";
                (StatusCode::BAD_REQUEST, user_error(message.to_owned()))
            }
        };
        (status, [(ERROR_TYPE, exception)], Json(body)).into_response()
    }
}
