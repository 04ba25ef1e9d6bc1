//! Exact threshold search over the unit vectors of one namespace, in memory.
//!
//! Stub docs.

mod basis;
mod candidates;
mod codes;
mod encode;
mod error;
mod floats;
mod growth;
mod ids;
mod index;
mod kernel;
mod learning;
mod memory;
mod product;
mod query;
mod search;
pub mod segment;

pub use basis::{Basis, BasisId, DIMS, MIN_ROWS};
pub use candidates::{Candidate, Candidates};
pub use error::Error;
pub use floats::similarity;
pub use index::{Index, RIPE_ROWS};
pub use kernel::Kernel;
pub use learning::{Learned, Learning};
pub use search::Match;
