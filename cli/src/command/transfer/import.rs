//! Puts the entries of a file into a cache.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use indicatif::ProgressBar;
use mneme_api::operations::PUT;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::line::{Line, NotImported};
use super::position::PositionFile;
use crate::cache::error::is_transient_status;
use crate::cache::{Cache, Fields};
use crate::command::progress::{bar, report_retry};
use crate::command::{Done, vacuum};
use crate::exit::Outcome;
use crate::output::{print, printable};

/// The largest number of entries that a put takes.
const MAX_ENTRIES: usize = 1000;
/// The size at which a put is sent. With one more entry it stays below the 6 MB of a Lambda payload.
const MAX_BYTES: usize = 4_000_000;
/// From this number of entries on, segments are written. Two ranges of 1,024 ids have a basis to train on.
const VACUUM_FROM: u64 = 2048;
/// How often entries that a put could not store for now are sent again.
const MAX_ROUNDS: u32 = 5;

/// Put the entries of an exported file into a cache.
///
/// An entry of the same question is replaced. The rest of an entry's time to live counts from the import on, and its
/// age starts again. An import that was interrupted continues when the command runs again: the file FILE.position
/// remembers how far it came. A large import ends with a vacuum, which writes the segments that new instances read.
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The file, as `mneme export` writes it.
    #[arg(value_name = "FILE.jsonl")]
    file: PathBuf,
    /// Put the entries into this namespace. Default: each into its own.
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Leave the vectors out, so that the cache's embedder makes new ones.
    #[arg(long)]
    without_vectors: bool,
    /// Keep entries of the same question that the cache has.
    #[arg(long)]
    if_absent: bool,
    /// Do not vacuum after a large import.
    #[arg(long)]
    no_vacuum: bool,
}

/// What became of the lines of the file.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// Lines that an earlier run had imported.
    continued_after: u64,
    stored: u64,
    kept: u64,
    /// Entries whose time to live is over.
    expired: u64,
    /// Entries that were put with a context or in a conversation.
    in_context: u64,
    /// Entries without a stored question.
    without_question: u64,
    /// Entries that the cache does not store, such as refusals.
    skipped: u64,
    refused: u64,
}

/// The result of an entry in the reply to a batch.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum PutResult {
    Refused {
        error: Problem,
    },
    Skipped {
        skipped: String,
    },
    Stored {
        #[serde(default)]
        kept: bool,
    },
}

#[derive(Debug, Deserialize)]
struct Problem {
    status: u16,
    detail: String,
    remediation: String,
}

#[derive(Deserialize)]
struct PutReply {
    results: Vec<PutResult>,
}

/// An entry that is to be put, and the number of its line, from 1.
struct Numbered {
    line: u64,
    entry: Map<String, Value>,
}

