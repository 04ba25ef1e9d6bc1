//! Leases: of several callers who miss the same question at once, one makes the answer, and the others wait for it.
//!
//! A lease is a hint. Without one, or after its end, a caller makes the answer itself, so a lost lease costs a call of
//! the model and never an answer.

use mneme_guard::{ConversationSignature, Verdict};
use mneme_model::confidence::{confidence, verdict};
use mneme_model::config::Leases;
use mneme_model::embedding::Embedding;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::namespace_settings::Layers;
use mneme_model::normalize::QueryHash;
use mneme_store::key::RowKey;
use mneme_store::leases::{Lease, LeaseBoard, LeasedQuestion};
use mneme_store::read::Projection;
use serde::Serialize;

use crate::cache::Cache;
use crate::lookup::query::Query;
use crate::lookup::rules::Rules;
use crate::replica::similarity;
use crate::settings::read::latest_settings;

/// Who is to make the answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LeaseState {
    /// The caller is. Its put or its release ends the lease.
    Granted {
        /// What the put or the release names the lease by.
        token: String,
        /// For how many seconds it holds.
        seconds: u64,
    },
    /// Another caller is.
    Held {
        /// For how many seconds at most, rounded up.
        seconds: u64,
        /// When the lease ends, in epoch milliseconds. Two leases of a question seldom end in the same millisecond, so a
        /// caller that waits sees that the lease changed hands.
        #[serde(skip)]
        until_ms: i64,
    },
}

impl LeaseState {
    fn held(lease: &Lease, now_ms: i64) -> Self {
        let left_ms = u64::try_from(lease.until_ms.saturating_sub(now_ms)).unwrap_or(0);
        Self::Held { seconds: left_ms.div_ceil(1000).max(1), until_ms: lease.until_ms }
    }
}

/// The largest size of a token that a caller sends, in bytes.
const MAX_TOKEN_BYTES: usize = 128;

/// How often a question tries to get a slot of the lease board.
const NAMING_ATTEMPTS: u32 = 3;

/// Checks the size of a token that a caller sends. Errors: `InvalidRequest`.
pub fn check_token(token: &str) -> Result<(), Error> {
    match token.len() {
        1..=MAX_TOKEN_BYTES => Ok(()),
        bytes => Err(Error::invalid(
            format!("lease_token: it has {bytes} bytes, and 1 to {MAX_TOKEN_BYTES} are allowed"),
            "send the token that `lookup` returned, or leave the field out",
        )),
    }
}

/// Takes the lease of `query` for `secs` seconds, unless another caller holds it, or holds the lease of a question that
/// the answer to `query` may be served for. The latter needs a vector, and `MNEME_LEASES=meaning`.
///
/// Among questions of equal meaning, the one that was named first on the lease board keeps its lease. A board names at
/// most 16 questions, of one namespace and context key. A further one takes the place of the one whose lease ends first;
/// that lease then holds for its own text alone.
///
/// Takes at most `MNEME_LOOKUP_BUDGET_MS`.
/// Reads, with a vector: the lease and the board, in one call; the leases of the questions on the board that are equal in
/// meaning, in one call. Writes: the lease, if it is free; then, with a vector, the board; the lease again, if it is given
/// up.
/// Errors: `StoreBackendError`.
pub async fn take(cache: &Cache, query: &Query, secs: u64) -> Result<LeaseState, Error> {
    let cache = &cache.within_lookup_budget();
    let table = &cache.table;
    let now_ms = cache.clock.now_ms();
    let key = RowKey::lease(&query.namespace, &query.question.hash);
    let board = RowKey::lease_board(&query.namespace, query.question.context_key.as_ref());
    // The lookup that missed has read the settings.
    let rules = Rules::new(query, &latest_settings(cache, None, &query.namespace), &cache.config);
    let is_compared = cache.config.leases == Leases::Meaning && rules.layers == Layers::All;
    let vector = query.vector.of_whole_text().filter(|_| is_compared);
    let asker = vector.map(|vector| Asker { cache, query, rules, vector, key, now_ms });
    let mut seen = LeaseBoard::default();
    if let Some(asker) = &asker {
        let rows = table.batch_get([key, board], Projection::All).await?;
        seen = LeaseBoard::from_item(rows.get(board));
        let own = rows.get(key).and_then(Lease::from_item).filter(|lease| !lease.has_ended(now_ms));
        let held = match own {
            Some(held) => Some(held),
            None => asker.held_by_meaning(&seen).await?,
        };
        if let Some(held) = held {
            return Ok(LeaseState::held(&held, now_ms));
        }
    }
    let lease = Lease::new(now_ms.saturating_add_unsigned(secs.saturating_mul(1000)));
    let held = table.take_lease(key, &lease, now_ms).await?;
    if held.token != lease.token {
        return Ok(LeaseState::held(&held, now_ms));
    }
    let granted = LeaseState::Granted { token: lease.token.clone(), seconds: secs };
    let Some(asker) = asker else { return Ok(granted) };
    match asker.name_on_board(board, seen, &lease).await {
        Ok(None) => Ok(granted),
        Ok(Some(other)) => {
            table.release_lease(key, &lease.token).await?;
            Ok(LeaseState::held(&other, now_ms))
        }
        // The lease holds for the question's own text.
        Err(error) => {
            tracing::info!(%error, "the lease is not found by meaning");
            Ok(granted)
        }
    }
}

