//! `calibrate`: finds the best similarity threshold for labelled pairs of questions.
//!
//! The threshold is chosen on one half of the pairs. Its figures are measured on the other half.

mod pair;
mod pair_scorer;

use std::collections::BTreeMap;

use mneme_api::event::Reply;
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::embedders::providers::EmbedderSlot;
use mneme_core::embedders::scale::embedder_scale;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_guard::{CalibrationError, CurvePoint, Cutoff, LabelledPair, MIN_PAIRS, Target};
use mneme_model::confidence::Guard;
use mneme_model::error::Error;
use serde::{Deserialize, Serialize};

pub use pair::{Pair, Side};
use pair_scorer::{PairScorer, ScoredPair};

/// The largest number of pairs in one request.
const MAX_PAIRS: usize = 10_000;

/// A request to calibrate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The labelled pairs: from [`MIN_PAIRS`] to 10,000, at least two of each label.
    ///
    /// The pairs of each label are dealt alternately to the two halves, in the order of the request.
    pub pairs: Vec<Pair>,
    /// The figure that the threshold optimises. Default: F1.
    #[serde(default = "f1")]
    pub target: Target,
    /// Whether the guard compares the texts. Default: `MNEME_GUARD`.
    pub guard: Option<Guard>,
    /// The lowest confidence that is served, in [0, 1]. Default: `MNEME_CONFIDENCE_CUTOFF`.
    pub cutoff: Option<f64>,
    /// Whether the cutoff is chosen with the threshold, in place of a given one. Default: false.
    #[serde(default)]
    pub fit_cutoff: bool,
}

fn f1() -> Target {
    Target::F1
}

/// The best threshold and its figures.
#[derive(Debug, Serialize)]
pub struct Response {
    /// A value for `MNEME_SIMILARITY_THRESHOLD`, on the scale of the reference. Null: every threshold that meets the target serves no pair.
    pub threshold: Option<f32>,
    /// The figures on the half on which the threshold was chosen. They are too favourable.
    pub fitted: Yield,
    /// The figures on the other half. They predict what the cache will do.
    pub held_back: Yield,
    /// One point for each threshold that serves one more pair of the held-back half, in descending order.
    pub curve: Vec<Point>,
    /// The number of pairs.
    pub pairs: Labels,
    /// The number of pairs that no threshold serves, by the kind of difference.
    ///
    /// A key is the name of a [`mneme_guard::VetoKind`], `partition` for two context keys, or `not_embeddable` for a text
    /// that the embedder cannot read.
    pub vetoed: BTreeMap<&'static str, Labels>,
    /// Whether the guard was on.
    pub guard: Guard,
    /// The lowest confidence that counted as served: a value for `MNEME_CONFIDENCE_CUTOFF` if it was chosen.
    pub cutoff: f64,
    /// With a certainty of 95 %, at most this share of the hits is wrong. See [`mneme_guard::Calibration`].
    pub wrong_hits_at_most: f64,
}

/// The figures of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Yield {
    /// The share of the served pairs that are labelled the same. 1 if no pair is served.
    pub precision: f64,
    /// The share of the pairs labelled the same that are served: good hits.
    pub recall: f64,
    /// The share of the pairs labelled different that are served: wrong hits.
    pub wrong: f64,
    /// 2 × precision × recall / (precision + recall).
    pub f1: f64,
}

/// A threshold and its figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// The lowest similarity that is served.
    pub threshold: f32,
    /// The figures.
    #[serde(flatten)]
    pub yields: Yield,
}

/// The number of pairs of each label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Labels {
    /// Pairs that one answer serves.
    pub same: usize,
    /// Pairs that need different answers.
    pub different: usize,
}

impl Labels {
    fn count(&mut self, same: bool) {
        if same { self.same += 1 } else { self.different += 1 }
    }
}

impl From<&CurvePoint> for Yield {
    fn from(&CurvePoint { threshold: _, precision, recall, wrong, f1 }: &CurvePoint) -> Self {
        Self { precision, recall, wrong, f1 }
    }
}

