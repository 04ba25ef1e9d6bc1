//! `health`: tells whether the table is reachable and agrees with the schema and the configured embedder, and whether
//! the embedder works.

use mneme_api::event::{NoFields, Reply};
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::embedders::trial::EmbedderTrial;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::error::Error;
use serde::Serialize;

/// The state of the cache.
#[derive(Debug, Serialize)]
pub struct Response {
    /// The version of the function.
    pub version: &'static str,
    /// True if `problems` is empty.
    pub healthy: bool,
    /// Whether DynamoDB answers and the table exists.
    pub table_reachable: bool,
    /// Whether the table's key and both indexes are as required.
    pub schema_ok: bool,
    /// Whether the configured embedder equals the stamped one. True if one of the two is unknown.
    pub embedder_match: bool,
    /// Whether the configured embedders embed a text, as it was at most a minute ago. Null: none is configured.
    pub embedder_works: Option<bool>,
    /// The fingerprint of the embedder that the table is stamped with.
    pub embedder_fingerprint: Option<String>,
    /// The dimension that the table is stamped with.
    pub embedder_dim: Option<u32>,
    /// What is wrong, each problem with its remedy.
    pub problems: Vec<String>,
}

impl Default for Response {
    /// Nothing was examined yet.
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            healthy: false,
            table_reachable: false,
            schema_ok: false,
            embedder_match: false,
            embedder_works: None,
            embedder_fingerprint: None,
            embedder_dim: None,
            problems: Vec::new(),
        }
    }
}

/// Examines the table and the embedder. The status is 503 if there is a problem; the response object is the same.
#[derive(Debug, Default)]
pub struct Health {
    trial: EmbedderTrial,
}

impl Operation for Health {
    const SPEC: &'static OperationSpec = &operations::HEALTH;
    type Request = NoFields;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, _: NoFields) -> Result<Reply<Response>, Error> {
        let mut response = Response::default();
        if let Err(error) = examine(cache, &mut response).await {
            invocation.record_failure("the examination", &error);
            response.problems.push(error.to_string());
        }
        let trials = self.trial.run(cache, response.embedder_dim).await;
        response.embedder_works = (!trials.is_empty()).then(|| trials.iter().all(Result::is_ok));
        for error in trials.into_iter().filter_map(Result::err) {
            invocation.record_failure("the trial of the embedder", &error);
            response.problems.push(error.to_string());
        }
        response.healthy = response.problems.is_empty();
        Ok(if response.healthy { Reply::ok(response) } else { Reply::unavailable(response) })
    }
}

/// Fills in `response` step by step. Errors: the first problem that makes further steps impossible.
async fn examine(cache: &Cache, response: &mut Response) -> Result<(), Error> {
    let counter = cache.read_counter().await?;
    response.problems = cache.table.schema_faults().await?;
    response.table_reachable = true;
    response.schema_ok = response.problems.is_empty();
    let served = counter.served_embedder(&cache.config);
    response.embedder_fingerprint = counter.fingerprint;
    response.embedder_dim = counter.dim;
    served?;
    response.embedder_match = true;
    Ok(())
}
