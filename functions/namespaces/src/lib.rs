//! `namespaces`: the names in use, sorted, with their live entry counts.

use mneme_core::cache::Cache;
use mneme_core::census::Census;
use mneme_core::error::Error;
use mneme_core::event::{NoFields, Reply};
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

/// All of them.
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

    async fn handle(&self, cache: &Cache, _: NoFields) -> Result<Reply<Response>, Error> {
        cache.open().await?;
        let Census { live, .. } = cache.census().await?;
        let namespaces = live.into_iter().map(|(namespace, entries)| NamespaceCount { namespace, entries }).collect();
        Ok(Reply::ok(Response { namespaces }))
    }
}
