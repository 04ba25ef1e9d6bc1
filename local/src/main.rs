//! The command line: the local server, the demo and the contract.

use std::{io::IsTerminal as _, process::ExitCode};

use clap::{Parser, Subcommand};
use mneme_local::command::{self, Contract, Demo, Serve};
use tracing_subscriber::EnvFilter;

/// Run mneme on this machine: the real function binaries behind an emulated Lambda, HTTP API and DynamoDB.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Serve),
    Demo(Demo),
    Contract(Contract),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // dynoxide warns of every condition that fails, and these functions rely on conditions that may fail.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,dynoxide=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();

    let done = match arguments.command {
        Command::Serve(arguments) => command::serve(arguments).await,
        Command::Demo(arguments) => command::demo(arguments).await,
        Command::Contract(arguments) => command::contract(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mneme-local: {error}");
            ExitCode::FAILURE
        }
    }
}
