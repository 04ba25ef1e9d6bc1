//! `mneme put`: stores one answer.

use std::fmt;

use mneme_api::operations::PUT;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Done;
use crate::arguments::{Question, answer, parse_object};
use crate::cache::Cache;
use crate::exit::Outcome;
use crate::output::{printable, show};

/// Store the answer to a question. An entry of the same question is replaced.
#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    /// The answer; `-` reads it from stdin.
    #[arg(long, short, value_name = "TEXT")]
    answer: String,
    #[command(flatten)]
    question: Question,
    /// A JSON object that is stored with the answer.
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    metadata: Option<Map<String, Value>>,
    /// A tag, by which the entry is found and deleted; may be given several times.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Time to live in seconds. Default: as configured.
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
    /// How much the answer is trusted. Default: 1.
    #[arg(long, value_name = "0..1")]
    confidence: Option<f64>,
    /// Keep an entry of the same question and store nothing.
    #[arg(long)]
    if_absent: bool,
}

/// The reply to a put.
#[derive(Debug, Deserialize)]
struct Stored {
    created: bool,
    id: Option<u64>,
    #[serde(default)]
    kept: bool,
    skipped: Option<String>,
}

/// Stores the answer and prints the entry's id.
///
/// # Errors
/// stdin cannot be read; see also [`Cache::call`].
pub(crate) async fn put(cache: &Cache, arguments: Put, as_json: bool) -> Done {
    let Put { answer: text, question, metadata, tags, ttl, confidence, if_absent } = arguments;
    let fields = question.into_fields().with("response", answer(text)?).with("metadata", metadata);
    let fields = fields.with("tags", Some(tags).filter(|tags| !tags.is_empty())).with("ttl_seconds", ttl);
    let fields = fields.with("confidence_score", confidence).with("if_absent", if_absent.then_some(true));
    let reply: Box<RawValue> = cache.call(&PUT, fields).await?;
    show::<Stored>(&reply, as_json)?;
    let stored: Stored = serde_json::from_str(reply.get())?;
    Ok(if stored.skipped.is_some() { Outcome::Unwell } else { Outcome::Done })
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.skipped, self.id.unwrap_or_default()) {
            (Some(reason), _) => write!(f, "not stored: {}", printable(reason)),
            (None, id) if self.kept => write!(f, "kept      entry {id}"),
            (None, id) if self.created => write!(f, "stored    entry {id}"),
            (None, id) => write!(f, "replaced  entry {id}"),
        }
    }
}
