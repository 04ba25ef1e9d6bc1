//! `mneme health`: tells whether the cache works.

use std::fmt;

use mneme_api::operations::HEALTH;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Done;
use crate::cache::{Cache, Fields};
use crate::exit::Outcome;
use crate::output::{printable, show};

/// Tell whether the table and the embedder are as configured and work. The exit code of a problem is 1.
#[derive(Debug, clap::Args)]
pub(crate) struct Health {}

#[derive(Debug, Deserialize)]
struct Examination {
    version: Option<String>,
    healthy: bool,
    embedder_fingerprint: Option<String>,
    embedder_dim: Option<u32>,
    embedder_works: Option<bool>,
    problems: Vec<String>,
}

/// Prints the examination.
///
/// # Errors
/// See [`Cache::call`].
pub(crate) async fn health(cache: &Cache, _: Health, as_json: bool) -> Done {
    let reply: Box<RawValue> = cache.call(&HEALTH, Fields::new()).await?;
    show::<Examination>(&reply, as_json)?;
    let examination: Examination = serde_json::from_str(reply.get())?;
    Ok(if examination.healthy { Outcome::Done } else { Outcome::Unwell })
}

impl fmt::Display for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.healthy { "healthy" } else { "not healthy" })?;
        if let Some(version) = &self.version {
            write!(f, "\nversion   {}", printable(version))?;
        }
        match (&self.embedder_fingerprint, self.embedder_dim) {
            (Some(name), Some(dim)) => write!(f, "\nembedder  {}, {dim} dimensions", printable(name))?,
            (Some(name), None) => write!(f, "\nembedder  {}", printable(name))?,
            (None, Some(dim)) => write!(f, "\nembedder  without a name, {dim} dimensions")?,
            (None, None) => write!(f, "\nembedder  none is stamped yet")?,
        }
        match self.embedder_works {
            Some(true) => f.write_str(", works")?,
            Some(false) => f.write_str(", does not work")?,
            None => {}
        }
        self.problems.iter().try_for_each(|problem| write!(f, "\nproblem   {}", printable(problem)))
    }
}
