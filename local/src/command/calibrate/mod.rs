//! `mneme-local calibrate`: the best threshold for a file of labelled pairs, by the real function.

mod pairs;
mod plot;
mod report;

use std::{error::Error, path::PathBuf};

use serde_json::{Value, json, value::RawValue};

use self::{
    pairs::{Pairs, Refusal},
    report::{Reply, Report},
};
use super::{
    api::{Api, ApiError},
    environment,
    signals::Signals,
};
use crate::{Options, Server, build_functions};

/// Find the best similarity threshold for labelled pairs of questions, and what it yields.
///
/// FILE has one pair a line, as in a request to `POST /v1/calibrate`:
/// {"a": "Where is my order?", "b": "Has my order been sent?", "same": true, "similarity": 0.91}, or with an object
/// of `query` (or `messages`) and `embedding` for each side. MNEME_GUARD and MNEME_CONFIDENCE_CUTOFF are passed on.
#[derive(Debug, Clone, clap::Args)]
pub struct Calibrate {
    /// The pairs, as JSON Lines.
    #[arg(value_name = "FILE.jsonl")]
    file: PathBuf,
    /// What the threshold is to be best for: `f1`, or `max-wrong=0.05`: the most hits with at most 5 % of the different
    /// pairs served.
    #[arg(long, default_value = "f1", value_parser = Target::parse)]
    target: Target,
    /// Whether the guard compares the texts; without it, as MNEME_GUARD says.
    #[arg(long, value_name = "on|off", value_parser = ["on", "off"])]
    guard: Option<String>,
    /// The least confidence that counts as served; without it, MNEME_CONFIDENCE_CUTOFF.
    #[arg(long, value_name = "0..1")]
    cutoff: Option<f64>,
    /// Draw precision against recall, and good hits against wrong hits, as SVG.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Print the function's reply as JSON instead of a report.
    #[arg(long)]
    json: bool,
    /// Directory of built functions (`mneme-calibrate` and so on); without it they are built first.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

/// What the threshold is to be best for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    F1,
    MaxWrong(f64),
}

impl Target {
    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "f1" => Ok(Self::F1),
            Some(("max-wrong", share)) => {
                share.parse().map(Self::MaxWrong).map_err(|_| format!("{share} is no number"))
            }
            _ => Err("give f1, or max-wrong= and a share such as 0.05".to_owned()),
        }
    }

    /// As a request has it.
    fn on_the_wire(self) -> Value {
        match self {
            Self::F1 => json!("f1"),
            Self::MaxWrong(share) => json!({ "max_wrong": share }),
        }
    }
}

/// Calibrates and prints the report, or the reply.
///
/// # Errors
/// The file cannot be read or has a bad line, which is named; the functions cannot be built or served; the function
/// refuses the pairs; the plot cannot be written; or a signal said "stop".
pub async fn calibrate(arguments: Calibrate) -> Result<(), Box<dyn Error>> {
    let pairs = Pairs::read(&arguments.file)?;
    let binaries = arguments.binaries.map_or_else(build_functions, Ok)?;
    let mut signals = Signals::catch()?;
    let mut env = environment::passed_on();
    environment::provide_weights(&mut env)?;
    // A line for each request says nothing here.
    env.entry("AWS_LAMBDA_LOG_LEVEL".to_owned()).or_insert_with(|| "WARN".to_owned());
    let server = Server::start(Options { binaries, env, ..Options::default() }).await?;

    let mut request = json!({ "pairs": pairs.as_sent(), "target": arguments.target.on_the_wire() });
    if let Some(guard) = arguments.guard {
        request["guard"] = guard.into();
    }
    if let Some(cutoff) = arguments.cutoff {
        request["cutoff"] = cutoff.into();
    }
    let api = Api::new(server.api_url());
    let reply = tokio::select! {
        reply = api.post::<Box<RawValue>>("/v1/calibrate", &request) => reply.map_err(|error| explained(error, &pairs)),
        () = signals.received() => Err("interrupted".into()),
    };
    server.stop().await;
    let shown = reply?;
    let reply: Reply = serde_json::from_str(shown.get())?;

    if let Some(path) = &arguments.plot {
        std::fs::write(path, plot::svg(&reply)).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    match arguments.json {
        true => println!("{shown}"),
        false => println!("{}", Report { target: arguments.target, reply }),
    }
    Ok(())
}

/// A refusal in terms of the file; another failure as it is.
fn explained(error: ApiError, pairs: &Pairs) -> Box<dyn Error> {
    match &error {
        ApiError::Refused { status, body, .. } => match pairs.refusal(status.as_u16(), body) {
            Some(refusal) => Box::<Refusal>::new(refusal),
            None => error.into(),
        },
        ApiError::Unanswered { .. } | ApiError::Unreadable { .. } => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_what_a_request_takes() {
        assert_eq!(Target::parse("f1").unwrap().on_the_wire(), json!("f1"));
        assert_eq!(Target::parse("max-wrong=0.05").unwrap().on_the_wire(), json!({"max_wrong": 0.05}));
        for bad in ["", "f2", "max-wrong", "max-wrong=", "max-wrong=few", "f1=1"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
