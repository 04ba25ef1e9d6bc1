//! The services on the API port.
//!
//! - [`invoke`]: Lambda's own Invoke API, for the AWS CLI and SDKs.
//! - [`http`]: the HTTP API of `template.yaml`. [`event`] turns a request into an event, and [`reply`] turns the
//!   function's answer into an HTTP response.
//! - [`origin`]: which requests of browsers are refused.

mod event;
mod http;
mod invoke;
mod origin;
mod reply;

use std::sync::Arc;

use axum::{Router, middleware, routing::post};

use crate::lambda::Functions;

/// The router of the API port. `only_this_machine`: whether it is reached from this machine only.
pub(crate) fn router(functions: Arc<Functions>, only_this_machine: bool) -> Router {
    Router::new()
        .route("/2015-03-31/functions/{function}/invocations", post(invoke::invoke))
        .with_state(Arc::clone(&functions))
        .fallback_service(http::service(functions))
        .layer(middleware::from_fn_with_state(origin::Names::of(only_this_machine), origin::check))
}
