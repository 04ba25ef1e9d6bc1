//! Why a lookup has the outcome that it has.
//!
//! An explanation is made after the lookup, by reads of its own. So a lookup that nobody asks to explain costs nothing
//! more, and an explained one has the outcome that it has without.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use mneme_guard::{FEATURE_NAMES, VetoKind};
use mneme_model::confidence::Guard;
use mneme_model::config::Config;
use mneme_model::context_key::ContextKey;
use mneme_model::entry::Entry;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::normalize::normalize;
use mneme_model::pair_verdicts::PairVerdicts;
use mneme_store::key::RowKey;
use mneme_store::pair_verdicts::Pointer;
use mneme_store::read::{Rows, pointed_entry};
use serde::Serialize;

use super::exact::ExactRules;
use super::outcome::{Layer, LookupOutcome, MissReason, Objection};
use super::query::Query;
use super::rules::Rules;
use super::score::{ScoredEntry, Scoring};
use crate::cache::Cache;
use crate::embedders::query_vector::ReadEmbedder;
use crate::replica::Replica;

/// The most entries of the semantic layer that an explanation lists.
const MAX_CANDIDATES: usize = 10;
/// How many rows are read at once to find the nearest ones.
const ROWS_PER_READ: usize = 16;
/// The most rows that an explanation reads to find the nearest ones.
const MAX_ROWS: usize = 96;
/// How far below the threshold candidates are looked for at first. All entries are candidates only if fewer than
/// [`MAX_CANDIDATES`] are that near, because a list of all takes time and memory.
const NEAR_MISS: f32 = 0.2;
/// How many other context keys are searched for an equal question.
const MAX_CONTEXTS: usize = 10_000;
/// How many entries are read to find an equal question under another context key.
const MAX_EQUAL: usize = 10;
/// The longest text in an explanation, in characters. `get` returns the whole text of an entry.
const MAX_TEXT_CHARS: usize = 1000;

/// Why a lookup has the outcome that it has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// What was compared with the stored questions.
    pub question: ComparedQuestion,
    /// The rules by which the entries were judged.
    pub rules: Rules,
    /// The entries that were compared: the exact match, then the nearest entries, at most ten, most similar first.
    pub candidates: Vec<ExplainedCandidate>,
    /// Whether no nearer entry is missing among the candidates. False if the table did not answer in time, if the
    /// namespace is not in memory, or if there is no vector to compare.
    pub complete: bool,
    /// On a miss: an entry of an equal question that has another `context` or other system messages.
    pub other_context: Option<OtherContext>,
}

/// A question as both layers see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedQuestion {
    /// The normalised text, or its first 1,000 characters.
    pub text: String,
    /// The context key in hexadecimal; null for a question without one.
    pub context_key: Option<String>,
    /// Whether it is a follow-up message, whose history must agree.
    pub follow_up: bool,
}

/// One compared entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedCandidate {
    /// The entry's id.
    pub id: EntryId,
    /// The stored question, or its first 1,000 characters; null if only its hash is stored.
    pub query: Option<String>,
    /// The layer that compared it.
    pub layer: Layer,
    /// The cosine similarity. 1 for the exact layer.
    pub similarity: f32,
    /// The probability that the answer is right, or the similarity if the guard is off. 1 for the exact layer, and 0
    /// for an entry that contradicts the question.
    pub probability: f32,
    /// The entry's own share of the confidence, from its put.
    pub confidence_score: f64,
    /// The confidence that the cutoff applies to.
    pub confidence: f32,
    /// Seconds since the put of the entry.
    pub age_seconds: i64,
    /// Whether this entry was served.
    pub served: bool,
    /// Why the entry cannot be served. Null if it can: then it is served, or a more similar one is.
    pub reason: Option<MissReason>,
    /// How the entry contradicts the question.
    pub veto: Option<VetoKind>,
    /// What the guard measured, by name. Features that are 0 are left out. Empty with the guard off, for the exact
    /// layer, and for an entry of which the guard knows nothing.
    pub features: BTreeMap<&'static str, f32>,
}

