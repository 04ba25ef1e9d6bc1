//! `mneme keys`: makes, lists and revokes the API keys of the callers of `chat`.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;
use std::{fs, io};

use mneme_api::keys::{KeyRecord, KeyRing};
use mneme_model::namespace::Namespace;
use serde_json::json;

use super::Done;
use crate::exit::Outcome;
use crate::output::{print, printable, table};

/// Make, list or revoke API keys for `chat`. No cache is called.
///
/// The file holds the hashes of the keys only. Its content is the value of MNEME_CHAT_KEYS, and of the template's
/// parameter ChatKeys.
#[derive(Debug, clap::Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a key, and print it. It is stored nowhere.
    Make {
        #[command(flatten)]
        list: List,
        /// The name of the key's holder.
        #[arg(long)]
        name: String,
        /// A namespace that the holder may use; may be given several times. Without it, every namespace.
        #[arg(long, value_parser = |name: &str| Namespace::try_from(name.to_owned()))]
        namespace: Vec<Namespace>,
    },
    /// List the keys' holders and their namespaces.
    List(List),
    /// Remove a key. It is let in until the list without it is deployed.
    Revoke {
        #[command(flatten)]
        list: List,
        /// The name of the key's holder.
        #[arg(long)]
        name: String,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// The file with the list of keys. `make` creates it if it is missing.
    #[arg(long)]
    file: PathBuf,
}

impl List {
    /// The keys of the file; none if it does not exist.
    fn read(&self) -> Result<Vec<KeyRecord>, Box<dyn Error>> {
        let text = match fs::read_to_string(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.map_err(|error| format!("cannot read {}: {error}", self.file.display()))?,
        };
        match KeyRing::parse(&text).map_err(|error| format!("{}: {error}", self.file.display()))? {
            KeyRing::Only(records) => Ok(records),
            KeyRing::Any => Err(format!("{}: `any` lets every key in; remove it first", self.file.display()).into()),
        }
    }

    fn write(&self, records: &[KeyRecord]) -> Result<(), Box<dyn Error>> {
        let text = format!("{}\n", serde_json::to_string(records)?);
        fs::write(&self.file, text).map_err(|error| format!("cannot write {}: {error}", self.file.display()).into())
    }
}

/// Changes or prints the list of keys. A key that was made goes to stdout.
///
/// # Errors
/// The file cannot be read or written, or is no list of keys; the name is taken or unknown; the system has no randomness.
pub(crate) fn keys(arguments: Keys, as_json: bool) -> Done {
    match arguments.action {
        Action::Make { list, name, namespace } => {
            let mut records = list.read()?;
            let mut random = [0; 32];
            getrandom::fill(&mut random)?;
            let namespaces: BTreeSet<Namespace> = namespace.into_iter().collect();
            let key = KeyRing::make(&mut records, &name, Some(namespaces).filter(|set| !set.is_empty()), random)?;
            list.write(&records)?;
            if as_json { print(&json!({ "key": key }))? } else { print(&key)? }
        }
        Action::List(list) => {
            let records = list.read()?;
            if as_json { print(&json!(records))? } else { print(&shown(&records))? }
        }
        Action::Revoke { list, name } => {
            let mut records = list.read()?;
            KeyRing::revoke(&mut records, &name)?;
            list.write(&records)?;
        }
    }
    Ok(Outcome::Done)
}

fn shown(records: &[KeyRecord]) -> impl std::fmt::Display {
    let mut table = table(&["name", "namespaces"]);
    for record in records {
        let names = record.namespaces.iter().flatten().map(Namespace::as_str).collect::<Vec<_>>().join(", ");
        let names = if record.namespaces.is_none() { "all" } else { names.as_str() };
        table.add_row([printable(&record.name), printable(names)]);
    }
    table
}
