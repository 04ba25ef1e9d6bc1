//! `delete`: deletes one entry, by its id or by its namespace and question, or the entries that have a tag.

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::entries::{indexed_rows, live_row, row_by_hash};
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_core::write::delete_tagged::{TaggedSlice, delete_tagged};
use mneme_core::write::{self, remove::Reason};
use mneme_model::entry::{Entry, EntryHeader, no_such_entry};
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;
use mneme_model::question::{Message, Question};
use mneme_model::tag::Tag;
use mneme_store::tag_deletion::TagDeletion;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A deletion by tag ends after the block of ids with which it has deleted this many entries.
const MAX_TAGGED: u64 = 2000;

/// A request to delete: either `id` alone, or `query` or `messages` with the entry's `namespace` and `context`, or
/// `namespace` and `tag`, with the `cursor` of the reply before.
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
    /// Deletes every entry of `namespace` that has this tag.
    pub tag: Option<Tag>,
    /// Where a deletion by `tag` continues: the last reply's `cursor`. Default: a deletion begins.
    pub cursor: Option<String>,
}

/// The result of a delete.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// One entry was deleted.
    One {
        /// Always true. A missing entry is the error `NotFound`.
        deleted: bool,
        /// The id of the deleted entry.
        id: EntryId,
    },
    /// Entries with a tag were deleted.
    Tagged {
        /// The number of live entries that this call deleted. It may be 0.
        deleted_entries: u64,
        /// The cursor of the next call. Null: no entry that had the tag when the deletion began is left. Without a next
        /// call, `vacuum` finishes the deletion.
        cursor: Option<String>,
    },
}

/// Deletes entries.
#[derive(Debug)]
pub struct Delete;

impl Operation for Delete {
    const SPEC: &'static OperationSpec = &operations::DELETE;
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let Request { id, namespace, query, messages, context, tag, cursor } = request;
        let has_question = query.is_some() || messages.is_some();
        if tag.is_some() || cursor.is_some() {
            return match (namespace, tag) {
                (Some(namespace), Some(tag)) if id.is_none() && !has_question && context.is_none() => {
                    invocation.authorize(&namespace)?;
                    Ok(Reply::ok(tagged(&cache.patient(), namespace, tag, cursor.as_deref()).await?))
                }
                _ => Err(Error::invalid(
                    "a deletion by `tag` takes a `namespace` and a `tag`, and the `cursor` of the reply before",
                    "send these alone, or an `id` or a question without them",
                )),
            };
        }
        let id = match id {
            Some(id) if namespace.is_none() && !has_question && context.is_none() => {
                cache.open().await?;
                let row = live_row(cache, id).await?.ok_or_else(no_such_entry)?;
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
                    "delete takes an `id`, or a `query` or `messages` with its `namespace`, or a `namespace` with a `tag`",
                    "send one of them",
                ));
            }
        };
        id.map(|id| Reply::ok(Response::One { deleted: true, id })).ok_or_else(no_such_entry)
    }
}

/// Deletes entries of `namespace` that have `tag`: up to [`MAX_TAGGED`] and a block, or as many as the time suffices for.
async fn tagged(cache: &Cache, namespace: Namespace, tag: Tag, cursor: Option<&str>) -> Result<Response, Error> {
    let (first, deletion) = match cursor {
        Some(cursor) => {
            let (first, before_id, asked_at) = position(cursor)?;
            (first, TagDeletion { namespace, tag, before_id, asked_at })
        }
        None => {
            let before_id = cache.read_counter().await?.next_id;
            let deletion = TagDeletion { namespace, tag, before_id, asked_at: cache.now_secs() };
            cache.table.record_tag_deletion(&deletion).await?;
            (0, deletion)
        }
    };
    let TaggedSlice { removed, next } = delete_tagged(cache, &deletion, first, MAX_TAGGED, |_| true).await?;
    let cursor = next.map(|next| format!("{next}.{}.{}", deletion.before_id, deletion.asked_at));
    Ok(Response::Tagged { deleted_entries: removed, cursor })
}

/// The range of ids, the counter's next id and the time in a cursor of [`tagged`]. Errors: `InvalidRequest`.
fn position(cursor: &str) -> Result<(u64, u64, i64), Error> {
    let parsed = || {
        let (first, rest) = cursor.split_once('.')?;
        let (before_id, asked_at) = rest.split_once('.')?;
        Some((first.parse().ok()?, before_id.parse().ok()?, asked_at.parse().ok()?))
    };
    parsed().ok_or_else(|| {
        Error::invalid(
            "cursor: not a cursor of a deletion by tag",
            "send the last reply's `cursor` with the same `tag`",
        )
    })
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
    let Some(entry) = row_by_hash(cache, namespace, hash).await? else { return Ok(Vec::new()) };
    let mut rows = indexed_rows(cache, namespace, hash, Some(entry.id)).await?;
    rows.retain(|row| row.id != entry.id && !row.is_expired(cache.now_secs()));
    rows.push(entry);
    Ok(rows)
}
