//! Lookups: first the exact layer, then the nearest stored vectors.
//!
//! A lookup is a pipeline of these steps.
//!
//! 1. [`query`]: a checked question.
//! 2. `candidates`: the ids that the replica suggests, highest upper bound first.
//! 3. [`engine`]: reads the counter together with the rows that may answer, and calls the steps below. It brings the
//!    replica up to date if the exact layer has no answer.
//! 4. `exact`: the live entry with the same query hash.
//! 5. `semantic`: reads candidates until no further one can be better.
//! 6. `score`: the score of one entry, and why it is not served.
//! 7. [`outcome`]: the answer, or the reason for a miss.
//! 8. [`record`]: counts, metrics and accesses.

mod candidates;
pub mod engine;
mod exact;
pub mod outcome;
pub mod query;
pub mod record;
mod score;
mod semantic;
