//! The two layers over one instance's view of the table.

use std::collections::HashSet;
use std::time::Duration;

use mneme_core::cache::Cache;
use mneme_core::confidence::{confidence, is_servable};
use mneme_core::embedding::Embedding;
use mneme_core::entry::Entry;
use mneme_core::error::Error;
use mneme_core::key::{EntryId, RowKey};
use mneme_core::namespace::Namespace;
use mneme_core::normalize::QueryHash;
use mneme_core::replica::{Candidate, Replica};
use mneme_core::similarity::cosine;
use mneme_core::table::counter::Counter;
use mneme_core::table::{Projection, Rows, pointed_entry};
use tokio::time::Instant;

use crate::{Layer, MissReason};

/// How many candidates are read with the counter; each further round reads twice as many.
const CANDIDATES: usize = 3;
/// The most candidates that one round reads.
const MOST_CANDIDATES: usize = 96;

/// A question, ready to be looked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) namespace: Namespace,
    pub(crate) hash: QueryHash,
    pub(crate) embedding: Option<Embedding>,
    pub(crate) threshold: f32,
    pub(crate) now_secs: i64,
}

/// What was found.
#[derive(Debug)]
pub(crate) enum Found {
    Hit { layer: Layer, entry: Box<Entry>, similarity: f32, confidence: f64 },
    Miss { reason: MissReason, best_similarity: Option<f32> },
}

/// This instance's view of the table: the replica, and the counter as it was last read.
#[derive(Debug, Default)]
pub(crate) struct View {
    replica: Replica,
    seen: Option<(Counter, Instant)>,
}

/// The exact layer's finding.
enum Exact {
    Hit(Box<Entry>),
    /// The entry is there, but holds no answer.
    Unservable,
    Nothing,
}

/// One pass of a search.
struct Pass {
    found: Found,
    /// Whether a row that was pointed at, suggested or new was gone: it may have been replaced since the counter was
    /// read, by one that nothing knows of yet.
    vanished: bool,
}

impl View {
    /// Looks for an answer: exact first, then the nearest entries.
    ///
    /// Reads, warm: one BatchGetItem of the counter, the pair's pointer and the best candidates; more only where
    /// the table has moved on, or a candidate turns out to be gone. On the first question with a vector the whole
    /// table, by one scan. Errors: `StoreBackendError`, `EmbedderDimensionError`, `EmbedderMismatchError`.
    pub(crate) async fn search(&mut self, cache: &Cache, asked: &Asked) -> Result<Found, Error> {
        let mut last_version = None;
        loop {
            let Pass { found, vanished } = self.pass(cache, asked, last_version.is_some()).await?;
            let version = self.seen.as_ref().map(|(counter, _)| counter.version);
            // A miss for a row that vanished may be an answer that moved: look again, unless nothing has been written
            // between two looks.
            if vanished && matches!(found, Found::Miss { .. }) && last_version != Some(version) {
                last_version = Some(version);
                continue;
            }
            return Ok(found);
        }
    }

    /// `again`: whether the counter must be read however fresh the last reading is.
    async fn pass(&mut self, cache: &Cache, asked: &Asked, again: bool) -> Result<Pass, Error> {
        let interval = Duration::from_millis(cache.config.stale_check_interval_ms);
        let trusted =
            self.seen.take().filter(|(_, read_at)| !again && self.replica.is_loaded() && read_at.elapsed() < interval);
        let pointer = RowKey::pointer(&asked.namespace, &asked.hash);
        let suggested = self.candidates(asked, CANDIDATES, &HashSet::new());
        let mut keys: Vec<RowKey> = suggested.iter().map(|candidate| candidate.id.into()).collect();
        keys.extend(self.known(asked).map(RowKey::from));
        keys.push(pointer);
        let now = Instant::now();
        let (mut rows, counter, read_at) = match trusted {
            Some((counter, read_at)) => (cache.table.batch_get(keys, Projection::Whole).await?, counter, read_at),
            None => {
                keys.push(RowKey::COUNTER);
                let rows = match cache.table.batch_get(keys.clone(), Projection::Whole).await {
                    // The table may be missing and ours to make; if it is not, opening names what is wrong.
                    Err(_) if !cache.is_open() => {
                        cache.open().await?;
                        cache.table.batch_get(keys, Projection::Whole).await?
                    }
                    rows => rows?,
                };
                let counter = cache.counter_from(rows.get(RowKey::COUNTER)).await?;
                (rows, counter, now)
            }
        };
        if let Some(embedding) = &asked.embedding {
            counter.check_dim(embedding.dim())?;
        }
        let pointed = rows.get(pointer).and_then(pointed_entry);
        let mut vanished = false;
        let found = self.layers(cache, asked, &counter, pointed, &mut rows, &mut vanished).await;
        self.seen = Some((counter, read_at));
        for id in rows.missing_entries() {
            vanished = true;
            self.replica.forget(id);
        }
        Ok(Pass { found: found?, vanished })
    }

