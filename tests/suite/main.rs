//! The tests of the whole product.
//!
//! `operations` has one module per function, as `functions/` has. The other modules test promises that involve several
//! functions. `slow` contains the tests that take longest.

#![allow(clippy::unwrap_used)]

mod command_line;
mod configuration;
mod conversations;
mod embedder;
mod errors;
mod events;
mod eviction;
mod expiry;
mod explain;
mod fault_proxy;
mod guard;
mod interleaved_writes;
mod leases;
mod logs;
mod long_answers;
mod messages;
mod namespace_claims;
mod normalization;
mod operations;
mod overload;
mod python_library;
mod questions;
mod replica;
mod requests;
mod scale;
mod segments;
mod skipped;
mod slow;
mod tags;
mod time;
mod transactions;
mod unread;
