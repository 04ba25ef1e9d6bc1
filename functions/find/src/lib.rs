//! `find`: one entry by the hash of its normalised query.

use mneme_api::event::Reply;
use mneme_core::cache::Cache;
use mneme_core::entries::entry_by_hash;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::entry::{Entry, no_such_entry};
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use serde::Deserialize;

/// Which entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Where; `default` when absent.
    #[serde(default)]
    pub namespace: Namespace,
    /// SHA-256 of the normalised query, 64 hexadecimal digits.
    pub query_hash: QueryHash,
}

/// The operation.
#[derive(Debug)]
pub struct Find;

impl Operation for Find {
    const FUNCTION: &'static str = "find";
    type Request = Request;
    type Response = Entry;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Entry>, Error> {
        invocation.authorize(&request.namespace)?;
        cache.open().await?;
        let found = entry_by_hash(cache, &request.namespace, &request.query_hash).await?;
        found.map(Reply::ok).ok_or_else(no_such_entry)
    }
}
