//! `mneme entries`: lists entries, or shows one.

use std::fmt;

use mneme_api::operations::{GET, LIST};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Done;
use crate::cache::{Cache, Fields};
use crate::exit::Outcome;
use crate::output::{print, printable, shortened, show, table, time};

/// The largest page that the cache returns.
const MAX_PAGE: u64 = 1000;
/// The fields of an entry that a listing has on request: all of them, the embedding included.
pub(crate) const ENTRY_FIELDS: &str = "id,namespace,query_hash,query,response,embedding,metadata,tags,usage,\
                                       confidence_score,created_at,last_accessed_at,expires_at,access_count,stored_by";
/// How much of a question and of an answer a row of the table shows.
const QUESTION_CHARS: usize = 60;
const ANSWER_CHARS: usize = 40;

/// List entries, newest last, or show one entry as a whole.
///
/// With --json each entry is one line. Vectors are left out, unless --vectors is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Entries {
    /// Show this entry.
    #[arg(value_name = "ID", conflicts_with_all = ["namespace", "tag", "text", "lru", "after", "limit"])]
    id: Option<u64>,
    /// List entries of this namespace only.
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// List entries with this tag only.
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// List entries whose question has this part only, in upper or lower case.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// List the least recently used entries first.
    #[arg(long, conflicts_with = "after")]
    lru: bool,
    /// List only ids above this one.
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
    /// The largest number of entries to list.
    #[arg(long, short = 'l', value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// With --json: leave the vectors in.
    #[arg(long)]
    vectors: bool,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
struct Page {
    entries: Vec<Map<String, Value>>,
    cursor: Option<String>,
}

/// The fields of an entry that are shown.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    id: u64,
    namespace: String,
    query: Option<String>,
    response: String,
    metadata: Map<String, Value>,
    tags: Vec<String>,
    confidence_score: f64,
    created_at: i64,
    last_accessed_at: i64,
    expires_at: Option<i64>,
    access_count: u64,
    stored_by: Option<String>,
}

/// Prints the entry, or the list.
///
/// # Errors
/// See [`Cache::call`].
pub(crate) async fn entries(cache: &Cache, arguments: Entries, as_json: bool) -> Done {
    if let Some(id) = arguments.id {
        let mut entry: Map<String, Value> = cache.call(&GET, Fields::new().with("id", id)).await?;
        if !arguments.vectors {
            entry.remove("embedding");
        }
        show::<Entry>(&serde_json::value::to_raw_value(&entry)?, as_json)?;
        return Ok(Outcome::Done);
    }
    let found = list(cache, &arguments).await?;
    if as_json {
        found.into_iter().try_for_each(|entry| print(&Value::Object(entry)))?;
        return Ok(Outcome::Done);
    }
    let mut table = table(&["id", "namespace", "question", "answer", "uses", "created"]);
    for entry in found {
        let entry: Entry = serde_json::from_value(Value::Object(entry))?;
        table.add_row([
            entry.id.to_string(),
            shortened(&entry.namespace, ANSWER_CHARS),
            shortened(entry.query.as_deref().unwrap_or("(not stored)"), QUESTION_CHARS),
            shortened(&entry.response, ANSWER_CHARS),
            entry.access_count.to_string(),
            time(entry.created_at),
        ]);
    }
    print(&table)?;
    Ok(Outcome::Done)
}

/// Reads pages until there are as many entries as asked for, or no more.
async fn list(cache: &Cache, arguments: &Entries) -> Result<Vec<Map<String, Value>>, crate::cache::error::CallError> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let left = arguments.limit - found.len() as u64;
        let fields = Fields::new()
            .with("namespace", arguments.namespace.clone())
            .with("tag", arguments.tag.clone())
            .with("text", arguments.text.clone())
            .with("order", arguments.lru.then_some("lru"))
            .with("after_id", arguments.after.filter(|_| cursor.is_none()))
            .with("limit", left.min(MAX_PAGE))
            .with("fields", arguments.vectors.then_some(ENTRY_FIELDS))
            .with("cursor", cursor);
        let page: Page = cache.call(&LIST, fields).await?;
        found.extend(page.entries);
        cursor = page.cursor;
        if cursor.is_none() || found.len() as u64 >= arguments.limit {
            return Ok(found);
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "entry       {} in {}", self.id, printable(&self.namespace))?;
        writeln!(f, "question    {}", printable(self.query.as_deref().unwrap_or("(not stored)")))?;
        writeln!(f, "metadata    {}", printable(&Value::Object(self.metadata.clone()).to_string()))?;
        if !self.tags.is_empty() {
            writeln!(f, "tags        {}", printable(&self.tags.join(", ")))?;
        }
        writeln!(f, "confidence  {}", self.confidence_score)?;
        let until = self.expires_at.map_or("kept without an end".to_owned(), |at| format!("kept until {}", time(at)));
        writeln!(f, "created     {}, {until}", time(self.created_at))?;
        writeln!(f, "used        {} times, last at {}", self.access_count, time(self.last_accessed_at))?;
        if let Some(caller) = &self.stored_by {
            writeln!(f, "stored by   {}", printable(caller))?;
        }
        write!(f, "\n{}", printable(&self.response))
    }
}
