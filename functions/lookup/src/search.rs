//! The two layers over one instance's view of the table.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::iter::Peekable;
use std::sync::OnceLock;
use std::time::Duration;

use mneme_core::cache::Cache;
use mneme_core::confidence::{Guard, confidence, is_servable};
use mneme_core::config::Config;
use mneme_core::embed::Slot;
use mneme_core::embedders::Serving;
use mneme_core::embedding::Embedding;
use mneme_core::entry::Entry;
use mneme_core::error::Error;
use mneme_core::key::{EntryId, RowKey};
use mneme_core::namespace::Namespace;
use mneme_core::question::Question;
use mneme_core::replica::{Candidate, Candidates, Nearest, Replica};
use mneme_core::table::counter::Counter;
use mneme_core::table::{Projection, Rows, pointed_entry};
use mneme_guard::{NumberFingerprint, VetoKind};
use tokio::time::Instant;

use crate::judge::Judged;
use crate::{Layer, MissReason};

/// How many candidates are read with the counter; each further round reads twice as many.
const CANDIDATES: usize = 3;
/// The most candidates that one round reads.
const MOST_CANDIDATES: usize = 96;
/// The most entries that a question is compared with. Where codes tell so little that more may be close enough, or where more than
/// these are close and contradict the question in what only their rows show, the best of these answers, so that no question costs
/// much more than others.
const MOST_READ: usize = 300;
/// The most candidates that it asks for, with those that turn out to be gone or expired: so many may stand before one that lives.
/// What is gone is forgotten, and asked for by no other question to this instance.
const MOST_ASKED_FOR: usize = 1000;

/// A question, ready to be looked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) question: Question,
    pub(crate) namespace: Namespace,
    /// As it was sent.
    pub(crate) embedding: Option<Embedding>,
    /// What the embedder made of the message, once it was needed.
    pub(crate) embedded: Embedded,
    pub(crate) threshold: f32,
    /// What the request says of the guard.
    pub(crate) guard: Option<Guard>,
    /// Its numbers and identifiers.
    pub(crate) digest: Option<NumberFingerprint>,
    pub(crate) now_secs: i64,
}

impl Asked {
    /// What it is compared by with vectors of `embedder`, as far as that is known by now.
    fn vector(&self, embedder: Option<Slot>) -> Option<&Embedding> {
        self.embedding.as_ref().or_else(|| self.embedded.by(embedder?)?.as_ref().ok())
    }

    /// Why an embedder has no vector of it.
    pub(crate) fn embed_error(&self) -> Option<&Error> {
        Slot::ALL.iter().find_map(|slot| self.embedded.by(*slot)?.as_ref().err())
    }

    /// The embedder that is to embed it, should the exact layer find nothing.
    fn awaited(&self, embedder: Option<Slot>) -> Option<Slot> {
        embedder.filter(|slot| self.embedding.is_none() && self.embedded.by(*slot).is_none())
    }

    /// The key of its pair's pointer.
    fn pointer(&self) -> RowKey {
        RowKey::pointer(&self.namespace, &self.question.hash)
    }
}

/// What the embedders made of a message: the one that is served, and, if that is switched meanwhile, the next one.
#[derive(Debug, Default)]
pub(crate) struct Embedded([OnceLock<Result<Embedding, Error>>; 2]);

impl Embedded {
    fn by(&self, embedder: Slot) -> Option<&Result<Embedding, Error>> {
        self.0[embedder as usize].get()
    }

    fn set(&self, embedder: Slot, result: Result<Embedding, Error>) {
        // It was empty a moment ago, and only this writes to it.
        let _ = self.0[embedder as usize].set(result);
    }
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
    /// The embedder whose vectors were served last.
    embedder: Option<Slot>,
    /// What the configuration says of the guard.
    guard: Guard,
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
    /// Of each question.
    found: Vec<Result<Found, Error>>,
    /// Whether a row that was pointed at, suggested or new was gone: it may have been replaced since the counter was
    /// read, by one that nothing knows of yet.
    vanished: bool,
}

impl View {
    /// A view of nothing yet, in a function of this configuration.
    pub(crate) fn new(config: &Config) -> Self {
        Self { replica: Replica::new(config), seen: None, embedder: None, guard: config.guard.into() }
    }

