//! The arguments of the program.

use std::io::{self, Read as _};
use std::path::Path;

use clap::{Args, Parser, Subcommand};
use serde_json::{Map, Value};

use crate::cache::Fields;
use crate::command::{
    ask::Ask, calibrate::Calibrate, completions::Completions, delete::Delete, entries::Entries, health::Health,
    keys::Keys, namespaces::Namespaces, patch::Patch, purge::Purge, put::Put, reembed::Reembed, settings::Settings,
    stats::Stats, transfer::Export, transfer::Import, vacuum::Vacuum,
};
use crate::exit;

/// Ask, inspect, correct and maintain a mneme-lambda cache, on this machine or on AWS.
#[derive(Debug, Parser)]
#[command(name = "mneme", version, after_help = exit::HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Print the cache's reply as JSON. An error is one JSON object on stderr.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the cache is, and who calls it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which cache")]
pub(crate) struct Connection {
    /// Base URL of the cache's HTTP API, such as the stack's output ApiUrl.
    ///
    /// Requests to a host of API Gateway or of a Function URL are signed (SigV4) with the credentials of the AWS
    /// configuration, unless there is a token.
    #[arg(long, global = true, value_name = "URL", env = "MNEME_URL", default_value = "http://127.0.0.1:3000")]
    pub(crate) url: String,
    /// Bearer token for the API's authoriser.
    #[arg(long, global = true, value_name = "TOKEN", env = "MNEME_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Profile of the AWS configuration. With a URL of another host, its requests are signed, too.
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "token")]
    pub(crate) profile: Option<String>,
    /// Call the functions of this CloudFormation stack through Lambda's Invoke API, without an HTTP API.
    #[arg(long, global = true, value_name = "STACK", env = "MNEME_STACK", conflicts_with_all = ["url", "token"])]
    pub(crate) stack: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Ask(Ask),
    /// Ask a question, and print why it has its outcome: what was compared, each candidate, and what decided.
    ///
    /// A hit counts as a hit. The exit code of a miss is 3.
    Explain(Ask),
    Entries(Entries),
    Put(Put),
    Patch(Patch),
    Delete(Delete),
    Purge(Purge),
    Namespaces(Namespaces),
    Settings(Settings),
    Stats(Stats),
    Export(Export),
    Import(Import),
    Vacuum(Vacuum),
    Health(Health),
    Keys(Keys),
    Calibrate(Calibrate),
    Reembed(Reembed),
    Completions(Completions),
}

/// A question, as a caller of the cache asks it.
#[derive(Debug, Args)]
pub(crate) struct Question {
    /// The question.
    #[arg(value_name = "QUESTION", required_unless_present = "messages", conflicts_with = "messages")]
    query: Option<String>,
    #[command(flatten)]
    surroundings: Surroundings,
}

/// What belongs to a question, except for its text.
#[derive(Debug, Args)]
pub(crate) struct Surroundings {
    /// In place of the question: a file with a JSON list of messages, each with `role` and `content`.
    #[arg(long, value_name = "FILE.json", value_parser = read_list)]
    messages: Option<Value>,
    /// What else the answer depends on, as a JSON object. It is matched exactly.
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    context: Option<Map<String, Value>>,
    /// The namespace. Default: `default`.
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

impl Question {
    /// The fields of a request that name the question.
    pub(crate) fn into_fields(self) -> Fields {
        self.surroundings.into_fields().with("query", self.query)
    }
}

impl Surroundings {
    /// The fields of a request.
    pub(crate) fn into_fields(self) -> Fields {
        Fields::new().with("messages", self.messages).with("context", self.context).with("namespace", self.namespace)
    }
}

/// The answer of the argument `text`; `-` stands for what stdin has. Errors: stdin cannot be read.
pub(crate) fn answer(text: String) -> io::Result<String> {
    if text != "-" {
        return Ok(text);
    }
    let mut read = String::new();
    io::stdin().read_to_string(&mut read)?;
    Ok(read)
}

/// Parses a JSON object.
pub(crate) fn parse_object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("{error}; give a JSON object such as '{{\"model\": \"small\"}}'"))
}

/// Reads a file with a JSON list.
fn read_list(path: &str) -> Result<Value, String> {
    let text = std::fs::read_to_string(Path::new(path)).map_err(|error| error.to_string())?;
    let list: Vec<Value> = serde_json::from_str(&text).map_err(|error| format!("{error}; the file has a JSON list"))?;
    Ok(list.into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn arguments_with_two_caches_or_two_credentials_are_refused() {
        for bad in [
            ["--stack", "s", "--url", "http://127.0.0.1:1"],
            ["--stack", "s", "--token", "t"],
            ["--profile", "p", "--token", "t"],
        ] {
            assert!(Arguments::try_parse_from(["mneme", "health"].into_iter().chain(bad)).is_err(), "{bad:?}");
        }
        assert!(Arguments::try_parse_from(["mneme", "--stack", "s", "--profile", "p", "health"]).is_ok());
        assert!(Arguments::try_parse_from(["mneme", "ask"]).is_err());
    }
}
