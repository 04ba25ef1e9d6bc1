//! Support for the tests in `suite/`: the whole product on one machine, and ways to look at it and into it.
//!
//! - [`stack`]: the real function binaries over an embedded DynamoDB, and a client for both APIs.
//! - [`invariants`]: what must hold of the table whatever has happened.
//! - [`proxy`]: what the functions send to DynamoDB, seen and, where a test says so, spoilt on the way.

pub mod invariants;
pub mod proxy;
pub mod stack;

pub use proxy::{Fault, Proxy};
pub use stack::{FunctionError, Stack, http_event, vector};