/// An entry of an equal question with another context key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OtherContext {
    /// The entry's id.
    pub id: EntryId,
    /// The stored question, or its first 1,000 characters; null if only its hash is stored.
    pub query: Option<String>,
    /// Its context key in hexadecimal; null for a question without one.
    pub context_key: Option<String>,
}

impl Explanation {
    /// The explanation of a lookup for which nothing could be compared.
    pub(super) fn without_candidates(query: &Query, rules: Rules, config: &Config) -> Self {
        let question = ComparedQuestion {
            text: shortened(&normalize(&query.question.message, config.normalize)),
            context_key: query.question.context_key.as_ref().map(hexadecimal),
            follow_up: query.question.signature.needs_history(),
        };
        Self { question, rules, candidates: Vec::new(), complete: false, other_context: None }
    }
}

/// Explains the outcome of one query.
pub(super) struct Explainer<'a> {
    pub(super) cache: &'a Cache,
    pub(super) query: &'a Query,
    pub(super) rules: Rules,
    pub(super) embedder: &'a ReadEmbedder,
    pub(super) replica: &'a mut Replica,
}

impl Explainer<'_> {
    /// Explains `outcome`. Until the cache's deadline, it reads what it needs; a table that is overloaded for that long
    /// makes the explanation incomplete.
    ///
    /// Reads, strongly: the pointer and the rows of the entry key; the nearest rows, at most 96; on a miss at most 10
    /// rows of equal questions, and the pointer of the question without context. Errors: `StoreBackendError`.
    pub(super) async fn explain(mut self, outcome: &LookupOutcome) -> Result<Explanation, Error> {
        let mut explanation = Explanation::without_candidates(self.query, self.rules, &self.cache.config);
        match self.compare(outcome, &mut explanation).await {
            Err(error) if error.is_store_overload() => explanation.complete = false,
            compared => compared?,
        }
        Ok(explanation)
    }

    async fn compare(&mut self, outcome: &LookupOutcome, explanation: &mut Explanation) -> Result<(), Error> {
        let mut rows = Rows::default();
        let (exact, verdicts) = self.exact(outcome, &mut rows).await?;
        let listed: BTreeSet<EntryId> = exact.iter().map(|candidate| candidate.id).collect();
        explanation.candidates = exact;
        if matches!(outcome, LookupOutcome::Miss(_)) {
            explanation.other_context = self.other_context(&mut rows).await?;
        }
        let (query, embedder) = (self.query, self.embedder);
        let Some(embedding) = query.vector.get(Some(embedder)) else { return Ok(()) };
        explanation.complete = self.replica.holds(&query.namespace);
        let unread = OnceLock::new();
        let is_cut = query.vector.is_cut(embedder, &query.question.message);
        let rules = self.rules;
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
        let mut scored = Vec::new();
        let read = self.nearest(scoring, &mut rows, &mut scored).await;
        scored.retain(|scored| !listed.contains(&scored.entry.id));
        scored.truncate(MAX_CANDIDATES);
        explanation.candidates.extend(scored.into_iter().map(|scored| self.semantic(scored, outcome)));
        read
    }

    /// The live entries that the exact layer compares, and what callers said of the answers. These are the entries with
    /// the query's entry key: at most one, except for duplicates of the Python library. If there is none, it is the entry
    /// of the alias.
    async fn exact(
        &self,
        outcome: &LookupOutcome,
        rows: &mut Rows,
    ) -> Result<(Vec<ExplainedCandidate>, PairVerdicts), Error> {
        let Self { cache, query, .. } = self;
        let served = match outcome {
            LookupOutcome::Hit { layer: Layer::Exact, entry, .. } => Some(entry.id),
            _ => None,
        };
        let known = self.replica.by_hash(&query.namespace, &query.question.hash);
        let mut ids: BTreeSet<EntryId> = served.into_iter().chain(known).collect();
        let keys = ids.iter().map(|id| RowKey::from(*id)).chain([query.pointer_key()]);
        cache.table.fetch_missing(rows, keys).await?;
        let pointer = rows.get(query.pointer_key()).map(Pointer::from_item).unwrap_or_default();
        if let Some(pointed) = pointer.answering() {
            cache.table.fetch_missing(rows, [pointed.into()]).await?;
            ids.insert(pointed);
        }
        let verdicts = pointer.verdicts;
        let rules = ExactRules { query, rules: &self.rules, alias: verdicts.alias.as_ref() };
        let explain = |entry: Entry| {
            let objection = rules.refusal(&entry);
            let confidence = rules.confidence(&entry);
            let is_served = served == Some(entry.id);
            self.candidate(&entry, Layer::Exact, (1.0, 1.0, confidence), objection, is_served)
        };
        let live: Vec<Entry> = ids.iter().filter_map(|id| rows.entry(*id)).collect();
        let has_own = live.iter().any(|entry| rules.is_match(entry));
        let is_compared = |entry: &Entry| if has_own { rules.is_match(entry) } else { rules.is_confirmed(entry) };
        let explained = live.into_iter().filter(is_compared).map(explain).collect();
        Ok((explained, verdicts))
    }

    /// Compares the nearest entries, most similar first. `scored` keeps what was compared before an error.
    async fn nearest(
        &mut self,
        scoring: Scoring<'_>,
        rows: &mut Rows,
        scored: &mut Vec<ScoredEntry>,
    ) -> Result<(), Error> {
        let near = scoring.embedder.served.scale().raw_threshold(self.rules.threshold - NEAR_MISS);
        for threshold in [near, -1.0] {
            scored.clear();
            let done = self.nearest_above(threshold.max(-1.0), scoring, rows, scored).await;
            scored.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.entry.id.cmp(&b.entry.id)));
            done?;
            if scored.len() >= MAX_CANDIDATES {
                break;
            }
        }
        Ok(())
    }

    /// Compares entries in descending order of their upper bound, until the next one cannot be among the nearest.
    async fn nearest_above(
        &mut self,
        threshold: f32,
        scoring: Scoring<'_>,
        rows: &mut Rows,
        scored: &mut Vec<ScoredEntry>,
    ) -> Result<(), Error> {
        let query = self.query;
        let context_key = query.question.context_key;
        let mut candidates =
            self.replica.candidates(&query.namespace, context_key, scoring.embedding, threshold).peekable();
        let mut read = 0;
        while read < MAX_ROWS
            && let Some(next) = candidates.peek()
            && tenth(scored).is_none_or(|tenth| next.bound >= tenth)
        {
            let ids: Vec<EntryId> =
                candidates.by_ref().take(ROWS_PER_READ).filter_map(|candidate| EntryId::new(candidate.id)).collect();
            read += ROWS_PER_READ;
            self.cache.table.fetch_missing(rows, ids.iter().map(|id| (*id).into())).await?;
            for entry in ids.into_iter().filter_map(|id| rows.entry(id)) {
                if let Some(similarity) = scoring.similarity(&entry) {
                    scored.push(scoring.judge(entry, similarity));
                }
            }
        }
        Ok(())
    }

    /// What the semantic layer thinks of an entry.
    fn semantic(&self, scored: ScoredEntry, outcome: &LookupOutcome) -> ExplainedCandidate {
        let ScoredEntry { entry, similarity, scaled, probability, confidence, objection } = scored;
        let is_similar = scaled >= self.rules.threshold;
        let objection = if is_similar { objection } else { Some(MissReason::BelowThreshold.into()) };
        let is_served = matches!(outcome, LookupOutcome::Hit { entry: served, .. } if served.id == entry.id);
        let scores = (similarity, probability, confidence);
        let candidate = self.candidate(&entry, Layer::Semantic, scores, objection, is_served);
        ExplainedCandidate { features: self.features(&entry, scaled), ..candidate }
    }

    /// `scores`: similarity, probability and confidence.
    fn candidate(
        &self,
        entry: &Entry,
        layer: Layer,
        (similarity, probability, confidence): (f32, f64, f64),
        objection: Option<Objection>,
        served: bool,
    ) -> ExplainedCandidate {
        ExplainedCandidate {
            id: entry.id,
            query: entry.query.as_deref().map(shortened),
            layer,
            similarity,
            probability: probability as f32,
            confidence_score: entry.confidence_score,
            confidence: confidence as f32,
            age_seconds: self.query.now_secs.saturating_sub(entry.created_at).max(0),
            served,
            reason: objection.map(|objection| objection.reason),
            veto: objection.and_then(|objection| objection.veto),
            features: BTreeMap::new(),
        }
    }

    /// The guard's features of the question and `entry` that are not 0. `similarity`: on the scale of the reference.
    fn features(&self, entry: &Entry, similarity: f32) -> BTreeMap<&'static str, f32> {
        let Some(signature) = entry.signature().filter(|_| self.rules.guard == Guard::On) else {
            return BTreeMap::new();
        };
        let values = self.rules.signature(self.query).features(&signature, similarity).values();
        let named = FEATURE_NAMES.iter().copied().zip(values).map(|(name, value)| (name, value as f32));
        named.filter(|(_, value)| *value != 0.0).collect()
    }

    /// A live entry of an equal question with another context key. Context keys that the replica does not know are not
    /// searched, except that of a plain query.
    async fn other_context(&self, rows: &mut Rows) -> Result<Option<OtherContext>, Error> {
        let Self { cache, query, replica, .. } = self;
        let own = query.question.context_key;
        let others = [None].into_iter().chain(replica.context_keys(&query.namespace)).filter(|key| *key != own);
        let hash_in = |key| query.question.hash_in(key, cache.config.normalize);
        let known = others.take(MAX_CONTEXTS).flat_map(|key| replica.by_hash(&query.namespace, &hash_in(key)));
        let mut ids: Vec<EntryId> = known.take(MAX_EQUAL).collect();
        let plain = own.is_some().then(|| RowKey::pointer(&query.namespace, &hash_in(None)));
        let keys = ids.iter().map(|id| RowKey::from(*id)).chain(plain);
        cache.table.fetch_missing(rows, keys).await?;
        if let Some(pointed) = plain.and_then(|plain| rows.get(plain)).and_then(pointed_entry) {
            cache.table.fetch_missing(rows, [pointed.into()]).await?;
            ids.push(pointed);
        }
        let is_equal = |entry: &Entry| {
            entry.context_key != own
                && entry.has_key(&query.namespace, &hash_in(entry.context_key))
                && !entry.is_expired(query.now_secs)
        };
        let found = ids.into_iter().filter_map(|id| rows.entry(id)).find(is_equal);
        Ok(found.map(|entry| OtherContext {
            id: entry.id,
            query: entry.query.as_deref().map(shortened),
            context_key: entry.context_key.as_ref().map(hexadecimal),
        }))
    }
}

/// The similarity of the least similar of the [`MAX_CANDIDATES`] nearest entries; `None` if there are fewer.
fn tenth(scored: &[ScoredEntry]) -> Option<f32> {
    let mut similarities: Vec<f32> = scored.iter().map(|scored| scored.similarity).collect();
    similarities.sort_by(|a, b| b.total_cmp(a));
    similarities.get(MAX_CANDIDATES - 1).copied()
}

/// The first [`MAX_TEXT_CHARS`] characters of `text`.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

fn hexadecimal(key: &ContextKey) -> String {
    key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