    /// Looks for answers to all of `asked`, in their order: exact first, then the nearest entries.
    ///
    /// Reads, warm: one round of BatchGetItem of the counter, and of each question's pointer and best candidates; more only where
    /// the table has moved on, or a candidate turns out to be gone. On a namespace's first question with a vector its
    /// packed segments, or, where there are none, the whole table, by one scan. Questions that came without a vector and have no
    /// exact answer are embedded, all in one call, and their candidates read after that. Errors: of a question alone
    /// `EmbedderDimensionError`; of all `StoreBackendError`, `EmbedderMismatchError`.
    pub(crate) async fn search(&mut self, cache: &Cache, asked: &[&Asked]) -> Result<Vec<Result<Found, Error>>, Error> {
        let Pass { mut found, mut vanished } = self.pass(cache, asked, false).await?;
        let mut last_version = None;
        // A miss for a row that vanished may be an answer that moved: look again, unless nothing has been written
        // between two looks.
        while vanished && last_version != Some(self.version()) {
            last_version = Some(self.version());
            let open: Vec<usize> = (0..asked.len()).filter(|at| matches!(found[*at], Ok(Found::Miss(_)))).collect();
            if open.is_empty() {
                break;
            }
            let again: Vec<&Asked> = open.iter().map(|at| asked[*at]).collect();
            let pass = self.pass(cache, &again, true).await?;
            vanished = pass.vanished;
            open.into_iter().zip(pass.found).for_each(|(at, one)| found[at] = one);
        }
        Ok(found)
    }

    /// That of the counter as it was last read.
    fn version(&self) -> Option<u64> {
        self.seen.as_ref().map(|(counter, _)| counter.version)
    }

    /// `again`: whether the counter must be read however fresh the last reading is.
    async fn pass(&mut self, cache: &Cache, asked: &[&Asked], again: bool) -> Result<Pass, Error> {
        let interval = Duration::from_millis(cache.config.stale_check_interval_ms);
        let holds_all = asked.iter().all(|asked| self.replica.holds(&asked.namespace));
        let trusted = self.seen.take().filter(|(_, read_at)| !again && holds_all && read_at.elapsed() < interval);
        let suggested: Vec<Suggested> = asked.iter().map(|asked| self.suggest(asked)).collect();
        let mut keys: Vec<RowKey> = Vec::new();
        for (asked, suggested) in asked.iter().zip(&suggested) {
            keys.extend(suggested.first.iter().chain(&self.known(asked)).map(|id| RowKey::from(*id)));
            keys.push(asked.pointer());
        }
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
        let serving = counter.serving(&cache.config)?;
        let embedder = cache.embedder_of(&serving);
        self.embedder = embedder;
        let mut gathered = Gathered { rows, counter, serving, embedder, caught_up: false, vanished: false };
        let found = self.layers(cache, asked, suggested, &mut gathered).await;
        let Gathered { rows, counter, mut vanished, .. } = gathered;
        self.seen = Some((counter, read_at));
        for id in rows.missing_entries() {
            vanished = true;
            // Whose it was is not known any more; it is forgotten wherever it may be known.
            asked.iter().for_each(|asked| self.replica.forget(&asked.namespace, id, Some(&asked.question.hash)));
        }
        Ok(Pass { found: found?, vanished })
    }

