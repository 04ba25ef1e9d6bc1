//! `namespaces`: the names in use, sorted, with their live entry counts.

use mneme_api::event::{NoFields, Reply};
use mneme_core::cache::Cache;
use mneme_core::maintain::totals::{TableTotals, table_totals};
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use serde::Serialize;

/// One namespace.
#[derive(Debug, Serialize)]
pub struct NamespaceCount {
    /// Its name.
    pub namespace: Namespace,
    /// How many live entries it has, at least one.
    pub entries: u64,
}

/// Those that the caller may use.
#[derive(Debug, Serialize)]
pub struct Response {
    /// By name.
    pub namespaces: Vec<NamespaceCount>,
}

/// The operation.
#[derive(Debug)]
pub struct Namespaces;

impl Operation for Namespaces {
    const FUNCTION: &'static str = "namespaces";
    type Request = NoFields;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, _: NoFields) -> Result<Reply<Response>, Error> {
        let scope = invocation.visible_namespaces(None)?;
        cache.open().await?;
        let TableTotals { live, .. } = table_totals(cache).await?;
        let own = live.into_iter().filter(|(namespace, _)| scope.includes(namespace));
        let namespaces = own.map(|(namespace, entries)| NamespaceCount { namespace, entries }).collect();
        Ok(Reply::ok(Response { namespaces }))
    }
}
