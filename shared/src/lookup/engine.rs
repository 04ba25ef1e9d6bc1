//! The lookups of one instance, in rounds of reading and comparing.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use mneme_model::confidence::Guard;
use mneme_model::config::Config;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::namespace_settings::Layers;
use mneme_store::key::RowKey;
use mneme_store::pair_verdicts::Pointer;
use mneme_store::read::Rows;
use tokio::time::Instant;

use super::aliases::follow_aliases;
use super::candidates::CandidateStream;
use super::exact::{ExactMatch, ExactRules, exact_hit};
use super::explain::{Explainer, Explanation};
use super::first_read::{FirstRead, ReadCounter, Wanted, first_read};
use super::outcome::{LookupOutcome, Miss, MissReason, Objection};
use super::query::Query;
use super::round::{CatchUp, PendingQuery, Round, RoundContext, unavailable};
use super::rules::Rules;
use super::score::{Scoring, outcome_of};
use super::semantic::{Comparison, compare, may_answer};
use crate::cache::Cache;
use crate::embedders::query_vector::{ReadEmbedder, embed_questions};
use crate::entries::indexed_rows;
use crate::replica::{Candidate, Candidates, Loader};
use crate::settings::read::{all_settings, latest_settings, take_settings, unread_settings};

/// The lookups of one instance, with its replica.
#[derive(Debug)]
pub struct LookupEngine {
    loader: Loader,
    /// The counter as it was last read.
    last_counter: Option<ReadCounter>,
    /// The embedder whose vectors were compared last.
    embedder: Option<ReadEmbedder>,
}

impl LookupEngine {
    /// An engine that has read nothing yet.
    pub fn new(config: &Config) -> Self {
        Self { loader: Loader::new(config), last_counter: None, embedder: None }
    }

    /// Looks up all of `queries` and returns one result for each, in their order.
    ///
    /// Reads, on a warm instance: one round of BatchGetItem of the counter and of each query's pointer and best
    /// candidates; more only if the table has changed or a candidate is gone. A namespace's first query with a
    /// vector reads its segments, or, without segments, all rows. Queries that came without a vector and have no exact
    /// answer are embedded in one call, and their candidates are read after that.
    ///
    /// The lookup takes at most `MNEME_LOOKUP_BUDGET_MS`, and in addition the time of the embedder. A query that cannot
    /// be answered in this time is a miss: `not_loaded` if its namespace is not in memory yet, `unavailable` if the
    /// table did not answer.
    /// Errors: of one query, `EmbedderDimensionError`; of all, `StoreBackendError`, `EmbedderMismatchError`.
    pub async fn search(
        &mut self,
        cache: &Cache,
        queries: &[&Query],
    ) -> Result<Vec<Result<LookupOutcome, Error>>, Error> {
        let bounded = cache.within_lookup_budget();
        let Round { mut outcomes, mut saw_missing_row } =
            self.round(cache, &bounded, queries, false).await?.with_answers(&bounded).await?;
        let mut last_version = None;
        // A row that is gone may have been replaced by a row that was written after the counter was read. Misses are
        // looked up again, until nothing was written between two rounds.
        while saw_missing_row && last_version != Some(self.version()) {
            last_version = Some(self.version());
            let is_open_question = |outcome: &Result<LookupOutcome, Error>| match outcome {
                Ok(LookupOutcome::Miss(miss)) => !miss.reason.is_for_lack_of_time(),
                _ => false,
            };
            let missed: Vec<usize> = (0..queries.len()).filter(|at| is_open_question(&outcomes[*at])).collect();
            if missed.is_empty() {
                break;
            }
            let again: Vec<&Query> = missed.iter().map(|at| queries[*at]).collect();
            let round = self.round(cache, &bounded, &again, true).await?.with_answers(&bounded).await?;
            saw_missing_row = round.saw_missing_row;
            missed.into_iter().zip(round.outcomes).for_each(|(at, outcome)| outcomes[at] = outcome);
        }
        Ok(outcomes)
    }

