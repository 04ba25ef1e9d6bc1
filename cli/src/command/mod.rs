//! The commands. Each has its arguments and a function that does it.

pub(crate) mod ask;
pub(crate) mod calibrate;
pub(crate) mod completions;
pub(crate) mod delete;
pub(crate) mod entries;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod keys;
pub(crate) mod namespaces;
pub(crate) mod patch;
mod progress;
pub(crate) mod purge;
pub(crate) mod put;
pub(crate) mod reembed;
pub(crate) mod settings;
pub(crate) mod stats;
pub(crate) mod transfer;
pub(crate) mod vacuum;

use std::error::Error;

use crate::arguments::{Arguments, Command};
use crate::cache::Cache;
use crate::exit::Outcome;

/// What a command returns.
pub(crate) type Done = Result<Outcome, Box<dyn Error>>;

/// Runs the command.
///
/// # Errors
/// The arguments do not fit together, the cache refuses or fails or is not reached, or a file cannot be used.
pub(crate) async fn run(arguments: Arguments) -> Done {
    let Arguments { connection, json, command } = arguments;
    let command = match command {
        Command::Completions(arguments) => return completions::completions(arguments),
        Command::Keys(arguments) => return keys::keys(arguments, json),
        command => command,
    };
    let cache = Cache::connect(&connection).await?;
    match command {
        Command::Ask(arguments) => ask::ask(&cache, arguments, json).await,
        Command::Explain(arguments) => explain::explain(&cache, arguments, json).await,
        Command::Entries(arguments) => entries::entries(&cache, arguments, json).await,
        Command::Put(arguments) => put::put(&cache, arguments, json).await,
        Command::Patch(arguments) => patch::patch(&cache, arguments, json).await,
        Command::Delete(arguments) => delete::delete(&cache, arguments, json).await,
        Command::Purge(arguments) => purge::purge(&cache, arguments, json).await,
        Command::Namespaces(arguments) => namespaces::namespaces(&cache, arguments, json).await,
        Command::Settings(arguments) => settings::settings(&cache, arguments, json).await,
        Command::Stats(arguments) => stats::stats(&cache, arguments, json).await,
        Command::Export(arguments) => transfer::export(&cache, arguments, json).await,
        Command::Import(arguments) => transfer::import(&cache, arguments, json).await,
        Command::Vacuum(arguments) => vacuum::vacuum(&cache, arguments, json).await,
        Command::Health(arguments) => health::health(&cache, arguments, json).await,
        Command::Calibrate(arguments) => calibrate::calibrate(&cache, arguments, json).await,
        Command::Reembed(arguments) => reembed::reembed(&cache, arguments, json).await,
        Command::Completions(arguments) => completions::completions(arguments),
        Command::Keys(arguments) => keys::keys(arguments, json),
    }
}
