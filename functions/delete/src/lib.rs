//! `delete`: removes one entry, by id or by its query.

use mneme_core::cache::Cache;
use mneme_core::entry::{Entry, no_such_entry};
use mneme_core::error::Error;
use mneme_core::event::Reply;
use mneme_core::invocation::Invocation;
use mneme_core::key::EntryId;
use mneme_core::limits::check_query_bytes;
use mneme_core::namespace::Namespace;
use mneme_core::normalize::QueryHash;
use mneme_core::runtime::Operation;
use mneme_core::write::remove::{Reason, RowRef};
use serde::{Deserialize, Serialize};

/// Which entry: `id` alone, or `query` with `namespace` (`default` when absent).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its id, from 1.
    pub id: Option<EntryId>,
    /// Its namespace.
    pub namespace: Option<Namespace>,
    /// Its query, as it was put or any text with the same normal form.
    pub query: Option<String>,
}

/// The entry is gone.
#[derive(Debug, Serialize)]
pub struct Response {
    /// Always true; an entry that was not there is `NotFound`.
    pub deleted: bool,
    /// Its id.
    pub id: EntryId,
}

/// The operation.
#[derive(Debug)]
pub struct Delete;

impl Operation for Delete {
    const FUNCTION: &'static str = "delete";
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let id = match (request.id, request.namespace, request.query) {
            (Some(id), None, None) => {
                cache.open().await?;
                let row = cache.live_entry(id).await?.ok_or_else(no_such_entry)?;
                invocation.enter(&row.namespace)?;
                remove(cache, &[row]).await?
            }
            (None, namespace, Some(query)) => {
                check_query_bytes(&query, &cache.config)?;
                let namespace = namespace.unwrap_or_default();
                invocation.enter(&namespace)?;
                cache.open().await?;
                let hash = QueryHash::of(&query, cache.config.normalize);
                loop {
                    let rows = rows_of(cache, &namespace, &hash).await?;
                    let removed = remove(cache, &rows).await?;
                    // Gone between reading and removing: replaced, maybe, so look again.
                    if removed.is_some() || rows.is_empty() {
                        break removed;
                    }
                }
            }
            _ => {
                return Err(Error::invalid(
                    "delete takes an `id`, or a `query` with its `namespace`",
                    "send one of the two",
                ));
            }
        };
        id.map(|id| Reply::ok(Response { deleted: true, id })).ok_or_else(no_such_entry)
    }
}

/// Removes `rows` and returns the id of the last, if any was there.
async fn remove(cache: &Cache, rows: &[Entry]) -> Result<Option<EntryId>, Error> {
    let refs: Vec<RowRef> = rows.iter().map(RowRef::from).collect();
    let removal = cache.remove(&refs, Reason::Asked).await?;
    Ok(rows.last().filter(|_| removal.removed > 0).map(|row| row.id))
}

/// The live entry of the pair, last, and the duplicates that the Python library may have left of it: were they to
/// stay, they would answer in its place.
async fn rows_of(cache: &Cache, namespace: &Namespace, hash: &QueryHash) -> Result<Vec<Entry>, Error> {
    let Some(entry) = cache.entry_by_hash(namespace, hash).await? else { return Ok(Vec::new()) };
    let mut rows = cache.rows_of_pair(namespace, hash, Some(entry.id)).await?;
    rows.retain(|row| row.id != entry.id && !row.is_expired(cache.now_secs()));
    rows.push(entry);
    Ok(rows)
}
