//! Storing entries: one, or as many as a transaction takes.
//!
//! - [`look`]: what has to be known before.
//! - [`plan`]: the transaction.
//! - [`vectors`]: whose vectors a row has.

mod look;
mod plan;
mod vectors;

use std::collections::HashSet;
use std::time::Duration;

use mneme_guard::ConversationSignature;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use super::turn::Turn;
use crate::cache::Cache;
use crate::embedders::{NEXT, NEXT_ERA, OWN_ERA};
use crate::embedding::Embedding;
use crate::entry::Item;
use crate::error::{Error, ErrorKind};
use crate::key::{EntryId, RowKey};
use crate::namespace::Namespace;
use crate::normalize::QueryHash;
use crate::question::Partition;
use crate::table::Projection;
use crate::table::counter::Counter;
use crate::table::fault::unreachable;
use crate::table::transaction::{MAX_ACTIONS, Outcome, Verdict};
use plan::Part;
pub(crate) use vectors::Vectors;

/// How long before the deadline no further transaction of a batch is begun.
const MARGIN: Duration = Duration::from_secs(1);

/// What is kept back from a put's time, to find out by reading what became of a transaction that was not answered.
const SETTLE: Duration = Duration::from_millis(400);

/// The most entries that one transaction could take: two actions each, the counter and a tally.
const MOST_AT_ONCE: usize = (MAX_ACTIONS - 2) / 2;

/// What changes in a row that was stored, while it stays what was stored.
const SINCE: [&str; 6] = ["last_accessed_at", "access_count", "embedding", OWN_ERA, NEXT, NEXT_ERA];

/// An entry to be stored.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Where.
    pub namespace: Namespace,
    /// The hash of the normalised query: with the namespace, the entry's identity.
    pub query_hash: QueryHash,
    /// What questions must have in common with it exactly.
    pub partition: Option<Partition>,
    /// What decides its answer: kept where the guard is on, and of what leans on a conversation.
    pub signature: ConversationSignature,
    /// The query, unless only its hash is to be kept.
    pub query: Option<String>,
    /// The answer.
    pub response: String,
    /// One, or during a move to another embedder one of each; none: only the exact layer finds the entry.
    pub vectors: Vec<NewVector>,
    /// What the caller keeps with it.
    pub metadata: Map<String, Value>,
    /// Seconds to live; `None`: for ever.
    pub ttl_secs: Option<u64>,
    /// 0 to 1.
    pub confidence_score: f64,
    /// With a key, the same put within 24 hours answers as the first time and stores nothing.
    pub idempotency_key: Option<String>,
}

/// The vector of an entry to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVector {
    /// The fingerprint of the embedder that made it; `None`: the one that this instance serves (see
    /// [`crate::table::counter::Counter::serving`]).
    pub made_by: Option<String>,
    /// The vector.
    pub embedding: Embedding,
}

impl From<Embedding> for NewVector {
    fn from(embedding: Embedding) -> Self {
        Self { made_by: None, embedding }
    }
}

/// A stored entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: EntryId,
    /// False when it replaced a live entry for the same query.
    pub created: bool,
    /// The namespace's quota, as it was when the entry was stored; `None` also when a receipt answered.
    pub quota: Option<u64>,
    /// Whether a receipt answered, and nothing was stored now.
    pub replayed: bool,
}

impl Cache {
    /// Stores each of `entries`, replacing the live entry for the same query in the same namespace, if there is one.
    /// Returns what became of each, in their order.
    ///
    /// A replaced entry whose vectors stay the same keeps its id; with another one it takes a new id and the old row
    /// goes in the same transaction. Either way it is one mutation. Of several entries for one query the last stays. During a
    /// move, a vector of the embedder that none is given of is kept: it is of the same text.
    ///
    /// Reads, at once: the counter, the pointers and `gsi_hash`; then the rows these name, if any. Writes: as few
    /// transactions as take the entries (100 actions, 4 MB), each of the rows, the counter, the pointers and the
    /// tallies. After a lost race also the line before the counter.
    /// Errors, of each entry alone: `EmbedderDimensionError`, `EntryTooLarge`, `InvalidRequest`; of all entries of a
    /// transaction: `StoreBackendError`; `EmbedderMismatchError` of either. What has an error is not stored.
    pub async fn put_all(&self, entries: &[NewEntry]) -> Vec<Result<Stored, Error>> {
        let mut results = Vec::with_capacity(entries.len());
        while results.len() < entries.len() {
            if !results.is_empty() && Instant::now() + MARGIN >= self.deadline {
                let remedy = "send it again, in a smaller batch";
                results.push(Err(Error::backend("the time ran out before this entry's turn", remedy)));
                continue;
            }
            let rest = &entries[results.len()..];
            let some = &rest[..distinct(rest)];
            // What was stored before is not to be lost with what comes now.
            match timeout_at(self.reply_by(), self.store_some(some)).await {
                Ok(stored) => results.extend(stored),
                Err(_) => results.extend(some.iter().map(|_| Err(unreachable("TransactWriteItems")))),
            }
        }
        results
    }

