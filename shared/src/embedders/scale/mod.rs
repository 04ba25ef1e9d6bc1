//! Learning the scale of an embedder ([`mneme_model::scale`]) from questions that ship with the functions, without
//! labels.

mod curve;
mod sample;

use std::time::Duration;

use mneme_embed::spec::Spec;
use mneme_model::error::Error;
use mneme_model::scale::Scale;

use super::providers::EmbedderSlot;
use super::text_embedding::TextEmbedding;
use crate::cache::Cache;

/// How long an instance does not look again whether an embedder lacks its scale. So an embedder that fails does not slow
/// every put, and a table that is stamped again gets its scale.
const PAUSE: Duration = Duration::from_secs(300);

/// The longest time for learning.
const LIMIT: Duration = Duration::from_secs(10);

/// Learns the scale of each configured embedder that the table is stamped with and that has no scale yet, unless this
/// instance looked in the last five minutes. Takes at most ten seconds.
///
/// The embedder embeds about 300 questions. The reference model itself needs no scale, and a caller's embedder cannot
/// be asked.
/// Reads: item 0. Writes: item 0, if a scale was learned. Errors: the embedder's, `EmbedderMismatchError`,
/// `StoreBackendError`.
pub async fn learn_scales(cache: &Cache) -> Result<(), Error> {
    let needs_any = EmbedderSlot::ALL.into_iter().any(|slot| needs_scale(cache, slot));
    if !needs_any || !cache.take_scales_due(PAUSE) {
        return Ok(());
    }
    let cache = &cache.within(LIMIT);
    let counter = cache.counter().await?;
    for embedder in counter.served_embedders().filter(|embedder| embedder.scale.is_none()) {
        if let Some(slot) = cache.embedders().slot_of(&embedder).filter(|slot| needs_scale(cache, *slot)) {
            let scale = embedder_scale(cache, slot).await?;
            let is_written = cache.table.write_scale(&embedder, scale).await?;
            let fingerprint = &embedder.fingerprint;
            tracing::info!(?fingerprint, is_identity = scale.is_identity(), is_written, "learned a scale");
        }
    }
    Ok(())
}

/// The scale of the embedder in `slot`, learned now; [`Scale::IDENTITY`] for the reference, and if no embedder is
/// configured there. Errors: the embedder's.
pub async fn embedder_scale(cache: &Cache, slot: EmbedderSlot) -> Result<Scale, Error> {
    if !needs_scale(cache, slot) {
        return Ok(Scale::IDENTITY);
    }
    let texts: Vec<&str> = sample::languages().iter().flat_map(|language| language.texts.iter().copied()).collect();
    let made: Vec<TextEmbedding> = cache.embedders().embed(slot, &texts).await.into_iter().collect::<Result<_, _>>()?;
    let vectors: Vec<Option<&[f32]>> = made.iter().map(|made| Some(made.embedding()?.as_slice())).collect();
    Ok(curve::scale_of(&vectors))
}

/// Whether an embedder is configured in `slot`, and it is not the reference.
fn needs_scale(cache: &Cache, slot: EmbedderSlot) -> bool {
    slot.configured(&cache.config).is_some_and(|embedder| embedder.spec != Spec::MiniLm)
}
