//! Limits on requests and replies: byte caps, and the longest time to live.

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind};

/// Checks that the query has at most `MNEME_MAX_QUERY_BYTES` bytes. Errors: `EntryTooLarge`.
pub fn check_query_bytes(query: &str, max_query_bytes: usize) -> Result<(), Error> {
    check_bytes("query", query.len(), max_query_bytes, "MNEME_MAX_QUERY_BYTES")
}

/// Checks that `field` has at most `max_bytes` bytes, a cap that `variable` sets. Errors: `EntryTooLarge`.
pub fn check_bytes(field: &str, bytes: usize, max_bytes: usize, variable: &str) -> Result<(), Error> {
    if bytes <= max_bytes {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::EntryTooLarge,
        format!("the {field} has {bytes} bytes, and {max_bytes} are allowed"),
        format!("shorten the {field}, or raise {variable}"),
    ))
}

/// The longest time to live that a caller may ask for: a hundred years.
pub const MAX_TTL_SECS: u64 = 3_153_600_000;

/// The most numbers of the first vector of a cache without a configured dimension.
pub const MAX_FIRST_DIM: usize = 4096;

/// A reply with several entries gets no further entry once it has this many bytes on the wire. A Lambda function
/// answers with at most 6 MB. One entry of 400 KB takes up to 2.8 MB as JSON inside a JSON string.
pub const MAX_REPLY_BYTES: usize = 3 * 1024 * 1024;

/// The most bytes on the wire of an answer that is stored compressed. The other entries of a reply and the rest of its
/// row leave this much of the 6 MB.
pub const MAX_COMPRESSED_REPLY_BYTES: usize = 2 * 1024 * 1024;

/// The number of bytes of `text` as JSON inside a JSON string, which is what API Gateway gets.
pub fn escaped_bytes(text: &str) -> usize {
    let bytes = |byte| match byte {
        b'"' | b'\\' => 4,
        b'\n' | b'\r' | b'\t' => 3,
        0..0x20 => 7,
        _ => 1,
    };
    text.bytes().map(bytes).sum()
}

/// The number of bytes of an answer and its metadata, each as JSON inside a JSON string.
pub fn escaped_answer_bytes(response: &str, metadata: &Map<String, Value>) -> usize {
    escaped_bytes(response) + serde_json::to_string(metadata).map_or(0, |json| escaped_bytes(&json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_bytes_above_cap_names_field_and_variable() {
        check_bytes("response", 10, 10, "MNEME_MAX_RESPONSE_BYTES").unwrap();
        let error = check_bytes("response", 11, 10, "MNEME_MAX_RESPONSE_BYTES").unwrap_err();
        assert_eq!(error.kind, ErrorKind::EntryTooLarge);
        assert_eq!(error.detail, "the response has 11 bytes, and 10 are allowed");
        assert!(error.remediation.contains("MNEME_MAX_RESPONSE_BYTES"));
    }

    #[test]
    fn escaped_bytes_is_length_of_json_inside_json() {
        for text in ["plain é", "\"\\", "\n\r\t", "\u{0}\u{1f}"] {
            let json = serde_json::to_string(text).unwrap();
            let inside_json = serde_json::to_string(&json).unwrap();
            // Both levels add a pair of quotation marks: two bytes for the outer pair, four for the escaped inner pair.
            assert_eq!(escaped_bytes(text), inside_json.len() - 6, "{text:?}");
        }
    }
}