    /// Explains `outcome`, which the last search has found for `query`.
    ///
    /// Reads the rows of the nearest entries, of which it shows the questions, and up to four more pages or rows where
    /// the query has no answer. Errors: as a search.
    pub async fn explain(
        &mut self,
        cache: &Cache,
        query: &Query,
        outcome: &LookupOutcome,
    ) -> Result<Explanation, Error> {
        let rules = self.expected_rules(cache, query);
        let Some(embedder) = &self.embedder else {
            return Ok(Explanation::without_candidates(query, rules, &cache.config));
        };
        let replica = &mut self.loader.replica;
        Explainer { cache, query, rules, embedder, replica }.explain(outcome).await
    }

    /// The threshold by which the last search has judged `query`. Reads: memory only.
    pub fn threshold(&self, cache: &Cache, query: &Query) -> f32 {
        self.expected_rules(cache, query).threshold
    }

    /// Whether lookups asked for something that is not in memory yet.
    pub fn has_work(&self) -> bool {
        self.loader.has_work()
    }

    /// Continues to read what lookups asked for and did not get in time. What was read stays read if this is broken off.
    /// Reads: as [`LookupEngine::search`]. Errors: `StoreBackendError`.
    pub async fn continue_work(&mut self, cache: &Cache) -> Result<(), Error> {
        self.loader.continue_work(&cache.table).await
    }

    /// The version of the counter as it was last read.
    fn version(&self) -> Option<u64> {
        self.last_counter.as_ref().map(|(counter, _)| counter.version)
    }

