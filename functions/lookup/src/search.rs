//! The two layers over one instance's view of the table.

use std::collections::HashSet;
use std::iter::Peekable;
use std::time::Duration;

use mneme_core::cache::Cache;
use mneme_core::confidence::{confidence, is_servable};
use mneme_core::config::Config;
use mneme_core::embedding::Embedding;
use mneme_core::entry::Entry;
use mneme_core::error::Error;
use mneme_core::key::{EntryId, RowKey};
use mneme_core::namespace::Namespace;
use mneme_core::question::Question;
use mneme_core::replica::{Candidate, Candidates, Nearest, Replica};
use mneme_core::table::counter::Counter;
use mneme_core::table::{Projection, Rows, pointed_entry};
use mneme_guard::VetoKind;
use tokio::time::Instant;

use crate::judge::Judged;
use crate::{Guard, Layer, MissReason};

/// How many candidates are read with the counter; each further round reads twice as many.
const CANDIDATES: usize = 3;
/// The most candidates that one round reads.
const MOST_CANDIDATES: usize = 96;
/// The most candidates that a question reads. Where codes tell so little that more may be close enough, the closest of
/// these answers, so that no question costs much more than others.
const MOST_READ: usize = 300;

/// A question, ready to be looked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) question: Question,
    pub(crate) namespace: Namespace,
    pub(crate) embedding: Option<Embedding>,
    pub(crate) threshold: f32,
    /// What the request says of the guard.
    pub(crate) guard: Option<Guard>,
    pub(crate) now_secs: i64,
}

/// What was found.
#[derive(Debug)]
pub(crate) enum Found {
    Hit { layer: Layer, entry: Box<Entry>, similarity: f32, confidence: f64 },
    Miss(Miss),
}

/// Why nothing was found.
#[derive(Debug)]
pub(crate) struct Miss {
    pub(crate) reason: MissReason,
    pub(crate) best_similarity: Option<f32>,
    pub(crate) veto: Option<VetoKind>,
}

impl Miss {
    /// A miss before anything was compared.
    pub(crate) fn of(reason: MissReason) -> Self {
        Self { reason, best_similarity: None, veto: None }
    }
}

