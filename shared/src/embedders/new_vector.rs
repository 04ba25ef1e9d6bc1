//! The vector of an entry to be stored.

use mneme_embed::tokens::estimated_tokens;
use mneme_model::config::Config;
use mneme_model::embedding::Embedding;
use mneme_model::long_text::{LongText, Unread};

/// The vector of an entry to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVector {
    /// The fingerprint of the embedder that made it; `None`: the embedder that this instance serves.
    pub made_by: Option<String>,
    /// The vector.
    pub embedding: Embedding,
    /// What the embedder did not read of the text; `None`: it read all of it.
    pub unread: Option<Unread>,
}

impl NewVector {
    /// The vector that a caller sent for `text`. How much of the text the caller's embedder read is estimated, if
    /// `config` says how much it reads.
    pub fn of_caller(embedding: Embedding, text: &str, config: &Config) -> Self {
        let is_cut = |max: &usize| estimated_tokens(text) > *max;
        let max_tokens = config.embedder.max_tokens.filter(is_cut);
        Self { made_by: None, embedding, unread: max_tokens.map(|max| LongText::new(text, max).unread()) }
    }
}