    /// One round over `queries`. `cache`: for the time that the lookup may take. `fresh_counter`: whether the counter is
    /// read even if the last one is recent.
    async fn round(
        &mut self,
        invocation: &Cache,
        cache: &Cache,
        queries: &[&Query],
        fresh_counter: bool,
    ) -> Result<Round, Error> {
        let interval = Duration::from_millis(cache.config.stale_check_interval_ms);
        let holds_all = queries.iter().all(|query| self.loader.replica.holds(&query.namespace));
        let rules: Vec<Rules> = queries.iter().map(|query| self.expected_rules(cache, query)).collect();
        let last = self.last_counter.take();
        let last_settings = last.as_ref().map(|(counter, _)| counter.settings_version);
        let is_trusted =
            !fresh_counter && holds_all && last.as_ref().is_some_and(|(_, read_at)| read_at.elapsed() < interval);
        let candidates: Vec<_> =
            queries.iter().zip(&rules).map(|(query, rules)| self.candidates(query, rules)).collect();
        let wanted: Vec<Wanted<'_>> = queries
            .iter()
            .zip(rules)
            .zip(&candidates)
            .map(|((query, rules), candidates)| Wanted {
                query,
                rules,
                settings: last.as_ref().and_then(|(counter, _)| unread_settings(cache, counter, &query.namespace)),
                known: self.known(query),
                candidates: candidates.first(),
            })
            .collect();
        let FirstRead { mut rows, counter } = match first_read(cache, &wanted, last, is_trusted).await {
            Err(error) if error.is_store_overload() => return Ok(Round::unavailable(queries.len())),
            read => read?,
        };
        let Some((counter, counter_read_at)) = counter else {
            // Without item 0, only the rows that came can answer.
            let outcome = |one: &Wanted<'_>| match one.exact_match(&rows) {
                ExactMatch::Entry(entry, confidence) => exact_hit(entry, confidence),
                ExactMatch::Refused(_) | ExactMatch::Nothing => unavailable(),
            };
            return Ok(Round { outcomes: wanted.iter().map(outcome).map(Ok).collect(), saw_missing_row: false });
        };
        // Settings that were read together with the counter may be older than the counter, unless the last counter had the
        // same version of the settings.
        for one in wanted.iter().filter(|_| last_settings == Some(counter.settings_version)) {
            if let Some(key) = one.settings.filter(|key| rows.has_read(*key)) {
                take_settings(cache, &counter, &one.query.namespace, rows.get(key));
            }
        }
        let embedder = ReadEmbedder::new(counter.served_embedder(&cache.config)?, &cache.embedders());
        let context = RoundContext { invocation, cache, counter: &counter, embedder: &embedder };
        let last_scale = self.embedder.as_ref().map(|last| last.served.scale());
        // Candidates that were chosen on another scale are stale.
        let changed = last_scale.is_some_and(|last| last != embedder.served.scale());
        self.embedder = Some(embedder.clone());
        let found = CatchUp { changed, saw_missing_row: false };
        let layers = self.layers(context, queries, candidates, found, &mut rows).await;
        self.last_counter = Some((counter, counter_read_at));
        let mut missing_rows = false;
        for id in rows.missing_entries() {
            missing_rows |= !rows.is_deleted(id);
            // Neither the namespace nor the hash of a missing row is known. So each query of the request forgets the id
            // as a candidate, and as its exact answer.
            for Query { namespace, question, .. } in queries {
                self.loader.replica.forget(namespace, question.context_key, id, Some(&question.hash));
            }
        }
        let (outcomes, catch_up) = layers?;
        Ok(Round { outcomes, saw_missing_row: missing_rows || catch_up.saw_missing_row })
    }

    /// Both layers, for all queries. Missing rows are read into `rows`. Returns the outcomes in the order of `queries`.
    /// `catch_up`: what was found before.
    ///
    /// The namespaces are handled one after the other, because an instance may have to drop one to hold the next in
    /// memory.
    async fn layers(
        &mut self,
        context: RoundContext<'_>,
        queries: &[&Query],
        candidates: Vec<CandidateStream<Candidates>>,
        mut catch_up: CatchUp,
        rows: &mut Rows,
    ) -> Result<(Vec<Result<LookupOutcome, Error>>, CatchUp), Error> {
        let mut outcomes = Vec::with_capacity(queries.len());
        let mut awaiting = Vec::new();
        for mut pending in self.by_namespace(context, queries, candidates, rows).await?.into_values() {
            for one in &mut pending {
                catch_up.add(self.exact(context, one, rows).await?);
                // The pointer may hold a bar, so nothing similar is served without it.
                if !one.exact.is_answer() && !rows.has_read(one.query.pointer_key()) {
                    one.blocked.get_or_insert(MissReason::Unavailable);
                }
            }
            if pending.iter().any(|one| one.awaits_vector(context.embedder)) {
                awaiting.push(pending);
            } else {
                let (some, further) = self.semantic(context, pending, catch_up.changed, rows).await?;
                outcomes.extend(some);
                catch_up.add(further);
            }
        }
        let waiting = awaiting.iter().flatten().filter(|one| one.awaits_vector(context.embedder));
        let waiting: Vec<_> = waiting.map(|one| (one.query.question.message.as_str(), &one.query.vector)).collect();
        let embedding_begun = Instant::now();
        embed_questions(&context.invocation.embedders(), context.embedder, &waiting).await;
        // The time of the embedder does not count.
        let until = context.cache.deadline + embedding_begun.elapsed();
        let cache = &context.invocation.patient_until(until.min(context.invocation.reply_by()));
        let context = RoundContext { cache, ..context };
        for pending in awaiting {
            let (some, further) = self.semantic(context, pending, catch_up.changed, rows).await?;
            outcomes.extend(some);
            catch_up.add(further);
        }
        outcomes.sort_unstable_by_key(|(position, _)| *position);
        Ok((outcomes.into_iter().map(|(_, outcome)| outcome).collect(), catch_up))
    }

    /// The queries by namespace, each with its rules and with the entries that may hold its exact answer. Reads: these
    /// entries' rows, and the settings of the namespaces, unless they are known.
    async fn by_namespace<'a>(
        &self,
        context: RoundContext<'_>,
        queries: &[&'a Query],
        candidates: Vec<CandidateStream<Candidates>>,
        rows: &mut Rows,
    ) -> Result<BTreeMap<&'a Namespace, Vec<PendingQuery<'a>>>, Error> {
        let RoundContext { cache, counter, .. } = context;
        let mut pending: BTreeMap<&Namespace, Vec<PendingQuery<'_>>> = BTreeMap::new();
        let mut keys: Vec<RowKey> = Vec::new();
        for (position, (query, candidates)) in queries.iter().zip(candidates).enumerate() {
            let pointer = rows.get(query.pointer_key()).map(Pointer::from_item).unwrap_or_default();
            let known: Vec<EntryId> = pointer.own().into_iter().chain(self.known(query)).collect();
            keys.extend(known.iter().copied().chain(pointer.answering()).map(RowKey::from));
            let (exact, verdicts) = (ExactMatch::Nothing, pointer.verdicts);
            let rules = self.expected_rules(cache, query);
            let one = PendingQuery { position, query, rules, known, verdicts, exact, candidates, blocked: None };
            pending.entry(&query.namespace).or_default().push(one);
        }
        let namespaces: Vec<&Namespace> = pending.keys().copied().collect();
        let settings = all_settings(cache, counter, namespaces.into_iter());
        let read = async {
            cache.table.fetch_missing(rows, keys).await?;
            follow_aliases(cache, pending.values_mut().flatten(), rows).await
        };
        let (read, settings) = tokio::join!(read, settings);
        match read {
            // The exact layer uses what came, and finds out for itself what is missing.
            Err(error) if !error.is_store_overload() => return Err(error),
            _ => {}
        }
        let settings = match settings {
            Err(error) if !error.is_store_overload() => return Err(error),
            settings => settings.ok(),
        };
        for one in pending.values_mut().flatten() {
            match &settings {
                Some(settings) => {
                    one.rules = Rules::new(one.query, &settings.of(&one.query.namespace), &cache.config);
                }
                // Without the settings of the namespace nothing can be judged.
                None => one.blocked = Some(MissReason::Unavailable),
            }
        }
        Ok(pending)
    }

    /// The exact layer of one query: the live entry among those known, whose rows have been read, or among further rows
    /// with the query's entry key. Says what was found while the replica was brought up to date.
    ///
    /// Reads: nothing if the known entries have it. Without a replica of the namespace: `gsi_hash`, because rows of the
    /// Python library have no pointer. If the query is compared or the replica holds the namespace: what the replica
    /// lacks.
    async fn exact(
        &mut self,
        context: RoundContext<'_>,
        one: &mut PendingQuery<'_>,
        rows: &mut Rows,
    ) -> Result<CatchUp, Error> {
        if one.blocked.is_some() {
            return Ok(CatchUp::default());
        }
        let query = one.query;
        let rules = one.rules;
        let verdicts = one.verdicts.clone();
        let rules = ExactRules { query, rules: &rules, alias: verdicts.alias.as_ref() };
        one.exact = rules.own(&one.known, rows);
        if !matches!(one.exact, ExactMatch::Nothing) {
            return Ok(CatchUp::default());
        }
        let confirmed = rules.confirmed(rows);
        let has_alias = !matches!(confirmed, ExactMatch::Nothing);
        let holds = self.loader.replica.holds(&query.namespace);
        if !holds {
            match indexed_rows(context.cache, &query.namespace, &query.question.hash, None).await {
                Ok(indexed) => {
                    let live = indexed.into_iter().rfind(|entry| rules.is_match(entry));
                    one.exact = rules.judge(live);
                }
                Err(error) => one.block(MissReason::Unavailable, error)?,
            }
        }
        let is_compared = one.is_comparable(context.embedder) || one.awaits_vector(context.embedder);
        let mut found = CatchUp::default();
        if matches!(one.exact, ExactMatch::Nothing) && (holds || is_compared && !has_alias) {
            match self.catch_up(context, query).await {
                Ok(catch_up) => {
                    found = catch_up;
                    let known = self.known(query);
                    match context.cache.table.fetch_missing(rows, known.iter().map(|id| (*id).into())).await {
                        Ok(()) => one.exact = rules.own(&known, rows),
                        Err(error) => one.block(MissReason::Unavailable, error)?,
                    }
                }
                Err(error) => one.block(MissReason::NotLoaded, error)?,
            }
        }
        // An entry of the question itself may have no pointer, so the alias counts only where none was found.
        if matches!(one.exact, ExactMatch::Nothing) {
            one.exact = confirmed;
        }
        Ok(found)
    }

    /// The outcomes of the queries of one namespace, after the exact layer. Returns each with its position.
    ///
    /// `are_stale`: whether the replica has changed since the candidates were suggested.
    async fn semantic(
        &mut self,
        context: RoundContext<'_>,
        mut pending: Vec<PendingQuery<'_>>,
        are_stale: bool,
        rows: &mut Rows,
    ) -> Result<(Vec<(usize, Result<LookupOutcome, Error>)>, CatchUp), Error> {
        let mut catch_up = CatchUp::default();
        for one in pending.iter_mut().filter(|one| one.is_comparable(context.embedder)) {
            match self.catch_up(context, one.query).await {
                Ok(further) => catch_up.add(further),
                Err(error) => one.block(MissReason::NotLoaded, error)?,
            }
        }
        // A query that came without a vector has one only now, and had no candidates before.
        let are_stale = are_stale || catch_up.changed;
        let is_outdated = |one: &PendingQuery<'_>| {
            let suffices = one.candidates.suffices_for(&one.rules, one.query.fingerprint.is_some());
            are_stale || !one.query.vector.was_sent() || !suffices
        };
        for one in pending.iter_mut().filter(|one| is_outdated(one)) {
            one.candidates = self.candidates(one.query, &one.rules);
        }
        let comparable = pending.iter().filter(|one| one.is_comparable(context.embedder));
        let keys: Vec<RowKey> =
            comparable.flat_map(|one| one.candidates.first().iter().map(|id| RowKey::from(*id))).collect();
        if let Err(error) = context.cache.table.fetch_missing(rows, keys).await
            && !error.is_store_overload()
        {
            return Err(error);
        }
        let mut outcomes = Vec::with_capacity(pending.len());
        for one in pending {
            let position = one.position;
            let vector = one.query.vector.get(Some(context.embedder));
            let outcome = match vector.map(|vector| context.embedder.served.check_dim(vector.dim())) {
                Some(Err(error)) => Err(error),
                _ => {
                    let (outcome, saw_missing_row) = self.outcome(context, one, rows).await?;
                    catch_up.saw_missing_row |= saw_missing_row;
                    Ok(outcome)
                }
            };
            outcomes.push((position, outcome));
        }
        Ok((outcomes, catch_up))
    }

    /// The outcome of one query, and whether an entry had no vector of the served embedder.
    async fn outcome(
        &mut self,
        context: RoundContext<'_>,
        pending: PendingQuery<'_>,
        rows: &mut Rows,
    ) -> Result<(LookupOutcome, bool), Error> {
        let PendingQuery { query, rules, verdicts, exact, candidates, blocked, .. } = pending;
        let RoundContext { cache, embedder, .. } = context;
        let refused = match exact {
            ExactMatch::Entry(entry, confidence) => return Ok((exact_hit(entry, confidence), false)),
            ExactMatch::Refused(objection) => Some(objection),
            ExactMatch::Nothing => None,
        };
        if let Some(reason) = blocked {
            return Ok((LookupOutcome::Miss(Miss::without_comparison(reason)), false));
        }
        if rules.layers == Layers::Exact {
            let Objection { reason, veto } = refused.unwrap_or(MissReason::ExactOnly.into());
            return Ok((LookupOutcome::Miss(Miss { veto, ..Miss::without_comparison(reason) }), false));
        }
        let Some(embedding) = query.vector.get(Some(embedder)) else {
            let objection = match query.embedding_error() {
                Some(_) => MissReason::EmbedderFailure.into(),
                None => refused.unwrap_or_else(|| {
                    let is_not_embeddable = query.vector.is_not_embeddable(embedder);
                    (if is_not_embeddable { MissReason::NotEmbeddable } else { MissReason::NoEmbedding }).into()
                }),
            };
            let Objection { reason, veto } = objection;
            return Ok((LookupOutcome::Miss(Miss { veto, ..Miss::without_comparison(reason) }), false));
        };
        let is_cut = query.vector.is_cut(embedder, &query.question.message);
        let unread = OnceLock::new();
        let signature = rules.signature(query);
        let scoring = Scoring {
            query,
            embedding,
            embedder,
            is_cut,
            unread: &unread,
            rules: &rules,
            signature: &signature,
            verdicts: &verdicts,
        };
        let Comparison { scored, requested, saw_other_embedder, is_cut_off } =
            compare(&cache.table, &mut self.loader.replica, scoring, candidates, rows).await?;
        let nearest = || {
            let is_unread = |id| !requested.contains(&id);
            let context_key = query.question.context_key;
            self.loader.replica.nearest(&query.namespace, context_key, embedding, query.now_secs, is_unread)
        };
        match outcome_of(scored, refused, nearest) {
            LookupOutcome::Miss(_) if is_cut_off => Ok((unavailable(), false)),
            outcome => Ok((outcome, saw_other_embedder)),
        }
    }

    /// Brings the replica up to the counter, if it is behind.
    async fn catch_up(&mut self, context: RoundContext<'_>, query: &Query) -> Result<CatchUp, Error> {
        let RoundContext { cache, counter, embedder, .. } = context;
        if !self.loader.is_behind(counter, &embedder.served, &query.namespace) {
            return Ok(CatchUp::default());
        }
        let incomplete = self.loader.catch_up(&cache.table, counter, &embedder.served, &query.namespace).await?;
        Ok(CatchUp { changed: true, saw_missing_row: incomplete })
    }

    /// The entries that the replica knows for the query's hash, the newest first.
    fn known(&self, query: &Query) -> Vec<EntryId> {
        let mut ids = self.loader.replica.by_hash(&query.namespace, &query.question.hash);
        ids.reverse();
        ids
    }

    /// The rules of `query`, by what the instance last read of the namespace's settings.
    fn expected_rules(&self, cache: &Cache, query: &Query) -> Rules {
        let own = latest_settings(cache, self.last_counter.as_ref().map(|(counter, _)| counter), &query.namespace);
        Rules::new(query, &own, &cache.config)
    }

    /// The query's candidates by `rules`. With the guard on, those are skipped whose numbers and identifiers contradict
    /// the query's.
    fn candidates(&mut self, query: &Query, rules: &Rules) -> CandidateStream<Candidates> {
        let is_compared = rules.layers == Layers::All;
        let vector = query.vector.get(self.embedder.as_ref()).filter(|_| is_compared);
        let all = vector.map(|vector| {
            let scale = self.embedder.as_ref().map(|embedder| embedder.served.scale()).unwrap_or_default();
            let threshold = scale.raw_threshold(rules.threshold);
            self.loader.replica.candidates(&query.namespace, query.question.context_key, vector, threshold)
        });
        let is_guarded = rules.guard == Guard::On;
        let namespace = query.namespace.hash();
        let filter =
            |candidate: &Candidate| !is_guarded || may_answer(&self.loader.replica, query, &namespace, candidate);
        let threshold = if is_compared { rules.threshold } else { f32::INFINITY };
        CandidateStream::new(all.unwrap_or_default(), is_guarded, threshold, filter)
    }
}
