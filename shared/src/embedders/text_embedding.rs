//! What an embedder made of a text.

use mneme_model::embedding::Embedding;
use mneme_model::long_text::Unread;

/// What an embedder made of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum TextEmbedding {
    /// A vector.
    Vector {
        /// The vector.
        embedding: Embedding,
        /// What the embedder did not read of the text; `None`: it read all of it.
        unread: Option<Unread>,
    },
    /// The embedder's vocabulary lacks too much of the text, so its vector says nothing. Only the exact layer can find
    /// the text.
    NotEmbeddable,
}

impl TextEmbedding {
    /// The vector, if there is one.
    pub fn embedding(&self) -> Option<&Embedding> {
        match self {
            Self::Vector { embedding, .. } => Some(embedding),
            Self::NotEmbeddable => None,
        }
    }

    /// What the embedder did not read, if the vector stands for a part of the text only.
    pub fn unread(&self) -> Option<Unread> {
        match self {
            Self::Vector { unread, .. } => *unread,
            Self::NotEmbeddable => None,
        }
    }
}
