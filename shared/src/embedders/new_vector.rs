//! The vector of an entry to be stored.

use mneme_model::embedding::Embedding;

/// The vector of an entry to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVector {
    /// The fingerprint of the embedder that made it; `None`: the embedder that this instance serves.
    pub made_by: Option<String>,
    /// The vector.
    pub embedding: Embedding,
}

impl From<Embedding> for NewVector {
    fn from(embedding: Embedding) -> Self {
        Self { made_by: None, embedding }
    }
}
