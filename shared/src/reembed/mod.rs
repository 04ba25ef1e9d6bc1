//! Moving the cache to another embedder while it is served.
//!
//! A move begins with one write to item 0, which names the target. From then on a row may have two vectors, one of each
//! embedder. Steps visit the ids and add the missing vectors of the embedder that is not active; each step takes a
//! bounded time. When every entry has both vectors, one write exchanges the two embedders; it holds only if no id was
//! given out since. The same steps and the same write lead back. At the end the active embedder stays, and the vectors
//! of the other one are removed, again in steps.
//!
//! Three rules keep lookups right at every moment. Every vector belongs to a generation. An instance compares a
//! question with the vectors of one embedder, which the counter names that every request reads. A vector of the active
//! embedder is never added to an existing id: the entry is rewritten under a new id, so replicas and segments that know
//! the old id stay valid.
//!
//! - [`state`]: how much of a move is done.
//! - [`start`](mod@start): beginning a move.
//! - [`fill`]: adding vectors.
//! - [`switch`](mod@switch): exchanging the two embedders.
//! - [`end`](mod@end): removing vectors.
//! - [`restamp`](mod@restamp): another embedder for a cache without vectors.
//! - [`missing_vectors`]: making the vectors that entries lack.
//! - [`step_budget`]: the limits of one call.
//! - `visit`: visiting the entries of a range of ids.
//! - `relocate`: giving an entry a vector under a new id.
//! - `change`: the changes of item 0.

mod change;
pub mod end;
pub mod fill;
pub mod missing_vectors;
mod relocate;
pub mod restamp;
pub mod start;
pub mod state;
pub mod step_budget;
pub mod switch;
mod visit;
