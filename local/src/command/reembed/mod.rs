//! `mneme-local reembed`: moves a served cache to another embedder.

mod report;

use std::{error::Error, time::Duration};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde_json::{json, value::RawValue};
use strum::IntoStaticStr;

use self::report::State;
use super::{
    api::{Api, ApiError},
    signals::Signals,
};

/// How often in a row a failed call is retried.
const MAX_RETRIES: u32 = 5;
/// The backoff before the first retry. It doubles before each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// Move a served cache to another embedder while it is served.
///
/// The cache's function `reembed` does the work in steps of some seconds each. This command calls it step by step and
/// shows the progress, the rate and the remaining time. An interrupted move continues when the command runs again.
/// Progress goes to stderr, the report to stdout.
#[derive(Debug, Clone, clap::Args)]
pub struct Reembed {
    /// What to do.
    #[arg(value_enum, default_value_t = Action::Run)]
    action: Action,
    /// Base URL of the cache's HTTP API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    url: String,
    /// Bearer token for the API's authoriser.
    #[arg(long, value_name = "TOKEN", env = "MNEME_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Maximum number of seconds per step.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=900))]
    step: u64,
    /// Let `switch` and `switch-back` proceed although some entries have no vector of the embedder to switch to.
    #[arg(long)]
    leave_behind: bool,
    /// Print the function's last reply as JSON instead of a report.
    #[arg(long)]
    json: bool,
}

/// What to do with the cache. The function's action has the same name, except for [`Action::Run`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
enum Action {
    /// Start or continue a move to MNEME_EMBEDDER_NEXT, until every entry has a vector of the embedder that is not
    /// active.
    Run,
    /// Print the progress.
    Status,
    /// Activate the embedder that the cache moves to.
    Switch,
    /// Activate the previous embedder again.
    SwitchBack,
    /// After the switch: remove the previous embedder's vectors.
    Finish,
    /// Before the switch, or after switching back: remove the vectors of the embedder that the cache was to move to.
    Abort,
}

/// Performs the action and prints the report, or the reply.
///
/// # Errors
/// The function refuses the action; six calls in a row could not reach the function or failed for now; or a signal
/// interrupts the command. The work done so far is kept.
pub async fn reembed(arguments: Reembed) -> Result<(), Box<dyn Error>> {
    let mut signals = Signals::catch()?;
    let shown = tokio::select! {
        reply = run(&arguments) => reply?,
        () = signals.received() => return Err("interrupted; run the same command to continue".into()),
    };
    match arguments.json {
        true => println!("{shown}"),
        false => println!("{}", serde_json::from_str::<State>(shown.get())?),
    }
    Ok(())
}

async fn run(arguments: &Reembed) -> Result<Box<RawValue>, Box<dyn Error>> {
    let api = Api::new(&arguments.url).with_token(arguments.token.clone());
    let call = async |action: &str| {
        let mut request = json!({ "action": action });
        if arguments.leave_behind {
            request["leave_behind"] = true.into();
        }
        Ok::<_, Box<dyn Error>>(api.post::<Box<RawValue>>("/v1/reembed", &request).await?)
    };
    match arguments.action {
        Action::Run => {
            call("start").await?;
            call_until_complete(&api, "step", arguments.step).await
        }
        action @ (Action::Status | Action::Switch | Action::SwitchBack) => call(action.into()).await,
        action @ (Action::Finish | Action::Abort) => call_until_complete(&api, action.into(), arguments.step).await,
    }
}

/// Calls `action` repeatedly until the function reports that it is complete. Returns the last reply.
async fn call_until_complete(api: &Api, action: &str, step_secs: u64) -> Result<Box<RawValue>, Box<dyn Error>> {
    let bar = bar();
    let request = json!({ "action": action, "seconds": step_secs });
    let mut failed = 0;
    loop {
        let reply = match api.post::<Box<RawValue>>("/v1/reembed", &request).await {
            Ok(reply) => reply,
            Err(error) if failed < MAX_RETRIES && is_transient(&error) => {
                bar.suspend(|| eprintln!("{error}; trying again"));
                tokio::time::sleep(FIRST_BACKOFF * (1 << failed)).await;
                failed += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        failed = 0;
        let state: State = serde_json::from_str(reply.get())?;
        show_progress(&bar, &state);
        if state.complete {
            bar.finish_and_clear();
            return Ok(reply);
        }
    }
}

/// Whether the same call may succeed after a short wait.
fn is_transient(error: &ApiError) -> bool {
    match error {
        ApiError::Refused { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        ApiError::Unanswered { .. } => true,
        ApiError::Unreadable { .. } => false,
    }
}

fn bar() -> ProgressBar {
    // The bar is drawn on stderr, and only if that is a terminal.
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} ids {msg}");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Shows the progress as a bar, or as a line where stderr is not a terminal.
fn show_progress(bar: &ProgressBar, state: &State) {
    let (Some(done), Some(total)) = (state.done, state.total) else { return };
    let mut rate_and_rest = String::new();
    if let (Some(rate), Some(left)) = (state.ids_per_second, state.seconds_left) {
        rate_and_rest = format!("{rate:.0} a second, {} left", HumanDuration(Duration::from_secs_f64(left.max(0.0))));
    }
    bar.set_length(total);
    bar.set_position(done);
    bar.set_message(rate_and_rest.clone());
    if bar.is_hidden() {
        eprintln!("{done}/{total} ids {rate_and_rest}");
    }
}
