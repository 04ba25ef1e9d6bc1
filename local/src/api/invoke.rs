//! Lambda's Invoke API.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>. Signatures are not checked; `LogType: Tail`
//! is ignored (the log is on stderr); an `Event` invocation that fails is not tried again.

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
use uuid::Uuid;

use super::body::{self, Unread};
use crate::lambda::{Function, Functions, Outcome, REQUEST_LIMIT};

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
        Err(fault) => fault.into_response(),
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
) -> Result<Response, Fault> {
    let function = find(functions, name, qualifier)?;
    let payload = match body::read(body, REQUEST_LIMIT).await {
        Ok(payload) if payload.is_empty() => Bytes::from_static(b"{}"),
        Ok(payload) => payload,
        Err(Unread::TooLarge) => return Err(Fault::TooLarge),
        Err(Unread::Broken) => return Err(Fault::NotJson("the body is incomplete".to_owned())),
    };
    check_json(&payload)?;

    match headers.get(INVOCATION_TYPE).map_or(Ok("RequestResponse"), HeaderValue::to_str) {
        Ok("RequestResponse") => Ok(respond(function.invoke(id, payload).await)),
        Ok("Event") => {
            let function = Arc::clone(function);
            tokio::spawn(async move {
                if let Outcome::Error(error) = function.invoke(id, payload).await {
                    let error = String::from_utf8_lossy(&error).into_owned();
                    tracing::warn!(function = function.name(), error, "an asynchronous invocation failed");
                }
            });
            Ok(StatusCode::ACCEPTED.into_response())
        }
        Ok("DryRun") => Ok(StatusCode::NO_CONTENT.into_response()),
        Ok(_) | Err(_) => Err(Fault::InvocationType),
    }
}

fn respond(outcome: Outcome) -> Response {
    let (payload, failed) = match outcome {
        Outcome::Success(payload) => (payload, false),
        Outcome::Error(payload) => (payload, true),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (EXECUTED_VERSION, HeaderValue::from_static("$LATEST")),
    ];
    let mut response = (headers, payload).into_response();
    if failed {
        response.headers_mut().insert(FUNCTION_ERROR, HeaderValue::from_static("Unhandled"));
    }
    response
}

/// The function meant by a name, a partial or a whole ARN, each with or without a version.
fn find<'a>(functions: &'a Functions, name: &str, qualifier: Option<&str>) -> Result<&'a Arc<Function>, Fault> {
    let unqualified = name.rsplit_once("function:").map_or(name, |(_, name)| name);
    let (name, version) = match unqualified.split_once(':') {
        Some((name, version)) => (name, Some(version)),
        None => (unqualified, qualifier),
    };
    let unknown = || {
        let version = version.map(|version| format!(":{version}")).unwrap_or_default();
        Fault::UnknownFunction(format!("arn:aws:lambda:us-east-1:123456789012:function:{name}{version}"))
    };
    if version.is_some_and(|version| version != "$LATEST") {
        return Err(unknown());
    }
    functions.get(name).ok_or_else(unknown)
}

fn check_json(payload: &[u8]) -> Result<(), Fault> {
    let text = std::str::from_utf8(payload).map_err(|error| Fault::NotJson(error.to_string()))?;
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| Fault::NotJson(error.to_string()))
}

/// A request that reaches no function.
#[derive(Debug)]
enum Fault {
    UnknownFunction(String),
    NotJson(String),
    TooLarge,
    InvocationType,
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (status, name, body) = match self {
            Self::UnknownFunction(arn) => (
                StatusCode::NOT_FOUND,
                "ResourceNotFoundException",
                json!({ "Type": "User", "Message": format!("Function not found: {arn}") }),
            ),
            Self::NotJson(reason) => (
                StatusCode::BAD_REQUEST,
                "InvalidRequestContentException",
                json!({ "Type": "User", "message": format!("Could not parse request body into json: {reason}") }),
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestTooLargeException",
                json!({
                    "Type": "User",
                    "message": format!("Request must be smaller than {REQUEST_LIMIT} bytes for the InvokeFunction operation"),
                }),
            ),
            Self::InvocationType => (
                StatusCode::BAD_REQUEST,
                "InvalidParameterValueException",
                json!({ "Type": "User", "message": "X-Amz-Invocation-Type must be RequestResponse, Event or DryRun" }),
            ),
        };
        (status, [(ERROR_TYPE, name)], Json(body)).into_response()
    }
}
