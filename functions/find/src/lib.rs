//! `find`: reads one entry by its namespace and the hash of its normalised question.

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::entries::entry_by_hash;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::entry::{Entry, no_such_entry};
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use serde::Deserialize;

/// A request to find an entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The entry's namespace. Default: `default`.
    #[serde(default)]
    pub namespace: Namespace,
    /// SHA-256 of the normalised question: 64 hexadecimal digits.
    pub query_hash: QueryHash,
}

/// Reads one entry by its entry key.
#[derive(Debug)]
pub struct Find;

impl Operation for Find {
    const SPEC: &'static OperationSpec = &operations::FIND;
    type Request = Request;
    type Response = Entry;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Entry>, Error> {
        invocation.authorize(&request.namespace)?;
        cache.open().await?;
        let found = entry_by_hash(cache, &request.namespace, &request.query_hash).await?;
        found.map(Reply::ok).ok_or_else(no_such_entry)
    }
}
