//! `delete`: deletes one entry, by its id or by its namespace and question.

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::entries::{entry_by_hash, indexed_rows, live_entry};
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::write::{self, remove::Reason};
use mneme_model::entry::{Entry, EntryHeader, no_such_entry};
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use mneme_model::question::{Message, Question};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A request to delete: either `id` alone, or `query` or `messages` with the entry's `namespace` and `context`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The entry's id, from 1.
    pub id: Option<EntryId>,
    /// The entry's namespace. Default: `default`.
    pub namespace: Option<Namespace>,
    /// The entry's query, or any text with the same normal form.
    pub query: Option<String>,
    /// In place of `query`: the conversation of the put.
    pub messages: Option<Vec<Message>>,
    /// The context of the put.
    pub context: Option<Map<String, Value>>,
}

/// The result of a delete.
#[derive(Debug, Serialize)]
pub struct Response {
    /// Always true. A missing entry is the error `NotFound`.
    pub deleted: bool,
    /// The id of the deleted entry.
    pub id: EntryId,
}

/// Deletes one entry.
#[derive(Debug)]
pub struct Delete;

impl Operation for Delete {
    const SPEC: &'static OperationSpec = &operations::DELETE;
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let Request { id, namespace, query, messages, context } = request;
        let has_question = query.is_some() || messages.is_some();
        let id = match id {
            Some(id) if namespace.is_none() && !has_question && context.is_none() => {
                cache.open().await?;
                let row = live_entry(cache, id).await?.ok_or_else(no_such_entry)?;
                invocation.authorize(&row.namespace)?;
                remove(cache, &[row]).await?
            }
            None if has_question => {
                let question = Question::of(query.as_deref(), messages.as_deref(), context.as_ref(), &cache.config)?;
                let namespace = namespace.unwrap_or_default();
                invocation.authorize(&namespace)?;
                cache.open().await?;
                loop {
                    let rows = rows_of(cache, &namespace, &question.hash).await?;
                    let removed = remove(cache, &rows).await?;
                    // Another writer took the rows after the read. It may have replaced the entry, so look again.
                    if removed.is_some() || rows.is_empty() {
                        break removed;
                    }
                }
            }
            _ => {
                return Err(Error::invalid(
                    "delete takes an `id`, or a `query` or `messages` with its `namespace`",
                    "send one of them",
                ));
            }
        };
        id.map(|id| Reply::ok(Response { deleted: true, id })).ok_or_else(no_such_entry)
    }
}

/// Removes `rows`. Returns the id of the last one if any row was still there.
async fn remove(cache: &Cache, rows: &[Entry]) -> Result<Option<EntryId>, Error> {
    let refs: Vec<EntryHeader> = rows.iter().map(EntryHeader::from).collect();
    let removal = write::remove::remove(cache, &refs, Reason::Requested).await?;
    Ok(rows.last().filter(|_| removal.removed > 0).map(|row| row.id))
}

/// The live rows of an entry key: first the duplicates that the Python library may have left, last the live entry.
///
/// The duplicates are deleted too. Otherwise one of them would answer in place of the deleted entry.
async fn rows_of(cache: &Cache, namespace: &Namespace, hash: &QueryHash) -> Result<Vec<Entry>, Error> {
    let Some(entry) = entry_by_hash(cache, namespace, hash).await? else { return Ok(Vec::new()) };
    let mut rows = indexed_rows(cache, namespace, hash, Some(entry.id)).await?;
    rows.retain(|row| row.id != entry.id && !row.is_expired(cache.now_secs()));
    rows.push(entry);
    Ok(rows)
}
