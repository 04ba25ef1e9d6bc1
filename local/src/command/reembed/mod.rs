//! `mneme-local reembed`: moves a served cache to another embedder, from the shell.

mod report;

use std::{error::Error, time::Duration};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde_json::{json, value::RawValue};

use self::report::State;
use super::{
    api::{Api, ApiError},
    signals::Signals,
};

/// How often in a row a call that the function could not carry out is made again.
const RETRIES: u32 = 5;
/// How long to wait before the first of these; before each further one twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// Move a served cache to another embedder while it is served.
///
/// The cache's function `reembed` does the work, in steps of some seconds each; this asks for one after the other and shows how
/// far it has come, at what rate, and how long the rest takes. Interrupted, it goes on where it was when it is started again.
/// Progress goes to stderr; what it came to, to stdout.
#[derive(Debug, Clone, clap::Args)]
pub struct Reembed {
    /// What to do.
    #[arg(value_enum, default_value_t = Action::Run)]
    action: Action,
    /// Base URL of the cache's HTTP API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    url: String,
    /// A bearer token for the API's authoriser.
    #[arg(long, value_name = "TOKEN", env = "MNEME_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Seconds that each step takes at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=900))]
    step: u64,
    /// Whether `switch` and `switch-back` may leave entries behind that have no vector of the embedder to switch to.
    #[arg(long)]
    leave_behind: bool,
    /// Print the function's last reply as JSON instead of a report.
    #[arg(long)]
    json: bool,
}

/// What to do with the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Action {
    /// Begin a move to MNEME_EMBEDDER_NEXT, or go on with it, until every entry has a vector of the embedder that is not active.
    Run,
    /// Tell how far it has come.
    Status,
    /// Make the embedder active that the cache moves to.
    Switch,
    /// Make the one active again that it had before.
    SwitchBack,
    /// After the switch: remove the vectors of the embedder that the cache had before.
    Finish,
    /// Before the switch, or after the way back: remove the vectors of the embedder that it was to move to.
    Abort,
}

/// Does what the arguments say and prints the report, or the reply.
///
/// # Errors
/// The function refuses, its error being told; it could not be reached, or could not work, five times in a row; or a signal said
/// "stop": what was done stays.
pub async fn reembed(arguments: Reembed) -> Result<(), Box<dyn Error>> {
    let mut signals = Signals::catch()?;
    let shown = tokio::select! {
        reply = run(&arguments) => reply?,
        () = signals.received() => return Err("interrupted; the same command goes on from there".into()),
    };
    match arguments.json {
        true => println!("{shown}"),
        false => println!("{}", serde_json::from_str::<State>(shown.get())?),
    }
    Ok(())
}

async fn run(arguments: &Reembed) -> Result<Box<RawValue>, Box<dyn Error>> {
    let api = Api::new(&arguments.url).with_token(arguments.token.clone());
    let ask = async |action: &str| {
        let mut request = json!({ "action": action });
        if arguments.leave_behind {
            request["leave_behind"] = true.into();
        }
        Ok::<_, Box<dyn Error>>(api.post::<Box<RawValue>>("/v1/reembed", &request).await?)
    };
    match arguments.action {
        Action::Run => {
            ask("start").await?;
            to_its_end(&api, "step", arguments.step).await
        }
        Action::Status => ask("status").await,
        Action::Switch => ask("switch").await,
        Action::SwitchBack => ask("switch_back").await,
        Action::Finish => to_its_end(&api, "finish", arguments.step).await,
        Action::Abort => to_its_end(&api, "abort", arguments.step).await,
    }
}

/// Asks for `action` again and again, until nothing is left to do. Returns the last reply.
async fn to_its_end(api: &Api, action: &str, step_secs: u64) -> Result<Box<RawValue>, Box<dyn Error>> {
    let bar = bar();
    let request = json!({ "action": action, "seconds": step_secs });
    let mut failed = 0;
    loop {
        let reply = match api.post::<Box<RawValue>>("/v1/reembed", &request).await {
            Ok(reply) => reply,
            Err(error) if failed < RETRIES && is_passing(&error) => {
                bar.suspend(|| eprintln!("{error}; trying again"));
                tokio::time::sleep(PAUSE * (1 << failed)).await;
                failed += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        failed = 0;
        let state: State = serde_json::from_str(reply.get())?;
        show(&bar, &state);
        if state.complete {
            bar.finish_and_clear();
            return Ok(reply);
        }
    }
}

/// Whether the same call may succeed a little later.
fn is_passing(error: &ApiError) -> bool {
    match error {
        ApiError::Refused { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        ApiError::Unanswered { .. } => true,
        ApiError::Unreadable { .. } => false,
    }
}

fn bar() -> ProgressBar {
    // Drawn on stderr, and only if that is a terminal.
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} ids {msg}");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// How far it has come, as a bar, or a line where there is no terminal.
fn show(bar: &ProgressBar, state: &State) {
    let (Some(done), Some(total)) = (state.done, state.total) else { return };
    let mut pace = String::new();
    if let (Some(rate), Some(left)) = (state.ids_per_second, state.seconds_left) {
        pace = format!("{rate:.0} a second, {} left", HumanDuration(Duration::from_secs_f64(left.max(0.0))));
    }
    bar.set_length(total);
    bar.set_position(done);
    bar.set_message(pace.clone());
    if bar.is_hidden() {
        eprintln!("{done}/{total} ids {pace}");
    }
}
