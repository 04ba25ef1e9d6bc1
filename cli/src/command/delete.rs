//! `mneme delete`: deletes entries by id or by tag, or one by its question.

use std::fmt;

use mneme_api::operations::DELETE;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::Done;
use super::progress::{bar, report_retry};
use crate::arguments::Surroundings;
use crate::cache::{Cache, Fields};
use crate::exit::Outcome;
use crate::output::{print, show};

/// Delete entries by id, one entry by its question, or all entries of a namespace that have a tag.
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// The question of the entry.
    #[arg(value_name = "QUESTION", required_unless_present_any = ["messages", "ids", "tag"], conflicts_with = "messages")]
    query: Option<String>,
    #[command(flatten)]
    surroundings: Surroundings,
    /// Ids of entries.
    #[arg(
        long = "id",
        value_name = "ID",
        num_args = 1..,
        conflicts_with_all = ["query", "messages", "context", "namespace"]
    )]
    ids: Vec<u64>,
    /// Delete the entries with this tag in the namespace, which must be named.
    #[arg(long, value_name = "TAG", requires = "namespace", conflicts_with_all = ["query", "messages", "context", "ids"])]
    tag: Option<String>,
}

/// The reply to a delete.
#[derive(Debug, Deserialize)]
struct Deleted {
    id: u64,
}

/// The reply to a slice of a deletion by tag.
#[derive(Debug, Deserialize)]
struct Slice {
    deleted_entries: u64,
    cursor: Option<String>,
}

/// Deletes the entries and prints their ids, one by one, or with --tag their number.
///
/// # Errors
/// An entry does not exist; those before it are deleted. See also [`Cache::call`].
pub(crate) async fn delete(cache: &Cache, arguments: Delete, as_json: bool) -> Done {
    let Delete { query, surroundings, ids, tag } = arguments;
    if let Some(tag) = tag {
        return delete_tagged(cache, surroundings.into_fields().with("tag", tag), as_json).await;
    }
    let requests: Vec<Fields> = match ids.as_slice() {
        [] => vec![surroundings.into_fields().with("query", query)],
        ids => ids.iter().map(|id| Fields::new().with("id", *id)).collect(),
    };
    for fields in requests {
        let reply: Box<RawValue> = cache.call(&DELETE, fields).await?;
        show::<Deleted>(&reply, as_json)?;
    }
    Ok(Outcome::Done)
}

/// Deletes slice by slice, and goes on after a failure that may pass.
async fn delete_tagged(cache: &Cache, fields: Fields, as_json: bool) -> Done {
    let bar = bar("{spinner} {msg}");
    let (mut deleted, mut cursor) = (0, None::<String>);
    loop {
        let fields = fields.clone().with("cursor", cursor);
        let slice: Slice = cache.call_patiently(&DELETE, fields, |error| report_retry(&bar, error)).await?;
        deleted += slice.deleted_entries;
        bar.set_message(format!("{deleted} entries deleted"));
        cursor = slice.cursor;
        if cursor.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    if as_json {
        print(&json!({ "deleted_entries": deleted }))?
    } else {
        print(&format!("deleted   {deleted} entries"))?
    }
    Ok(Outcome::Done)
}

impl fmt::Display for Deleted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deleted   entry {}", self.id)
    }
}
