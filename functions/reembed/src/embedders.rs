//! The embedders that this function has: the one that the cache is built with, and the one that it moves to.

use aws_config::BehaviorVersion;
use mneme_core::embedding::Embedding;
use mneme_core::error::{Error, ErrorKind};
use mneme_core::reembed::Embed;
use mneme_embed::backend::Backend;
use mneme_embed::embedder::Embedder;
use mneme_embed::error::{EmbedError, EmbedErrorKind};
use mneme_embed::key::KeySource;
use mneme_embed::spec::{Spec, SpecError};
use tokio::time::Instant;

/// The variables of each: which embedder, and its key. That of the embedder to move to is looked at first.
const VARIABLES: [[&str; 2]; 2] =
    [["MNEME_EMBEDDER_NEXT", "MNEME_EMBEDDER_NEXT_API_KEY"], ["MNEME_EMBEDDER", "MNEME_EMBEDDER_API_KEY"]];

/// A text that every embedder takes: whether it answers at all, and with how many numbers.
const PROBE: &str = "What is the capital of France?";

/// A variable that is not as it should be.
#[derive(Debug, thiserror::Error)]
#[error("{variable}: {source}")]
pub struct BadVariable {
    variable: &'static str,
    source: SpecError,
}

/// Those that are configured, the one to move to first.
#[derive(Default)]
pub struct Embedders(Vec<Embedder<Backend>>);

impl std::fmt::Debug for Embedders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.fingerprints()).finish()
    }
}

impl Embedders {
    /// Those of `MNEME_EMBEDDER_NEXT` and `MNEME_EMBEDDER`, with the keys of `MNEME_EMBEDDER_NEXT_API_KEY` and
    /// `MNEME_EMBEDDER_API_KEY`. Sends nothing.
    ///
    /// Errors: the first variable that is not as it should be; never its text.
    pub async fn from_env() -> Result<Self, BadVariable> {
        let mut embedders = Vec::new();
        for [variable, key_variable] in VARIABLES {
            let of = |variable| move |source| BadVariable { variable, source };
            let spec: Spec = std::env::var(variable).unwrap_or_default().parse().map_err(of(variable))?;
            let key = KeySource::parse(&std::env::var(key_variable).unwrap_or_default()).map_err(of(key_variable))?;
            if spec == Spec::None {
                continue;
            }
            let aws = aws_config::defaults(BehaviorVersion::latest()).load().await;
            embedders.extend(Backend::new(&spec, key, &aws).map_err(of(variable))?.map(Embedder::new));
        }
        Ok(Self(embedders))
    }

    /// Their fingerprints, that of the one to move to first.
    pub fn fingerprints(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Embedder::fingerprint)
    }

    fn of(&self, fingerprint: &str) -> Result<&Embedder<Backend>, Error> {
        self.0.iter().find(|embedder| embedder.fingerprint() == fingerprint).ok_or_else(|| {
            Error::new(
                ErrorKind::EmbedderMismatchError,
                format!("{fingerprint:?} is not configured here"),
                "set MNEME_EMBEDDER_NEXT or MNEME_EMBEDDER to that embedder",
            )
        })
    }

    /// The dimension of the vectors of the embedder of this fingerprint, which answers then.
    ///
    /// Errors: as [`Embed::embed`].
    pub async fn dim(&self, fingerprint: &str, deadline: Instant) -> Result<u32, Error> {
        let vectors = self.of(fingerprint)?.embed(&[PROBE], deadline).await.map_err(failed)?;
        let dim = vectors.first().map(Vec::len).unwrap_or_default();
        u32::try_from(dim).map_err(Error::internal)
    }
}

impl Embed for Embedders {
    fn has(&self, fingerprint: &str) -> bool {
        self.fingerprints().any(|own| own == fingerprint)
    }

    async fn embed(
        &self,
        fingerprint: &str,
        texts: &[&str],
        deadline: Instant,
    ) -> Result<Vec<Option<Embedding>>, Error> {
        let embedder = self.of(fingerprint)?;
        // An embedder that refuses everything must not make every entry one that cannot be moved.
        embedder.embed(&[PROBE], deadline).await.map_err(failed)?;
        let mut vectors: Vec<Option<Embedding>> = vec![None; texts.len()];
        // Places of texts that are sent together; what a refusal does not name is found by halving.
        let mut parts: Vec<Vec<usize>> = vec![(0..texts.len()).collect()];
        while let Some(mut places) = parts.pop() {
            let asked: Vec<&str> = places.iter().map(|at| texts[*at]).collect();
            match embedder.embed(&asked, deadline).await {
                Ok(found) => {
                    for (at, vector) in places.into_iter().zip(found) {
                        vectors[at] = Some(Embedding::normalized(vector).map_err(Error::internal)?);
                    }
                }
                Err(error) if error.kind == EmbedErrorKind::BadRequest => match error.text {
                    Some(at) if at < places.len() => {
                        places.remove(at);
                        parts.push(places);
                    }
                    _ if places.len() > 1 => {
                        let half = places.split_off(places.len() / 2);
                        parts.extend([places, half]);
                    }
                    _ => {}
                },
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(vectors)
    }
}

/// An embedder's failure as the caller sees it.
fn failed(error: EmbedError) -> Error {
    let kind = match error.kind {
        EmbedErrorKind::WrongDimension => ErrorKind::EmbedderDimensionError,
        EmbedErrorKind::Throttled
        | EmbedErrorKind::Refused
        | EmbedErrorKind::UnknownModel
        | EmbedErrorKind::BadRequest
        | EmbedErrorKind::Unreachable
        | EmbedErrorKind::Unavailable
        | EmbedErrorKind::Malformed
        | EmbedErrorKind::TimedOut => ErrorKind::StoreBackendError,
    };
    let named = Error::new(kind, &error.detail, &error.remediation);
    let pause = error.retry_after.map_or(1, |pause| u32::try_from(pause.as_secs().max(1)).unwrap_or(u32::MAX));
    let named = if error.kind.is_passing() { named.retry_after(pause) } else { named };
    named.caused_by(format!("{}: {}", error.kind.name(), error.causes()))
}
