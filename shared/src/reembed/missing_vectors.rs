//! Making the vectors that entries lack.

use mneme_model::entry::Entry;
use mneme_model::error::{Error, ErrorKind};
use mneme_store::counter::Counter;

use crate::cache::Cache;
use crate::embedders::providers::EmbedderSlot;
use crate::embedders::text_embedding::TextEmbedding;

/// A text that every embedder accepts. It shows whether an embedder answers at all, and the dimension of its vectors.
const PROBE: &str = "What is the capital of France?";

/// The vector that an entry lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MissingVector {
    /// The vector of the embedder that is not active.
    Second,
    /// The vector of the active embedder. An instance that serves the other embedder stored the entry.
    Active,
}

/// The vectors that `entries` lack, in their order; `None` for a text that the embedder refuses. An embedder may make
/// no vector of a text that it cannot read.
///
/// `entries`: each has a stored query. Errors: `EmbedderMismatchError` if the embedder is not configured here; the
/// embedder's own; `EmbedderDimensionError`.
pub(super) async fn make_missing_vectors(
    cache: &Cache,
    counter: &Counter,
    entries: &[Entry],
    missing: MissingVector,
) -> Result<Vec<Option<TextEmbedding>>, Error> {
    let served = match missing {
        MissingVector::Active => Some(counter.active_embedder()),
        MissingVector::Second => counter.second_embedder(),
    };
    let Some(served) = served.filter(|_| !entries.is_empty()) else { return Ok(Vec::new()) };
    let slot = cache.embedders().slot_of(&served).ok_or_else(|| {
        let fingerprint = served.fingerprint.as_deref().unwrap_or_default();
        Error::new(
            ErrorKind::EmbedderMismatchError,
            format!("{} entries lack a vector of {fingerprint:?}, which is not configured here", entries.len()),
            "set MNEME_EMBEDDER or MNEME_EMBEDDER_NEXT to that embedder",
        )
    })?;
    let texts: Vec<&str> = entries.iter().map(|entry| entry.query.as_deref().unwrap_or_default()).collect();
    let mut vectors = Vec::with_capacity(texts.len());
    for (text, vector) in texts.iter().zip(cache.embedders().embed(slot, &texts).await) {
        // A text that was refused together with others is sent again alone, before it counts as refused.
        let vector = match vector {
            Err(error) if error.kind == ErrorKind::InvalidRequest => embed_alone(cache, slot, text).await?,
            vector => Some(vector?),
        };
        let embedding = vector.as_ref().and_then(TextEmbedding::embedding);
        if let Some(Err(error)) = embedding.map(|embedding| served.check_dim(embedding.dim())) {
            cache.embedders().forget(text);
            return Err(error);
        }
        vectors.push(vector);
    }
    Ok(vectors)
}

/// The vector of a text; `None` if the embedder refuses this text and accepts another one.
async fn embed_alone(cache: &Cache, slot: EmbedderSlot, text: &str) -> Result<Option<TextEmbedding>, Error> {
    match embed_one(cache, slot, text).await {
        Err(error) if error.kind == ErrorKind::InvalidRequest => {
            cache.embedders().forget(PROBE);
            match embed_one(cache, slot, PROBE).await {
                Ok(_) => Ok(None),
                Err(refused) => Err(Error::new(
                    ErrorKind::EmbedderError,
                    format!("the embedder refuses every text: {}", refused.detail),
                    refused.remediation,
                )),
            }
        }
        embedded => embedded.map(Some),
    }
}

async fn embed_one(cache: &Cache, slot: EmbedderSlot, text: &str) -> Result<TextEmbedding, Error> {
    let embedded = cache.embedders().embed(slot, &[text]).await.pop();
    embedded.unwrap_or_else(|| Err(Error::internal("a text was not embedded")))
}

/// The dimension of a configured embedder's vectors. It asks the embedder to embed one text. Errors: the embedder's
/// own.
pub async fn embedder_dim(cache: &Cache, slot: EmbedderSlot) -> Result<u32, Error> {
    let made = embed_one(cache, slot, PROBE).await?;
    let embedding = made.embedding().ok_or_else(|| Error::internal("the embedder cannot read the probe"))?;
    u32::try_from(embedding.dim()).map_err(Error::internal)
}
