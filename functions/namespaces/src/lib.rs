//! `namespaces`: lists the namespaces that have live entries, with the number of entries.

use mneme_api::event::{NoFields, Reply};
use mneme_api::operations::{self, OperationSpec};
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
    /// The name.
    pub namespace: Namespace,
    /// The number of live entries, at least one.
    pub entries: u64,
}

/// The namespaces that the caller may use.
#[derive(Debug, Serialize)]
pub struct Response {
    /// Sorted by name.
    pub namespaces: Vec<NamespaceCount>,
}

/// Lists the namespaces.
#[derive(Debug)]
pub struct Namespaces;

impl Operation for Namespaces {
    const SPEC: &'static OperationSpec = &operations::NAMESPACES;
    type Request = NoFields;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, _: NoFields) -> Result<Reply<Response>, Error> {
        let scope = invocation.visible_namespaces(None)?;
        let cache = &cache.patient();
        cache.open().await?;
        let TableTotals { live, .. } = table_totals(cache).await?;
        let own = live.into_iter().filter(|(namespace, _)| scope.includes(namespace));
        let namespaces = own.map(|(namespace, entries)| NamespaceCount { namespace, entries }).collect();
        Ok(Reply::ok(Response { namespaces }))
    }
}
