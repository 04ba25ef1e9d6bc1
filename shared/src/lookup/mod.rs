//! Looking questions up: first the exact layer, then the nearest stored vectors.
//!
//! One lookup is a pipeline. Each step's signature says what it takes and gives.
//!
//! 1. [`query`]: a checked question.
//! 2. [`engine`]: reads the counter together with the rows that may answer, and brings the replica up to date.
//! 3. `exact`: the live entry with the same query hash.
//! 4. `candidates`: the ids that the replica suggests, highest upper bound first.
//! 5. `semantic`: reads candidates until no further one can be better.
//! 6. `score`: what speaks for or against one entry.
//! 7. [`outcome`]: the answer, or the reason for a miss.

mod candidates;
pub mod engine;
mod exact;
pub mod outcome;
pub mod query;
mod score;
mod semantic;
