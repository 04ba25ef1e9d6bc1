//! Trying the configured embedders.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mneme_model::embedding::Embedding;
use mneme_model::error::{Error, ErrorKind};
use tokio::time::Instant;

use super::providers::EmbedderSlot;
use super::text_embedding::TextEmbedding;
use crate::cache::Cache;
use crate::replica::similarity;

/// The texts that are embedded. They are no user's, and they have no word in common.
const TEXTS: [&str; 2] = ["Is the embedder ready?", "How tall are trees in a forest?"];

/// Vectors of unrelated texts of at least this similarity are equal but for rounding.
const EQUAL_VECTORS: f32 = 0.9999;

/// How long the outcome of a trial is used, so that frequent examinations do not cost a call each.
const VALID_FOR: Duration = Duration::from_secs(60);

/// How long a trial may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The outcome of an embedder's trial: the dimension of its vector, or why there is none.
type Trial = (EmbedderSlot, Result<usize, Error>);

/// The last trial of this instance.
#[derive(Debug, Default)]
pub struct EmbedderTrial(Mutex<Option<(Instant, Vec<Trial>)>>);

impl EmbedderTrial {
    /// Has each configured embedder embed two unrelated texts, unless that was done in the last minute. Returns one outcome for each
    /// of them: none if callers send the vectors. `stamped_dim`: the dimension of the cache. The embedder of
    /// `MNEME_EMBEDDER` fails if its vectors have another one and no second embedder is configured.
    ///
    /// Errors, of each embedder: as [`Embedders::embed`](super::providers::Embedders::embed).
    pub async fn run(&self, cache: &Cache, stamped_dim: Option<u32>) -> Vec<Result<(), Error>> {
        let is_moving = EmbedderSlot::Next.configured(&cache.config).is_some();
        let checked = |(_, outcome): &Trial| match (outcome, stamped_dim) {
            (Err(error), _) => Err(error.for_caller()),
            (Ok(dim), Some(stamped)) if *dim != stamped as usize && !is_moving => Err(Error::new(
                ErrorKind::EmbedderMismatchError,
                format!("the embedder's vectors have {dim} numbers, and the cache's have {stamped}"),
                "configure the embedder that the cache was built with; while no entry has an embedding, invoke \
                 `provision` with `restamp`",
            )),
            (Ok(_), _) => Ok(()),
        };
        if let Some((at, trials)) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner)
            && at.elapsed() < VALID_FOR
        {
            return trials.iter().map(checked).collect();
        }
        let cache = cache.within(LIMIT);
        let embedders = cache.embedders();
        let mut trials: Vec<Trial> = Vec::new();
        for slot in EmbedderSlot::ALL.into_iter().filter(|slot| slot.configured(&cache.config).is_some()) {
            // The instance remembers vectors of texts, which would hide that the embedder has failed since.
            TEXTS.iter().for_each(|text| embedders.forget(text));
            trials.push((slot, outcome(embedders.embed(slot, &TEXTS).await)));
        }
        let outcomes = trials.iter().map(checked).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), trials));
        outcomes
    }
}

/// The dimension of the vectors in `made`, if they tell the texts apart.
fn outcome(made: Vec<Result<TextEmbedding, Error>>) -> Result<usize, Error> {
    let made = made.into_iter().collect::<Result<Vec<_>, _>>()?;
    let vectors: Vec<&Embedding> = made.iter().filter_map(TextEmbedding::embedding).collect();
    let &[one, other] = vectors.as_slice() else {
        return Err(Error::internal("the embedder made no vectors of two plain texts"));
    };
    if one.dim() == other.dim() && similarity(one.as_slice(), other.as_slice()) >= EQUAL_VECTORS {
        return Err(Error::new(
            ErrorKind::EmbedderError,
            "the embedder makes equal vectors of texts that have nothing in common",
            "look at the model and its server: it may ignore the text, or cut it to nothing; no such vectors are served",
        ));
    }
    Ok(one.dim())
}
