//! Storing entries: one, or as many as a transaction takes.
//!
//! - `new_entry`: an entry to be stored, and the result.
//! - `store`: reading, writing, and trying again.
//! - `snapshot`: what a put reads before it writes.
//! - `plan`: the transaction.

mod new_entry;
mod plan;
mod snapshot;
mod store;

pub use new_entry::{NewEntry, StoredEntry};
pub use store::put_all;
