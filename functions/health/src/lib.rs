//! `health`: whether the table is reachable, has the schema it must have, and belongs to the configured embedder.

use mneme_api::event::{NoFields, Reply};
use mneme_core::cache::Cache;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::error::{Error, ErrorKind};
use serde::Serialize;

/// The state of the cache.
#[derive(Debug, Default, Serialize)]
pub struct Response {
    /// Whether all of the below is well.
    pub healthy: bool,
    /// DynamoDB answers, and the table exists.
    pub table_reachable: bool,
    /// The table's keys and both indexes are as they must be, and item 0 can be read.
    pub schema_ok: bool,
    /// The configured embedder is the stamped one, as far as both are known.
    pub embedder_match: bool,
    /// The embedder that the table is stamped with.
    pub embedder_fingerprint: Option<String>,
    /// The dimension that the table is stamped with.
    pub embedder_dim: Option<u32>,
    /// What is wrong and what to do, one sentence each.
    pub problems: Vec<String>,
}

/// The operation. It answers 503 when anything is wrong, with the same response object.
#[derive(Debug)]
pub struct Health;

impl Operation for Health {
    const FUNCTION: &'static str = "health";
    type Request = NoFields;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, _: NoFields) -> Result<Reply<Response>, Error> {
        let mut response = Response::default();
        match examine(cache, &mut response).await {
            Ok(()) => {}
            Err(error) => {
                invocation.record_failure("the examination", &error);
                response.problems.push(error.to_string());
            }
        }
        response.healthy = response.problems.is_empty();
        Ok(if response.healthy { Reply::ok(response) } else { Reply::unavailable(response) })
    }
}

/// Fills in what is found; the first thing that stops the examination is the error.
async fn examine(cache: &Cache, response: &mut Response) -> Result<(), Error> {
    let opened = cache.counter().await;
    if let Err(error) = &opened
        && error.kind == ErrorKind::StoreBackendError
    {
        return opened.map(|_| ());
    }
    response.problems = cache.table.schema_faults().await?;
    response.table_reachable = true;
    response.schema_ok = response.problems.is_empty();
    if let Some(counter) = cache.table.read_counter().await? {
        response.embedder_fingerprint = counter.fingerprint;
        response.embedder_dim = counter.dim;
    }
    opened?;
    response.embedder_match = true;
    Ok(())
}
