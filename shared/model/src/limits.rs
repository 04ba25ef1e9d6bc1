//! The byte caps on what callers send, and on what they get.

use crate::error::{Error, ErrorKind};

/// Whether the query is within `MNEME_MAX_QUERY_BYTES`. Errors: `EntryTooLarge`.
pub fn check_query_bytes(query: &str, max_query_bytes: usize) -> Result<(), Error> {
    within("query", query.len(), max_query_bytes, "MNEME_MAX_QUERY_BYTES")
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

/// The longest time to live that a caller may ask for: a hundred years.
pub const MAX_TTL_SECS: u64 = 3_153_600_000;

/// Past how many bytes on the wire nothing further goes into a reply of several entries. A Lambda function answers with at most
/// 6 MB, and one entry of 400 KB takes up to 2.8 MB once it is JSON inside a JSON string.
pub const MAX_REPLY_BYTES: usize = 3 * 1024 * 1024;

/// The bytes that `text` takes as JSON inside a JSON string, as API Gateway gets it.
pub fn escaped_bytes(text: &str) -> usize {
    let bytes = |byte| match byte {
        b'"' | b'\\' => 4,
        b'\n' | b'\r' | b'\t' => 3,
        0..0x20 => 7,
        _ => 1,
    };
    text.bytes().map(bytes).sum()
}
