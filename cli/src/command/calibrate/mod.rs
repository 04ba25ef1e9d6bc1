//! `mneme calibrate`: the cache's function `calibrate` on a file of labelled pairs.

mod curve;
mod pairs;
mod report;
mod target;

use std::error::Error;
use std::path::PathBuf;

use mneme_api::operations::CALIBRATE;
use serde_json::value::RawValue;

use self::pairs::Pairs;
use self::report::{Reply, Report};
use self::target::Target;
use super::Done;
use crate::cache::error::CallError;
use crate::cache::{Cache, Fields};
use crate::exit::Outcome;
use crate::output::print;

/// Find the best similarity threshold for labelled pairs of questions, and report what it yields.
///
/// FILE has one pair per line, in the form of a request to `POST /v1/calibrate`:
/// {"a": "Where is my order?", "b": "Has my order been sent?", "same": true, "similarity": 0.91}. Instead of a text and
/// the similarity, each side may be an object of `query` (or `messages`) and `embedding`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Calibrate {
    /// The pairs, as JSON Lines.
    #[arg(value_name = "FILE.jsonl")]
    file: PathBuf,
    /// What to optimise: `f1`, or `max-wrong=0.05` for the most hits with at most 5 % of the different pairs served.
    #[arg(long, default_value = "f1", value_parser = Target::parse)]
    target: Target,
    /// Whether the guard compares the texts. Without it, the cache's MNEME_GUARD decides.
    #[arg(long, value_name = "on|off", value_parser = ["on", "off"])]
    guard: Option<String>,
    /// The minimum confidence of a hit. Without it, the cache's MNEME_CONFIDENCE_CUTOFF.
    #[arg(long, value_name = "0..1")]
    cutoff: Option<f64>,
    /// Choose the minimum confidence together with the threshold.
    #[arg(long, conflicts_with = "cutoff")]
    fit_cutoff: bool,
    /// Write the curve of the half held back to this file: threshold, precision, recall, wrong hits and F1.
    #[arg(long, value_name = "FILE.csv")]
    curve: Option<PathBuf>,
}

/// Calibrates and prints the report, or the reply.
///
/// # Errors
/// The file cannot be read or has a bad line, which the error names; the function refuses the pairs; or the curve cannot
/// be written. See also [`Cache::call`].
pub(crate) async fn calibrate(cache: &Cache, arguments: Calibrate, as_json: bool) -> Done {
    let pairs = Pairs::read(&arguments.file)?;
    let fields = Fields::new()
        .with("pairs", pairs.as_request())
        .with("target", arguments.target.to_request())
        .with("guard", arguments.guard)
        .with("cutoff", arguments.cutoff)
        .with("fit_cutoff", arguments.fit_cutoff.then_some(true));
    let json: Box<RawValue> = cache.call(&CALIBRATE, fields).await.map_err(|error| explain(error, &pairs))?;
    let reply: Reply = serde_json::from_str(json.get())?;
    if let Some(path) = &arguments.curve {
        std::fs::write(path, curve::to_csv(&reply))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    match as_json {
        true => print(&json)?,
        false => print(&Report { target: arguments.target, reply })?,
    }
    Ok(Outcome::Done)
}

/// Returns a refusal in terms of the file's lines, and any other error unchanged.
fn explain(error: CallError, pairs: &Pairs) -> Box<dyn Error> {
    match error {
        CallError::Refused { detail, remediation, .. } => pairs.refusal(&detail, remediation).into(),
        CallError::Gateway { status: 413, .. } => pairs.too_large().into(),
        other => other.into(),
    }
}
