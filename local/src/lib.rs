//! The product on one machine: the real function binaries behind an emulated Lambda, an HTTP API and a DynamoDB.
//!
//! This crate is never deployed. `mneme-local serve` and the integration tests use it alike: [`build_functions`] builds
//! the binaries, and [`Server::start`] serves them.
//!
//! - [`options`]: what to serve, and where.
//! - [`server`]: starts and stops everything; [`start_error`]: why a server does not start.
//! - [`build`]: builds the function binaries with cargo.
//! - `lambda`: the emulated Lambda, a pool of child processes per function, each with its own Runtime API.
//! - `api`: the services on the API port: the HTTP API (API Gateway, payload format 2.0) and Lambda's Invoke API.
//! - `body`: request bodies, read up to a limit.
//! - `dynamodb`: the embedded DynamoDB.
//! - [`weights`]: the weights of the embedder `minilm`.
//! - [`command`]: the subcommands `serve`, `demo` and `contract`.
//! - [`embed`]: the demo's text embedder.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod accept;
mod api;
mod body;
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
