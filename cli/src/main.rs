//! `mneme`: the command line for a local or a deployed cache.
//!
//! - [`arguments`]: what the user types.
//! - [`cache`]: calls the operations of a cache, through its HTTP API or through Lambda.
//! - [`command`]: one module per command.
//! - [`output`]: what the user reads.
//! - [`exit`]: what a script reads.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arguments;
mod cache;
mod command;
mod exit;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

use self::arguments::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let as_json = arguments.json;
    let done = tokio::select! {
        done = command::run(arguments) => done,
        _ = tokio::signal::ctrl_c() => return exit::interrupted(),
    };
    match done {
        Ok(outcome) => exit::succeeded(outcome),
        Err(error) => exit::failed(&*error, as_json),
    }
}
