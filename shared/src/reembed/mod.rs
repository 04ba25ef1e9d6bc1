//! Moving the cache to another embedder while it is served.
//!
//! A move begins with one write to item 0, which names the target. From then on a row may have two vectors, one of each
//! embedder. Steps go through the ids, as far as their time goes, and add what is missing of the embedder that is not active.
//! Where no entry is left without, one write switches: it changes the places of the two, and holds only as long as no id was
//! given out since. The same steps and the same write lead back. At the end the embedder that is active stays, and the other
//! one's vectors are removed, again in steps.
//!
//! What makes this right at every moment: a vector always says whose it is; an instance compares a question with the vectors of
//! one embedder, which the counter names that it reads with every request; and a vector of the active embedder appears under a
//! new id only, as one of a put does, so that replicas and packed segments that know an id know its vector.
//!
//! - [`fill`]: adding vectors.
//! - [`switch`]: changing places.
//! - [`end`]: removing vectors.

pub mod end;
pub mod fill;
pub mod switch;

use std::ops::Range;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Serialize;
use tokio::time::Instant;

use crate::cache::Cache;
use crate::embedders::{Other, Side};
use crate::error::{Error, ErrorKind};
use crate::key::{EntryId, RowKey};
use crate::table::counter::Counter;
use crate::table::{Projection, Rows};
use crate::write::embedder::Change;

/// How long before the end of its time a step begins nothing further.
const MARGIN: Duration = Duration::from_secs(1);

/// How many ids are gone through at a time, at most, and before it is known how long that takes.
const MOST_AT_ONCE: u64 = 256;
const FIRST_AT_ONCE: u64 = 32;
/// How long that should take: a quick embedder gets more of them, a slow one fewer.
const BLOCK: Duration = Duration::from_secs(2);
/// How many rows are written at once.
const WRITES_AT_ONCE: usize = 16;
/// How often rows that were written to meanwhile are looked at again.
const LOOKS: u32 = 8;

/// How much one call does at most.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// When it begins nothing further.
    pub until: Instant,
    /// How many ids it goes through.
    pub ids: u64,
    /// Of these, how many at a time.
    at_once: u64,
}

impl Bounds {
    /// For a call of `cache` that may take `limit`, and no longer than its deadline.
    pub fn new(cache: &Cache, limit: Duration, ids: u64) -> Self {
        let end = cache.deadline.checked_sub(MARGIN).unwrap_or(cache.deadline);
        Self { until: end.min(Instant::now() + limit), ids, at_once: FIRST_AT_ONCE }
    }

    /// The next ids from `from` on, of those below `end`.
    fn block(&self, from: u64, end: u64) -> Range<u64> {
        from..end.min(from + self.at_once.min(self.ids))
    }

    /// Notes that `ids` were gone through in that time.
    fn spend(&mut self, ids: &Range<u64>, took: Duration) {
        self.ids -= ids.end - ids.start;
        self.at_once = match took {
            took if took > BLOCK => (self.at_once / 2).max(1),
            took if took < BLOCK / 4 => (self.at_once * 2).min(MOST_AT_ONCE),
            _ => self.at_once,
        };
    }

    fn are_left(&self) -> bool {
        self.ids > 0 && Instant::now() < self.until
    }
}

/// What is being done to the other embedder's vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// They are added.
    Adding,
    /// They are removed.
    Removing,
}

impl Phase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Adding => "adding",
            Self::Removing => "removing",
        }
    }
}

/// How far a phase has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The lowest id that was not gone through.
    pub next_id: u64,
    /// How many ids were gone through.
    pub ids: u64,
    /// How long that took, pauses between calls left out.
    pub worked_ms: u64,
    /// What became of their entries.
    pub passed: Passed,
}

impl Default for Progress {
    fn default() -> Self {
        Self { next_id: 1, ids: 0, worked_ms: 0, passed: Passed::default() }
    }
}

impl Progress {
    /// Notes that `ids` were gone through in that time, and what became of their entries.
    fn advance(&mut self, ids: &Range<u64>, passed: &Passed, took: Duration) {
        self.passed.add(passed);
        self.ids += ids.end - ids.start;
        self.next_id = ids.end;
        self.worked_ms += u64::try_from(took.as_millis()).unwrap_or(0);
    }

    /// Ids per second; `None` before the first.
    pub fn rate(&self) -> Option<f64> {
        (self.ids > 0).then(|| self.ids as f64 * 1000.0 / self.worked_ms.max(1) as f64)
    }
}

/// What became of the entries gone through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Passed {
    /// They have what they should have.
    pub ready: u64,
    /// They cannot be embedded, since only the hash of their query is stored.
    pub without_query: u64,
    /// Their text is refused by the embedder.
    pub refused: u64,
    /// A second vector does not fit into their item.
    pub too_large: u64,
    /// They never had a vector, and stay what they were: found exactly.
    pub without_vector: u64,
}

