//! The replica: the vectors of the namespaces that this instance serves, in memory.
//!
//! The replica only suggests candidates. The rows that are then read by key decide. It holds the vectors of one
//! embedder. Ids are a log, and an embedder's vector of an id does not change, so catching up means reading the ids
//! after the last one seen. A row that was deleted or has expired is found out when it is read before it is served.
//!
//! - `replica`: what an instance holds, and the questions that it answers from memory.
//! - `loader`: keeps a replica up to date with the table.
//! - `load_segment`: taking the entries of one segment.
//! - `reading`: the ids that are still to be read.
//! - `memory`: the memory budget, and which namespace is dropped.
//! - `namespace_index`: one namespace in memory.
//! - `context_index`: the vectors of one of its context keys.

mod context_index;
mod load_segment;
mod loader;
mod memory;
mod namespace_index;
mod reading;
#[expect(clippy::module_inception, reason = "this file is only a map")]
mod replica;

pub use context_index::Nearest;
pub use loader::Loader;
pub use mneme_search::{Candidate, Candidates, similarity};
pub use replica::Replica;
