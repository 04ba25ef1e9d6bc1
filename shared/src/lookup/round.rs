//! One round of an engine: the queries that are under way, and what the round found.

use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::limits::MAX_REPLY_BYTES;
use mneme_model::namespace_settings::Layers;
use mneme_model::pair_verdicts::PairVerdicts;
use mneme_store::counter::Counter;

use super::candidates::CandidateStream;
use super::exact::ExactMatch;
use super::outcome::{LookupOutcome, Miss, MissReason};
use super::query::Query;
use super::rules::Rules;
use crate::cache::Cache;
use crate::embedders::query_vector::ReadEmbedder;
use crate::replica::Candidates;

/// The results of one round.
pub(super) struct Round {
    /// One for each query, in their order.
    pub(super) outcomes: Vec<Result<LookupOutcome, Error>>,
    /// Whether a row was gone that a pointer, the replica or a segment named. The answer may have moved to a newer row
    /// that nothing named yet.
    pub(super) saw_missing_row: bool,
}

impl Round {
    /// The results for `queries` queries if the table did not answer.
    pub(super) fn unavailable(queries: usize) -> Self {
        Self { outcomes: (0..queries).map(|_| Ok(unavailable())).collect(), saw_missing_row: false }
    }

    /// The round with the answers that are in items of their own. An entry whose answer item was replaced or removed since
    /// is no hit, so its query is looked up again. Nothing is read beyond what a reply has room for.
    ///
    /// Reads: the answer items of hits, strongly. If they do not come in time, their queries are the miss `unavailable`.
    /// Errors: `StoreBackendError`.
    pub(super) async fn with_answers(mut self, cache: &Cache) -> Result<Self, Error> {
        let mut bytes = 0;
        let mut hits: Vec<&mut LookupOutcome> = Vec::new();
        for outcome in self.outcomes.iter_mut().flatten() {
            let LookupOutcome::Hit { entry, .. } = &*outcome else { continue };
            if bytes <= MAX_REPLY_BYTES && entry.lacks_answer() {
                bytes += entry.apart.map_or(0, |apart| apart.bytes);
                hits.push(outcome);
            }
        }
        let entries = hits.iter_mut().filter_map(|outcome| outcome.entry_mut());
        let read = match cache.table.read_answers(entries).await {
            Err(error) if error.is_store_overload() => {
                hits.into_iter().for_each(|hit| *hit = unavailable());
                return Ok(self);
            }
            read => read?,
        };
        for (hit, _) in hits.into_iter().zip(read).filter(|(_, is_read)| !is_read) {
            *hit = LookupOutcome::Miss(Miss::without_comparison(MissReason::NoEntry));
            self.saw_missing_row = true;
        }
        Ok(self)
    }
}

/// The miss of a query for which the table did not answer.
pub(super) fn unavailable() -> LookupOutcome {
    LookupOutcome::Miss(Miss::without_comparison(MissReason::Unavailable))
}

/// What the steps of one round share.
#[derive(Clone, Copy)]
pub(super) struct RoundContext<'a> {
    /// The cache as the invocation has it.
    pub(super) invocation: &'a Cache,
    /// The cache for the time that the lookup may take.
    pub(super) cache: &'a Cache,
    pub(super) counter: &'a Counter,
    pub(super) embedder: &'a ReadEmbedder,
}

/// A query that has no outcome yet.
pub(super) struct PendingQuery<'a> {
    /// Its position in the request.
    pub(super) position: usize,
    pub(super) query: &'a Query,
    pub(super) rules: Rules,
    /// The entries that may hold its exact answer.
    pub(super) known: Vec<EntryId>,
    /// What callers said of the answers to the question.
    pub(super) verdicts: PairVerdicts,
    pub(super) exact: ExactMatch,
    pub(super) candidates: CandidateStream<Candidates>,
    /// Why the query cannot be compared in time.
    pub(super) blocked: Option<MissReason>,
}

impl PendingQuery<'_> {
    /// Whether the exact layer has no answer and there is a vector to compare.
    pub(super) fn is_comparable(&self, embedder: &ReadEmbedder) -> bool {
        self.needs_semantic_layer() && self.query.vector.get(Some(embedder)).is_some()
    }

    /// Whether the exact layer has no answer and the embedder still has to make the vector.
    pub(super) fn awaits_vector(&self, embedder: &ReadEmbedder) -> bool {
        self.needs_semantic_layer() && self.query.vector.is_awaited(embedder)
    }

    fn needs_semantic_layer(&self) -> bool {
        self.blocked.is_none() && !self.exact.is_answer() && self.rules.layers == Layers::All
    }

    /// Notes that `failed` keeps the query from being compared. Returns any error but an overload of the table.
    pub(super) fn block(&mut self, reason: MissReason, failed: Error) -> Result<(), Error> {
        if !failed.is_store_overload() {
            return Err(failed);
        }
        tracing::info!(error = %failed, ?reason, "the question is not compared");
        self.blocked.get_or_insert(reason);
        Ok(())
    }
}

/// What was found while the replica was brought up to date.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CatchUp {
    /// Whether the replica changed, so that earlier candidates are stale.
    pub(super) changed: bool,
    /// Whether a new row was gone already, or had no vector of the served embedder.
    pub(super) saw_missing_row: bool,
}

impl CatchUp {
    pub(super) fn add(&mut self, other: Self) {
        self.changed |= other.changed;
        self.saw_missing_row |= other.saw_missing_row;
    }
}
