//! Writes the entries of a cache into a file.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use mneme_api::operations::LIST;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::cache::{Cache, Fields};
use crate::command::Done;
use crate::command::entries::ENTRY_FIELDS;
use crate::command::progress::{bar, report_retry};
use crate::exit::Outcome;
use crate::output::print;

/// Entries of a page. Its reply stays below the 6 MB of a Lambda payload: the cache ends a page early if they are large.
const PAGE: u64 = 1000;

/// Write entries as JSON Lines, with their vectors, in the order of their ids.
///
/// An export that was interrupted continues with --continue: behind the last entry in the file. Entries that are put
/// meanwhile are exported as well.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The file; `-` is stdout.
    #[arg(value_name = "FILE.jsonl")]
    file: PathBuf,
    /// Export this namespace only.
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Continue an export to this file.
    #[arg(long = "continue")]
    continues: bool,
}

/// The start of each line.
const ENTRY_START: &[u8] = b"{\"";

/// A page of a list. The entries stay as they came.
#[derive(Deserialize)]
struct Page {
    entries: Vec<Box<RawValue>>,
    cursor: Option<String>,
}

/// Exports the entries, and prints their number.
///
/// # Errors
/// The file exists and --continue was not given, or it cannot be written. See also [`Cache::call`]; the file keeps what
/// was written.
pub(crate) async fn export(cache: &Cache, arguments: Export, as_json: bool) -> Done {
    let Export { file, namespace, continues } = arguments;
    let to_stdout = file == Path::new("-");
    let (mut out, after_id): (Box<dyn Write>, Option<u64>) = match to_stdout {
        true => (Box::new(io::stdout()), None),
        false => {
            let (file, last) = open(&file, continues)?;
            (Box::new(BufWriter::new(file)), last)
        }
    };
    let bar = bar("{spinner} {pos} entries, {per_sec} {msg}");
    let mut cursor: Option<String> = None;
    let mut count = 0_u64;
    loop {
        let fields = Fields::new()
            .with("namespace", namespace.clone())
            .with("after_id", after_id.filter(|_| cursor.is_none()))
            .with("limit", PAGE)
            .with("fields", ENTRY_FIELDS)
            .with("cursor", cursor);
        let page: Page = cache.call_patiently(&LIST, fields, |error| report_retry(&bar, error)).await?;
        for entry in &page.entries {
            writeln!(out, "{entry}")?;
        }
        out.flush()?;
        count += page.entries.len() as u64;
        bar.set_position(count);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    match (to_stdout, as_json) {
        (true, _) => eprintln!("exported  {count} entries"),
        (false, true) => print(&json!({ "exported": count }))?,
        (false, false) => print(&format!("exported  {count} entries to {}", file.display()))?,
    }
    Ok(Outcome::Done)
}

/// Opens the file to write behind its last whole line. Returns also the id of the entry in that line.
fn open(path: &Path, continues: bool) -> Result<(File, Option<u64>), Box<dyn Error>> {
    let in_file = |error: io::Error| format!("{}: {error}", path.display());
    if !continues {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        return match file {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(format!("{} exists; continue with --continue, or remove it", path.display()).into())
            }
            file => Ok((file.map_err(in_file)?, None)),
        };
    }
    let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(in_file)?;
    let (end, last) = last_entry(&file).map_err(|error| format!("{}: {error}", path.display()))?;
    // An interrupted export may have left the start of a line.
    file.set_len(end).map_err(in_file)?;
    Ok((file, last))
}

/// The length of the file's whole lines, and the id in the last of them.
fn last_entry(file: &File) -> Result<(u64, Option<u64>), Box<dyn Error>> {
    #[derive(Deserialize)]
    struct Id {
        id: u64,
    }
    let mut reader = BufReader::new(file);
    let (mut end, mut last, mut line) = (0, Vec::new(), Vec::new());
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            break;
        }
        end += line.len() as u64;
        std::mem::swap(&mut last, &mut line);
    }
    let is_entry = line.starts_with(ENTRY_START) || ENTRY_START.starts_with(&line);
    let no_export = |what: &str| format!("{what} is no entry; is it the file of an export?");
    match (is_entry, last.is_empty()) {
        (false, _) => Err(no_export("the last, unfinished line").into()),
        (true, true) => Ok((end, None)),
        (true, false) => {
            let Id { id } =
                serde_json::from_slice(&last).map_err(|error| no_export(&format!("the last line ({error})")))?;
            Ok((end, Some(id)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_to_continue_drops_a_torn_line_and_finds_the_last_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.jsonl");
        std::fs::write(&path, "{\"id\":3}\n{\"id\":7,\"query\":null}\n{\"id\":9,\"que").unwrap();
        let (mut file, last) = open(&path, true).unwrap();
        assert_eq!(last, Some(7));
        file.write_all(b"{\"id\":8}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"id\":3}\n{\"id\":7,\"query\":null}\n{\"id\":8}\n");
    }

    #[test]
    fn open_of_a_file_that_is_no_export_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.jsonl");
        assert_eq!(open(&path, true).unwrap().1, None);
        assert!(open(&path, false).unwrap_err().to_string().contains("exists; continue with --continue"));
        for note in ["a note\n", "a note", "{\"id\":1}\na note"] {
            std::fs::write(&path, note).unwrap();
            assert!(open(&path, true).unwrap_err().to_string().contains("is it the file of an export?"));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), note);
        }
    }
}
