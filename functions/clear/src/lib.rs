//! `clear`: deletes every entry of one namespace, or of all, and on request whatever else the cache keeps of it.

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::write::clear::clear;
use mneme_core::write::purge::purge;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use serde::{Deserialize, Serialize};

/// A request to clear: either `namespace`, or `confirm` = `all`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The namespace to clear.
    pub namespace: Option<Namespace>,
    /// `all` clears every namespace.
    pub confirm: Option<String>,
    /// Whether everything else that the cache keeps of the namespace is deleted, too. It needs `namespace`.
    #[serde(default)]
    pub purge: bool,
}

/// The result of a clear.
#[derive(Debug, Serialize)]
pub struct Response {
    /// The number of live entries that were deleted.
    pub deleted: u64,
    /// The number of other items that were deleted; only with `purge`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purged: Option<u64>,
}

/// Deletes entries. Quotas, statistics and meta values are kept, unless the request says `purge`.
#[derive(Debug)]
pub struct Clear;

impl Operation for Clear {
    const SPEC: &'static OperationSpec = &operations::CLEAR;
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let namespace = match (&request.namespace, request.confirm.as_deref()) {
            (Some(namespace), None) => {
                invocation.authorize(namespace)?;
                Some(namespace)
            }
            (None, Some("all")) if !request.purge => {
                invocation.authorize_all("clearing every namespace")?;
                None
            }
            _ => {
                return Err(Error::invalid(
                    "clear takes a `namespace`, with `purge` if you like, or `confirm=all` for every namespace",
                    "send one of the two",
                ));
            }
        };
        cache.open().await?;
        let deleted = clear(cache, namespace).await?;
        let purged = match namespace {
            Some(namespace) if request.purge => Some(purge(&cache.patient(), namespace).await?),
            _ => None,
        };
        Ok(Reply::ok(Response { deleted, purged }))
    }
}
