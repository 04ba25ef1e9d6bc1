//! `mneme delete`: deletes entries by id, or one by its question.

use std::fmt;

use mneme_api::operations::DELETE;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Done;
use crate::arguments::Surroundings;
use crate::cache::{Cache, Fields};
use crate::exit::Outcome;
use crate::output::show;

/// Delete entries by id, or one entry by its question.
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// The question of the entry.
    #[arg(value_name = "QUESTION", required_unless_present_any = ["messages", "ids"], conflicts_with = "messages")]
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
}

/// The reply to a delete.
#[derive(Debug, Deserialize)]
struct Deleted {
    id: u64,
}

/// Deletes the entries and prints their ids, one by one.
///
/// # Errors
/// An entry does not exist; those before it are deleted. See also [`Cache::call`].
pub(crate) async fn delete(cache: &Cache, arguments: Delete, as_json: bool) -> Done {
    let Delete { query, surroundings, ids } = arguments;
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

impl fmt::Display for Deleted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deleted   entry {}", self.id)
    }
}
