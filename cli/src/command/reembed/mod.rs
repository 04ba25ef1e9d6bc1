//! `mneme reembed`: moves a served cache to another embedder.

mod report;

use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar};
use mneme_api::operations::REEMBED;
use serde_json::value::RawValue;
use strum::IntoStaticStr;

use self::report::State;
use super::Done;
use super::progress::{bar, report_retry};
use crate::cache::error::CallError;
use crate::cache::{Cache, Fields};
use crate::exit::Outcome;
use crate::output::show;

/// Move a served cache to another embedder while it is served.
///
/// The cache's function `reembed` does the work in steps of some seconds each. This command calls it step by step and
/// shows the progress, the rate and the remaining time. An interrupted move continues when the command runs again.
/// Progress goes to stderr, the report to stdout.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Reembed {
    /// What to do.
    #[arg(value_enum, default_value_t = Action::Run)]
    action: Action,
    /// Maximum number of seconds per step.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=900))]
    step: u64,
    /// Let `switch` and `switch-back` proceed although some entries have no vector of the embedder to switch to.
    #[arg(long)]
    leave_behind: bool,
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
/// The function refuses the action, or six calls in a row could not reach the function or failed for now. The work done
/// so far is kept.
pub(crate) async fn reembed(cache: &Cache, arguments: Reembed, as_json: bool) -> Done {
    let Reembed { action, step, leave_behind } = arguments;
    let call = async |action: &str| -> Result<Box<RawValue>, CallError> {
        let fields = Fields::new().with("action", action).with("leave_behind", leave_behind.then_some(true));
        cache.call(&REEMBED, fields).await
    };
    let reply = match action {
        Action::Run => {
            call("start").await?;
            call_until_complete(cache, "step", step).await?
        }
        action @ (Action::Status | Action::Switch | Action::SwitchBack) => call(action.into()).await?,
        action @ (Action::Finish | Action::Abort) => call_until_complete(cache, action.into(), step).await?,
    };
    show::<State>(&reply, as_json)?;
    Ok(Outcome::Done)
}

/// Calls `action` repeatedly until the function reports that it is complete. Returns the last reply.
async fn call_until_complete(cache: &Cache, action: &str, step_secs: u64) -> Result<Box<RawValue>, CallError> {
    let bar = bar("{wide_bar} {pos}/{len} ids {msg}");
    loop {
        let fields = Fields::new().with("action", action).with("seconds", step_secs);
        let reply: Box<RawValue> = cache.call_patiently(&REEMBED, fields, |error| report_retry(&bar, error)).await?;
        let state: State = serde_json::from_str(reply.get())
            .map_err(|source| CallError::Unreadable { place: "`reembed`".to_owned(), source })?;
        show_progress(&bar, &state);
        if state.complete {
            bar.finish_and_clear();
            return Ok(reply);
        }
    }
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
