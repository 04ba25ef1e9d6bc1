//! The configured embedders, at work within an invocation's time.

#[cfg(feature = "embed")]
mod providers;

use mneme_embed::spec::Spec;

use crate::cache::Cache;
use crate::config::{Config, EmbedderConfig};
use crate::embedders::Serving;
#[cfg(not(feature = "embed"))]
use crate::embedding::Embedding;
use crate::error::Error;
#[cfg(feature = "embed")]
pub(crate) use providers::Embedders;

/// One of the configured embedders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// `MNEME_EMBEDDER`.
    Main,
    /// `MNEME_EMBEDDER_NEXT`: during a move, the one that the cache moves to.
    Next,
}

impl Slot {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Main, Self::Next];

    /// What `config` has here; `None` where callers bring the vectors.
    pub fn embedder(self, config: &Config) -> Option<&EmbedderConfig> {
        let embedder = match self {
            Self::Main => Some(&config.embedder),
            Self::Next => config.next_embedder.as_ref(),
        };
        embedder.filter(|embedder| embedder.spec != Spec::None)
    }
}

/// What an entry that is stored now is embedded by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Makers {
    /// The embedder whose vectors this instance serves, where it has it.
    pub serving: Option<Slot>,
    /// During a move the other one, where it has that: with a vector of each, an entry is found before the switch and after.
    pub other: Option<Slot>,
}

impl Cache {
    /// Whether an embedder is configured; without one, callers bring their vectors.
    pub fn embeds(&self) -> bool {
        Slot::ALL.iter().any(|slot| slot.embedder(&self.config).is_some())
    }

    /// The configured embedder that makes vectors like those of `serving`; `None`: callers bring them.
    pub fn embedder_of(&self, serving: &Serving) -> Option<Slot> {
        self.embedder_named(serving.fingerprint.as_deref()?)
    }

    /// The configured embedder of this fingerprint.
    pub fn embedder_named(&self, fingerprint: &str) -> Option<Slot> {
        let is_it = |embedder: &EmbedderConfig| embedder.fingerprint.as_deref() == Some(fingerprint);
        Slot::ALL.into_iter().find(|slot| slot.embedder(&self.config).is_some_and(is_it))
    }

    /// What an entry that is stored now is to be embedded by.
    ///
    /// Reads: item 0, where an embedder to move to is configured. Errors: as [`Cache::counter`].
    pub async fn makers(&self) -> Result<Makers, Error> {
        if Slot::Next.embedder(&self.config).is_none() {
            let main = Slot::Main.embedder(&self.config).map(|_| Slot::Main);
            return Ok(Makers { serving: main, other: None });
        }
        let counter = self.counter().await?;
        let serving = counter.serving(&self.config)?;
        let mut others = counter.served().filter(|other| other.era != serving.era);
        Ok(Makers {
            serving: self.embedder_of(&serving),
            other: others.next().and_then(|other| self.embedder_of(&other)),
        })
    }
}

/// Without the feature `embed` no provider of vectors is linked, and [`Cache::embed`] is not public. Only re-embedding,
/// which no such function offers, still calls it.
#[cfg(not(feature = "embed"))]
impl Cache {
    /// Errors: `Internal`, for each text.
    pub(crate) async fn embed(&self, _: Slot, texts: &[&str]) -> Vec<Result<Embedding, Error>> {
        let error = || Err(Error::internal("the function was built without the feature `embed`"));
        texts.iter().map(|_| error()).collect()
    }

    pub(crate) fn forget_embedded(&self, _: &str) {}
}