/// Finds the best threshold for the request's pairs.
///
/// It reads only the request and the configuration, and calls the embedder for texts without a vector, and to learn its
/// scale. So it needs no access to a namespace.
#[derive(Debug)]
pub struct Calibrate;

impl Operation for Calibrate {
    const SPEC: &'static OperationSpec = &operations::CALIBRATE;
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, _: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let Request { mut pairs, target, guard, cutoff, fit_cutoff } = request;
        let config = &cache.config;
        if pairs.len() > MAX_PAIRS {
            return Err(Error::invalid(
                format!("pairs: {} pairs, and {MAX_PAIRS} are taken", pairs.len()),
                "send a sample of them, drawn at random",
            ));
        }
        if fit_cutoff && cutoff.is_some() {
            return Err(Error::invalid(
                "cutoff: `fit_cutoff` chooses it",
                "send `cutoff`, or `fit_cutoff`, and not both",
            ));
        }
        let cutoff = cutoff.unwrap_or(config.confidence_cutoff);
        if !(0.0..=1.0).contains(&cutoff) {
            return Err(Error::invalid(
                format!("cutoff: {cutoff} is not a confidence"),
                "send a number from 0 to 1, or none for the configured one",
            ));
        }
        let guard = guard.unwrap_or_else(|| config.guard.into());
        pair_scorer::embed(cache, &mut pairs).await?;
        let scale = embedder_scale(cache, EmbedderSlot::Main).await?;
        let scored = PairScorer { config, guard, scale }.score_all(&pairs)?;
        let labelled: Vec<LabelledPair> = scored.iter().map(|scored| scored.pair).collect();
        let cutoff = if fit_cutoff { Cutoff::Best } else { Cutoff::At(cutoff) };
        let found = mneme_guard::calibrate(&labelled, target, cutoff).map_err(refused)?;

        let (mut counts, mut vetoed) = (Labels::default(), BTreeMap::<_, Labels>::new());
        for ScoredPair { pair, veto } in &scored {
            counts.count(pair.same);
            if let Some(kind) = veto {
                vetoed.entry(*kind).or_default().count(pair.same);
            }
        }
        // A threshold that serves nothing is above every similarity. It may exceed 1, which the configuration refuses.
        let serves = labelled.iter().any(|pair| pair.similarity >= found.threshold);
        Ok(Reply::ok(Response {
            threshold: serves.then_some(found.threshold as f32),
            fitted: Yield::from(&found.fitted),
            held_back: Yield::from(&found.held_back),
            // Similarities are float32, as in a lookup, so the cast is exact.
            curve: found
                .curve
                .iter()
                .map(|point| Point { threshold: point.threshold as f32, yields: Yield::from(point) })
                .collect(),
            pairs: counts,
            vetoed,
            guard,
            cutoff: found.cutoff,
            wrong_hits_at_most: found.wrong_hits_at_most,
        }))
    }
}

fn refused(error: CalibrationError) -> Error {
    let (detail, remediation) = match error {
        CalibrationError::TooFew { found } => (
            format!("pairs: {found} pairs are too few"),
            format!("send at least {MIN_PAIRS}; a hundred or more give figures to rely on"),
        ),
        CalibrationError::OneClass { same, different } => (
            format!("pairs: {same} are labelled the same and {different} different"),
            "send at least two of each: one to choose the threshold, one to measure it".to_owned(),
        ),
        CalibrationError::NotFinite { at } => (
            format!("pairs[{at}]: the similarity is not a finite number"),
            "send a cosine similarity, or embeddings of both sides".to_owned(),
        ),
        CalibrationError::BadTarget { found } => (
            format!("target.max_wrong: {found} is not a share"),
            "send a number from 0 to 1: the largest share of the different pairs that may be served".to_owned(),
        ),
    };
    Error::invalid(detail, remediation)
}