    /// Both layers, over what is gathered so far, which is completed as needed.
    ///
    /// One namespace after the other: to hold the next one in memory, an instance may have to let go of the one before.
    async fn layers(
        &mut self,
        cache: &Cache,
        asked: &[&Asked],
        suggested: Vec<Suggested>,
        gathered: &mut Gathered,
    ) -> Result<Vec<Result<Found, Error>>, Error> {
        let ids: Vec<Vec<EntryId>> = asked
            .iter()
            .map(|asked| {
                gathered.rows.get(asked.pointer()).and_then(pointed_entry).into_iter().chain(self.known(asked))
            })
            .map(Iterator::collect)
            .collect();
        let keys: Vec<RowKey> = ids.iter().flatten().map(|id| (*id).into()).collect();
        cache.table.complete(&mut gathered.rows, keys).await?;
        let mut namespaces: BTreeMap<&Namespace, Vec<Open<'_>>> = BTreeMap::new();
        for (place, ((asked, ids), suggested)) in asked.iter().zip(ids).zip(suggested).enumerate() {
            let open = Open { place, asked, ids, exact: Exact::Nothing, suggested };
            namespaces.entry(&asked.namespace).or_default().push(open);
        }
        let mut found = Vec::with_capacity(asked.len());
        let mut awaiting = Vec::new();
        for mut open in namespaces.into_values() {
            for question in &mut open {
                let ids = std::mem::take(&mut question.ids);
                question.exact = self.exact(cache, question.asked, ids, gathered).await?;
            }
            match open.iter().any(|question| question.awaited(gathered.embedder).is_some()) {
                true => awaiting.push(open),
                false => self.semantic(cache, open, gathered, &mut found).await?,
            }
        }
        if let Some(embedder) = gathered.embedder {
            let waiting = awaiting.iter().flatten().filter(|question| question.awaited(Some(embedder)).is_some());
            let waiting: Vec<&Asked> = waiting.map(|question| question.asked).collect();
            embed(cache, embedder, &waiting, &gathered.serving).await;
        }
        for open in awaiting {
            self.semantic(cache, open, gathered, &mut found).await?;
        }
        found.sort_unstable_by_key(|(at, _)| *at);
        Ok(found.into_iter().map(|(_, found)| found).collect())
    }

    /// What comes after the exact layer, for questions of one namespace; adds what they come to, with their places.
    async fn semantic(
        &mut self,
        cache: &Cache,
        mut open: Vec<Open<'_>>,
        gathered: &mut Gathered,
        found: &mut Vec<(usize, Result<Found, Error>)>,
    ) -> Result<(), Error> {
        let embedder = gathered.embedder;
        for question in open.iter().filter(|question| question.is_compared(embedder)) {
            self.catch_up(cache, question.asked, gathered).await?;
        }
        // What was suggested before is stale after a catching up, and nothing was for what had no vector yet.
        for question in open.iter_mut().filter(|open| gathered.caught_up || open.asked.embedding.is_none()) {
            question.suggested = self.suggest(question.asked);
        }
        let compared = open.iter().filter(|question| question.is_compared(embedder));
        let keys: Vec<RowKey> =
            compared.flat_map(|question| question.suggested.first.iter().map(|id| RowKey::from(*id))).collect();
        cache.table.complete(&mut gathered.rows, keys).await?;
        for Open { place, asked, exact, suggested, .. } in open {
            let fits = asked.vector(embedder).map(|vector| gathered.serving.check_dim(vector.dim()));
            let one = match fits {
                Some(Err(error)) => Err(error),
                _ => Ok(self.decide(cache, asked, exact, suggested, gathered).await?),
            };
            found.push((place, one));
        }
        Ok(())
    }

    /// The exact layer: the pair's live entry among `ids`, whose rows are gathered, or among what else there is of it.
    async fn exact(
        &mut self,
        cache: &Cache,
        asked: &Asked,
        ids: Vec<EntryId>,
        gathered: &mut Gathered,
    ) -> Result<Exact, Error> {
        let exact = judge_exact(cache, asked, ids, &mut gathered.rows).await?;
        if !matches!(exact, Exact::Nothing) {
            return Ok(exact);
        }
        let is_compared = asked.vector(gathered.embedder).is_some() || asked.awaited(gathered.embedder).is_some();
        if is_compared || self.replica.holds(&asked.namespace) {
            self.catch_up(cache, asked, gathered).await?;
            return judge_exact(cache, asked, self.known(asked), &mut gathered.rows).await;
        }
        // A row of the Python library has no pointer, and this instance has no replica to know it by.
        let indexed = cache.rows_of_pair(&asked.namespace, &asked.question.hash, None).await?;
        Ok(judge(indexed.into_iter().rfind(|entry| !entry.is_expired(asked.now_secs))))
    }

