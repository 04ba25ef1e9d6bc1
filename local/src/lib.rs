//! The product on one machine: the real function binaries behind an emulated Lambda, an HTTP API and a DynamoDB.
//!
//! Never deployed. `mneme-local serve` and the integration tests use it alike: [`build_functions`] builds the binaries,
//! [`Server::start`] serves them.
//!
//! - [`options`]: what to serve, and where.
//! - [`server`]: everything together, started and stopped; [`start_error`]: why it does not start.
//! - [`build`]: the function binaries, by cargo.
//! - `lambda`: the emulated Lambda: a pool of child processes per function, each with its own Runtime API.
//! - `api`: what stands on the API port: the HTTP API (API Gateway, payload format 2.0) and Lambda's Invoke API.
//! - `dynamodb`: the embedded DynamoDB.
//! - [`weights`]: those of the embedder `minilm`.
//! - [`command`]: the subcommands `serve`, `demo` and `calibrate`.
//! - [`embed`]: the demo's text embedder.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod api;
pub mod build;
pub mod command;
mod dynamodb;
pub mod embed;
mod lambda;
pub mod options;
pub mod server;
pub mod start_error;
pub mod weights;

pub use build::{BuildError, build_functions};
pub use options::{Dynamodb, Log, Options};
pub use server::Server;
pub use start_error::StartError;
pub use weights::fetch_weights;