/// Releases the lease of a question, if `token` holds it. Returns whether it did.
///
/// Writes: the lease. Errors: `StoreBackendError`.
pub async fn release(cache: &Cache, namespace: &Namespace, hash: &QueryHash, token: &str) -> Result<bool, Error> {
    cache.table.release_lease(RowKey::lease(namespace, hash), token).await
}

/// A question that asks for a lease, with its vector.
struct Asker<'a> {
    cache: &'a Cache,
    query: &'a Query,
    rules: Rules,
    vector: &'a Embedding,
    key: RowKey,
    now_ms: i64,
}

impl Asker<'_> {
    /// Names the question, which has the lease `lease`, on the board, which was `seen` before. Returns the lease of a
    /// question of equal meaning that was named earlier.
    ///
    /// If other questions take the slot each time, the question is not named.
    async fn name_on_board(&self, key: RowKey, mut seen: LeaseBoard, lease: &Lease) -> Result<Option<Lease>, Error> {
        let signature = self.query.question.signature.to_bytes();
        let question = LeasedQuestion::new(self.key, lease.clone(), self.vector, signature);
        for _ in 0..NAMING_ATTEMPTS {
            let (before, is_named) = self.cache.table.name_on_board(key, &seen, &question).await?;
            let held = self.held_by_meaning(&before).await?;
            if held.is_some() || is_named {
                return Ok(held);
            }
            seen = before;
        }
        Ok(None)
    }

    /// The lease that holds longest among those of the questions on `board` that have an equal meaning.
    async fn held_by_meaning(&self, board: &LeaseBoard) -> Result<Option<Lease>, Error> {
        let is_equal = |other: &LeasedQuestion| {
            other.key != self.key && !other.lease.has_ended(self.now_ms) && self.is_equal_in_meaning(other)
        };
        let equal: Vec<LeasedQuestion> = board.questions().filter(is_equal).collect();
        if equal.is_empty() {
            return Ok(None);
        }
        let leases = self.cache.table.batch_get(equal.iter().map(|other| other.key), Projection::All).await?;
        // The board is not told when a lease ends early, or when another caller takes it.
        let held = equal.iter().filter_map(|other| {
            let lease = leases.get(other.key).and_then(Lease::from_item)?;
            (lease.token == other.lease.token && !lease.has_ended(self.now_ms)).then_some(lease)
        });
        Ok(held.max_by_key(|lease| lease.until_ms))
    }

    /// Whether the answer to `other` may be served for this question, as far as that is known without the answer.
    fn is_equal_in_meaning(&self, other: &LeasedQuestion) -> bool {
        let Self { query, rules, vector, .. } = self;
        let Some(theirs) = other.vector().filter(|theirs| theirs.dim() == vector.dim()) else { return false };
        let Ok(signature) = ConversationSignature::from_bytes(&other.signature) else { return false };
        let similarity = similarity(vector.as_slice(), theirs.as_slice());
        if similarity < rules.threshold {
            return false;
        }
        match verdict(&rules.signature(query), Some(&signature), similarity, rules.guard) {
            Verdict::Probability(p) => confidence(p, 1.0, 0, None) >= rules.cutoff,
            Verdict::Vetoed(_) => false,
        }
    }
}
