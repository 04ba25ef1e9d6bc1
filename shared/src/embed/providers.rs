//! The embedders that an instance has created, and their use within an invocation's time.

use std::sync::OnceLock;

use futures::future::BoxFuture;
use mneme_embed::backend::Backend;
use mneme_embed::embedder::Embedder;
use mneme_embed::error::{EmbedError, EmbedErrorKind};
use tokio::time::Instant;

use super::Slot;
use crate::cache::Cache;
use crate::embedding::Embedding;
use crate::error::{Error, ErrorKind};

/// The configured embedders. Each is created when it is first needed, so that an exact hit waits for none of them.
#[derive(Debug, Default)]
pub(crate) struct Embedders([OnceLock<Embedder<Backend>>; 2]);

impl Cache {
    /// Embeds each of `texts` with the configured embedder `slot`, and returns one result per text, in their order.
    ///
    /// A text whose vector this instance has cached is not sent. The call takes at most three quarters of the time to the
    /// deadline. The rest is for the use of the vectors.
    ///
    /// Errors: `InvalidRequest` for a text that cannot be embedded, because it is blank or too long; `EmbedderError`;
    /// `EmbedderDimensionError` if the vectors do not have the configured dimension.
    pub async fn embed(&self, slot: Slot, texts: &[&str]) -> Vec<Result<Embedding, Error>> {
        let embedder = match self.embedder(slot) {
            Ok(embedder) => embedder,
            Err(error) => return texts.iter().map(|_| Err(error.for_caller())).collect(),
        };
        let left = self.deadline.saturating_duration_since(Instant::now());
        let deadline = Instant::now() + left * 3 / 4;
        // Boxed: the SDK's futures nest deeply.
        let embedded: BoxFuture<'_, _> = Box::pin(embedder.embed_each(texts, deadline));
        let checked = |(text, result): (&&str, Result<Vec<f32>, EmbedError>)| {
            let checked = self.checked(slot, result.map_err(named)?);
            if checked.is_err() {
                self.forget_embedded(text);
            }
            checked
        };
        texts.iter().zip(embedded.await).map(checked).collect()
    }

    /// Removes the vectors of `text` from the cache, if they do not fit the table. The next call sends the text again.
    pub fn forget_embedded(&self, text: &str) {
        for embedder in self.embedders.0.iter().filter_map(OnceLock::get) {
            embedder.forget(text);
        }
    }

    fn embedder(&self, slot: Slot) -> Result<&Embedder<Backend>, Error> {
        let made = &self.embedders.0[slot as usize];
        if let Some(embedder) = made.get() {
            return Ok(embedder);
        }
        let configured = slot.embedder(&self.config);
        let backend = configured.and_then(|of| Backend::new(&of.spec, of.key.clone(), &self.aws)).ok_or_else(|| {
            Error::new(
                ErrorKind::EmbedderError,
                "no embedder is configured",
                "send an embedding, or configure MNEME_EMBEDDER",
            )
        })?;
        Ok(made.get_or_init(|| Embedder::new(backend)))
    }

    fn checked(&self, slot: Slot, vector: Vec<f32>) -> Result<Embedding, Error> {
        let configured = slot.embedder(&self.config).and_then(|embedder| embedder.dim);
        if let Some(dim) = configured.filter(|dim| *dim as usize != vector.len()) {
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

/// The contract's error. A text that cannot be embedded is the caller's error, everything else the embedder's.
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
        None if error.kind.is_transient() || error.kind == EmbedErrorKind::TimedOut => named.retry_after(1),
        None => named,
    }
}
