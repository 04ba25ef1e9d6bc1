//! The changes of item 0 that give the cache another embedder: the four of a move, and the one of a new stamp.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use mneme_model::embedder::{EmbedderGeneration, SecondEmbedder};
use mneme_model::error::Error;
use mneme_store::attribute as name;
use mneme_store::counter::Counter;
use mneme_store::entry_row::generation_value;
use mneme_store::expression::{Condition, Expression};
use mneme_store::item::{b, n, s};
use mneme_store::transaction::TransactionOutcome;

use crate::cache::Cache;

/// A change of the cache's embedders. Each is one mutation, so that a put that was planned before it is planned again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Begins a move to this embedder.
    Start { fingerprint: String, dim: u32 },
    /// Exchanges the active embedder and the second one. Unless entries may be left behind, this fails if an id was
    /// given out since the counter was read.
    Switch { leave_behind: bool },
    /// Begins to end the move. No instance serves the second embedder after this.
    End,
    /// Ends the move. The second embedder has no vectors left. This fails if an id was given out since the counter was
    /// read.
    Ended,
    /// Gives a cache without any vector another embedder, or none. This fails if an id was given out since the counter
    /// was read.
    Restamp { fingerprint: Option<String>, dim: Option<u32> },
}

impl Change {
    /// The counter after the change; `None` if the change does not apply to `seen`.
    fn applied_to(&self, seen: &Counter) -> Option<Counter> {
        let mut counter = seen.clone();
        match (self, counter.second.take()) {
            (Self::Start { fingerprint, dim }, None) => {
                counter.last_generation = next_generation(seen);
                let (generation, fingerprint) = (counter.last_generation, fingerprint.clone());
                counter.second =
                    Some(SecondEmbedder { generation, fingerprint, dim: *dim, scale: None, ending: false });
            }
            (Self::Switch { .. }, Some(second)) if !second.ending => {
                counter.second = Some(SecondEmbedder {
                    generation: seen.generation,
                    fingerprint: seen.fingerprint.clone()?,
                    dim: seen.dim?,
                    scale: seen.scale,
                    ending: false,
                });
                (counter.generation, counter.scale) = (second.generation, second.scale);
                (counter.fingerprint, counter.dim) = (Some(second.fingerprint), Some(second.dim));
                counter.switches += 1;
            }
            (Self::End, Some(second)) if !second.ending => {
                counter.second = Some(SecondEmbedder { ending: true, ..second });
            }
            (Self::Ended, Some(second)) if second.ending => counter.base_generation = counter.generation,
            (Self::Restamp { fingerprint, dim }, None) => {
                // A new generation has a manifest of its own, and instances read their vectors again after a switch.
                counter.last_generation = next_generation(seen);
                counter.generation = counter.last_generation;
                counter.base_generation = counter.last_generation;
                counter.switches += 1;
                (counter.fingerprint, counter.dim, counter.scale) = (fingerprint.clone(), *dim, None);
            }
            _ => return None,
        }
        Some(counter)
    }

    /// Whether the change fails if an id was given out since the counter was read.
    fn forbids_new_ids(&self) -> bool {
        match self {
            Self::Switch { leave_behind } => !leave_behind,
            Self::Ended | Self::Restamp { .. } => true,
            Self::Start { .. } | Self::End => false,
        }
    }
}

/// A generation that was never given out.
fn next_generation(seen: &Counter) -> EmbedderGeneration {
    EmbedderGeneration::new(seen.last_generation.max(seen.generation).max(seen.base_generation).get() + 1)
}

