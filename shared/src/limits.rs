//! The byte caps on what callers send.

use crate::config::Config;
use crate::error::{Error, ErrorKind};

/// Whether the query is within `MNEME_MAX_QUERY_BYTES`. Errors: `EntryTooLarge`.
pub fn check_query_bytes(query: &str, config: &Config) -> Result<(), Error> {
    within("query", query.len(), config.max_query_bytes, "MNEME_MAX_QUERY_BYTES")
}

/// Whether `what` of `bytes` is within the `limit` that `variable` sets. Errors: `EntryTooLarge`.
pub fn within(what: &str, bytes: usize, limit: usize, variable: &str) -> Result<(), Error> {
    if bytes <= limit {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::EntryTooLarge,
        format!("the {what} has {bytes} bytes, and {limit} are allowed"),
        format!("shorten the {what}, or raise {variable}"),
    ))
}
