//! What stands on the API port.
//!
//! - [`invoke`]: Lambda's own Invoke API, for the AWS CLI and SDKs.
//! - [`http`]: the HTTP API of `template.yaml`: [`routing`] finds the function, [`event`] makes the request an event,
//!   [`reply`] makes the function's answer an HTTP response.
//! - [`body`]: request bodies, read up to a limit.

pub(crate) mod body;
mod event;
mod http;
mod invoke;
mod reply;
mod routing;

use std::sync::Arc;

use axum::{Router, routing::post};

use crate::lambda::Functions;

/// Everything on the API port.
pub(crate) fn router(functions: Arc<Functions>) -> Router {
    Router::new()
        .route("/2015-03-31/functions/{function}/invocations", post(invoke::invoke))
        .with_state(Arc::clone(&functions))
        .fallback_service(http::service(functions))
}
