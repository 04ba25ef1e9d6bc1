//! The four writes to item 0 that a move to another embedder is made of.

use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};

use super::action::{n, update};
use crate::cache::Cache;
use crate::embedders::{Era, Other};
use crate::error::Error;
use crate::table::counter::Counter;
use crate::table::transaction::Outcome;

/// What happens to the cache's embedders. Each is one mutation, so that a put that was planned before is planned anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A move to this embedder begins.
    Start { fingerprint: String, dim: u32 },
    /// The active embedder and the other one change places. Unless entries may be left behind, it holds only as long as no further
    /// one came in.
    Switch { leave_behind: bool },
    /// The other one is given up: it is not served any more.
    End,
    /// None of its vectors is left. Holds only as long as no further entry came in.
    Ended,
}

impl Change {
    /// What `seen` becomes, as far as embedders go; `None` where the change is none for it.
    fn of(&self, seen: &Counter) -> Option<Counter> {
        let mut counter = seen.clone();
        match (self, counter.other.take()) {
            (Self::Start { fingerprint, dim }, None) => {
                let highest = seen.last_era.max(seen.era).max(seen.base).get();
                counter.last_era = Era::new(highest + 1);
                let (era, fingerprint) = (counter.last_era, fingerprint.clone());
                counter.other = Some(Other { era, fingerprint, dim: *dim, ending: false });
            }
            (Self::Switch { .. }, Some(other)) if !other.ending => {
                counter.other = Some(Other {
                    era: seen.era,
                    fingerprint: seen.fingerprint.clone()?,
                    dim: seen.dim?,
                    ending: false,
                });
                (counter.era, counter.fingerprint, counter.dim) = (other.era, Some(other.fingerprint), Some(other.dim));
                counter.switches += 1;
            }
            (Self::End, Some(other)) if !other.ending => counter.other = Some(Other { ending: true, ..other }),
            (Self::Ended, Some(other)) if other.ending => counter.base = counter.era,
            _ => return None,
        }
        Some(counter)
    }

    fn needs_every_entry(&self) -> bool {
        match self {
            Self::Switch { leave_behind } => !leave_behind,
            Self::Ended => true,
            Self::Start { .. } | Self::End => false,
        }
    }
}

fn same_embedders(a: &Counter, b: &Counter) -> bool {
    (a.era, a.base, a.switches, a.last_era, &a.other) == (b.era, b.base, b.switches, b.last_era, &b.other)
}

impl Cache {
    /// Makes `change`, if the cache's embedders are still as in `seen` and, where the change has to know every entry, no id was
    /// given out since. False where they are not; another instance may have made the very change.
    ///
    /// Writes: one transaction on item 0, which raises the version by one. Errors: `StoreBackendError`.
    pub(crate) async fn change_embedders(&self, seen: &Counter, change: &Change) -> Result<bool, Error> {
        let Some(after) = change.of(seen) else { return Ok(false) };
        let action = self.embedder_update(seen, &after, change.needs_every_entry())?;
        let mut pace = self.pace();
        loop {
            let outcome = self.table.transact(vec![action.clone()], self.deadline).await?;
            match outcome {
                Outcome::Committed => return Ok(true),
                _ if outcome.was_crowded_out() => pace.after_crowding().await?,
                Outcome::Cancelled(_) => return Ok(false),
                // Nothing but a move changes what is compared here, so that what stands there now tells.
                Outcome::Unknown(error) => {
                    let counter = self.table.read_counter().await?;
                    return if counter.is_some_and(|now| same_embedders(&now, &after)) { Ok(true) } else { Err(error) };
                }
            }
        }
    }