impl Passed {
    pub(crate) fn named(&self) -> [(&'static str, u64); 5] {
        [
            ("ready", self.ready),
            ("without_query", self.without_query),
            ("refused", self.refused),
            ("too_large", self.too_large),
            ("without_vector", self.without_vector),
        ]
    }

    pub(crate) fn from_named(value: impl Fn(&str) -> u64) -> Self {
        Self {
            ready: value("ready"),
            without_query: value("without_query"),
            refused: value("refused"),
            too_large: value("too_large"),
            without_vector: value("without_vector"),
        }
    }

    fn add(&mut self, other: &Self) {
        self.ready += other.ready;
        self.without_query += other.without_query;
        self.refused += other.refused;
        self.too_large += other.too_large;
        self.without_vector += other.without_vector;
    }
}

/// The embedders of the cache, and how far a move between them has come.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// As it was read last.
    pub counter: Counter,
    /// How far vectors of the other embedder have been added, or removed; `None` without a move.
    pub progress: Option<Progress>,
    /// Whether there is nothing left to do in this phase. While vectors are added: of a step's own reply also that they are packed.
    pub complete: bool,
}

impl State {
    /// Ids that were not gone through.
    pub fn ids_left(&self) -> u64 {
        self.progress.map_or(0, |progress| self.counter.next_id.saturating_sub(progress.next_id))
    }
}

/// An entry that was gone through, and what became of it; `None`: it was written to meanwhile.
type Became = (EntryId, Option<Passed>);

impl Cache {
    /// Item 0, whatever embedder is configured. Errors: `NotFound` where there is none yet; `StoreBackendError`.
    async fn embedders(&self) -> Result<Counter, Error> {
        match self.table.get(RowKey::COUNTER, true).await? {
            Some(item) => Counter::from_item(&item),
            None => Err(Error::not_found(
                "there is nothing to move: the cache has not been opened yet",
                "configure the new embedder, and use it from the first entry on",
            )),
        }
    }

    /// Goes through the entries of `ids`. `visit` gets the rows that are there, and those again that were written to meanwhile.
    ///
    /// Reads: the rows, strongly. Errors: those of `visit`; `StoreBackendError`, also where one is written to all the time.
    async fn go_through<'a>(
        &self,
        ids: Range<u64>,
        visit: impl Fn(Rows) -> BoxFuture<'a, Result<Vec<Became>, Error>> + Sync,
    ) -> Result<Passed, Error> {
        let mut passed = Passed::default();
        let mut pending: Vec<EntryId> = ids.filter_map(EntryId::new).collect();
        for _ in 0..LOOKS {
            let rows = self.table.batch_get(pending.drain(..).map(RowKey::from), Projection::Whole).await?;
            for (id, became) in visit(rows).await? {
                match became {
                    Some(one) => passed.add(&one),
                    None => pending.push(id),
                }
            }
            if pending.is_empty() {
                return Ok(passed);
            }
        }
        Err(Error::backend(
            format!("{} entries were written to again and again while they were gone through", pending.len()),
            "go on with another call",
        ))
    }

    /// How far the move has come. Reads: item 0, and a derived item. Errors: `StoreBackendError`, `NotFound`.
    pub async fn reembed_status(&self) -> Result<State, Error> {
        let counter = self.embedders().await?;
        let Some(Other { era, ending, .. }) = counter.other else {
            return Ok(State { counter, progress: None, complete: true });
        };
        let phase = if ending { Phase::Removing } else { Phase::Adding };
        let progress = self.table.progress(era, phase).await?;
        let complete = progress.next_id >= counter.next_id && !ending;
        Ok(State { counter, progress: Some(progress), complete })
    }

    /// Begins a move to the embedder of this fingerprint and dimension, or finds that it has begun.
    ///
    /// Reads: item 0. Writes: a transaction on it, one mutation. Errors: `EmbedderMismatchError` while another move is under
    /// way; `InvalidRequest` where there is nothing to move from or to; `StoreBackendError`.
    pub async fn reembed_start(&self, fingerprint: &str, dim: u32) -> Result<State, Error> {
        loop {
            let counter = self.embedders().await?;
            if let Some(other) = &counter.other {
                let target = match counter.side() {
                    Some(Side::Target) => (counter.fingerprint.as_deref(), counter.dim),
                    _ => (Some(other.fingerprint.as_str()), Some(other.dim)),
                };
                if target == (Some(fingerprint), Some(dim)) && !other.ending {
                    return self.reembed_status().await;
                }
                let what = if other.ending { "being ended" } else { "under way" };
                return Err(Error::new(
                    ErrorKind::EmbedderMismatchError,
                    format!(
                        "a move between {:?} and {:?} is {what}",
                        counter.fingerprint.as_deref().unwrap_or_default(),
                        other.fingerprint
                    ),
                    "`finish` or `abort` it, then start the other one",
                ));
            }
            let (Some(stamped), Some(_)) = (&counter.fingerprint, counter.dim) else {
                return Err(Error::invalid(
                    "the cache is not stamped with the embedder that it has now",
                    "set MNEME_EMBEDDER_FINGERPRINT and MNEME_EMBEDDER_DIM to that one's, invoke `provision`, and start again",
                ));
            };
            if stamped == fingerprint {
                return Err(Error::invalid(
                    format!("the cache holds embeddings of {fingerprint:?} already"),
                    "configure the embedder to move to as MNEME_EMBEDDER_NEXT",
                ));
            }
            let start = Change::Start { fingerprint: fingerprint.to_owned(), dim };
            if self.change_embedders(&counter, &start).await? {
                // What there is so far has the source's vectors, as far as it ever will.
                let progress = Progress { next_id: counter.next_id, ..Progress::default() };
                self.table.keep_progress(counter.era, Phase::Adding, &progress).await?;
            }
        }
    }
}
