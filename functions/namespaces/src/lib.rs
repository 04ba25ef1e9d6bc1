//! `namespaces`: the names in use, sorted, with their live entry counts.

use mneme_core::cache::Cache;
use mneme_core::census::Census;
use mneme_core::error::Error;
use mneme_core::event::{NoFields, Reply};
use mneme_core::invocation::Invocation;
use mneme_core::namespace::Namespace;
use mneme_core::runtime::Operation;
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
        let scope = invocation.scope(None)?;
        cache.open().await?;
        let Census { live, .. } = cache.census().await?;
        let own = live.into_iter().filter(|(namespace, _)| scope.includes(namespace));
        let namespaces = own.map(|(namespace, entries)| NamespaceCount { namespace, entries }).collect();
        Ok(Reply::ok(Response { namespaces }))
    }
}
