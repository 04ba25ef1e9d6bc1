//! The subcommands of `mneme-local`.

mod api;
mod chat_keys;
mod contract;
mod demo;
mod environment;
mod serve;
mod signals;

pub use chat_keys::{ChatKeys, chat_keys};
pub use contract::{Contract, contract};
pub use demo::{Demo, demo};
pub use serve::{Serve, serve};
