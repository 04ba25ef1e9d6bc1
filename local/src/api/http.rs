//! The HTTP API: it turns a request into an event, and the function's answer into a response.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use mneme_api::routes::{find_route, methods_of};
use serde_json::json;
use uuid::Uuid;

use super::{event, reply};
use crate::{
    body::{self, BodyError},
    lambda::{Functions, Outcome, REQUEST_LIMIT, Reply},
};

/// The largest request body, in bytes. Source: API Gateway's quotas, "Payload size 10 MB".
const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// The HTTP API, as a service that answers every path.
pub(super) fn service(functions: Arc<Functions>) -> Router {
    Router::new().fallback(serve).with_state(functions)
}

async fn serve(State(functions): State<Arc<Functions>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(matched) = find_route(parts.method.as_str(), parts.uri.path()) else {
        return not_routed(parts.uri.path());
    };
    let Some(function) = functions.get(matched.route.function) else {
        return message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    };
    let body = match body::read(body, BODY_LIMIT).await {
        Ok(body) => body,
        Err(BodyError::TooLarge) => return too_long(),
        Err(BodyError::Broken) => return message(StatusCode::BAD_REQUEST, "Bad Request"),
        Err(BodyError::TooSlow) => return message(StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
    };
    let event = event::from_request(&parts, &matched, &body);
    if event.len() > REQUEST_LIMIT {
        return too_long();
    }
    let answer = match function.invoke(Uuid::new_v4(), event).await {
        Reply::Streamed(streamed) => reply::from_stream(streamed),
        Reply::Whole(Outcome::Success(payload)) => reply::from_payload(payload),
        // As with API Gateway, the caller does not see the error. The operator finds it in the log.
        Reply::Whole(Outcome::Error(error)) => Err(String::from_utf8_lossy(&error).into_owned()),
    };
    answer.unwrap_or_else(|error| {
        tracing::error!(function = function.name(), error, "no answer for {} {}", parts.method, parts.uri.path());
        message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    })
}

/// The answer to a request without a route. API Gateway's HTTP API answers 404 also for a wrong method.
fn not_routed(path: &str) -> Response {
    match methods_of(path) {
        methods if methods.is_empty() => message(StatusCode::NOT_FOUND, "Not Found"),
        methods => {
            let allow = [(header::ALLOW, methods.join(", "))];
            (allow, message(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")).into_response()
        }
    }
}

fn too_long() -> Response {
    message(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long")
}

pub(super) fn message(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}
