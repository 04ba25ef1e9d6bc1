//! What Lambda serves to an instance: the Runtime API, and the part of the Extensions API that a runtime uses to learn
//! of its shutdown.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, Path, State, connect_info::IntoMakeServiceWithConnectInfo},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    connection::Connection,
    function::{Function, Refusal},
    invocation::{Outcome, RESPONSE_LIMIT},
    streaming::{self, Broken},
};
use crate::body::{self, BodyError};

const REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
const DEADLINE_MS: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
const FUNCTION_ARN: HeaderName = HeaderName::from_static("lambda-runtime-invoked-function-arn");
const TRACE_ID: HeaderName = HeaderName::from_static("lambda-runtime-trace-id");
const RESPONSE_MODE: HeaderName = HeaderName::from_static("lambda-runtime-function-response-mode");
const EXTENSION_NAME: HeaderName = HeaderName::from_static("lambda-extension-name");
const EXTENSION_ID: HeaderName = HeaderName::from_static("lambda-extension-identifier");

/// The caller of the API: one instance of a function.
#[derive(Clone)]
struct Instance {
    function: Arc<Function>,
    number: u64,
}

/// The API of instance `number` of the function.
pub(super) fn router(function: Arc<Function>, number: u64) -> IntoMakeServiceWithConnectInfo<Router, Connection> {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .route("/2020-01-01/extension/register", post(register))
        .route("/2020-01-01/extension/event/next", get(extension_event))
        .with_state(Instance { function, number })
        .into_make_service_with_connect_info()
}

async fn next(
    State(Instance { function, number }): State<Instance>,
    ConnectInfo(connection): ConnectInfo<Connection>,
) -> Response {
    let delivery = match function.next(number, &connection).await {
        Ok(delivery) => delivery,
        Err(refusal) => return refused(refusal),
    };
    let deadline = SystemTime::now() + function.settings().timeout;
    let deadline_ms = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (REQUEST_ID, delivery.id),
        (DEADLINE_MS, deadline_ms.to_string()),
        (FUNCTION_ARN, function.arn()),
        (TRACE_ID, delivery.trace_id),
    ];
    (headers, delivery.payload).into_response()
}

async fn response(
    State(Instance { function, number }): State<Instance>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if headers.get(RESPONSE_MODE).is_some_and(|mode| mode == "streaming") {
        return match streaming::relay(&function, number, &id, body).await {
            Ok(()) => accepted(),
            Err(Broken::Unreadable) => StatusCode::BAD_REQUEST.into_response(),
            Err(Broken::Refused(refusal)) => refused(refusal),
        };
    }
    let (outcome, reply) = match body::read(body, RESPONSE_LIMIT).await {
        Ok(payload) => (Outcome::Success(payload), accepted()),
        Err(BodyError::Broken | BodyError::TooSlow) => return StatusCode::BAD_REQUEST.into_response(),
        Err(BodyError::TooLarge) => {
            let limit = format!("maximum allowed payload size ({RESPONSE_LIMIT} bytes).");
            let outcome =
                Outcome::error("Function.ResponseSizeTooLarge", &format!("Response payload size exceeded {limit}"));
            let reply = fault(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &format!("Exceeded {limit}"));
            (outcome, reply)
        }
    };
    match function.complete(number, &id, outcome) {
        Ok(()) => reply,
        Err(refusal) => refused(refusal),
    }
}

async fn error(State(Instance { function, number }): State<Instance>, Path(id): Path<String>, body: Body) -> Response {
    let Ok(payload) = body::read(body, RESPONSE_LIMIT).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match function.complete(number, &id, Outcome::Error(payload)) {
        Ok(()) => accepted(),
        Err(refusal) => refused(refusal),
    }
}

async fn init_error(State(Instance { function, number }): State<Instance>, body: Body) -> Response {
    let Ok(payload) = body::read(body, RESPONSE_LIMIT).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    function.init_failed(number, payload);
    accepted()
}

async fn register(State(Instance { function, .. }): State<Instance>, headers: HeaderMap) -> Response {
    if !headers.contains_key(EXTENSION_NAME) {
        return fault(StatusCode::BAD_REQUEST, "Extension.InvalidExtensionName", "Empty extension name");
    }
    let id = [(EXTENSION_ID, Uuid::new_v4().to_string())];
    let body = json!({ "functionName": function.name(), "functionVersion": "$LATEST", "handler": "bootstrap" });
    (id, Json(body)).into_response()
}

/// Never answers: the only extension here registers for no event, and SIGTERM informs it of the shutdown.
async fn extension_event() -> Response {
    std::future::pending().await
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "status": "OK" }))).into_response()
}

fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Busy => fault(
            StatusCode::FORBIDDEN,
            "InvalidStateTransition",
            "the current invocation has neither a response nor an error yet",
        ),
        Refusal::UnknownInvocation => fault(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        Refusal::Gone => fault(StatusCode::GONE, "InstanceEnded", "this instance has ended"),
    }
}

fn fault(status: StatusCode, error_type: &str, message: &str) -> Response {
    let body: Value = json!({ "errorType": error_type, "errorMessage": message });
    (status, Json(body)).into_response()
}