/// The attributes of item 0 that describe the cache's embedders. An attribute whose number is 0 is absent, as in a new
/// table.
fn attributes(counter: &Counter) -> [(&'static str, Option<AttributeValue>); 12] {
    let generation =
        |value: EmbedderGeneration| (value != EmbedderGeneration::default()).then(|| generation_value(value));
    let second = counter.second.as_ref();
    [
        (name::FINGERPRINT, counter.fingerprint.as_ref().map(s)),
        (name::DIM, counter.dim.map(n)),
        (name::ACTIVE_GENERATION, generation(counter.generation)),
        (name::BASE_GENERATION, generation(counter.base_generation)),
        (name::LAST_GENERATION, generation(counter.last_generation)),
        (name::SWITCHES, (counter.switches > 0).then(|| n(counter.switches))),
        (name::SECOND_FINGERPRINT, second.map(|second| s(&second.fingerprint))),
        (name::SECOND_DIM, second.map(|second| n(second.dim))),
        (name::SECOND_GENERATION, second.map(|second| generation_value(second.generation))),
        (name::SCALE, counter.scale.map(|scale| b(scale.to_bytes()))),
        (name::SECOND_SCALE, second.and_then(|second| second.scale).map(|scale| b(scale.to_bytes()))),
        (name::SECOND_ENDING, second.filter(|second| second.ending).map(|_| AttributeValue::Bool(true))),
    ]
}

/// Applies `change`. Returns false if it does not apply to `seen`, or if the cache's embedders are no longer as in
/// `seen`: another instance may have made the same change. Also returns false if the change forbids new ids and one was
/// given out.
///
/// Writes: one transaction on item 0, which raises the version by one. Errors: `StoreBackendError`.
pub(crate) async fn change_embedders(cache: &Cache, seen: &Counter, change: &Change) -> Result<bool, Error> {
    let Some(after) = change.applied_to(seen) else { return Ok(false) };
    let action = update(cache, seen, &after, change.forbids_new_ids())?;
    let mut budget = cache.retry_budget();
    loop {
        let outcome = cache.table.transact(vec![action.clone()], cache.deadline).await?;
        match outcome {
            TransactionOutcome::Committed => return Ok(true),
            _ if outcome.was_contended() => budget.after_contention().await?,
            TransactionOutcome::Cancelled(_) => return Ok(false),
            // Only a move changes these attributes, so their present values show whether the change was made.
            TransactionOutcome::Unknown(error) => {
                let is_made = |now: Counter| attributes(&now) == attributes(&after);
                return if cache.table.read_counter().await?.is_some_and(is_made) { Ok(true) } else { Err(error) };
            }
        }
    }
}

fn update(cache: &Cache, seen: &Counter, after: &Counter, forbids_new_ids: bool) -> Result<TransactWriteItem, Error> {
    let mut expression = Expression::when(Condition::Exists(name::VERSION)).add(name::VERSION, n(1));
    for ((attribute, before), (_, after)) in attributes(seen).into_iter().zip(attributes(after)) {
        expression = expression.and(Condition::is(attribute, before.clone()));
        if before != after {
            expression = expression.set_or_remove(attribute, after);
        }
    }
    if forbids_new_ids {
        expression = expression.and(Condition::equals(name::NEXT_ID, n(seen.next_id)));
    }
    cache.table.update_counter(expression)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mneme_model::config::Config;

    fn counter() -> Counter {
        let config = Config::with(&[("MNEME_EMBEDDER_FINGERPRINT", "a"), ("MNEME_EMBEDDER_DIM", "3")]);
        Counter::from_item(&Counter::first_item(&config)).unwrap()
    }

    fn start(fingerprint: &str) -> Change {
        Change::Start { fingerprint: fingerprint.to_owned(), dim: 4 }
    }

    #[test]
    fn move_there_and_back_restores_the_counter_except_generations_and_switches() {
        let moving = start("b").applied_to(&counter()).unwrap();
        let switched = Change::Switch { leave_behind: false }.applied_to(&moving).unwrap();
        assert_eq!(
            (switched.fingerprint.as_deref(), switched.dim, switched.generation),
            (Some("b"), Some(4), EmbedderGeneration::new(1))
        );
        let back = Change::Switch { leave_behind: false }.applied_to(&switched).unwrap();
        assert_eq!(Counter { switches: 0, ..back.clone() }, moving);
        let left = Change::Ended.applied_to(&Change::End.applied_to(&back).unwrap()).unwrap();
        assert_eq!(Counter { switches: 0, last_generation: EmbedderGeneration::new(0), ..left.clone() }, counter());
        // A second move to the same embedder gets another generation.
        assert_eq!(start("b").applied_to(&left).unwrap().second.unwrap().generation, EmbedderGeneration::new(2));
        let moved = Change::Ended.applied_to(&Change::End.applied_to(&switched).unwrap()).unwrap();
        assert_eq!(
            (moved.base_generation, moved.generation, moved.second),
            (EmbedderGeneration::new(1), EmbedderGeneration::new(1), None)
        );
    }

    #[test]
    fn change_that_does_not_fit_the_state_is_not_applied() {
        let moving = start("b").applied_to(&counter()).unwrap();
        let ending = Change::End.applied_to(&moving).unwrap();
        for (seen, changes) in [
            (&counter(), &[Change::Switch { leave_behind: false }, Change::End, Change::Ended][..]),
            (&moving, &[start("c"), Change::Ended, Change::Restamp { fingerprint: None, dim: None }][..]),
            (&ending, &[start("c"), Change::Switch { leave_behind: false }, Change::End][..]),
        ] {
            for change in changes {
                assert_eq!(change.applied_to(seen), None, "{change:?}");
            }
        }
    }
}
