//! The embedders that an instance has created, and their use within an invocation's time.

use std::sync::OnceLock;
use std::time::Duration;

use aws_config::SdkConfig;
use futures::future::BoxFuture;
use mneme_embed::backend::Backend;
use mneme_embed::embedder::Embedder;
use mneme_embed::error::{EmbedError, EmbedErrorKind};
use mneme_embed::provider::TextVector;
use mneme_embed::spec::Spec;
use mneme_model::config::{Config, EmbedderConfig};
use mneme_model::embedder::ServedEmbedder;
use mneme_model::embedding::Embedding;
use mneme_model::error::{Error, ErrorKind};
use mneme_model::long_text::LongText;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::text_embedding::TextEmbedding;

/// A text with a larger share of unknown pieces has no vector. Above it, texts of scripts that an embedder does not know
/// get the vectors of other such texts: at most this share stopped each of 1,378 wrong answers of all-MiniLM-L6-v2 to
/// Chinese questions, and none of its answers in Latin script.
const MAX_UNKNOWN_SHARE: f32 = 0.05;

/// One of the configured embedders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbedderSlot {
    /// `MNEME_EMBEDDER`.
    Main,
    /// `MNEME_EMBEDDER_NEXT`: during a move, the embedder that the cache moves to.
    Next,
}

impl EmbedderSlot {
    /// Both slots.
    pub const ALL: [Self; 2] = [Self::Main, Self::Next];

    /// The embedder that `config` has in this slot; `None` if callers send the vectors.
    pub fn configured(self, config: &Config) -> Option<&EmbedderConfig> {
        let embedder = match self {
            Self::Main => Some(&config.embedder),
            Self::Next => config.next_embedder.as_ref(),
        };
        embedder.filter(|embedder| embedder.spec != Spec::None)
    }
}

/// The embedders of one instance, by slot. Each is made when it is first needed, so that an exact answer never waits
/// for one.
#[derive(Debug, Default)]
pub(crate) struct EmbedderPool {
    embedders: [OnceLock<Embedder<Backend>>; 2],
    breakers: [Breaker; 2],
}

/// The configured embedders, for one invocation.
#[derive(Debug, Clone, Copy)]
pub struct Embedders<'a> {
    pool: &'a EmbedderPool,
    pub(super) config: &'a Config,
    aws: &'a SdkConfig,
    deadline: Instant,
}

impl<'a> Embedders<'a> {
    pub(crate) fn new(pool: &'a EmbedderPool, config: &'a Config, aws: &'a SdkConfig, deadline: Instant) -> Self {
        Self { pool, config, aws, deadline }
    }

    /// Whether an embedder is configured. Without one, callers send the vectors.
    pub fn are_configured(&self) -> bool {
        EmbedderSlot::ALL.iter().any(|slot| slot.configured(self.config).is_some())
    }

    /// The slot of the embedder `served`; `None` if it is not configured and callers send the vectors.
    pub fn slot_of(&self, served: &ServedEmbedder) -> Option<EmbedderSlot> {
        let fingerprint = served.fingerprint.as_deref()?;
        let is_it = |embedder: &EmbedderConfig| embedder.fingerprint.as_deref() == Some(fingerprint);
        EmbedderSlot::ALL.into_iter().find(|slot| slot.configured(self.config).is_some_and(is_it))
    }

    /// What the embedder in `slot` makes of `texts`, in their order. A text that is longer than the embedder reads is
    /// embedded with its instruction first, if it has one ([`LongText`]). Texts that this instance embedded lately cost
    /// no call. Takes at most three quarters of the time that is left, because the vectors have to be used
    /// afterwards.
    ///
    /// Errors, of each text alone: `InvalidRequest` for a text that cannot be embedded (blank, or too long);
    /// `EmbedderError`; `EmbedderDimensionError` if the vectors do not have the configured dimension.
    pub async fn embed(&self, slot: EmbedderSlot, texts: &[&str]) -> Vec<Result<TextEmbedding, Error>> {
        let embedder = match self.embedder(slot) {
            Ok(embedder) => embedder,
            Err(error) => return texts.iter().map(|_| Err(error.for_caller())).collect(),
        };
        let made = self.made(slot, embedder, texts, self.answer_by()).await;
        self.all_checked(slot, texts, made)
    }

    /// As [`Embedders::embed`], for a lookup: a service gets at most `MNEME_EMBEDDER_TIMEOUT_MS`. If the embedder did not
    /// answer a moment ago, only the texts that this instance embedded lately have vectors.
    pub async fn embed_for_lookup(&self, slot: EmbedderSlot, texts: &[&str]) -> Vec<Result<TextEmbedding, Error>> {
        let embedder = match self.embedder(slot) {
            Ok(embedder) => embedder,
            Err(error) => return texts.iter().map(|_| Err(error.for_caller())).collect(),
        };
        let breaker = &self.pool.breakers[slot as usize];
        let remembered: Vec<Option<TextVector>> =
            texts.iter().map(|text| self.remembered(slot, embedder, text)).collect();
        let is_needed = remembered.iter().any(Option::is_none);
        if is_needed && !breaker.admits(Instant::now()) {
            let result = |vector: Option<TextVector>| vector.ok_or_else(EmbedError::timed_out);
            return self.all_checked(slot, texts, remembered.into_iter().map(result).collect());
        }
        // An embedder inside the function cannot hang. Its first call loads the model.
        let is_inside = slot.configured(self.config).is_some_and(|embedder| embedder.spec == Spec::MiniLm);
        let limit = Instant::now() + Duration::from_millis(self.config.embedder_timeout_ms);
        let deadline = if is_inside { self.answer_by() } else { self.answer_by().min(limit) };
        let made = self.made(slot, embedder, texts, deadline).await;
        // Other errors come at once, so a lookup loses no time by the next attempt.
        let is_silent =
            |error: &EmbedError| matches!(error.kind, EmbedErrorKind::TimedOut | EmbedErrorKind::Unreachable);
        if made.iter().any(|result| result.as_ref().is_err_and(is_silent)) {
            breaker.note_failure(Instant::now());
        } else if is_needed {
            breaker.note_success();
        }
        self.all_checked(slot, texts, made)
    }

