//! Embeds texts. Usage: `embed DIRECTORY [--pieces]`.
//!
//! Reads one JSON string per line from standard input. Writes one JSON array per line to standard output: the vector of the
//! text, or with `--pieces` the numbers of its word pieces.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;

use mneme_minilm::model::Model;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("usage: embed DIRECTORY [--pieces]")?);
    let pieces = arguments.next().is_some_and(|argument| argument == "--pieces");
    let model = Model::load(&directory).map_err(|error| format!("{error}; {}", error.remediation()))?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lines() {
        let text: String = serde_json::from_str(&line?)?;
        if pieces {
            serde_json::to_writer(&mut out, &model.pieces(&text).numbers)?;
        } else {
            serde_json::to_writer(&mut out, &model.embed(&[&text])[0].values)?;
        }
        writeln!(out)?;
    }
    out.flush()?;
    Ok(())
}