    /// What a question comes to, the exact layer having found `exact`.
    async fn decide(
        &mut self,
        cache: &Cache,
        asked: &Asked,
        exact: Exact,
        suggested: Suggested,
        gathered: &mut Gathered,
    ) -> Result<Found, Error> {
        let rejected = match exact {
            Exact::Hit(entry) => {
                let age_secs = asked.now_secs - entry.created_at;
                let half_life_secs = cache.config.confidence_half_life_secs;
                let confidence = confidence(1.0, entry.confidence_score, age_secs, half_life_secs);
                return Ok(Found::Hit { layer: Layer::Exact, entry, similarity: 1.0, confidence });
            }
            Exact::Unservable => Some(MissReason::Rejected),
            Exact::Nothing => None,
        };
        match asked.vector(gathered.embedder) {
            Some(vector) => self.nearest(cache, asked, vector, rejected, suggested, gathered).await,
            None if asked.embed_error().is_some() => Ok(Found::Miss(Miss::of(MissReason::EmbedderFailure))),
            None => Ok(Found::Miss(Miss::of(rejected.unwrap_or(MissReason::NoEmbedding)))),
        }
    }

    /// Brings the replica up to the counter, where it is behind.
    async fn catch_up(&mut self, cache: &Cache, asked: &Asked, gathered: &mut Gathered) -> Result<(), Error> {
        let Gathered { counter, serving, .. } = &*gathered;
        if self.replica.is_behind(counter, serving, &asked.namespace) {
            gathered.vanished |= self.replica.catch_up(cache, counter, serving, &asked.namespace).await?;
            gathered.caught_up = true;
        }
        Ok(())
    }

    /// The entries that the replica knows for the question's hash, the newest first.
    fn known(&self, asked: &Asked) -> Vec<EntryId> {
        let mut ids = self.replica.by_hash(&asked.namespace, &asked.question.hash);
        ids.reverse();
        ids
    }

    fn suggest(&mut self, asked: &Asked) -> Suggested {
        self.suggest_with(asked, asked.guard.unwrap_or(self.guard))
    }

    /// With the guard on: the closest one, which says why a question is not answered; and the closest that do not contradict it
    /// as far as that is known without their rows.
    fn suggest_with(&mut self, asked: &Asked, guard: Guard) -> Suggested {
        let candidates = asked
            .vector(self.embedder)
            .map(|vector| self.replica.candidates(&asked.namespace, asked.question.partition, vector, asked.threshold))
            .unwrap_or_default();
        let is_guarded = guard == Guard::On;
        let mut suggested =
            Suggested { first: Vec::new(), rest: candidates.peekable(), passed_over: VecDeque::new(), is_guarded };
        suggested.first = suggested.next(1, None, |_| true);
        let others = suggested.next(CANDIDATES - 1, None, |candidate| !is_guarded || self.may_answer(asked, candidate));
        suggested.first.extend(others);
        suggested
    }

    fn may_answer(&self, asked: &Asked, candidate: &Candidate) -> bool {
        asked.digest.is_none_or(|digest| !self.replica.contradicts(&asked.namespace, candidate.id, digest))
    }

