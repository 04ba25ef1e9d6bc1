//! `mneme-local calibrate`: the real function `calibrate` on a file of labelled pairs.

mod curve;
mod pairs;
mod report;
mod target;

use std::{error::Error, path::PathBuf};

use serde_json::{json, value::RawValue};

use self::{
    pairs::{Pairs, Refusal},
    report::{Reply, Report},
    target::Target,
};
use super::{
    api::{Api, ApiError},
    environment,
    signals::Signals,
};
use crate::{build::build_some_functions, options::Options, server::Server};

/// The function that this command calls.
const FUNCTION: &str = "calibrate";

/// Find the best similarity threshold for labelled pairs of questions, and report what it yields.
///
/// FILE has one pair per line, in the form of a request to `POST /v1/calibrate`:
/// {"a": "Where is my order?", "b": "Has my order been sent?", "same": true, "similarity": 0.91}. Instead of a text and
/// the similarity, each side may be an object of `query` (or `messages`) and `embedding`. The function inherits
/// MNEME_GUARD and MNEME_CONFIDENCE_CUTOFF.
#[derive(Debug, Clone, clap::Args)]
pub struct Calibrate {
    /// The pairs, as JSON Lines.
    #[arg(value_name = "FILE.jsonl")]
    file: PathBuf,
    /// What to optimise: `f1`, or `max-wrong=0.05` for the most hits with at most 5 % of the different pairs served.
    #[arg(long, default_value = "f1", value_parser = Target::parse)]
    target: Target,
    /// Whether the guard compares the texts. Without it, MNEME_GUARD decides.
    #[arg(long, value_name = "on|off", value_parser = ["on", "off"])]
    guard: Option<String>,
    /// The minimum confidence of a hit. Without it, MNEME_CONFIDENCE_CUTOFF.
    #[arg(long, value_name = "0..1")]
    cutoff: Option<f64>,
    /// Choose the minimum confidence together with the threshold.
    #[arg(long, conflicts_with = "cutoff")]
    fit_cutoff: bool,
    /// Write the curve of the half held back to this file: threshold, precision, recall, wrong hits and F1.
    #[arg(long, value_name = "FILE.csv")]
    curve: Option<PathBuf>,
    /// Print the function's reply as JSON instead of a report.
    #[arg(long)]
    json: bool,
    /// Directory of built functions (`mneme-calibrate` and so on). Without it the function is built first.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

/// Calibrates and prints the report, or the reply.
///
/// # Errors
/// The file cannot be read or has a bad line, which the error names; the function cannot be built or served; the
/// function refuses the pairs; the curve cannot be written; or a signal interrupts it.
pub async fn calibrate(arguments: Calibrate) -> Result<(), Box<dyn Error>> {
    let pairs = Pairs::read(&arguments.file)?;
    let binaries = arguments.binaries.map_or_else(|| build_some_functions(&[FUNCTION]), Ok)?;
    let mut signals = Signals::catch()?;
    let mut env = environment::inherited()?;
    environment::provide_weights(&mut env)?;
    // The line that the function logs for each request is of no interest here.
    env.entry("AWS_LAMBDA_LOG_LEVEL".to_owned()).or_insert_with(|| "WARN".to_owned());
    let server = Server::start(Options { binaries, env, ..Options::default() }).await?;

    let mut request = json!({ "pairs": pairs.as_request(), "target": arguments.target.to_request() });
    if let Some(guard) = arguments.guard {
        request["guard"] = guard.into();
    }
    if let Some(cutoff) = arguments.cutoff {
        request["cutoff"] = cutoff.into();
    }
    if arguments.fit_cutoff {
        request["fit_cutoff"] = true.into();
    }
    let api = Api::new(server.api_url());
    let reply = tokio::select! {
        reply = api.post::<Box<RawValue>>("/v1/calibrate", &request) => reply.map_err(|error| explain(error, &pairs)),
        () = signals.received() => Err("interrupted".into()),
    };
    server.stop().await;
    let json = reply?;
    let reply: Reply = serde_json::from_str(json.get())?;

    if let Some(path) = &arguments.curve {
        std::fs::write(path, curve::to_csv(&reply))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    match arguments.json {
        true => println!("{json}"),
        false => println!("{}", Report { target: arguments.target, reply }),
    }
    Ok(())
}

/// Returns a refusal in terms of the file's lines, and any other error unchanged.
fn explain(error: ApiError, pairs: &Pairs) -> Box<dyn Error> {
    match &error {
        ApiError::Refused { status, body, .. } => match pairs.refusal(status.as_u16(), body) {
            Some(refusal) => Box::<Refusal>::new(refusal),
            None => error.into(),
        },
        ApiError::Unanswered { .. } | ApiError::Unreadable { .. } => error.into(),
    }
}
