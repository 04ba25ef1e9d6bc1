//! The configured embedders. Only this folder and `reembed` know that a cache may have two embedders.
//!
//! A cache has one embedder, or two while it moves from one to another. Lookups and puts see neither generations nor
//! moves: a lookup gets the vector to compare from a `QueryVector`. A put gets the vectors of texts from
//! `Embedders::embed_entries`, and [`layout`] places them in the row.
//!
//! - [`new_vector`]: the vector of an entry to be stored.
//! - [`layout`]: which vector is stored where in a row.
//!
//! With the feature `embed`, for the functions that embed texts:
//! - `providers`: calling the embedders.
//! - `breaker`: keeps lookups from waiting for an embedder that did not answer.
//! - `query_vector`: the vector of a question.
//! - `entry_vectors`: the vectors of entries that are about to be stored.
//! - `scale`: learning the scale of an embedder.
//! - `text_embedding`: what an embedder made of a text, and how much of the text it read.
//! - `trial`: trying the embedders.

#[cfg(feature = "embed")]
mod breaker;
#[cfg(feature = "embed")]
pub mod entry_vectors;
pub mod layout;
pub mod new_vector;
#[cfg(feature = "embed")]
pub mod providers;
#[cfg(feature = "embed")]
pub mod query_vector;
#[cfg(feature = "embed")]
pub mod scale;
#[cfg(feature = "embed")]
pub mod text_embedding;
#[cfg(feature = "embed")]
pub mod trial;
