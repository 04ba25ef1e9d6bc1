//! The interface of every provider of vectors.

use std::future::Future;
use std::num::NonZeroUsize;

use tokio::time::Instant;

use crate::error::{EmbedError, EmbedErrorKind};
use crate::tokens::estimated_tokens;

/// How many texts and calls a provider takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The highest number of texts in one call.
    pub texts_per_call: NonZeroUsize,
    /// The highest number of calls for one batch that run at the same time.
    pub concurrent_calls: NonZeroUsize,
}

/// A vector of a text, and how much of the text it stands for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextVector {
    /// The vector as the model made it. It is not normalised.
    pub values: Vec<f32>,
    /// Whether the model may have dropped the end of the text.
    pub is_cut: bool,
    /// The share of the text's pieces that the model's vocabulary lacks, in [0, 1]. 0 for a service: the vocabularies of
    /// the models behind services cover every text by bytes, and no service tells what it did not know.
    pub unknown_share: f32,
}

impl TextVector {
    /// The vectors that a service made of `texts`, of which it reads `max_tokens` each. What it read is estimated; see
    /// [`estimated_tokens`].
    pub(crate) fn of_service(vectors: Vec<Vec<f32>>, texts: &[&str], max_tokens: usize) -> Vec<Self> {
        // The caller checks that there are as many vectors as texts.
        let is_cut = |at: usize| texts.get(at).is_some_and(|text| estimated_tokens(text) > max_tokens);
        let vectors = vectors.into_iter().enumerate();
        vectors.map(|(at, values)| Self { values, is_cut: is_cut(at), unknown_share: 0.0 }).collect()
    }
}

/// A model that turns texts into vectors.
pub trait Provider: Send + Sync {
    /// Identifies the vectors that the model makes. It is the same for every instance and release.
    fn fingerprint(&self) -> &str;

    /// The length of the vectors; `None` if only a reply shows it.
    fn dim(&self) -> Option<usize>;

    /// How many texts one call takes, and how many calls may run at the same time.
    fn limits(&self) -> Limits;

    /// Refuses a text that the model is known not to take. Sends nothing.
    ///
    /// Errors: `BadRequest`.
    fn check(&self, text: &str) -> Result<(), EmbedError>;

    /// Embeds at most [`Limits::texts_per_call`] texts before `deadline`, with retries.
    ///
    /// Returns the vectors in the order of the texts. The caller checks their number, length and values.
    fn call(
        &self,
        texts: &[&str],
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<TextVector>, EmbedError>> + Send;
}

/// Refuses a blank text. It has no meaning to compare, and OpenAI and Amazon Titan refuse it too.
///
/// Errors: `BadRequest`.
pub(crate) fn refuse_blank(text: &str) -> Result<(), EmbedError> {
    if text.trim().is_empty() {
        return Err(EmbedError::new(
            EmbedErrorKind::BadRequest,
            "a blank text has no embedding",
            "send a text with words",
        ));
    }
    Ok(())
}