    fn embedder_update(&self, seen: &Counter, after: &Counter, entries: bool) -> Result<TransactWriteItem, Error> {
        let mut change = Expression { builder: self.counter_update(), sets: Vec::new(), removes: Vec::new() };
        let mut conditions = vec!["attribute_exists(#version)".to_owned()];
        let era = |era: Era| (era != Era::default()).then(|| era.attribute());
        let other = |counter: &Counter| counter.other.clone();
        let values = |counter: &Counter| {
            [
                ("embedder_fingerprint", counter.fingerprint.clone().map(AttributeValue::S)),
                ("embedder_dim", counter.dim.map(n)),
                ("embedder_era", era(counter.era)),
                ("base_era", era(counter.base)),
                ("last_era", era(counter.last_era)),
                ("embedder_switches", (counter.switches > 0).then(|| n(counter.switches))),
                ("reembed_fingerprint", other(counter).map(|other| AttributeValue::S(other.fingerprint))),
                ("reembed_dim", other(counter).map(|other| n(other.dim))),
                ("reembed_era", other(counter).map(|other| other.era.attribute())),
                ("reembed_ending", other(counter).filter(|other| other.ending).map(|_| AttributeValue::Bool(true))),
            ]
        };
        for ((name, before), (_, after)) in values(seen).into_iter().zip(values(after)) {
            conditions.push(change.is(name, before.clone()));
            if before != after {
                change.set(name, after);
            }
        }
        if entries {
            conditions.push(change.is("next_id", Some(n(seen.next_id))));
        }
        let Expression { builder, sets, removes } = change;
        let clause = |word: &str, parts: &[String]| match parts {
            [] => String::new(),
            parts => format!("{word} {} ", parts.join(", ")),
        };
        let (set, remove) = (clause("SET", &sets), clause("REMOVE", &removes));
        update(
            builder
                .update_expression(format!("{set}{remove}ADD #version :one"))
                .condition_expression(conditions.join(" AND "))
                .expression_attribute_values(":one", n(1)),
        )
    }
}

struct Expression {
    builder: UpdateBuilder,
    sets: Vec<String>,
    removes: Vec<String>,
}

impl Expression {
    /// The condition that `name` is as it was seen.
    fn is(&mut self, name: &str, seen: Option<AttributeValue>) -> String {
        self.builder = self.builder.clone().expression_attribute_names(format!("#{name}"), name);
        match seen {
            None => format!("attribute_not_exists(#{name})"),
            // Item 0 of a new table has them as 0 nowhere: absent is the same.
            Some(value) => {
                self.builder = self.builder.clone().expression_attribute_values(format!(":seen_{name}"), value);
                format!("#{name} = :seen_{name}")
            }
        }
    }

    fn set(&mut self, name: &str, value: Option<AttributeValue>) {
        match value {
            None => self.removes.push(format!("#{name}")),
            Some(value) => {
                self.builder = self.builder.clone().expression_attribute_values(format!(":{name}"), value);
                self.sets.push(format!("#{name} = :{name}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn counter() -> Counter {
        let config = Config::with(&[("MNEME_EMBEDDER_FINGERPRINT", "a"), ("MNEME_EMBEDDER_DIM", "3")]);
        Counter::from_item(&Counter::first_item(&config)).unwrap()
    }

    fn start(fingerprint: &str) -> Change {
        Change::Start { fingerprint: fingerprint.to_owned(), dim: 4 }
    }

    #[test]
    fn a_move_there_and_back_leaves_the_cache_as_it_was_but_for_the_numbers_given_out() {
        let moving = start("b").of(&counter()).unwrap();
        let switched = Change::Switch { leave_behind: false }.of(&moving).unwrap();
        assert_eq!((switched.fingerprint.as_deref(), switched.dim, switched.era), (Some("b"), Some(4), Era::new(1)));
        let back = Change::Switch { leave_behind: false }.of(&switched).unwrap();
        assert_eq!(Counter { switches: 0, ..back.clone() }, moving);
        let left = Change::Ended.of(&Change::End.of(&back).unwrap()).unwrap();
        assert_eq!(Counter { switches: 0, last_era: Era::new(0), ..left.clone() }, counter());
        // The same embedder once more is another era.
        assert_eq!(start("b").of(&left).unwrap().other.unwrap().era, Era::new(2));
        let moved = Change::Ended.of(&Change::End.of(&switched).unwrap()).unwrap();
        assert_eq!((moved.base, moved.era, moved.other), (Era::new(1), Era::new(1), None));
    }

    #[test]
    fn what_does_not_fit_the_state_is_no_change() {
        let moving = start("b").of(&counter()).unwrap();
        let ending = Change::End.of(&moving).unwrap();
        for (seen, changes) in [
            (&counter(), &[Change::Switch { leave_behind: false }, Change::End, Change::Ended][..]),
            (&moving, &[start("c"), Change::Ended][..]),
            (&ending, &[start("c"), Change::Switch { leave_behind: false }, Change::End][..]),
        ] {
            for change in changes {
                assert_eq!(change.of(seen), None, "{change:?}");
            }
        }
    }
}
