//! `provision`: creates the table if allowed, switches its TTL on, and stamps the embedder, again if that is asked.
//!
//! It has no HTTP route.

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::{Cache, Provisioned};
use mneme_core::reembed::restamp::restamp;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::error::Error;
use serde::{Deserialize, Serialize};

/// A request to provision the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Whether another stamp is replaced by the configured embedder. No entry may have an embedding. Default: false.
    #[serde(default)]
    pub restamp: bool,
}

/// The state of the table.
#[derive(Debug, Serialize)]
pub struct Response {
    /// Whether this call created the table.
    pub created: bool,
    /// The fingerprint of the embedder that the table is stamped with.
    pub embedder_fingerprint: Option<String>,
    /// The dimension that the table is stamped with. Null: neither the configuration nor a stored vector gave one.
    pub embedder_dim: Option<u32>,
}

/// Creates and stamps the table.
#[derive(Debug)]
pub struct Provision;

impl Operation for Provision {
    const SPEC: &'static OperationSpec = &operations::PROVISION;
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, _: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        if request.restamp && cache.table.exists().await? {
            restamp(cache).await?;
        }
        let Provisioned { created, counter } = cache.provision().await?;
        if !created {
            cache.table.switch_ttl_on().await?;
        }
        Ok(Reply::ok(Response { created, embedder_fingerprint: counter.fingerprint, embedder_dim: counter.dim }))
    }
}
