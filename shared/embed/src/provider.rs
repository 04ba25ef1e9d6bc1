//! What every provider of vectors does.

use std::future::Future;
use std::num::NonZeroUsize;

use tokio::time::Instant;

use crate::error::{EmbedError, EmbedErrorKind};

/// How much a provider takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most texts in one call.
    pub texts_per_call: NonZeroUsize,
    /// The most calls of one batch that are under way together.
    pub calls_at_once: NonZeroUsize,
}

/// A model that turns texts into vectors.
pub trait Provider: Send + Sync {
    /// What vectors it makes, stable across instances and releases.
    fn fingerprint(&self) -> &str;

    /// The length of its vectors; `None`: the first reply tells.
    fn dim(&self) -> Option<usize>;

    /// How much it takes at once.
    fn limits(&self) -> Limits;

    /// Whether it takes a text at all, as far as that is known without asking.
    ///
    /// Errors: `BadRequest`.
    fn check(&self, text: &str) -> Result<(), EmbedError>;

    /// The vectors of at most [`Limits::texts_per_call`] texts, in their order, before the deadline; their number, length
    /// and values are the caller's to check.
    fn call(&self, texts: &[&str], deadline: Instant)
    -> impl Future<Output = Result<Vec<Vec<f32>>, EmbedError>> + Send;
}

/// Whether a text has anything to embed: what OpenAI and Amazon Titan refuse, and what has no meaning to compare.
///
/// Errors: `BadRequest`.
pub(crate) fn not_blank(text: &str) -> Result<(), EmbedError> {
    if text.trim().is_empty() {
        return Err(EmbedError::new(
            EmbedErrorKind::BadRequest,
            "a blank text has no embedding",
            "send a text with words",
        ));
    }
    Ok(())
}
