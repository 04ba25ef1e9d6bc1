//! `mneme namespaces`: lists the namespaces.

use std::fmt;

use mneme_api::operations::NAMESPACES;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Done;
use crate::cache::{Cache, Fields};
use crate::exit::Outcome;
use crate::output::{printable, show, table};

/// List the namespaces with their numbers of live entries.
#[derive(Debug, clap::Args)]
pub(crate) struct Namespaces {}

#[derive(Debug, Deserialize)]
struct List {
    namespaces: Vec<NamespaceCount>,
}

#[derive(Debug, Deserialize)]
struct NamespaceCount {
    namespace: String,
    entries: u64,
}

/// Prints the namespaces.
///
/// # Errors
/// See [`Cache::call`].
pub(crate) async fn namespaces(cache: &Cache, _: Namespaces, as_json: bool) -> Done {
    let reply: Box<RawValue> = cache.call(&NAMESPACES, Fields::new()).await?;
    show::<List>(&reply, as_json)?;
    Ok(Outcome::Done)
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = table(&["namespace", "entries"]);
        for NamespaceCount { namespace, entries } in &self.namespaces {
            table.add_row([printable(namespace), entries.to_string()]);
        }
        write!(f, "{table}")
    }
}