/// This instance's view of the table: the replica, and the counter as it was last read.
#[derive(Debug)]
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
    /// A view of nothing yet, in a function of this configuration.
    pub(crate) fn new(config: &Config) -> Self {
        Self { replica: Replica::new(config), seen: None }
    }

    /// Looks for an answer: exact first, then the nearest entries.
    ///
    /// Reads, warm: one BatchGetItem of the counter, the pair's pointer and the best candidates; more only where
    /// the table has moved on, or a candidate turns out to be gone. On a namespace's first question with a vector its
    /// packed segments, or, where there are none, the whole table, by one scan. Errors: `StoreBackendError`, `EmbedderDimensionError`, `EmbedderMismatchError`.
    pub(crate) async fn search(&mut self, cache: &Cache, asked: &Asked) -> Result<Found, Error> {
        let mut last_version = None;
        loop {
            let Pass { found, vanished } = self.pass(cache, asked, last_version.is_some()).await?;
            let version = self.seen.as_ref().map(|(counter, _)| counter.version);
            // A miss for a row that vanished may be an answer that moved: look again, unless nothing has been written
            // between two looks.
            if vanished && matches!(found, Found::Miss(_)) && last_version != Some(version) {
                last_version = Some(version);
                continue;
            }
            return Ok(found);
        }
    }

    /// `again`: whether the counter must be read however fresh the last reading is.
    async fn pass(&mut self, cache: &Cache, asked: &Asked, again: bool) -> Result<Pass, Error> {
        let interval = Duration::from_millis(cache.config.stale_check_interval_ms);
        let trusted = self
            .seen
            .take()
            .filter(|(_, read_at)| !again && self.replica.holds(&asked.namespace) && read_at.elapsed() < interval);
        let pointer = RowKey::pointer(&asked.namespace, &asked.question.hash);
        let suggested = self.suggest(asked);
        let mut keys: Vec<RowKey> = suggested.first.iter().map(|id| (*id).into()).collect();
        keys.extend(self.known(asked).into_iter().map(RowKey::from));
        keys.push(pointer);
        let now = Instant::now();
        let (rows, counter, read_at) = match trusted {
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
        let mut gathered = Gathered { rows, suggested, vanished: false };
        let found = self.layers(cache, asked, &counter, pointed, &mut gathered).await;
        self.seen = Some((counter, read_at));
        let Gathered { rows, mut vanished, .. } = gathered;
        for id in rows.missing_entries() {
            vanished = true;
            self.replica.forget(&asked.namespace, id, Some(&asked.question.hash));
        }
        Ok(Pass { found: found?, vanished })
    }

    /// Both layers, over what is gathered so far, which is completed as needed.
    async fn layers(
        &mut self,
        cache: &Cache,
        asked: &Asked,
        counter: &Counter,
        pointed: Option<EntryId>,
        gathered: &mut Gathered,
    ) -> Result<Found, Error> {
        let ids = pointed.into_iter().chain(self.known(asked));
        let mut exact = judge_exact(cache, asked, ids, &mut gathered.rows).await?;
        if let Exact::Nothing = exact {
            if self.replica.holds(&asked.namespace) || asked.embedding.is_some() {
                if self.catch_up(cache, asked, counter, gathered).await? {
                    exact = judge_exact(cache, asked, self.known(asked), &mut gathered.rows).await?;
                }
            } else {
                // A row of the Python library has no pointer, and this instance has no replica to know it by.
                let indexed = cache.rows_of_pair(&asked.namespace, &asked.question.hash, None).await?;
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
            return Ok(Found::Miss(Miss::of(rejected.unwrap_or(MissReason::NoEmbedding))));
        };
        self.catch_up(cache, asked, counter, gathered).await?;
        let guard = match asked.guard {
            Some(guard) => guard == Guard::On,
            None => counter.guard(&asked.namespace, &cache.config),
        };
        self.nearest(cache, asked, embedding, guard, rejected, gathered).await
    }

    /// Brings the replica up to `counter`, and its suggestions with it. False when there was nothing to do.
    async fn catch_up(
        &mut self,
        cache: &Cache,
        asked: &Asked,
        counter: &Counter,
        gathered: &mut Gathered,
    ) -> Result<bool, Error> {
        if !self.replica.is_behind(counter, &asked.namespace) {
            return Ok(false);
        }
        gathered.vanished |= self.replica.catch_up(cache, counter, &asked.namespace).await?;
        gathered.suggested = self.suggest(asked);
        Ok(true)
    }

    /// The entries that the replica knows for the question's hash, the newest first.
    fn known(&self, asked: &Asked) -> Vec<EntryId> {
        let mut ids = self.replica.by_hash(&asked.namespace, &asked.question.hash);
        ids.reverse();
        ids
    }

    fn suggest(&mut self, asked: &Asked) -> Suggested {
        let candidates = asked
            .embedding
            .as_ref()
            .map(|embedding| {
                self.replica.candidates(&asked.namespace, asked.question.partition, embedding, asked.threshold)
            })
            .unwrap_or_default();
        let mut suggested = Suggested { first: Vec::new(), rest: candidates.peekable() };
        suggested.first = suggested.next(CANDIDATES, None);
        suggested
    }

    /// The semantic layer: rows in order of the highest similarity they may have, each judged by what it holds, until no
    /// further one can be closer than the best that may be served. One that is gone hides none behind it.
    async fn nearest(
        &mut self,
        cache: &Cache,
        asked: &Asked,
        embedding: &Embedding,
        guard: bool,
        rejected: Option<MissReason>,
        gathered: &mut Gathered,
    ) -> Result<Found, Error> {
        let Gathered { rows, suggested, .. } = gathered;
        let mut ids = std::mem::take(&mut suggested.first);
        let mut judged: Vec<Judged> = Vec::new();
        let mut seen = HashSet::new();
        let mut count = CANDIDATES;
        while !ids.is_empty() {
            cache.table.complete(rows, ids.iter().map(|id| (*id).into())).await?;
            for id in ids {
                seen.insert(id);
                let Some(item) = rows.get(id.into()) else { continue };
                // Another library may have written another vector or lifetime under this id.
                self.replica.take_in(item);
                judged
                    .extend(rows.entry(id).and_then(|entry| Judged::of(entry, asked, embedding, guard, &cache.config)));
            }
            count = (count * 2).min(MOST_CANDIDATES).min(MOST_READ - seen.len().min(MOST_READ));
            let best = judged.iter().filter(|judged| judged.is_good()).map(|judged| judged.similarity).reduce(f32::max);
            ids = suggested.next(count, best);
        }
        judged.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.entry.id.cmp(&b.entry.id)));
        let best_similarity = judged.first().map(|judged| judged.similarity);
        let (good, bad): (Vec<Judged>, Vec<Judged>) = judged.into_iter().partition(Judged::is_good);
        if let Some(Judged { entry, similarity, confidence, .. }) = good.into_iter().next() {
            return Ok(Found::Hit { layer: Layer::Semantic, entry: Box::new(entry), similarity, confidence });
        }
        let closest = bad.first();
        let reason = rejected.or(closest.and_then(|judged| judged.against));
        let veto = closest.and_then(|judged| judged.veto).filter(|_| reason == Some(MissReason::Vetoed));
        let nearest = match best_similarity {
            Some(similarity) => Nearest::Similarity(similarity),
            None => {
                let partition = asked.question.partition;
                let others = |id| !seen.contains(&id);
                self.replica.nearest(&asked.namespace, partition, embedding, asked.now_secs, others)
            }
        };
        let (otherwise, best_similarity) = match nearest {
            Nearest::Similarity(similarity) => (MissReason::BelowThreshold, Some(similarity)),
            Nearest::Untold => (MissReason::BelowThreshold, None),
            Nearest::Nothing => (MissReason::NoEntry, None),
        };
        Ok(Found::Miss(Miss { reason: reason.unwrap_or(otherwise), best_similarity, veto }))
    }
}

/// What one pass has to go on.
struct Gathered {
    rows: Rows,
    suggested: Suggested,
    /// Whether the replica caught up with rows that were gone.
    vanished: bool,
}

/// What the replica suggests, highest bound first.
struct Suggested {
    /// The few that are read with the counter.
    first: Vec<EntryId>,
    rest: Peekable<Candidates>,
}

impl Suggested {
    /// The next ids, `count` at most, of those that may be as close as `best`; all may where there is none.
    fn next(&mut self, count: usize, best: Option<f32>) -> Vec<EntryId> {
        let near = |candidate: &Candidate| best.is_none_or(|best| candidate.bound >= best);
        std::iter::from_fn(|| self.rest.next_if(near))
            .filter_map(|candidate| EntryId::new(candidate.id))
            .take(count)
            .collect()
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
        .find(|entry| entry.answers(&asked.namespace, &asked.question.hash) && !entry.is_expired(asked.now_secs));
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
