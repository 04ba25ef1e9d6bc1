//! `console`: serves the page for operators.
//!
//! The page is one document with its style and its script inside. It has no data: its script calls the other operations
//! with the credentials that the user gives it.

mod page;

use mneme_api::event::{NoFields, Reply};
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::error::Error;
use serde::Serialize;

/// The reply to a direct invocation. An HTTP caller gets the page itself.
#[derive(Debug, Serialize)]
pub struct Response {
    /// The page.
    pub html: &'static str,
}

/// Serves the page. Reads and writes nothing.
#[derive(Debug)]
pub struct Console;

impl Operation for Console {
    const SPEC: &'static OperationSpec = &operations::CONSOLE;
    type Request = NoFields;
    type Response = Response;

    async fn handle(&self, _: &Cache, _: &Invocation, _: NoFields) -> Result<Reply<Response>, Error> {
        let html = page::HTML.as_str();
        Ok(Reply::ok(Response { html }).with_document(html, page::headers()))
    }
}
