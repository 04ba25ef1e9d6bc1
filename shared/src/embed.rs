//! The configured embedders, at work within an invocation's time.

use std::sync::OnceLock;

use futures::future::BoxFuture;
use mneme_embed::backend::Backend;
use mneme_embed::embedder::Embedder;
use mneme_embed::error::{EmbedError, EmbedErrorKind};
use mneme_embed::spec::Spec;
use tokio::time::Instant;

use crate::cache::Cache;
use crate::config::{Config, EmbedderConfig};
use crate::embedders::Serving;
use crate::embedding::Embedding;
use crate::error::{Error, ErrorKind};

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

/// The configured embedders, each made when first needed: an exact answer waits for none of it.
#[derive(Debug, Default)]
pub(crate) struct Embedders([OnceLock<Embedder<Backend>>; 2]);

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

    /// The vectors of `texts`, in their order, from the configured embedder `slot`. Texts that this instance embedded not long ago
    /// cost nothing. It takes three quarters of the time that is left at most: the rest is for what the vectors are for.
    ///
    /// Errors, of each text alone: `InvalidRequest` for one that cannot be embedded, being blank or too long; `EmbedderError`;
    /// `EmbedderDimensionError` where the vectors are not of the configured dimension.
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

    /// Forgets the vectors of a text that do not fit the table: the next time the embedders are asked again.
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
