//! Scores pairs as a lookup does: by similarity, and by the guard's comparison of the two questions.

use mneme_core::cache::Cache;
use mneme_core::embedders::providers::EmbedderSlot;
use mneme_core::embedders::text_embedding::TextEmbedding;
use mneme_core::replica::similarity;
use mneme_guard::{LabelledPair, PairScore, Verdict, VetoKind, probability_of_similarity};
use mneme_model::confidence::{Guard, verdict};
use mneme_model::config::Config;
use mneme_model::embedding::Embedding;
use mneme_model::error::Error;
use mneme_model::question::Question;
use mneme_model::scale::Scale;

use crate::pair::{Pair, Side, SideFields};

/// A similarity may exceed 1 by this much, because other programs round differently.
const ROUNDING_TOLERANCE: f64 = 1e-4;

/// Compares the questions of a pair as a lookup would: one is asked, the other is stored.
pub(crate) struct PairScorer<'a> {
    pub(crate) config: &'a Config,
    pub(crate) guard: Guard,
    /// The scale of the configured embedder, on which a lookup compares similarities.
    pub(crate) scale: Scale,
}

/// A pair with its similarity and its score.
pub(crate) struct ScoredPair {
    pub(crate) pair: LabelledPair,
    /// The kind of difference that forbids the same answer, if there is one.
    pub(crate) veto: Option<&'static str>,
}

impl PairScorer<'_> {
    /// Scores all pairs, in their order. Errors: `InvalidRequest` and `EntryTooLarge`, which name the pair.
    pub(crate) fn score_all(&self, pairs: &[Pair]) -> Result<Vec<ScoredPair>, Error> {
        check_dimensions(pairs)?;
        pairs.iter().enumerate().map(|(at, pair)| self.score(&format!("pairs[{at}]"), pair)).collect()
    }

    fn score(&self, place: &str, pair: &Pair) -> Result<ScoredPair, Error> {
        let same = pair.same;
        let question_of = |name, Side(side): &Side| question(&format!("{place}.{name}"), side, self.config);
        let questions = question_of("a", &pair.a)?.zip(question_of("b", &pair.b)?);
        let similarity = similarity_of(place, pair)?;
        if let Some((a, b)) = &questions
            && a.hash == b.hash
        {
            // The exact layer serves equal questions at every threshold.
            return Ok(ScoredPair {
                pair: LabelledPair { similarity: 1.0, score: PairScore::Confidence(1.0), same },
                veto: None,
            });
        }
        let Pair { a: Side(a), b: Side(b), .. } = pair;
        if a.is_not_embeddable || b.is_not_embeddable {
            let pair = LabelledPair { similarity: 0.0, score: PairScore::Vetoed, same };
            return Ok(ScoredPair { pair, veto: Some("not_embeddable") });
        }
        let is_read_alike = a.unread == b.unread;
        let similarity = similarity.ok_or_else(|| {
            Error::invalid(
                format!("{place}: it has neither two embeddings nor a similarity"),
                "send an `embedding` with each side, or the `similarity` of the pair, or configure MNEME_EMBEDDER",
            )
        })?;
        let similarity = self.scale.scaled(similarity);
        let (score, veto) = match (&questions, self.guard) {
            (Some((a, b)), _) if a.context_key != b.context_key => (PairScore::Vetoed, Some("partition")),
            _ if !is_read_alike => (PairScore::Vetoed, Some(name(VetoKind::Material))),
            (Some((a, b)), guard) => match verdict(&a.signature, Some(&b.signature), similarity, guard) {
                Verdict::Vetoed(kind) => (PairScore::Vetoed, Some(name(kind))),
                Verdict::Probability(probability) => (PairScore::Confidence(probability), None),
            },
            (None, Guard::On) => (PairScore::Confidence(probability_of_similarity(similarity)), None),
            (None, Guard::Off) => (PairScore::Confidence(similarity.into()), None),
        };
        Ok(ScoredPair { pair: LabelledPair { similarity: similarity.into(), score, same }, veto })
    }
}

