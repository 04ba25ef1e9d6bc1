//! A line of an exported file: an entry, as the operations `get` and `list` return it.

use mneme_model::normalize::QueryHash;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Why an entry is not imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotImported {
    /// Its time to live is over.
    Expired,
    /// It was put with a context, with system messages or in a conversation. The line does not have these, and without
    /// them the entry would answer questions of other contexts.
    InContext,
    /// Only the hash of its question is stored.
    WithoutQuestion,
}

/// The fields of an entry that a put takes.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    namespace: String,
    query_hash: QueryHash,
    query: Option<String>,
    response: String,
    embedding: Option<String>,
    #[serde(default)]
    metadata: Map<String, Value>,
    #[serde(default)]
    tags: Vec<String>,
    usage: Option<Value>,
    #[serde(default = "full_confidence")]
    confidence_score: f64,
    expires_at: Option<i64>,
}

fn full_confidence() -> f64 {
    1.0
}

impl Line {
    /// The fields of the put that stores the entry at `now_secs`.
    pub(super) fn into_put(self, now_secs: i64) -> Result<Map<String, Value>, NotImported> {
        let query = self.query.ok_or(NotImported::WithoutQuestion)?;
        // The hash of a plain question has the question alone in it, with or without MNEME_NORMALIZE.
        if ![true, false].iter().any(|&normalize| QueryHash::of(&query, normalize) == self.query_hash) {
            return Err(NotImported::InContext);
        }
        let ttl = self.expires_at.map(|at| at - now_secs);
        if ttl.is_some_and(|secs| secs < 1) {
            return Err(NotImported::Expired);
        }
        let tags = (!self.tags.is_empty()).then_some(self.tags);
        let fields: [(&str, Value); 9] = [
            ("query", query.into()),
            ("namespace", self.namespace.into()),
            ("response", self.response.into()),
            ("embedding", self.embedding.into()),
            ("metadata", self.metadata.into()),
            ("tags", tags.into()),
            ("usage", self.usage.into()),
            ("confidence_score", self.confidence_score.into()),
            ("ttl_seconds", ttl.into()),
        ];
        Ok(fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.to_owned(), value))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn put(changes: &[(&str, Value)]) -> Result<Map<String, Value>, NotImported> {
        let mut line = json!({
            "id": 7, "namespace": "n", "query_hash": QueryHash::of("A question", true), "query": "A question",
            "response": "R", "embedding": "AACAPw==", "metadata": {"a": 1}, "confidence_score": 0.5, "created_at": 1,
            "last_accessed_at": 1, "expires_at": 1060, "access_count": 0, "stored_by": null,
        });
        changes.iter().for_each(|(name, value)| line[*name] = value.clone());
        serde_json::from_value::<Line>(line).unwrap().into_put(1000)
    }

    #[test]
    fn into_put_keeps_what_a_put_takes() {
        let expected = json!({
            "query": "A question", "namespace": "n", "response": "R", "embedding": "AACAPw==", "metadata": {"a": 1},
            "confidence_score": 0.5, "ttl_seconds": 60,
        });
        assert_eq!(Value::from(put(&[]).unwrap()), expected);
        let plain = put(&[("expires_at", Value::Null), ("embedding", Value::Null)]).unwrap();
        assert!(!plain.contains_key("ttl_seconds") && !plain.contains_key("embedding"));
        assert!(put(&[("query_hash", json!(QueryHash::of("A question", false)))]).is_ok());
    }

    #[test]
    fn into_put_leaves_out_what_would_answer_wrongly() {
        assert_eq!(put(&[("expires_at", json!(1000))]), Err(NotImported::Expired));
        let in_context = json!(QueryHash::in_context(&[1; 32], "A question", true));
        assert_eq!(put(&[("query_hash", in_context)]), Err(NotImported::InContext));
        assert_eq!(put(&[("query", Value::Null)]), Err(NotImported::WithoutQuestion));
    }
}
