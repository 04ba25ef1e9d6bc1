//! The HTTP API: a request becomes an event, the function's answer a response.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    body::{self, Unread},
    event, reply,
    routing::Routes,
};
use crate::lambda::{Functions, Outcome, REQUEST_LIMIT};

/// The largest request body, in bytes. Source: API Gateway's quotas, "Payload size 10 MB".
const BODY_LIMIT: usize = 10 * 1024 * 1024;

#[derive(Clone)]
struct HttpApi {
    functions: Arc<Functions>,
    routes: Arc<Routes>,
}

/// The HTTP API as a service for every path.
pub(super) fn service(functions: Arc<Functions>) -> Router {
    Router::new().fallback(serve).with_state(HttpApi { functions, routes: Arc::new(Routes::new()) })
}

async fn serve(State(api): State<HttpApi>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(matched) = api.routes.find(parts.method.as_str(), parts.uri.path()) else {
        return message(StatusCode::NOT_FOUND, "Not Found");
    };
    let Some(function) = api.functions.get(matched.route.function) else {
        return message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    };
    let body = match body::read(body, BODY_LIMIT).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => return too_long(),
        Err(Unread::Broken) => return message(StatusCode::BAD_REQUEST, "Bad Request"),
    };
    let event = event::of_request(&parts, &matched, &body);
    if event.len() > REQUEST_LIMIT {
        return too_long();
    }
    let answer = match function.invoke(Uuid::new_v4(), event).await {
        Outcome::Success(payload) => reply::of_payload(payload),
        // The caller learns no more than from API Gateway; the operator reads it here.
        Outcome::Error(error) => Err(String::from_utf8_lossy(&error).into_owned()),
    };
    answer.unwrap_or_else(|error| {
        tracing::error!(function = function.name(), error, "no answer for {} {}", parts.method, parts.uri.path());
        message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    })
}

fn too_long() -> Response {
    message(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long")
}

fn message(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}
