//! The configured embedder, at work within an invocation's time.

use futures::future::BoxFuture;
use mneme_embed::backend::Backend;
use mneme_embed::embedder::Embedder;
use mneme_embed::error::{EmbedError, EmbedErrorKind};
use tokio::time::Instant;

use crate::cache::Cache;
use crate::embedding::Embedding;
use crate::error::{Error, ErrorKind};

impl Cache {
    /// Whether an embedder is configured; without one, callers bring their vectors.
    pub fn embeds(&self) -> bool {
        self.config.embedder != mneme_embed::spec::Spec::None
    }

    /// The vectors of `texts`, in their order, from the configured embedder. Texts that this instance embedded not long ago
    /// cost nothing. It takes three quarters of the time that is left at most: the rest is for what the vectors are for.
    ///
    /// Errors, of each text alone: `InvalidRequest` for one that cannot be embedded, being blank or too long; `EmbedderError`;
    /// `EmbedderDimensionError` where the vectors are not of the configured dimension.
    pub async fn embed(&self, texts: &[&str]) -> Vec<Result<Embedding, Error>> {
        let embedder = match self.embedder() {
            Ok(embedder) => embedder,
            Err(error) => return texts.iter().map(|_| Err(error.for_caller())).collect(),
        };
        let left = self.deadline.saturating_duration_since(Instant::now());
        let deadline = Instant::now() + left * 3 / 4;
        // Boxed: the SDK's futures nest deeply.
        let embedded: BoxFuture<'_, _> = Box::pin(embedder.embed_each(texts, deadline));
        embedded.await.into_iter().map(|result| self.checked(result.map_err(named)?)).collect()
    }

    /// Forgets the vector of a text that does not fit the table: the next time the embedder is asked again.
    pub fn forget_embedded(&self, text: &str) {
        if let Some(embedder) = self.embedder.get() {
            embedder.forget(text);
        }
    }

    /// Made when first needed: an exact answer waits for none of it.
    fn embedder(&self) -> Result<&Embedder<Backend>, Error> {
        if let Some(embedder) = self.embedder.get() {
            return Ok(embedder);
        }
        let backend = Backend::new(&self.config.embedder, self.config.embedder_key.clone(), &self.aws);
        let backend = backend.ok_or_else(|| {
            Error::new(
                ErrorKind::EmbedderError,
                "no embedder is configured",
                "send an embedding, or configure MNEME_EMBEDDER",
            )
        })?;
        Ok(self.embedder.get_or_init(|| Embedder::new(backend)))
    }

    fn checked(&self, vector: Vec<f32>) -> Result<Embedding, Error> {
        if let Some(dim) = self.config.dim.filter(|dim| *dim as usize != vector.len()) {
            return Err(Error::new(
                ErrorKind::EmbedderDimensionError,
                format!("the embedder's vectors have {} numbers, and {dim} are configured", vector.len()),
                "correct MNEME_EMBEDDER_DIM, or leave it out",
            ));
        }
        Embedding::normalized(vector).map_err(|rule| {
            Error::new(ErrorKind::EmbedderError, format!("the embedder's vector is not usable: {rule}"), "try again")
        })
    }
}

/// The contract's name for what went wrong: the text's fault is the caller's, all else the embedder's.
fn named(error: EmbedError) -> Error {
    let kind = match error.kind {
        EmbedErrorKind::BadRequest => ErrorKind::InvalidRequest,
        EmbedErrorKind::WrongDimension => ErrorKind::EmbedderDimensionError,
        EmbedErrorKind::Throttled
        | EmbedErrorKind::Refused
        | EmbedErrorKind::UnknownModel
        | EmbedErrorKind::Unreachable
        | EmbedErrorKind::Unavailable
        | EmbedErrorKind::Malformed
        | EmbedErrorKind::TimedOut => ErrorKind::EmbedderError,
    };
    let named = Error::new(kind, error.detail.clone(), error.remediation.clone());
    let pause = error.retry_after.map(|pause| u32::try_from(pause.as_secs()).unwrap_or(u32::MAX).max(1));
    let causes = error.causes();
    let named = if causes.is_empty() { named } else { named.caused_by(causes) };
    match pause {
        Some(secs) => named.retry_after(secs),
        None if error.kind.is_passing() || error.kind == EmbedErrorKind::TimedOut => named.retry_after(1),
        None => named,
    }
}
