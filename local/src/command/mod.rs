//! The subcommands of `mneme-local`.

mod api;
mod calibrate;
mod chat_keys;
mod contract;
mod demo;
mod environment;
mod reembed;
mod serve;
mod signals;

pub use calibrate::{Calibrate, calibrate};
pub use chat_keys::{ChatKeys, chat_keys};
pub use contract::{Contract, contract};
pub use demo::{Demo, demo};
pub use reembed::{Reembed, reembed};
pub use serve::{Serve, serve};
