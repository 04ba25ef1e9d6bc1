//! The tests that take longest, each bounded by what it counts: calls, puts or rounds.
//!
//! `cargo test -p mneme-tests -- --skip slow::` runs the others.

mod budget;
mod call_faults;
mod chaos;
mod concurrent_writers;
mod reembed_faults;