/// Imports the file, and prints what became of its lines.
///
/// # Errors
/// The file cannot be read, or a line is no entry, which the error names. See also [`Cache::call`]. The position is
/// kept.
pub(crate) async fn import(cache: &Cache, arguments: Import, as_json: bool) -> Done {
    let path = &arguments.file;
    let in_file = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(in_file)?;
    let position = PositionFile::of(path);
    let done_before = position.lines(cache.name());
    let bar = bar("{wide_bar} {bytes}/{total_bytes}, {eta} left {msg}");
    bar.set_length(file.metadata().map_err(in_file)?.len());

    let mut summary = Summary { continued_after: done_before, ..Summary::default() };
    let mut batch: Vec<Numbered> = Vec::new();
    let (mut bytes, mut read, mut line) = (0, 0_u64, 0_u64);
    let mut reader = BufReader::new(file);
    let mut text = String::new();
    loop {
        text.clear();
        let is_end = reader.read_line(&mut text).map_err(in_file)? == 0;
        if is_end || batch.len() == MAX_ENTRIES || bytes + text.len() > MAX_BYTES {
            put(cache, &bar, std::mem::take(&mut batch), &mut summary).await?;
            position.set(cache.name(), line)?;
            bar.set_position(read);
            bytes = 0;
        }
        if is_end {
            break;
        }
        line += 1;
        read += text.len() as u64;
        if line <= done_before || text.trim().is_empty() {
            continue;
        }
        let parsed: Line =
            serde_json::from_str(&text).map_err(|error| format!("{}, line {line}: {error}", path.display()))?;
        match parsed.into_put(now_secs()) {
            Err(NotImported::Expired) => summary.expired += 1,
            Err(NotImported::InContext) => summary.in_context += 1,
            Err(NotImported::WithoutQuestion) => summary.without_question += 1,
            Ok(mut entry) => {
                arguments.adapt(&mut entry);
                bytes += text.len();
                batch.push(Numbered { line, entry });
            }
        }
    }
    position.remove()?;
    bar.finish_and_clear();
    if summary.stored >= VACUUM_FROM && !arguments.no_vacuum {
        vacuum::until_the_end(cache, None).await?;
    }
    match as_json {
        true => print(&json!(summary))?,
        false => print(&summary)?,
    }
    Ok(if summary.refused == 0 { Outcome::Done } else { Outcome::Unwell })
}

impl Import {
    /// Changes the fields of a put as the arguments say.
    fn adapt(&self, entry: &mut Map<String, Value>) {
        if let Some(namespace) = &self.namespace {
            entry.insert("namespace".to_owned(), namespace.as_str().into());
        }
        if self.without_vectors {
            entry.remove("embedding");
        }
        if self.if_absent {
            entry.insert("if_absent".to_owned(), true.into());
        }
    }
}

/// Puts the entries. Those that could not be stored for now are put again, up to five times.
async fn put(
    cache: &Cache,
    bar: &ProgressBar,
    mut batch: Vec<Numbered>,
    summary: &mut Summary,
) -> Result<(), Box<dyn Error>> {
    for round in 0.. {
        if batch.is_empty() {
            break;
        }
        let entries: Vec<Value> = batch.iter().map(|Numbered { entry, .. }| entry.clone().into()).collect();
        let fields = Fields::new().with("entries", entries);
        let PutReply { results } = cache.call_patiently(&PUT, fields, |error| report_retry(bar, error)).await?;
        if results.len() != batch.len() {
            return Err(format!("{} entries were sent and {} results came back", batch.len(), results.len()).into());
        }
        let mut again = Vec::new();
        for (entry, result) in batch.into_iter().zip(results) {
            match result {
                PutResult::Stored { kept: false } => summary.stored += 1,
                PutResult::Stored { kept: true } => summary.kept += 1,
                PutResult::Skipped { skipped } => {
                    bar.suspend(|| eprintln!("line {}: not stored: {}", entry.line, printable(&skipped)));
                    summary.skipped += 1;
                }
                PutResult::Refused { error } if round < MAX_ROUNDS && is_transient_status(error.status) => {
                    again.push(entry);
                }
                PutResult::Refused { error: Problem { detail, remediation, .. } } => {
                    bar.suspend(|| eprintln!("line {}: {}; {remediation}", entry.line, printable(&detail)));
                    summary.refused += 1;
                }
            }
        }
        batch = again;
    }
    Ok(())
}

fn now_secs() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:9} imported", self.stored)?;
        for (count, what) in [
            (self.continued_after, "lines that an earlier run imported"),
            (self.kept, "kept: the cache had an entry of the question"),
            (self.expired, "expired"),
            (self.in_context, "not imported: the file does not have the context that they depend on"),
            (self.without_question, "not imported: only the hash of their question is stored"),
            (self.skipped, "not stored: see the lines above"),
            (self.refused, "refused: see the lines above"),
        ] {
            if count > 0 {
                write!(f, "\n{count:9} {what}")?;
            }
        }
        Ok(())
    }
}
