//! `clear`: wipes one namespace, or all.

use mneme_api::event::Reply;
use mneme_core::cache::Cache;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::write::clear::clear;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use serde::{Deserialize, Serialize};

/// What to wipe: `namespace`, or everything with `confirm` = `all`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// One namespace.
    pub namespace: Option<Namespace>,
    /// `all`: every namespace.
    pub confirm: Option<String>,
}

/// What was wiped.
#[derive(Debug, Serialize)]
pub struct Response {
    /// How many live entries.
    pub deleted: u64,
}

/// The operation. Quotas and meta stay.
#[derive(Debug)]
pub struct Clear;

impl Operation for Clear {
    const FUNCTION: &'static str = "clear";
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let namespace = match (&request.namespace, request.confirm.as_deref()) {
            (Some(namespace), None) => {
                invocation.authorize(namespace)?;
                Some(namespace)
            }
            (None, Some("all")) => {
                invocation.authorize_all("clearing every namespace")?;
                None
            }
            _ => {
                return Err(Error::invalid(
                    "clear takes a `namespace`, or `confirm=all` for every namespace",
                    "send one of the two",
                ));
            }
        };
        cache.open().await?;
        let deleted = clear(cache, namespace).await?;
        Ok(Reply::ok(Response { deleted }))
    }
}
