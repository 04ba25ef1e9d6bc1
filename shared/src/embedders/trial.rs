//! Trying the configured embedders.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mneme_model::embedding::Embedding;
use mneme_model::error::{Error, ErrorKind};
use tokio::time::Instant;

use super::providers::EmbedderSlot;
use crate::cache::Cache;

/// The text that is embedded. It is no user's.
const TEXT: &str = "Is the embedder ready?";

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
    /// Has each configured embedder embed a text, unless that was done in the last minute. Returns one outcome for each
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
            embedders.forget(TEXT);
            let made = embedders.embed(slot, &[TEXT]).await.pop();
            let made = made.unwrap_or_else(|| Err(Error::internal("the embedder returned no result")));
            trials.push((slot, made.as_ref().map(Embedding::dim).map_err(Error::for_caller)));
        }
        let outcomes = trials.iter().map(checked).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), trials));
        outcomes
    }
}
