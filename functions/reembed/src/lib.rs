//! `reembed`: moves the cache to another embedder while it is served, in steps of bounded time.

use std::time::Duration;

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
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

/// The time limit of a request without `seconds`. An HTTP API waits for 30 s (API Gateway Developer Guide, "Quotas for
/// configuring and running an HTTP API").
const DEFAULT_SECS: u64 = 20;
/// The longest extra time in which a call finishes the work that it began before its limit.
const MAX_GRACE: Duration = Duration::from_secs(6);
/// The largest `seconds`: the longest timeout of a Lambda function (AWS Lambda Developer Guide, "Lambda quotas").
const MAX_SECS: u64 = 900;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Report the progress of the move.
    Status,
    /// Begin a move to the configured embedder that is not the active one.
    Start,
    /// Add vectors of the embedder that is not active.
    Step,
    /// Make the target of the move active.
    Switch,
    /// Make the source of the move active again.
    SwitchBack,
    /// End the move after the switch: remove the vectors of the source.
    Finish,
    /// Give the move up: remove the vectors of the target.
    Abort,
}

/// A request about a move.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What to do.
    pub action: Action,
    /// For `step`, `finish` and `abort`: seconds after which no further work is begun, from 1 to 900. Default: 20.
    pub seconds: Option<u64>,
    /// For `step`, `finish` and `abort`: the largest number of ids to visit, from 1. Default: no limit.
    pub ids: Option<u64>,
    /// For `switch` and `switch_back`: whether entries without a vector of the new active embedder are allowed.
    ///
    /// Only the exact layer finds such an entry until a step adds its vector.
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

/// The progress of the move.
#[derive(Debug, Serialize)]
pub struct Response {
    /// `none`: there is no move. `adding`: steps add vectors of the embedder that is not active.
    /// `removing`: the move is being ended, and those vectors are removed.
    pub phase: &'static str,
    /// The active embedder.
    pub active: Stamp,
    /// Which end of the move is active: `source` or `target`. Null without a move.
    pub side: Option<&'static str>,
    /// The embedder at the other end of the move. Null without a move.
    pub other: Option<Stamp>,
    /// Whether this phase has no work left. In the phase `adding`: `switch` needs no further step.
    pub complete: bool,
    /// The number of ids that were visited. Null without a move.
    pub done: Option<u64>,
    /// The number of ids that exist. Null without a move.
    pub total: Option<u64>,
    /// The visited entries by what was done with each. Null without a move.
    pub entries: Option<VisitedCounts>,
    /// The number of ids visited in a second of work. Null before the first.
    pub ids_per_second: Option<f64>,
    /// The estimated time for the rest, at that rate. Null without a rate.
    pub seconds_left: Option<f64>,
    /// The next id to visit. The cache stores it, so no request has to send it. Null: no id is left.
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

/// Moves the cache to another embedder.
#[derive(Debug)]
pub struct Reembed;

impl Operation for Reembed {
    const SPEC: &'static OperationSpec = &operations::REEMBED;
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, invocation: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let Request { action, seconds, ids, leave_behind } = request;
        let secs = seconds.unwrap_or(DEFAULT_SECS);
        if !(1..=MAX_SECS).contains(&secs) {
            return Err(Error::invalid(
                format!("seconds: {secs} is not between 1 and {MAX_SECS}"),
                "send the whole number of seconds that the caller waits, or leave the field out",
            ));
        }
        if ids == Some(0) {
            return Err(Error::invalid(
                "ids: 0 is not a number of ids",
                "send a whole number from 1, or leave the field out",
            ));
        }
        if leave_behind && !matches!(action, Action::Switch | Action::SwitchBack) {
            return Err(Error::invalid("leave_behind: only `switch` and `switch_back` take it", "leave the field out"));
        }
        invocation.authorize_all("`reembed`")?;
        let limit = Duration::from_secs(secs);
        // Work that was begun before the limit may take as long again, but not longer than `MAX_GRACE`.
        let cache = &cache.within(limit + limit.min(MAX_GRACE));
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

/// Begins the move to the configured embedder, or continues it if it has begun.
///
/// Errors: `InvalidRequest` if the configuration names no embedder to move to.
async fn start(cache: &Cache) -> Result<State, Error> {
    let State { counter, .. } = status(cache).await?;
    let target = match counter.active_end() {
        Some(MoveEnd::Target) => counter.fingerprint.as_deref(),
        Some(MoveEnd::Source) => counter.second.as_ref().map(|other| other.fingerprint.as_str()),
        None => None,
    };
    let fingerprint_of = |slot: EmbedderSlot| Some((slot, slot.configured(&cache.config)?.fingerprint.as_deref()?));
    // A running move continues if either configured embedder is its target. A new move only goes to the next one.
    let running =
        EmbedderSlot::ALL.into_iter().filter_map(fingerprint_of).find(|(_, fingerprint)| Some(*fingerprint) == target);
    let next = fingerprint_of(EmbedderSlot::Next)
        .filter(|(_, fingerprint)| counter.fingerprint.as_deref() != Some(*fingerprint));
    let Some((slot, fingerprint)) = running.or(next) else {
        return Err(Error::invalid(
            "there is no embedder to move to",
            "set MNEME_EMBEDDER_NEXT to an embedder that is not the active one",
        ));
    };
    let dim = embedder_dim(cache, slot).await?;
    reembed::start::start(cache, fingerprint, dim).await
}
