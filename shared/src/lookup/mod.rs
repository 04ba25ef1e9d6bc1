//! Lookups: first the exact layer, then the nearest stored vectors.
//!
//! A lookup is a pipeline of these steps.
//!
//! 1. [`query`]: a checked question.
//! 2. [`rules`]: the rules by which entries are judged.
//! 3. `candidates`: the ids that the replica suggests, highest upper bound first.
//! 4. [`engine`]: calls the steps below, and brings the replica up to date if the exact layer has no answer. Its first
//!    step is `first_read`, which reads the counter together with the rows that may answer.
//! 5. `exact`: the live entry with the same query hash.
//! 6. `semantic`: reads candidates until no further one can be better.
//! 7. `score`: the score of one entry, and why it is not served.
//! 8. [`outcome`]: the answer, or the reason for a miss.
//! 9. [`record`]: counts, metrics and the log.
//!
//! `round` is what the steps of one round share, and `aliases` follows what callers called right.
//! [`explain`] says afterwards why a lookup has its outcome.
//! [`shared_engine`] is the engine of an instance, and loads in the background what lookups could not wait for.

mod aliases;
mod candidates;
pub mod engine;
mod exact;
pub mod explain;
mod first_read;
pub mod outcome;
pub mod query;
pub mod record;
mod round;
pub mod rules;
mod score;
mod semantic;
pub mod shared_engine;