/// Embeds the texts of sides that have neither a vector nor a similarity. Without an embedder it does nothing.
///
/// Errors: those of the embedder, and `InvalidRequest` and `EntryTooLarge` for an invalid question. They name the side.
pub(crate) async fn embed(cache: &Cache, pairs: &mut [Pair]) -> Result<(), Error> {
    if EmbedderSlot::Main.configured(&cache.config).is_none() {
        return Ok(());
    }
    let mut sides = Vec::new();
    for (at, pair) in pairs.iter_mut().enumerate().filter(|(_, pair)| pair.similarity.is_none()) {
        for (name, Side(side)) in [("a", &mut pair.a), ("b", &mut pair.b)] {
            if side.embedding.is_none()
                && let Some(question) = question(&format!("pairs[{at}].{name}"), side, &cache.config)?
            {
                sides.push((at, name, side, question.message));
            }
        }
    }
    let texts: Vec<&str> = sides.iter().map(|(.., text)| text.as_str()).collect();
    let embedded = cache.embedders().embed(EmbedderSlot::Main, &texts).await;
    for ((at, name, side, _), vector) in sides.into_iter().zip(embedded) {
        match vector.map_err(|error| at_place(&format!("pairs[{at}].{name}"), error))? {
            TextEmbedding::Vector { embedding, unread } => (side.embedding, side.unread) = (Some(embedding), unread),
            TextEmbedding::NotEmbeddable => side.is_not_embeddable = true,
        }
    }
    Ok(())
}

/// The question of a side. `None`: the side has no text.
fn question(place: &str, side: &SideFields, config: &Config) -> Result<Option<Question>, Error> {
    if side.query.is_none() && side.messages.is_none() && side.context.is_none() {
        return Ok(None);
    }
    let question = Question::of(side.query.as_deref(), side.messages.as_deref(), side.context.as_ref(), config)
        .map_err(|error| at_place(place, error))?;
    Ok(Some(question.for_comparison(config)))
}

fn at_place(place: &str, mut error: Error) -> Error {
    error.detail = format!("{place}: {}", error.detail);
    error
}

/// The cosine similarity of a pair, from its embeddings or as it was sent. `None`: it has neither.
fn similarity_of(place: &str, pair: &Pair) -> Result<Option<f32>, Error> {
    let embeddings = (&pair.a.0.embedding, &pair.b.0.embedding);
    match (pair.similarity, embeddings) {
        (None, (Some(a), Some(b))) => Ok(Some(similarity(a.as_slice(), b.as_slice()))),
        (None, (None, None)) => Ok(None),
        (None, _) => Err(Error::invalid(
            format!("{place}: one side has an embedding and the other has none"),
            "send both, or none",
        )),
        (Some(given), (None, None)) if given.abs() <= 1.0 + ROUNDING_TOLERANCE => {
            Ok(Some(given.clamp(-1.0, 1.0) as f32))
        }
        (Some(given), (None, None)) => Err(Error::invalid(
            format!("{place}.similarity: {given} is not a cosine similarity"),
            "send a number from -1 to 1, or embeddings of both sides",
        )),
        (Some(_), _) => {
            Err(Error::invalid(format!("{place}: it has both a similarity and an embedding"), "send one of the two"))
        }
    }
}

/// Errors: `InvalidRequest` if two embeddings differ in length.
fn check_dimensions(pairs: &[Pair]) -> Result<(), Error> {
    let sides = pairs.iter().enumerate().flat_map(|(at, pair)| [(at, "a", &pair.a), (at, "b", &pair.b)]);
    let mut embeddings =
        sides.filter_map(|(at, name, side)| side.0.embedding.as_ref().map(Embedding::dim).map(|dim| (at, name, dim)));
    let Some((_, _, first)) = embeddings.next() else { return Ok(()) };
    match embeddings.find(|(_, _, dim)| *dim != first) {
        None => Ok(()),
        Some((at, name, dim)) => Err(Error::invalid(
            format!("pairs[{at}].{name}: the embedding has {dim} numbers, and the first one has {first}"),
            "embed all texts with one model",
        )),
    }
}

fn name(kind: VetoKind) -> &'static str {
    match kind {
        VetoKind::Number => "number",
        VetoKind::Identifier => "identifier",
        VetoKind::Date => "date",
        VetoKind::Quote => "quote",
        VetoKind::Negation => "negation",
        VetoKind::Opposite => "opposite",
        VetoKind::Direction => "direction",
        VetoKind::Role => "role",
        VetoKind::Time => "time",
        VetoKind::Material => "material",
        VetoKind::Form => "form",
        VetoKind::Context => "context",
        VetoKind::Case => "case",
        VetoKind::Mark => "mark",
        VetoKind::Space => "space",
        VetoKind::Language => "language",
        VetoKind::Embedding => "embedding",
    }
}
