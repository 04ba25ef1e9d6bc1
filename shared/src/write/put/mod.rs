//! Storing entries: one, or as many as a transaction takes.
//!
//! - `new_entry`: an entry to be stored, and the result.
//! - `store`: reading, writing, and trying again.
//! - `snapshot`: what a put reads before it writes.
//! - `plan`: the transaction.
//! - `embed_and_store`: what belongs to a put besides: vectors, caps, segments.

#[cfg(feature = "embed")]
mod embed_and_store;
mod new_entry;
mod plan;
mod snapshot;
mod store;

#[cfg(feature = "embed")]
pub use embed_and_store::{EmbeddedEntry, UnembeddedEntry, embed_and_store};
pub use new_entry::{IdempotencyKey, Lifetime, NewEntry, StoredEntry};
pub use store::put_all;