    /// When the vectors have to be there: after three quarters of the time that is left.
    fn answer_by(&self) -> Instant {
        let now = Instant::now();
        now + self.deadline.saturating_duration_since(now) * 3 / 4
    }

    /// How many tokens of a text the embedder in `slot` reads.
    fn max_tokens(&self, slot: EmbedderSlot) -> usize {
        slot.configured(self.config).and_then(|of| of.max_tokens).unwrap_or(usize::MAX)
    }

    /// `text` with its instruction first, if it has one and is longer than the embedder in `slot` reads.
    fn reordered(&self, slot: EmbedderSlot, text: &str) -> Option<String> {
        LongText::new(text, self.max_tokens(slot)).instruction_first()
    }

    /// The vectors that `embedder` makes of `texts` before `deadline`. A text that it cuts is embedded again with its
    /// instruction first.
    async fn made(
        &self,
        slot: EmbedderSlot,
        embedder: &Embedder<Backend>,
        texts: &[&str],
        deadline: Instant,
    ) -> Vec<Result<TextVector, EmbedError>> {
        // Boxed: the SDK's futures nest deeply.
        let embed = |texts| -> BoxFuture<'_, _> { Box::pin(embedder.embed_each(texts, deadline)) };
        let mut made = embed(texts).await;
        let is_cut = |made: &Result<TextVector, EmbedError>| made.as_ref().is_ok_and(|vector| vector.is_cut);
        let cut = (0..texts.len()).filter(|at| is_cut(&made[*at]));
        let (places, again): (Vec<usize>, Vec<String>) =
            cut.filter_map(|at| Some((at, self.reordered(slot, texts[at])?))).unzip();
        let again: Vec<&str> = again.iter().map(String::as_str).collect();
        for (at, reordered) in places.into_iter().zip(embed(&again).await) {
            made[at] = reordered;
        }
        made
    }

    /// What [`Embedders::made`] returns for `text` without a call, if the instance embedded the text lately.
    fn remembered(&self, slot: EmbedderSlot, embedder: &Embedder<Backend>, text: &str) -> Option<TextVector> {
        let vector = embedder.remembered(text)?;
        match vector.is_cut.then(|| self.reordered(slot, text)).flatten() {
            Some(reordered) => embedder.remembered(&reordered),
            None => Some(vector),
        }
    }

    fn all_checked(
        &self,
        slot: EmbedderSlot,
        texts: &[&str],
        made: Vec<Result<TextVector, EmbedError>>,
    ) -> Vec<Result<TextEmbedding, Error>> {
        let checked = |(text, result): (&&str, Result<TextVector, EmbedError>)| {
            let TextVector { values, is_cut, unknown_share } = result.map_err(named)?;
            if unknown_share > MAX_UNKNOWN_SHARE {
                return Ok(TextEmbedding::NotEmbeddable);
            }
            let unread = is_cut.then(|| LongText::new(text, self.max_tokens(slot)).unread());
            let checked = self.checked(slot, values).map(|embedding| TextEmbedding::Vector { embedding, unread });
            if checked.is_err() {
                self.forget(text);
            }
            checked
        };
        texts.iter().zip(made).map(checked).collect()
    }

    /// Drops the remembered vectors of `text`, so that the next call asks the embedder again. To be called if a vector
    /// does not fit the table.
    pub fn forget(&self, text: &str) {
        for slot in EmbedderSlot::ALL {
            let Some(embedder) = self.pool.embedders[slot as usize].get() else { continue };
            embedder.forget(text);
            if let Some(reordered) = self.reordered(slot, text) {
                embedder.forget(&reordered);
            }
        }
    }

    fn embedder(&self, slot: EmbedderSlot) -> Result<&'a Embedder<Backend>, Error> {
        let made = &self.pool.embedders[slot as usize];
        if let Some(embedder) = made.get() {
            return Ok(embedder);
        }
        let configured = slot.configured(self.config);
        let backend = configured
            .and_then(|of| Backend::new(&of.spec, of.max_tokens.unwrap_or(usize::MAX), of.key.clone(), self.aws))
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::EmbedderError,
                    "no embedder is configured",
                    "send an embedding, or configure MNEME_EMBEDDER",
                )
            })?;
        Ok(made.get_or_init(|| Embedder::new(backend)))
    }

    fn checked(&self, slot: EmbedderSlot, vector: Vec<f32>) -> Result<Embedding, Error> {
        let configured = slot.configured(self.config).and_then(|embedder| embedder.dim);
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

/// The contract's name for an embedder's failure. A text that cannot be embedded is the caller's to change; everything
/// else is the embedder's failure.
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
