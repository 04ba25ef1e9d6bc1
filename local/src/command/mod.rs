//! The subcommands of `mneme-local`.

mod api;
mod demo;
mod environment;
mod serve;
mod signals;

pub use demo::{Demo, demo};
pub use serve::{Serve, serve};
