//! Support for the tests in `suite/`: the whole product on one machine, with access to its inputs, outputs and table.
//!
//! - [`stack`]: the real function binaries over an embedded DynamoDB, and clients of the HTTP and Invoke APIs.
//! - `gate`: runs a test alone that needs the whole machine.
//! - [`proxy`]: records the functions' calls to DynamoDB, and injects faults into them.
//! - [`fault`]: the kinds of faults; [`lag`]: indexes that lag behind the table; [`limits`]: the table's capacity.
//! - [`invariants`]: checks of the whole table that hold after any sequence of requests and faults.
//! - [`signature`]: AWS Signature Version 4 by its specification.
//! - [`upstream`]: a fake service with OpenAI's Chat Completions API.
//! - [`embedder`]: a fake embedding service; [`models`]: a fake service with several embedding models.

pub mod embedder;
pub mod fault;
mod gate;
pub mod invariants;
pub mod lag;
pub mod limits;
pub mod models;
pub mod proxy;
pub mod signature;
pub mod stack;
pub mod upstream;

pub use fault::Fault;
pub use lag::Lag;
pub use limits::CounterState;
pub use models::Models;
pub use proxy::Proxy;
pub use stack::{FunctionError, Stack, http_event, masked, vector};
