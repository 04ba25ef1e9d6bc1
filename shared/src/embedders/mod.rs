//! The configured embedders at work, and everything that knows that a cache may have two of them.
//!
//! A cache has one embedder, or two while it moves from one to another. Lookups and puts see neither generations nor moves:
//! a lookup asks a `QueryVector` for the vector to compare, and a put hands texts to `Embedders::embed_entries` and vectors
//! to [`layout`].
//!
//! - [`new_vector`]: the vector of an entry to be stored.
//! - [`layout`]: which vector is stored where in a row.
//!
//! With the feature `embed`, for the functions that embed texts:
//! - `providers`: calling the embedders.
//! - `query_vector`: the vector of a question.
//! - `entry_vectors`: the vectors of entries that are about to be stored.

#[cfg(feature = "embed")]
pub mod entry_vectors;
pub mod layout;
pub mod new_vector;
#[cfg(feature = "embed")]
pub mod providers;
#[cfg(feature = "embed")]
pub mod query_vector;
