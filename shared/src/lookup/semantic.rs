//! The semantic layer: candidates are read in descending order of their upper bound, until no further one can be better
//! than the best entry that may be served.

use std::collections::HashSet;

use mneme_model::confidence::Guard;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::NamespaceHash;
use mneme_store::item::item_bytes;
use mneme_store::read::Rows;
use mneme_store::table::Table;

use super::candidates::{CandidateStream, FIRST_CANDIDATES};
use super::query::Query;
use super::score::{ScoredEntry, Scoring, best_servable};
use crate::replica::{Candidate, Candidates, Replica};

/// The most candidates that one round reads.
const MAX_CANDIDATES_PER_ROUND: usize = 96;
/// At most this many entries are compared per question. If more qualify, the best of those read is served. The bound
/// limits the cost of one lookup.
const MAX_COMPARED: usize = 300;
/// A question reads no further candidates once this many bytes were read. If more qualify, the best of those read is
/// served. Strongly consistent, 4 KB cost one read unit.
const MAX_BYTES_READ: usize = 8 << 20;
/// At most this many candidates are read per question, deleted and expired ones included. The round forgets the deleted
/// ones as candidates, so no later question to this instance reads them for their vectors.
const MAX_REQUESTED: usize = 1000;

/// What was read and compared for one question.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// The entries that are similar enough.
    pub(super) scored: Vec<ScoredEntry>,
    /// The candidates that were read.
    pub(super) requested: HashSet<EntryId>,
    /// Whether an entry had no vector of the served embedder. That embedder may have been switched since the counter
    /// was read.
    pub(super) saw_other_embedder: bool,
    /// Whether candidates could not be read in time, so that a better answer may exist.
    pub(super) is_cut_off: bool,
}

/// Whether `candidate` may answer the question. It may not if its numbers or identifiers are known to contradict those
/// of the question.
///
/// `namespace`: the hash of the query's namespace, which callers compute once for many candidates.
pub(super) fn may_answer(replica: &Replica, query: &Query, namespace: &NamespaceHash, candidate: &Candidate) -> bool {
    let contradicts = |fingerprint| replica.contradicts(namespace, candidate.id, fingerprint);
    !query.fingerprint.is_some_and(contradicts)
}

/// Reads candidates into `rows` and compares them, until no further one can be better than the best that may be served.
///
/// A candidate that is gone or expired does not end the search: the candidates after it are read. If no live entry was
/// similar enough, the candidates that the guard skipped are read, too, because one of them gives the reason of the
/// miss.
/// Reads: the candidates' rows, by BatchGetItem. Errors: `StoreBackendError`.
pub(super) async fn compare(
    table: &Table,
    replica: &mut Replica,
    scoring: Scoring<'_>,
    mut candidates: CandidateStream<Candidates>,
    rows: &mut Rows,
) -> Result<Comparison, Error> {
    let query = scoring.query;
    let namespace = query.namespace.hash();
    let mut bytes = 0;
    let mut comparison = Comparison::default();
    let mut compared = 0;
    let mut count = FIRST_CANDIDATES;
    let mut ids = candidates.take_first();
    while !ids.is_empty() {
        match table.fetch_missing(rows, ids.iter().map(|id| (*id).into())).await {
            Err(error) if error.is_store_overload() => comparison.is_cut_off = true,
            read => read?,
        }
        for id in ids.into_iter().filter(|id| rows.has_read((*id).into())) {
            comparison.requested.insert(id);
            let Some(item) = rows.get(id.into()) else { continue };
            bytes += item_bytes(item);
            // Another library may have written another vector or expiry under this id.
            replica.upsert(item);
            let Some(entry) = rows.entry(id) else { continue };
            comparison.saw_other_embedder |= entry.vector(&scoring.embedder.served).is_none();
            compared += usize::from(!entry.is_expired(query.now_secs));
            comparison.scored.extend(scoring.score(entry));
        }
        if comparison.is_cut_off || bytes >= MAX_BYTES_READ {
            break;
        }
        // The rows to come are taken to be as large as those read so far.
        let affordable = (MAX_BYTES_READ - bytes) / (bytes / comparison.requested.len().max(1)).max(1);
        count = (count * 2)
            .min(affordable.max(1))
            .min(MAX_CANDIDATES_PER_ROUND)
            .min(MAX_COMPARED.saturating_sub(compared))
            .min(MAX_REQUESTED.saturating_sub(comparison.requested.len()));
        let best = best_servable(&comparison.scored);
        let filter = |candidate: &Candidate| {
            scoring.rules.guard == Guard::Off || may_answer(replica, query, &namespace, candidate)
        };
        ids = candidates.next(count, best, filter);
        if ids.is_empty() && comparison.scored.is_empty() {
            ids = candidates.take_skipped(count);
        }
    }
    Ok(comparison)
}
