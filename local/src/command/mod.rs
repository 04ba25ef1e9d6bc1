//! The subcommands of `mneme-local`.

mod api;
mod contract;
mod demo;
mod environment;
mod serve;
mod signals;

pub use contract::{Contract, contract};
pub use demo::{Demo, demo};
pub use serve::{Serve, serve};
