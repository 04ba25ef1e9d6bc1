//! Keeping what a caller says of an answer.

use mneme_model::entry::{Entry, no_such_entry};
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::pair_verdicts::{Alias, PairVerdict, PairVerdicts};
use mneme_model::question::Question;
use mneme_store::key::RowKey;
use mneme_store::pair_verdicts::Pointer;
use mneme_store::read::{Projection, Rows};
use mneme_store::transaction::TransactionOutcome;
use serde::Serialize;

use crate::cache::Cache;

/// What a caller says of an entry as the answer to a question.
#[derive(Debug, Clone, Copy)]
pub struct Feedback<'a> {
    /// The namespace of the question and of the entry.
    pub namespace: &'a Namespace,
    /// The question.
    pub question: &'a Question,
    /// The entry.
    pub id: EntryId,
    /// Whether the entry's answer is right for the question.
    pub right: bool,
    /// The name of the caller.
    pub by: Option<&'a str>,
}

/// What a verdict leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The entry is not served for the question any more.
    Barred,
    /// The exact layer finds the entry for the question.
    Aliased,
    /// The question has an entry of its own, which answers it. If the named entry was barred, it is not any more.
    None,
}

/// Keeps `feedback` with the question. A verdict replaces an earlier one on the same entry. A verdict that is known already
/// changes nothing.
///
/// Reads: the entry and the question's pointer, then the question's own entry, if the pointer names one; all strongly.
/// Writes: one transaction of the pointer and the counter, which is one mutation. Errors: `NotFound` if the namespace has no
/// such live entry; `InvalidRequest` if the entry has another context, or if the question is the entry's own and the
/// feedback says that the answer is wrong; `StoreBackendError`.
pub async fn give_feedback(cache: &Cache, feedback: &Feedback<'_>) -> Result<Effect, Error> {
    let Feedback { namespace, question, id, right, .. } = *feedback;
    let table = &cache.table;
    let key = RowKey::pointer(namespace, &question.hash);
    let mut budget = cache.retry_budget();
    loop {
        let mut rows = table.batch_get([key, id.into()], Projection::All).await?;
        let entry = judged_entry(feedback, &rows, cache.now_secs())?;
        if entry.query_hash == question.hash {
            return Ok(Effect::None);
        }
        let pointer = rows.get(key).map(Pointer::from_item).unwrap_or_default();
        table.fetch_missing(&mut rows, pointer.own().map(RowKey::from)).await?;
        let own = pointer
            .own()
            .and_then(|own| rows.entry(own))
            .filter(|own| own.has_key(namespace, &question.hash) && !own.is_expired(cache.now_secs()));
        let verdicts = with_feedback(feedback, &pointer.verdicts, &entry, own.is_some(), cache.now_secs());
        let effect = match (right, own.is_some()) {
            (false, _) => Effect::Barred,
            (true, false) => Effect::Aliased,
            (true, true) => Effect::None,
        };
        if verdicts == pointer.verdicts {
            return Ok(effect);
        }
        let newest = verdicts.iter().next_back().map(|verdict| verdict.id);
        let Some(named) = own.map(|own| own.id).or(newest) else { return Ok(effect) };
        let actions = vec![table.record_verdicts(key, namespace, &pointer, named, &verdicts)?, table.raise_version(1)?];
        let outcome = table.transact(actions, cache.deadline).await?;
        match outcome {
            TransactionOutcome::Committed => return Ok(effect),
            TransactionOutcome::Unknown(error) => return Err(error),
            _ if outcome.was_contended() => budget.after_contention().await?,
            TransactionOutcome::Cancelled(_) => budget.after_lost_race(true).await?,
        }
    }
}

/// The live entry that `feedback` is about, among `rows`. Errors: as [`give_feedback`].
fn judged_entry(feedback: &Feedback<'_>, rows: &Rows, now_secs: i64) -> Result<Entry, Error> {
    let Feedback { namespace, question, id, right, .. } = *feedback;
    let entry = rows.entry(id).filter(|entry| entry.namespace == *namespace && !entry.is_expired(now_secs));
    let entry = entry.ok_or_else(no_such_entry)?;
    if entry.context_key != question.context_key {
        return Err(Error::invalid(
            "id: the entry was stored with another context or other system messages, so it cannot answer this question",
            "send the `messages` and the `context` of the lookup that returned the entry",
        ));
    }
    if entry.query_hash == question.hash && !right {
        return Err(Error::invalid(
            "id: the entry was stored for this very question, so it cannot be barred from it",
            "store the right answer with `put`, change it with `update`, or delete the entry",
        ));
    }
    Ok(entry)
}

/// The `verdicts` after `feedback` on `entry`. `has_own`: whether the question has an entry of its own, so that it needs no
/// alias.
fn with_feedback(
    feedback: &Feedback<'_>,
    verdicts: &PairVerdicts,
    entry: &Entry,
    has_own: bool,
    now_secs: i64,
) -> PairVerdicts {
    let mut verdicts = verdicts.clone();
    let verdict = PairVerdict::new(entry.query_hash.clone(), entry.id, now_secs, feedback.by);
    match (feedback.right, has_own) {
        (false, _) => verdicts.bar(verdict),
        (true, true) => verdicts.lift_bar(&entry.query_hash),
        (true, false) => verdicts.confirm(Alias { verdict, signature: feedback.question.signature.to_bytes() }),
    }
    verdicts
}
