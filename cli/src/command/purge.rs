//! `mneme purge`: deletes a namespace with all that the cache keeps of it, or every entry of all.

use std::error::Error;
use std::fmt;
use std::io::{IsTerminal as _, stdin};

use mneme_api::operations::CLEAR;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Done;
use super::progress::{bar, report_retry};
use crate::cache::{Cache, Fields};
use crate::exit::Outcome;
use crate::output::{printable, show};

/// Delete a namespace with its settings, its counts and what else names it, or every entry of the whole cache.
///
/// Asks for the name first, unless --yes is given. A long purge that the HTTP API does not wait for is continued.
#[derive(Debug, clap::Args)]
pub(crate) struct Purge {
    /// The namespace.
    #[arg(value_name = "NAMESPACE", required_unless_present = "all", conflicts_with = "all")]
    namespace: Option<String>,
    /// Delete the entries of every namespace. Settings and counts stay.
    #[arg(long)]
    all: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Deserialize)]
struct Cleared {
    deleted: u64,
    purged: Option<u64>,
}

/// Deletes the entries, and the other items of a namespace, and prints their numbers.
///
/// # Errors
/// The user does not confirm; see also [`Cache::call`].
pub(crate) async fn purge(cache: &Cache, arguments: Purge, as_json: bool) -> Done {
    let Purge { namespace, all: _, yes } = arguments;
    if !yes {
        confirm(cache, namespace.as_deref())?;
    }
    let confirmed = namespace.is_none().then_some("all");
    let is_whole = namespace.is_some().then_some(true);
    let fields = Fields::new().with("namespace", namespace).with("purge", is_whole).with("confirm", confirmed);
    let bar = bar("{spinner} {msg}");
    let reply: Box<RawValue> = cache.call_patiently(&CLEAR, fields, |error| report_retry(&bar, error)).await?;
    show::<Cleared>(&reply, as_json)?;
    Ok(Outcome::Done)
}

/// Lets the user type the name of what is to be purged.
fn confirm(cache: &Cache, namespace: Option<&str>) -> Result<(), Box<dyn Error>> {
    let expected = namespace.unwrap_or("all");
    if !stdin().is_terminal() {
        return Err("there is no terminal to ask for a confirmation; give --yes".into());
    }
    eprintln!("Every entry of {} in {} will be deleted. Type that name to go on:", printable(expected), cache.name());
    let mut typed = String::new();
    stdin().read_line(&mut typed)?;
    match typed.trim_end_matches(['\r', '\n']) == expected {
        true => Ok(()),
        false => Err("that is another name; nothing was deleted".into()),
    }
}

impl fmt::Display for Cleared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deleted   {} entries", self.deleted)?;
        self.purged.map_or(Ok(()), |others| write!(f, "\npurged    {others} other items"))
    }
}
