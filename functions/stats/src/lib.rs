//! `stats`: counts entries, hits, misses, evictions and expirations, or shows the lookups of a range of time.
//!
//! - [`series`]: the lookups of a range of time by hour or by day.

pub mod series;

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::maintain::totals::table_totals;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_store::namespace_stats::EventCounts;
use serde::{Deserialize, Serialize};

use self::series::{By, Series, series};

/// A request for counts. With `from`, `to` or `by` it asks for the lookups of a range of time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The namespace to count. Default: every namespace that the caller may use.
    pub namespace: Option<Namespace>,
    /// The start of the range, in epoch seconds. It is lowered to the start of its hour or day. Default: a day before
    /// `to` by hour, 30 days before by day.
    pub from: Option<i64>,
    /// The end of the range, in epoch seconds. It is raised to the end of its hour or day. Default: now.
    pub to: Option<i64>,
    /// The length of a period. Default: an hour.
    pub by: Option<By>,
}

/// The reply.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// What the table holds, and all counts since the cache exists.
    Totals(Totals),
    /// The lookups of a range of time.
    Series {
        /// The namespace of the request. Null: every namespace that the caller may use.
        namespace: Option<Namespace>,
        /// The range and its periods.
        #[serde(flatten)]
        series: Series,
    },
}

/// The counts.
#[derive(Debug, Serialize)]
pub struct Totals {
    /// The version of the function.
    pub version: &'static str,
    /// The namespace of the request. Null: every namespace that the caller may use.
    pub namespace: Option<Namespace>,
    /// The number of live entries.
    pub entries: u64,
    /// The number of namespaces with live entries.
    pub namespaces: u64,
    /// The number of hits of both layers.
    pub hits: u64,
    /// Hits of each layer, misses, evictions and expirations. Instances write hits and misses up to a minute late.
    #[serde(flatten)]
    pub counts: EventCounts,
    /// The number of mutations that were committed to the whole cache.
    pub version_counter: u64,
    /// The fingerprint of the embedder that the table is stamped with.
    pub embedder_fingerprint: Option<String>,
    /// The dimension that the table is stamped with.
    pub embedder_dim: Option<u32>,
}

/// Reads the counts.
#[derive(Debug)]
pub struct Stats;

impl Operation for Stats {
    const SPEC: &'static OperationSpec = &operations::STATS;
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let scope = invocation.visible_namespaces(request.namespace.as_ref())?;
        let cache = &cache.patient();
        let Request { namespace, from, to, by } = request;
        if from.is_some() || to.is_some() || by.is_some() {
            cache.open().await?;
            let series = series(cache, &scope, from, to, by.unwrap_or(By::Hour)).await?;
            return Ok(Reply::ok(Response::Series { namespace, series }));
        }
        let counter = cache.read_counter().await?;
        let mut totals = table_totals(cache).await?;
        totals.live.retain(|namespace, _| scope.includes(namespace));
        totals.counts.retain(|namespace, _| scope.includes(namespace));
        let mut counts = EventCounts::default();
        totals.counts.values().for_each(|namespace_counts| counts.add(namespace_counts));
        Ok(Reply::ok(Response::Totals(Totals {
            version: env!("CARGO_PKG_VERSION"),
            namespace,
            entries: totals.live.values().sum(),
            namespaces: totals.live.len() as u64,
            hits: counts.hits_exact + counts.hits_semantic,
            counts,
            version_counter: counter.version,
            embedder_fingerprint: counter.fingerprint,
            embedder_dim: counter.dim,
        })))
    }
}
