//! `find`: one entry by the hash of its normalised query.

use mneme_core::cache::Cache;
use mneme_core::entry::{Entry, no_such_entry};
use mneme_core::error::Error;
use mneme_core::event::Reply;
use mneme_core::invocation::Invocation;
use mneme_core::namespace::Namespace;
use mneme_core::normalize::QueryHash;
use mneme_core::runtime::Operation;
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
        invocation.enter(&request.namespace)?;
        cache.open().await?;
        let found = cache.entry_by_hash(&request.namespace, &request.query_hash).await?;
        found.map(Reply::ok).ok_or_else(no_such_entry)
    }
}
