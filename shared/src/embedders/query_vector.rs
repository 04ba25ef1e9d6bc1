//! The vector of a question: sent by the caller, or made by the embedder once it is needed.

use std::sync::OnceLock;

use mneme_embed::tokens::estimated_tokens;
use mneme_model::embedder::ServedEmbedder;
use mneme_model::embedding::Embedding;
use mneme_model::error::Error;
use mneme_model::long_text::{LongText, Unread};

use super::providers::{EmbedderSlot, Embedders};
use super::text_embedding::TextEmbedding;

/// The vector of a question.
///
/// A vector that the embedder made is kept by slot. If the active embedder is switched between two rounds of one
/// lookup, the question is embedded again by the other embedder.
#[derive(Debug, Default)]
pub struct QueryVector {
    sent: Option<Embedding>,
    made: [OnceLock<Result<TextEmbedding, Error>>; 2],
}

/// The embedder of the vectors that one round of a lookup compares.
#[derive(Debug, Clone)]
pub struct ReadEmbedder {
    /// The embedder that made the stored vectors.
    pub served: ServedEmbedder,
    /// Its slot; `None` if it is not configured and callers send the vectors.
    slot: Option<EmbedderSlot>,
    /// How many tokens of a text it reads; `None` if that is not known.
    max_tokens: Option<usize>,
}

impl ReadEmbedder {
    /// The embedder `served`, as `embedders` have it.
    pub fn new(served: ServedEmbedder, embedders: &Embedders<'_>) -> Self {
        let slot = embedders.slot_of(&served);
        let configured = slot.and_then(|slot| slot.configured(embedders.config)).unwrap_or(&embedders.config.embedder);
        Self { served, slot, max_tokens: configured.max_tokens }
    }

    /// The hash of what this embedder does not read of `text`, if it does not read all of it.
    pub fn unread_of(&self, text: &str) -> Option<Unread> {
        self.max_tokens.map(|max_tokens| LongText::new(text, max_tokens).unread())
    }
}

impl QueryVector {
    /// The vector that the caller sent, or none yet.
    pub fn new(sent: Option<Embedding>) -> Self {
        Self { sent, ..Self::default() }
    }

    /// The vector to compare with those of `embedder`; `None` until it is made, or if it could not be made. As long as
    /// the embedder is not known, only a vector that the caller sent is returned.
    pub fn get(&self, embedder: Option<&ReadEmbedder>) -> Option<&Embedding> {
        self.sent.as_ref().or_else(|| self.made(embedder?)?.embedding())
    }

    /// The vector that the caller sent, or one that an embedder made of the whole text.
    pub fn of_whole_text(&self) -> Option<&Embedding> {
        let made = self.made.iter().filter_map(|made| made.get()?.as_ref().ok());
        let whole = made.filter(|made| made.unread().is_none()).find_map(TextEmbedding::embedding);
        self.sent.as_ref().or(whole)
    }

    /// Whether the vector to compare with those of `embedder` stands for a part of `text` only. For a vector that the
    /// caller sent this is estimated.
    pub fn is_cut(&self, embedder: &ReadEmbedder, text: &str) -> bool {
        match self.sent {
            Some(_) => embedder.max_tokens.is_some_and(|max_tokens| estimated_tokens(text) > max_tokens),
            None => self.made(embedder).is_some_and(|made| made.unread().is_some()),
        }
    }

    /// Whether `embedder` cannot read the text.
    pub fn is_not_embeddable(&self, embedder: &ReadEmbedder) -> bool {
        self.sent.is_none() && matches!(self.made(embedder), Some(TextEmbedding::NotEmbeddable))
    }

    fn made(&self, embedder: &ReadEmbedder) -> Option<&TextEmbedding> {
        self.made[embedder.slot? as usize].get()?.as_ref().ok()
    }

    /// Whether the caller sent the vector.
    pub fn was_sent(&self) -> bool {
        self.sent.is_some()
    }

    /// Whether `embedder` still has to make the vector.
    pub fn is_awaited(&self, embedder: &ReadEmbedder) -> bool {
        self.sent.is_none() && embedder.slot.is_some_and(|slot| self.made[slot as usize].get().is_none())
    }

    /// Why an embedder could not make the vector.
    pub fn error(&self) -> Option<&Error> {
        self.made.iter().find_map(|made| made.get()?.as_ref().err())
    }
}

/// Has `embedder` make the vectors of `questions` (text, vector) in one call.
///
/// A vector that does not fit the cache is the embedder's failure, not the caller's.
pub async fn embed_questions(embedders: &Embedders<'_>, embedder: &ReadEmbedder, questions: &[(&str, &QueryVector)]) {
    let Some(slot) = embedder.slot.filter(|_| !questions.is_empty()) else { return };
    let texts: Vec<&str> = questions.iter().map(|(text, _)| *text).collect();
    for ((text, vector), made) in questions.iter().zip(embedders.embed_for_lookup(slot, &texts).await) {
        let fits = |made: &TextEmbedding| made.embedding().map_or(Ok(()), |it| embedder.served.check_dim(it.dim()));
        let made = made.and_then(|made| fits(&made).map(|()| made));
        if made.is_err() {
            embedders.forget(text);
        }
        // Only this function fills the cell, and only for vectors that are awaited.
        let _ = vector.made[slot as usize].set(made);
    }
}
