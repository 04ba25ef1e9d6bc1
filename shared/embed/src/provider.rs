//! The interface of every provider of vectors.

use std::future::Future;
use std::num::NonZeroUsize;

use tokio::time::Instant;

use crate::error::{EmbedError, EmbedErrorKind};

/// How many texts and calls a provider takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The highest number of texts in one call.
    pub texts_per_call: NonZeroUsize,
    /// The highest number of calls for one batch that run at the same time.
    pub concurrent_calls: NonZeroUsize,
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
    fn call(&self, texts: &[&str], deadline: Instant)
    -> impl Future<Output = Result<Vec<Vec<f32>>, EmbedError>> + Send;
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