    /// The semantic layer: rows in order of the highest similarity they may have, each judged by what it holds, until no
    /// further one can be closer than the best that may be served. One that is gone hides none behind it.
    async fn nearest(
        &mut self,
        cache: &Cache,
        asked: &Asked,
        embedding: &Embedding,
        rejected: Option<MissReason>,
        mut suggested: Suggested,
        gathered: &mut Gathered,
    ) -> Result<Found, Error> {
        let Gathered { rows, counter, serving, vanished, .. } = gathered;
        let configured = || Guard::from(counter.guard(&asked.namespace, &cache.config));
        let guard = asked.guard.unwrap_or_else(configured);
        // Where the namespace has switched the guard off, what was left out for it counts.
        if guard == Guard::Off && suggested.is_guarded && asked.digest.is_some() {
            suggested = self.suggest_with(asked, guard);
        }
        let mut ids = std::mem::take(&mut suggested.first);
        let mut judged: Vec<Judged> = Vec::new();
        let mut compared = 0;
        let mut seen = HashSet::new();
        let mut count = CANDIDATES;
        while !ids.is_empty() {
            cache.table.complete(rows, ids.iter().map(|id| (*id).into())).await?;
            for id in ids {
                seen.insert(id);
                let Some(item) = rows.get(id.into()) else { continue };
                // Another library may have written another vector or lifetime under this id.
                self.replica.take_in(item);
                let Some(entry) = rows.entry(id) else { continue };
                // Its vector is of another embedder, which may have become the active one since the counter was read.
                *vanished |= entry.vector(serving).is_none();
                compared += usize::from(!entry.is_expired(asked.now_secs));
                judged.extend(Judged::of(entry, asked, (embedding, &*serving), guard, &cache.config));
            }
            count = (count * 2)
                .min(MOST_CANDIDATES)
                .min(MOST_READ.saturating_sub(compared))
                .min(MOST_ASKED_FOR.saturating_sub(seen.len()));
            let best = judged.iter().filter(|judged| judged.is_good()).map(|judged| judged.similarity).reduce(f32::max);
            ids = suggested.next(count, best, |candidate| guard == Guard::Off || self.may_answer(asked, candidate));
            // Where nothing that lives was close enough, what was passed over says why there is no answer.
            if ids.is_empty() && judged.is_empty() {
                ids = suggested.passed_over.drain(..count.min(suggested.passed_over.len())).collect();
            }
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

/// A question under way.
struct Open<'a> {
    /// Which of the request's it is.
    place: usize,
    asked: &'a Asked,
    /// The entries that its exact answer may be in.
    ids: Vec<EntryId>,
    exact: Exact,
    suggested: Suggested,
}

impl Open<'_> {
    /// Whether the semantic layer is to answer it, and can.
    fn is_compared(&self, embedder: Option<Slot>) -> bool {
        self.asked.vector(embedder).is_some() && !matches!(self.exact, Exact::Hit(_))
    }

    fn awaited(&self, embedder: Option<Slot>) -> Option<Slot> {
        self.asked.awaited(embedder).filter(|_| !matches!(self.exact, Exact::Hit(_)))
    }
}

/// Has `asked` embedded, all together. A vector that does not fit the cache is the embedder's failure, not the caller's.
async fn embed(cache: &Cache, embedder: Slot, asked: &[&Asked], serving: &Serving) {
    if asked.is_empty() {
        return;
    }
    let texts: Vec<&str> = asked.iter().map(|asked| asked.question.message.as_str()).collect();
    for (asked, embedded) in asked.iter().zip(cache.embed(embedder, &texts).await) {
        let fitting = |vector: Embedding| serving.check_dim(vector.dim()).map(|()| vector);
        let fits = embedded.and_then(fitting);
        if fits.is_err() {
            cache.forget_embedded(&asked.question.message);
        }
        asked.embedded.set(embedder, fits);
    }
}

/// What one pass has to go on.
struct Gathered {
    rows: Rows,
    counter: Counter,
    /// Whose vectors the questions are compared with.
    serving: Serving,
    /// The configured embedder that makes such vectors.
    embedder: Option<Slot>,
    /// Whether the replica caught up, so that what it had suggested is stale.
    caught_up: bool,
    /// Whether it caught up with rows that were gone.
    vanished: bool,
}

/// What the replica suggests, highest bound first.
struct Suggested {
    /// The few that are read with the counter.
    first: Vec<EntryId>,
    rest: Peekable<Candidates>,
    /// Those that were not wanted.
    passed_over: VecDeque<EntryId>,
    /// Whether `first` lacks some that the guard alone has something against.
    is_guarded: bool,
}

impl Suggested {
    /// The next ids, `count` at most, of those that `wanted` wants and that may be as close as `best`; all may where there is none.
    fn next(&mut self, count: usize, best: Option<f32>, wanted: impl Fn(&Candidate) -> bool) -> Vec<EntryId> {
        let near = |candidate: &Candidate| best.is_none_or(|best| candidate.bound >= best);
        let mut next = Vec::new();
        while next.len() < count
            && let Some(candidate) = self.rest.next_if(near)
        {
            let Some(id) = EntryId::new(candidate.id) else { continue };
            if wanted(&candidate) {
                next.push(id);
            } else {
                self.passed_over.push_back(id);
            }
        }
        next
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
