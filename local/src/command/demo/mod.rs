//! `mneme-local demo`: stores questions and answers, asks them again in other words, and shows what the cache makes of it.

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
    report::{Asked, Report},
    texts::{Lookup, Question, Texts},
};
use super::{environment, signals::Signals};
use crate::{Options, Server, build_functions, embed};

/// How many entries a request stores.
const BATCH: usize = 12;

/// What the demo's own embedder needs; the environment may say otherwise.
///
/// Measured over `demo/wording` (67 questions): of the 36 rewordings, the 25 whose
/// wording is close enough reach 0.66 or more with the right question; 11 stay below, 4 of them closest to a wrong one.
/// Of the 8 questions that have no answer, two get 0.64 and 0.65 ("cancel a meeting room booking" against "book a
/// meeting room"), the others 0.44 at most. So 0.655 serves all that can be served without a wrong answer on this set.
/// With a model's vectors the default of 0.85 is where to start.
const DEFAULTS: [(&str, &str); 2] = [
    ("MNEME_SIMILARITY_THRESHOLD", "0.655"),
    // The guard's probabilities were calibrated with a model's similarities, which are not these; its vetoes stand.
    ("MNEME_CONFIDENCE_CUTOFF", "0"),
];

/// What embeds the demo's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Embedder {
    /// The demo's own, here: it knows wording, not meaning.
    Wording,
    /// The functions', as `MNEME_EMBEDDER` names it.
    OfTheFunctions(String),
}

/// Serve as `serve` does, on free ports and in memory; store questions and answers; look up rewordings of them.
///
/// Progress goes to stderr; a table of every lookup and a summary to stdout.
#[derive(Debug, Clone, clap::Args)]
pub struct Demo {
    /// Directory of built functions (`mneme-lookup` and so on); without it they are built first.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// The functions' embedder, as MNEME_EMBEDDER takes it: `minilm`, whose weights are fetched once, or a service. More
    /// questions are stored and asked with it. Without it the demo embeds by itself, by words alone.
    #[arg(long, value_name = "EMBEDDER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    embedder: Option<String>,
}

/// Runs the demo. Misses and wrong answers are results; they stand in the table and fail nothing.
///
/// # Errors
/// The functions cannot be built or served, the weights not fetched, a request was not answered as the contract says, or a signal said "stop".
pub async fn demo(arguments: Demo) -> Result<(), Box<dyn Error>> {
    let binaries = arguments.binaries.map_or_else(build_functions, Ok)?;
    let embedder = arguments.embedder.map_or(Embedder::Wording, Embedder::OfTheFunctions);
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
    let mut env = environment::passed_on();
    // What the functions log of each request would drown the progress bars.
    env.entry("AWS_LAMBDA_LOG_LEVEL".to_owned()).or_insert_with(|| "WARN".to_owned());
    // The table is new, whatever the environment says of another one and its embedder.
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
        Embedder::OfTheFunctions(embedder) => {
            env.insert("MNEME_EMBEDDER".to_owned(), embedder.clone());
            environment::provide_weights(&mut env)?;
        }
    }
    Ok(env)
}

async fn run(api: &str, embedder: &Embedder) -> Result<Report, Box<dyn Error>> {
    let (texts, embeds) = match embedder {
        Embedder::Wording => (Texts::of_wording()?, true),
        Embedder::OfTheFunctions(_) => (Texts::of_meaning()?, false),
    };
    let Texts { questions, lookups } = texts;
    let client = Client::new(api, embeds);
    let start = Instant::now();
    let stored = store(&client, &questions).await?;
    let store_time = start.elapsed();

    let bar = progress("looking up", lookups.len());
    let mut asked = Vec::with_capacity(lookups.len());
    for lookup in lookups {
        asked.push(ask(&client, &stored, lookup).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Report { stored: stored.len(), store_time, asked, by_wording: embeds })
}

/// Stores every question with its answer. Returns the questions by the ids of their entries.
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

async fn ask(client: &Client, stored: &HashMap<u64, String>, lookup: Lookup) -> Result<Asked, Box<dyn Error>> {
    // Where the embedder is the demo's, not the cache's, its time does not count.
    let question = client.question(&lookup.query);
    let start = Instant::now();
    let answer = client.lookup(&question).await?;
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
    Ok(Asked { lookup, answer, matched, latency })
}

fn progress(what: &'static str, steps: usize) -> ProgressBar {
    // Drawn on stderr, and only if that is a terminal.
    let style = ProgressStyle::with_template("{msg:>10} {wide_bar} {pos}/{len} {elapsed}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps as u64).with_style(style).with_message(what)
}
