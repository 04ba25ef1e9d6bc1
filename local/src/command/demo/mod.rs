//! `mneme-local demo`: stores questions and answers, looks up rewordings of the questions, and prints the results.

mod client;
mod report;
mod texts;

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    path::PathBuf,
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};

use self::{
    client::Client,
    report::{LookupResult, Report},
    texts::{Lookup, Question, Texts},
};
use super::{environment, signals::Signals};
use crate::{build::build_some_functions, embed, options::Options, server::Server};

/// The functions that the demo calls. No others are built.
const FUNCTIONS: [&str; 2] = ["put", "lookup"];

/// The number of entries per request.
const BATCH: usize = 12;

/// Settings for the demo's own embedder. Variables of the environment override them.
///
/// The threshold was measured over `demo/wording` (67 questions). Of the 36 rewordings, 25 reach a similarity of 0.66
/// or more with the right question. The other 11 stay below, and 4 of them are closest to a wrong question. Of the 8
/// questions without an answer, two reach 0.64 and 0.65 ("cancel a meeting room booking" against "book a meeting
/// room"), and the others at most 0.44. So 0.655 gives the most hits without a wrong answer on this set. With a model's
/// vectors, start from the default of 0.85.
const DEFAULTS: [(&str, &str); 2] = [
    ("MNEME_SIMILARITY_THRESHOLD", "0.655"),
    // The guard's probabilities were calibrated with a model's similarities, so they do not apply here. Its vetoes do.
    ("MNEME_CONFIDENCE_CUTOFF", "0"),
];

/// What embeds the demo's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Embedder {
    /// The demo's own embedder, [`embed`]: it compares wording, not meaning.
    Wording,
    /// The embedder of the functions, in the form of `MNEME_EMBEDDER`.
    Functions(String),
}

/// Serve on free ports and in memory, store questions and answers, and look up rewordings of the questions.
///
/// Progress goes to stderr. A table of every lookup and a summary go to stdout.
#[derive(Debug, Clone, clap::Args)]
pub struct Demo {
    /// Directory of built functions (`mneme-lookup` and so on). Without it they are built first.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// The functions' embedder, in the form of MNEME_EMBEDDER: `minilm`, whose weights are fetched once, or a service.
    /// With it the demo has more questions. Without it the demo embeds the texts itself, by their wording alone.
    #[arg(long, value_name = "EMBEDDER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    embedder: Option<String>,
}

/// Runs the demo. Misses and wrong answers are results, not errors; the table shows them.
///
/// # Errors
/// The functions cannot be built or served, the weights cannot be fetched, a request has no usable reply, or a signal
/// interrupts it.
pub async fn demo(arguments: Demo) -> Result<(), Box<dyn Error>> {
    let binaries = arguments.binaries.map_or_else(|| build_some_functions(&FUNCTIONS), Ok)?;
    let embedder = arguments.embedder.map_or(Embedder::Wording, Embedder::Functions);
    let env = environment(&embedder)?;
    let mut signals = Signals::catch()?;
    let server = Server::start(Options { binaries, env, ..Options::default() }).await?;
    let report = tokio::select! {
        report = run(server.api_url(), &embedder) => report,
        () = signals.received() => Err("interrupted".into()),
    };
    server.stop().await;
    println!("{}", report?);
    Ok(())
}

fn environment(embedder: &Embedder) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let mut env = environment::inherited()?;
    // The line that the functions log for each request would disturb the progress bars.
    env.entry("AWS_LAMBDA_LOG_LEVEL".to_owned()).or_insert_with(|| "WARN".to_owned());
    // The table is new, so the environment's settings for another table and its embedder do not apply.
    env.insert("MNEME_CREATE_TABLE".to_owned(), "true".to_owned());
    env.remove("MNEME_EMBEDDER_FINGERPRINT");
    env.remove("MNEME_EMBEDDER_DIM");
    match embedder {
        Embedder::Wording => {
            for (name, value) in DEFAULTS {
                env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
            env.remove("MNEME_EMBEDDER");
            env.remove("MNEME_EMBEDDER_API_KEY");
            env.insert("MNEME_EMBEDDER_FINGERPRINT".to_owned(), embed::FINGERPRINT.to_owned());
            env.insert("MNEME_EMBEDDER_DIM".to_owned(), embed::DIM.to_string());
        }
        Embedder::Functions(embedder) => {
            env.insert("MNEME_EMBEDDER".to_owned(), embedder.clone());
            environment::provide_weights(&mut env)?;
        }
    }
    Ok(env)
}

async fn run(api: &str, embedder: &Embedder) -> Result<Report, Box<dyn Error>> {
    let (texts, embeds) = match embedder {
        Embedder::Wording => (Texts::wording()?, true),
        Embedder::Functions(_) => (Texts::meaning()?, false),
    };
    let Texts { questions, lookups } = texts;
    let client = Client::new(api, embeds);
    let start = Instant::now();
    let stored = store(&client, &questions).await?;
    let store_time = start.elapsed();

    let bar = progress("looking up", lookups.len());
    let mut results = Vec::with_capacity(lookups.len());
    for lookup in lookups {
        results.push(look_up(&client, &stored, lookup).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Report { stored: stored.len(), store_time, results, by_wording: embeds })
}

/// Stores every question with its answer. Returns the questions by their entries' ids.
async fn store(client: &Client, questions: &[Question]) -> Result<HashMap<u64, String>, Box<dyn Error>> {
    let bar = progress("storing", questions.len());
    let mut stored = HashMap::new();
    for batch in questions.chunks(BATCH) {
        let entries: Vec<_> = batch.iter().map(|question| client.entry(question)).collect();
        let ids = client.put(&entries).await?;
        stored.extend(ids.into_iter().zip(batch.iter().map(|question| question.query.clone())));
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    Ok(stored)
}

async fn look_up(
    client: &Client,
    stored: &HashMap<u64, String>,
    lookup: Lookup,
) -> Result<LookupResult, Box<dyn Error>> {
    // The latency excludes the time of the demo's own embedder, which is not part of the cache.
    let request = client.lookup_request(&lookup.query);
    let start = Instant::now();
    let answer = client.lookup(&request).await?;
    let latency = start.elapsed();
    let matched = match answer.id() {
        Some(id) => Some(
            stored
                .get(&id)
                .cloned()
                .ok_or_else(|| format!("the lookup of `{}` hit entry {id}, which was never stored", lookup.query))?,
        ),
        None => None,
    };
    Ok(LookupResult { lookup, answer, matched, latency })
}

fn progress(what: &'static str, steps: usize) -> ProgressBar {
    // The bar is drawn on stderr, and only if that is a terminal.
    let style = ProgressStyle::with_template("{msg:>10} {wide_bar} {pos}/{len} {elapsed}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps as u64).with_style(style).with_message(what)
}