    /// Both layers, over the `rows` read so far, which are completed as needed. Sets `vanished` when the replica caught
    /// up with rows that were gone.
    async fn layers(
        &mut self,
        cache: &Cache,
        asked: &Asked,
        counter: &Counter,
        pointed: Option<EntryId>,
        rows: &mut Rows,
        vanished: &mut bool,
    ) -> Result<Found, Error> {
        let mut exact = judge_exact(cache, asked, pointed.into_iter().chain(self.known(asked)), rows).await?;
        if let Exact::Nothing = exact {
            if self.replica.is_loaded() || asked.embedding.is_some() {
                if self.replica.is_behind(counter) {
                    *vanished |= self.replica.catch_up(cache, counter).await?;
                    exact = judge_exact(cache, asked, self.known(asked), rows).await?;
                }
            } else {
                // A row of the Python library has no pointer, and this instance has no replica to know it by.
                let indexed = cache.rows_of_pair(&asked.namespace, &asked.hash, None).await?;
                exact = judge(indexed.into_iter().rfind(|entry| !entry.is_expired(asked.now_secs)));
            }
        }
        if let Exact::Hit(entry) = exact {
            let age_secs = asked.now_secs - entry.created_at;
            let confidence = confidence(1.0, entry.confidence_score, age_secs, cache.config.confidence_half_life_secs);
            return Ok(Found::Hit { layer: Layer::Exact, entry, similarity: 1.0, confidence });
        }
        let rejected = matches!(exact, Exact::Unservable).then_some(MissReason::Rejected);
        let Some(embedding) = &asked.embedding else {
            return Ok(Found::Miss { reason: rejected.unwrap_or(MissReason::NoEmbedding), best_similarity: None });
        };
        if self.replica.is_behind(counter) {
            *vanished |= self.replica.catch_up(cache, counter).await?;
        }
        self.nearest(cache, asked, embedding, rejected, rows).await
    }

    /// The entries that the replica knows for the question's hash, the newest first.
    fn known(&self, asked: &Asked) -> impl Iterator<Item = EntryId> {
        self.replica.by_hash(&asked.namespace, &asked.hash).iter().rev().copied()
    }

    fn candidates(&self, asked: &Asked, k: usize, judged: &HashSet<EntryId>) -> Vec<Candidate> {
        let Some(embedding) = &asked.embedding else { return Vec::new() };
        let mut nearest =
            self.replica.nearest(&asked.namespace, embedding, k, judged, (asked.threshold, asked.now_secs));
        nearest.retain(|candidate| candidate.similarity >= asked.threshold);
        nearest
    }

    /// The semantic layer: candidates in order of similarity, each judged by its row; those that are gone make
    /// room for the next, so that a dead entry never hides a live one.
    async fn nearest(
        &mut self,
        cache: &Cache,
        asked: &Asked,
        embedding: &Embedding,
        mut reason: Option<MissReason>,
        rows: &mut Rows,
    ) -> Result<Found, Error> {
        let mut judged = HashSet::new();
        let mut best_similarity: Option<f32> = None;
        let mut k = CANDIDATES;
        loop {
            let candidates = self.candidates(asked, k, &judged);
            if candidates.is_empty() {
                break;
            }
            cache.table.complete(rows, candidates.iter().map(|candidate| candidate.id.into())).await?;
            for Candidate { id, .. } in candidates {
                judged.insert(id);
                let Some(item) = rows.get(id.into()) else { continue };
                // Another library may have written another vector or lifetime under this id.
                self.replica.take_in(item);
                let Some(entry) = rows.entry(id) else { continue };
                let Some(vector) = entry.vector().filter(|vector| vector.dim() == embedding.dim()) else { continue };
                let similarity = cosine(embedding.as_slice(), vector.as_slice());
                if entry.namespace != asked.namespace
                    || entry.is_expired(asked.now_secs)
                    || similarity < asked.threshold
                {
                    continue;
                }
                best_similarity = Some(best_similarity.map_or(similarity, |best| best.max(similarity)));
                let age_secs = asked.now_secs - entry.created_at;
                let half_life = cache.config.confidence_half_life_secs;
                let confidence = confidence(similarity, entry.confidence_score, age_secs, half_life);
                if !is_servable(&entry.response) {
                    reason.get_or_insert(MissReason::Rejected);
                } else if confidence < cache.config.confidence_cutoff {
                    reason.get_or_insert(MissReason::LowConfidence);
                } else {
                    let entry = Box::new(entry);
                    return Ok(Found::Hit { layer: Layer::Semantic, entry, similarity, confidence });
                }
            }
            k = (k * 2).min(MOST_CANDIDATES);
        }
        let below = self.replica.nearest(&asked.namespace, embedding, 1, &judged, (asked.threshold, asked.now_secs));
        let best_similarity = best_similarity.or(below.first().map(|candidate| candidate.similarity));
        let otherwise = if best_similarity.is_some() { MissReason::BelowThreshold } else { MissReason::NoEntry };
        Ok(Found::Miss { reason: reason.unwrap_or(otherwise), best_similarity })
    }
}

/// The pair's live entry among `ids`, the first that has one; `rows` is completed with what it lacks of them.
async fn judge_exact(
    cache: &Cache,
    asked: &Asked,
    ids: impl IntoIterator<Item = EntryId>,
    rows: &mut Rows,
) -> Result<Exact, Error> {
    let ids: Vec<EntryId> = ids.into_iter().collect();
    cache.table.complete(rows, ids.iter().map(|id| (*id).into())).await?;
    let live = ids
        .into_iter()
        .filter_map(|id| rows.entry(id))
        .find(|entry| entry.answers(&asked.namespace, &asked.hash) && !entry.is_expired(asked.now_secs));
    Ok(judge(live))
}

/// What a live entry of the pair, or none, comes to.
fn judge(live: Option<Entry>) -> Exact {
    match live {
        Some(entry) if is_servable(&entry.response) => Exact::Hit(Box::new(entry)),
        Some(_) => Exact::Unservable,
        None => Exact::Nothing,
    }
}
