//! `reembed`: moves the cache to another embedder while it is served, in steps, each within its time.

use std::time::Duration;

use mneme_api::event::Reply;
use mneme_core::cache::Cache;
use mneme_core::embedders::providers::EmbedderSlot;
use mneme_core::reembed;
use mneme_core::reembed::missing_vectors::embedder_dim;
use mneme_core::reembed::state::{State, status};
use mneme_core::reembed::step_budget::StepBudget;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::embedder::MoveEnd;
use mneme_model::error::Error;
use mneme_store::move_progress::VisitedCounts;
use serde::{Deserialize, Serialize};

/// The seconds that a step takes at most, where the request does not say: HTTP APIs wait for 30 (API Gateway Developer Guide,
/// "Quotas for configuring and running an HTTP API").
const STEP_SECS: u64 = 20;
/// How long a call goes on with what it has begun.
const IN_FLIGHT: Duration = Duration::from_secs(6);
/// The most that it may say: a function's longest time.
const MOST_SECS: u64 = 900;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Tell how far the move has come.
    Status,
    /// Begin a move to the configured embedder that is not the cache's.
    Start,
    /// Go on adding vectors of the embedder that is not active.
    Step,
    /// Make the embedder active that the cache moves to.
    Switch,
    /// Make the one active again that it had before.
    SwitchBack,
    /// Go on ending the move after the switch: remove the vectors of the embedder that the cache had before.
    Finish,
    /// Go on giving the move up: remove the vectors of the embedder that it was to move to.
    Abort,
}

/// What to do, and for how long.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What.
    pub action: Action,
    /// Of `step`, `finish` and `abort`: seconds after which nothing further is begun; 20 when absent.
    pub seconds: Option<u64>,
    /// Of the same: how many ids to go through at most.
    pub ids: Option<u64>,
    /// Of `switch` and `switch_back`: whether entries that lack a vector of the embedder to switch to may be left behind. They
    /// are found exactly until a step gives them one.
    #[serde(default)]
    pub leave_behind: bool,
}

/// One end of the move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stamp {
    /// The embedder's fingerprint.
    pub fingerprint: Option<String>,
    /// The dimension of its vectors.
    pub dim: Option<u32>,
}

/// How far the move has come.
#[derive(Debug, Serialize)]
pub struct Response {
    /// `none`; `adding` vectors of the embedder that is not active; or `removing` them, once the move is being ended.
    pub phase: &'static str,
    /// Whose vectors lookups compare with.
    pub active: Stamp,
    /// `source` or `target`: which end of the move that is; null without one.
    pub side: Option<&'static str>,
    /// The other end; null without a move.
    pub other: Option<Stamp>,
    /// Whether nothing is left to do in this phase. While adding: `switch` finds nothing left to go through.
    pub complete: bool,
    /// The ids gone through; null without a move.
    pub done: Option<u64>,
    /// The ids given out; null without a move.
    pub total: Option<u64>,
    /// What became of their entries; null without a move.
    pub entries: Option<VisitedCounts>,
    /// Ids gone through in a second of work; null before the first.
    pub ids_per_second: Option<f64>,
    /// How long the rest takes at that rate.
    pub seconds_left: Option<f64>,
    /// The id to go on with, which the cache remembers; null when nothing is left.
    pub cursor: Option<u64>,
}

impl From<State> for Response {
    fn from(state: State) -> Self {
        let (left, complete) = (state.ids_left(), state.complete);
        let State { counter, progress, .. } = state;
        let side = counter.active_end().map(|side| match side {
            MoveEnd::Source => "source",
            MoveEnd::Target => "target",
        });
        let rate = progress.and_then(|progress| progress.rate());
        Self {
            phase: match &counter.second {
                None => "none",
                Some(other) if other.ending => "removing",
                Some(_) => "adding",
            },
            side,
            complete,
            done: progress.map(|progress| progress.next_id - 1),
            total: progress.map(|_| counter.next_id - 1),
            entries: progress.map(|progress| progress.visited),
            ids_per_second: rate,
            seconds_left: rate.map(|rate| left as f64 / rate),
            cursor: progress.map(|progress| progress.next_id).filter(|_| !complete),
            active: Stamp { fingerprint: counter.fingerprint, dim: counter.dim },
            other: counter.second.map(|other| Stamp { fingerprint: Some(other.fingerprint), dim: Some(other.dim) }),
        }
    }
}

/// The operation.
#[derive(Debug)]
pub struct Reembed;

/// Begins the move that the configuration names, or finds it begun.
async fn start(cache: &Cache) -> Result<State, Error> {
    let State { counter, .. } = status(cache).await?;
    let target = match counter.active_end() {
        Some(MoveEnd::Target) => counter.fingerprint.as_deref(),
        Some(MoveEnd::Source) => counter.second.as_ref().map(|other| other.fingerprint.as_str()),
        None => None,
    };
    let named = |slot: EmbedderSlot| Some((slot, slot.configured(&cache.config)?.fingerprint.as_deref()?));
    // The move that is under way, where its target is configured here; a new one to the next embedder alone.
    let known = EmbedderSlot::ALL.into_iter().filter_map(named).find(|(_, own)| Some(*own) == target);
    let next = named(EmbedderSlot::Next).filter(|(_, own)| counter.fingerprint.as_deref() != Some(*own));
    let Some((slot, fingerprint)) = known.or(next) else {
        return Err(Error::invalid(
            "there is no embedder to move to",
            "set MNEME_EMBEDDER_NEXT to one that the cache does not have",
        ));
    };
    let dim = embedder_dim(cache, slot).await?;
    reembed::start::start(cache, fingerprint, dim).await
}

impl Operation for Reembed {
    const FUNCTION: &'static str = "reembed";
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let Request { action, seconds, ids, leave_behind } = request;
        let secs = seconds.unwrap_or(STEP_SECS);
        if !(1..=MOST_SECS).contains(&secs) {
            return Err(Error::invalid(
                format!("seconds: {secs} is not between 1 and {MOST_SECS}"),
                "send whole seconds that the caller waits for, or none",
            ));
        }
        if ids == Some(0) {
            return Err(Error::invalid("ids: 0 would do nothing", "send a whole number from 1, or none"));
        }
        if leave_behind && !matches!(action, Action::Switch | Action::SwitchBack) {
            return Err(Error::invalid("leave_behind: it is for `switch` and `switch_back`", "leave the field out"));
        }
        invocation.authorize_all("`reembed`")?;
        let limit = Duration::from_secs(secs);
        // What was begun by then has as long as that again, within reason.
        let cache = &cache.within(limit + limit.min(IN_FLIGHT));
        let budget = StepBudget::new(cache, limit, ids.unwrap_or(u64::MAX));
        let state = match action {
            Action::Status => status(cache).await?,
            Action::Start => start(cache).await?,
            Action::Step => reembed::fill::step(cache, budget).await?,
            Action::Switch => reembed::switch::switch(cache, MoveEnd::Target, leave_behind).await?,
            Action::SwitchBack => reembed::switch::switch(cache, MoveEnd::Source, leave_behind).await?,
            Action::Finish => reembed::end::end(cache, MoveEnd::Target, budget).await?,
            Action::Abort => reembed::end::end(cache, MoveEnd::Source, budget).await?,
        };
        Ok(Reply::ok(Response::from(state)))
    }
}
