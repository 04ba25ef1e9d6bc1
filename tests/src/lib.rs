//! Support for the tests in `suite/`: the whole product on one machine, and ways to look at it and into it.
//!
//! - [`stack`]: the real function binaries over an embedded DynamoDB, and a client for both APIs.
//! - [`invariants`]: what must hold of the table whatever has happened.
//! - [`proxy`]: what the functions send to DynamoDB, seen and, where a test says so, spoilt on the way.
//! - [`embedder`]: what stands in an embedding service's place.
//! - [`fault`]: in which ways; [`lag`]: how far the indexes are behind.
//! - [`models`]: embedding models behind a service.

pub mod embedder;
pub mod fault;
pub mod invariants;
pub mod lag;
pub mod models;
pub mod proxy;
pub mod stack;

pub use fault::Fault;
pub use lag::Lag;
pub use models::Models;
pub use proxy::Proxy;
pub use stack::{FunctionError, Stack, http_event, vector};
