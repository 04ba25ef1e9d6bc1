//! `stats`: how many entries there are and what happened.

use mneme_api::event::Reply;
use mneme_core::cache::Cache;
use mneme_core::maintain::totals::table_totals;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::namespace_stats::EventCounts;
use serde::{Deserialize, Serialize};

/// Of what.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// One namespace; absent: all that the caller may use.
    pub namespace: Option<Namespace>,
}

/// The figures.
#[derive(Debug, Serialize)]
pub struct Response {
    /// The namespace that was asked for; null for all that the caller may use.
    pub namespace: Option<Namespace>,
    /// Live entries.
    pub entries: u64,
    /// Namespaces with live entries.
    pub namespaces: u64,
    /// Hits of both layers.
    pub hits: u64,
    /// Hits of each layer, misses, evictions and expirations. They arrive up to a minute late.
    #[serde(flatten)]
    pub counts: EventCounts,
    /// How many mutations were committed to the cache.
    pub version_counter: u64,
    /// The embedder that the table is stamped with.
    pub embedder_fingerprint: Option<String>,
    /// The dimension that the table is stamped with.
    pub embedder_dim: Option<u32>,
}

/// The operation.
#[derive(Debug)]
pub struct Stats;

impl Operation for Stats {
    const FUNCTION: &'static str = "stats";
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let scope = invocation.visible_namespaces(request.namespace.as_ref())?;
        let counter = cache.counter().await?;
        let mut totals = table_totals(cache).await?;
        totals.live.retain(|namespace, _| scope.includes(namespace));
        totals.counts.retain(|namespace, _| scope.includes(namespace));
        let mut counts = EventCounts::default();
        totals.counts.values().for_each(|of_one| counts.add(of_one));
        Ok(Reply::ok(Response {
            namespace: request.namespace,
            entries: totals.live.values().sum(),
            namespaces: totals.live.len() as u64,
            hits: counts.hits_exact + counts.hits_semantic,
            counts,
            version_counter: counter.version,
            embedder_fingerprint: counter.fingerprint,
            embedder_dim: counter.dim,
        }))
    }
}
