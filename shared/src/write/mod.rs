//! Mutations. Each is a transaction with the counter, which is tried again until its outcome is known.
//!
//! - [`put`]: storing entries.
//! - [`remove`]: removing entries.
//! - [`purge`]: removing what is kept of a namespace besides its entries.
//! - [`clear`]: removing all entries of a namespace.
//! - [`delete_tagged`]: removing the entries that have a tag.
//! - [`feedback`]: keeping what a caller says of an answer.
//! - [`touch`]: recording an access.
//! - [`update`]: changing parts of an entry.
//! - `commit`: committing a transaction that does not depend on the counter.

pub mod clear;
pub(crate) mod commit;
pub mod delete_tagged;
pub mod feedback;
pub mod purge;
pub mod put;
pub mod remove;
pub mod touch;
pub mod update;
