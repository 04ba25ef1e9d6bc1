//! `mneme patch`: changes parts of an entry.

use mneme_api::operations::UPDATE;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Done;
use super::entries::Entry;
use crate::arguments::{answer, parse_object};
use crate::cache::{Cache, Fields};
use crate::exit::Outcome;
use crate::output::show;

/// Change parts of an entry, and leave the others as they are.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct Patch {
    /// The entry.
    #[arg(value_name = "ID")]
    id: u64,
    /// The new answer; `-` reads it from stdin.
    #[arg(long, short, value_name = "TEXT", group = "change")]
    answer: Option<String>,
    /// The new metadata, in place of all of the old.
    #[arg(long, value_name = "JSON", value_parser = parse_object, group = "change")]
    metadata: Option<Map<String, Value>>,
    /// A new tag, in place of all of the old; may be given several times.
    #[arg(long = "tag", value_name = "TAG", group = "change")]
    tags: Vec<String>,
    /// Remove all tags.
    #[arg(long, conflicts_with = "tags", group = "change")]
    no_tags: bool,
    /// The new trust in the answer.
    #[arg(long, value_name = "0..1", group = "change")]
    confidence: Option<f64>,
    /// The seconds from now on that the entry still lives.
    #[arg(long, value_name = "SECONDS", group = "change")]
    ttl: Option<u64>,
    /// Let the entry live for ever.
    #[arg(long, conflicts_with = "ttl", group = "change")]
    forever: bool,
}

/// Changes the entry and prints it as it is then.
///
/// # Errors
/// stdin cannot be read; see also [`Cache::call`].
pub(crate) async fn patch(cache: &Cache, arguments: Patch, as_json: bool) -> Done {
    let Patch { id, answer: text, metadata, tags, no_tags, confidence, ttl, forever } = arguments;
    let fields = Fields::new()
        .with("id", id)
        .with("response", text.map(answer).transpose()?)
        .with("metadata", metadata)
        .with("tags", (no_tags || !tags.is_empty()).then_some(tags))
        .with("confidence_score", confidence)
        .with("ttl_seconds", ttl)
        .with("never_expires", forever.then_some(true));
    let reply: Box<RawValue> = cache.call(&UPDATE, fields).await?;
    show::<Entry>(&reply, as_json)?;
    Ok(Outcome::Done)
}
