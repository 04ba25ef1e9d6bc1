//! Where the answer of an entry is stored: in its row, or in an item of its own.

use serde_json::{Map, Value};

use crate::confidence::is_servable;

/// An answer of more bytes, with its metadata, is stored in an item of its own. Whoever compares, lists or moves entries
/// then reads small rows. The limit is what one strongly consistent read unit reads.
pub const MAX_BYTES_IN_ROW: usize = 4096;

/// Names one state of an answer item: each put and each update of it writes another stamp, so a reader sees that row and
/// answer belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerStamp([u8; 16]);

impl AnswerStamp {
    /// The bytes of a row or of an answer item.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads the bytes of a row or of an answer item. `None` if they are not 16.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl From<[u8; 16]> for AnswerStamp {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// What a row says of an answer that is in an item of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApartAnswer {
    /// The stamp of the answer item.
    pub stamp: AnswerStamp,
    /// The bytes of the response and of the metadata as JSON, before any compression.
    pub bytes: usize,
    /// Whether the response may be served: it is neither empty nor a stored failure.
    pub is_servable: bool,
}

impl ApartAnswer {
    /// What a row says of this answer; `None` if the answer stays in the row.
    pub fn of(response: &str, metadata: &Map<String, Value>, stamp: AnswerStamp) -> Option<Self> {
        let bytes = response.len() + serde_json::to_string(metadata).map_or(0, |json| json.len());
        (bytes > MAX_BYTES_IN_ROW).then(|| Self { stamp, bytes, is_servable: is_servable(response) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_apart_if_response_and_metadata_together_exceed_the_limit() {
        let stamp = AnswerStamp::from([7; 16]);
        let of = |bytes: usize, metadata: &Map<String, Value>| ApartAnswer::of(&"x".repeat(bytes), metadata, stamp);
        assert_eq!(of(MAX_BYTES_IN_ROW - 2, &Map::new()), None);
        let apart = ApartAnswer { stamp, bytes: MAX_BYTES_IN_ROW + 1, is_servable: true };
        assert_eq!(of(MAX_BYTES_IN_ROW - 1, &Map::new()), Some(apart));
        let metadata = Map::from_iter([("key".to_owned(), Value::from("v"))]);
        assert_eq!(of(MAX_BYTES_IN_ROW - 2, &metadata).unwrap().bytes, MAX_BYTES_IN_ROW - 2 + r#"{"key":"v"}"#.len());
        let failure = format!("[ERROR] {}", "x".repeat(MAX_BYTES_IN_ROW));
        assert!(!ApartAnswer::of(&failure, &Map::new(), stamp).unwrap().is_servable);
    }
}