    /// Stores the first of `entries`, as many as one transaction takes, and returns what became of these: at least one.
    async fn store_some(&self, entries: &[NewEntry]) -> Vec<Result<Stored, Error>> {
        let mut turn = None;
        let outcome = self.store_in_turn(entries, &mut turn).await;
        if let Some(turn) = turn {
            self.end_turn(turn).await;
        }
        match outcome {
            Ok(results) => results,
            // One of them can never be written, for a reason that only DynamoDB knows: the others need not fail with it.
            Err(error) if error.kind == ErrorKind::Internal && entries.len() > 1 => {
                let mut results = Vec::new();
                for entry in entries.chunks(1) {
                    results.extend(Box::pin(self.store_some(entry)).await);
                }
                results
            }
            Err(error) => {
                let copies: Vec<_> = entries[1..].iter().map(|_| Err(error.for_caller())).collect();
                [Err(error)].into_iter().chain(copies).collect()
            }
        }
    }

    /// `turn`: is set to the place in line that was taken, if one was.
    async fn store_in_turn(
        &self,
        entries: &[NewEntry],
        turn: &mut Option<Turn>,
    ) -> Result<Vec<Result<Stored, Error>>, Error> {
        let mut pace = self.pace();
        // What is looked at while others have their turns is settled by the transaction's conditions; only the counter must
        // be seen in turn, and nobody waits for the rest.
        let (taken, looked) = tokio::join!(self.turn_if_crowded(), self.look_before_put(entries, false));
        *turn = taken;
        let mut seen = looked?;
        if let Some(turn) = turn.as_mut().filter(|turn| turn.waited) {
            seen.counter = self.counter_in(turn).await?;
        }
        loop {
            let plan = self.plan(entries, &seen)?;
            if plan.actions.is_empty() {
                return Ok(plan.results);
            }
            let rows = plan.rows();
            let until = self.reply_by().checked_sub(SETTLE).unwrap_or(self.deadline);
            let outcome = self.table.transact(plan.actions, until).await?;
            let crowded_out = outcome.was_crowded_out();
            let verdicts = match outcome {
                Outcome::Committed => return Ok(plan.results),
                Outcome::Cancelled(verdicts) => verdicts,
                Outcome::Unknown(_) if matches!(self.any_stored(&rows).await, Ok(true)) => return Ok(plan.results),
                Outcome::Unknown(error) => return Err(error),
            };
            if crowded_out {
                pace.after_crowding().await?;
                self.queue(turn).await;
                seen = self.look_before_put(entries, true).await?;
                continue;
            }
            let failed = |part: Part| {
                let verdicts = plan.parts.iter().zip(&verdicts).filter(|(of, _)| **of == part);
                verdicts.filter(|(_, verdict)| matches!(verdict, Verdict::ConditionFailed(_))).count()
            };
            let counter = plan.parts.iter().position(|of| *of == Part::Counter).and_then(|at| verdicts.get(at));
            // The id is taken although the counter, which nobody holds, has not given it out: as after a restore of an
            // older item 0.
            if failed(Part::NewRow) > 0 && matches!(counter, Some(Verdict::Fine)) {
                return Err(Error::backend(
                    format!("the counter stands at {}, but that id is taken", seen.counter.next_id),
                    "invoke `vacuum`, which sets the counter right; nothing was overwritten",
                ));
            }
            let at_head = turn.as_ref().is_some_and(|turn| turn.at_head);
            pace.after_lost_race(at_head).await?;
            self.queue(turn).await;
            // Where only the counter moved, the rest is as it was seen, and the refusal brought the counter's new state
            // along; but after a wait that is as stale as what was just refused.
            match counter {
                _ if failed(Part::Rest) > 0 => seen = self.look_before_put(entries, true).await?,
                Some(Verdict::ConditionFailed(Some(item))) if at_head => seen.counter = Counter::from_item(item)?,
                _ => {
                    seen.counter = match turn {
                        Some(turn) => self.counter_in(turn).await?,
                        None => self.counter().await?,
                    }
                }
            }
        }
    }

    /// The counter as it stands now that it is our turn. Reads: the counter, unless the turn brought it along.
    async fn counter_in(&self, turn: &mut Turn) -> Result<Counter, Error> {
        match turn.counter.take() {
            Some(counter) => Ok(counter),
            None => self.counter().await,
        }
    }

    /// Whether one of `rows` stands in the table as it was to be written; used or not since. A transaction is applied whole,
    /// so then all were. That another writer stored the very same under the same id cannot be told apart, and need not be.
    ///
    /// Reads: the rows, strongly.
    async fn any_stored(&self, rows: &[(RowKey, Item)]) -> Result<bool, Error> {
        let found = self.table.batch_get(rows.iter().map(|(key, _)| *key), Projection::Whole).await?;
        // What a use or a move may have changed since does not count.
        let unused = |item: &Item| {
            let mut item = item.clone();
            item.retain(|name, _| !SINCE.contains(&name.as_str()));
            item
        };
        Ok(rows.iter().any(|(key, row)| found.get(*key).is_some_and(|item| unused(item) == unused(row))))
    }

    /// Waits in line, unless the counter is ours but for newcomers.
    async fn queue(&self, turn: &mut Option<Turn>) {
        self.turns.lost();
        if turn.as_ref().is_some_and(|turn| turn.at_head) {
            return;
        }
        if let Some(passed_by) = turn.take() {
            self.end_turn(passed_by).await;
        }
        *turn = self.take_turn().await;
    }
}

/// How many of `entries`, from the first on, are for different queries and have different idempotency keys, so that one
/// transaction, which takes one action per item, could hold them.
fn distinct(entries: &[NewEntry]) -> usize {
    let mut keys = HashSet::new();
    let is_new = |entry: &&NewEntry| keys.insert(entry.pointer()) && entry.receipt().is_none_or(|key| keys.insert(key));
    entries.iter().take(MOST_AT_ONCE).take_while(is_new).count()
}
