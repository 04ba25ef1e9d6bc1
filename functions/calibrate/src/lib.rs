//! `calibrate`: the best similarity threshold for labelled pairs of questions, chosen on one half of them and reported on
//! the other.

mod judge;
mod pair;

use std::collections::BTreeMap;

use mneme_api::event::Reply;
use mneme_core::cache::Cache;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_guard::{CalibrationError, CurvePoint, LabelledPair, MIN_PAIRS, Target};
use mneme_model::confidence::Guard;
use mneme_model::error::Error;
use serde::{Deserialize, Serialize};

use judge::{Judge, Seen};
pub use pair::{Pair, Side};

/// The most pairs of one request.
const MOST_PAIRS: usize = 10_000;

/// What to calibrate with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The labelled pairs: from [`MIN_PAIRS`] to 10,000, at least two of each label. Those of each label take turns
    /// between the halves, in their order.
    pub pairs: Vec<Pair>,
    /// What the threshold is to be best for; F1 when absent.
    #[serde(default = "f1")]
    pub target: Target,
    /// Whether the guard compares the texts; as configured when absent.
    pub guard: Option<Guard>,
    /// The least confidence that is served, in [0, 1]; as configured when absent.
    pub cutoff: Option<f64>,
}

fn f1() -> Target {
    Target::F1
}

/// The best threshold, and what it yields.
#[derive(Debug, Serialize)]
pub struct Response {
    /// A value for `MNEME_SIMILARITY_THRESHOLD`; null: none keeps the target with anything served.
    pub threshold: Option<f32>,
    /// What it yields on the half that it was chosen on.
    pub fitted: Yield,
    /// What it yields on the half kept apart: the figures to believe.
    pub held_back: Yield,
    /// Every threshold that serves one pair more of the half kept apart, falling.
    pub curve: Vec<Point>,
    /// How many pairs there are.
    pub pairs: Labels,
    /// How many of them are served at no threshold for what they ask, by the kind of difference: a
    /// [`mneme_guard::VetoKind`], or `partition`.
    pub vetoed: BTreeMap<&'static str, Labels>,
    /// Whether the guard was on.
    pub guard: Guard,
    /// The least confidence that counted as served.
    pub cutoff: f64,
}

/// What a threshold yields.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Yield {
    /// Of the pairs served, the share that is the same; 1 when none is served.
    pub precision: f64,
    /// Of the same pairs, the share served: good hits.
    pub recall: f64,
    /// Of the different pairs, the share served: wrong hits.
    pub wrong: f64,
    /// 2·precision·recall / (precision + recall).
    pub f1: f64,
}

/// A threshold, and what it yields.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// The least similarity that is served.
    pub threshold: f32,
    /// What it yields.
    #[serde(flatten)]
    pub yields: Yield,
}

/// How many pairs of each label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Labels {
    /// One answer serves both.
    pub same: usize,
    /// They need different answers.
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

/// The operation. It reads nothing but the request and the configuration, and has the embedder embed what comes without vectors: whoever may call the function may calibrate,
/// whatever namespaces the caller is bound to.
#[derive(Debug)]
pub struct Calibrate;

impl Operation for Calibrate {
    const FUNCTION: &'static str = "calibrate";
    type Request = Request;
    type Response = Response;

    async fn handle(&self, cache: &Cache, _: &Invocation, request: Request) -> Result<Reply<Response>, Error> {
        let Request { mut pairs, target, guard, cutoff } = request;
        let config = &cache.config;
        if pairs.len() > MOST_PAIRS {
            return Err(Error::invalid(
                format!("pairs: {} pairs, and {MOST_PAIRS} are taken", pairs.len()),
                "send a sample of them, drawn at random",
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
        judge::embed(cache, &mut pairs).await?;
        let seen = Judge { config, guard }.see(&pairs)?;
        let labelled: Vec<LabelledPair> = seen.iter().map(|seen| seen.pair).collect();
        let found = mneme_guard::calibrate(&labelled, target, cutoff).map_err(refused)?;

        let (mut counts, mut vetoed) = (Labels::default(), BTreeMap::<_, Labels>::new());
        for Seen { pair, veto } in &seen {
            counts.count(pair.same);
            if let Some(kind) = veto {
                vetoed.entry(*kind).or_default().count(pair.same);
            }
        }
        // What would serve nothing stands above every similarity, where the configuration may take no threshold.
        let serves = labelled.iter().any(|pair| pair.similarity >= found.threshold);
        Ok(Reply::ok(Response {
            threshold: serves.then_some(found.threshold as f32),
            fitted: Yield::from(&found.fitted),
            held_back: Yield::from(&found.held_back),
            // Similarities are float32, as lookups compare them, so nothing is lost here.
            curve: found
                .curve
                .iter()
                .map(|point| Point { threshold: point.threshold as f32, yields: Yield::from(point) })
                .collect(),
            pairs: counts,
            vetoed,
            guard,
            cutoff,
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
            "send at least two of each: one is for choosing the threshold, one for judging it".to_owned(),
        ),
        CalibrationError::NotFinite { at } => (
            format!("pairs[{at}]: the similarity is not a finite number"),
            "send a cosine similarity, or embeddings of both sides".to_owned(),
        ),
        CalibrationError::BadTarget { found } => (
            format!("target.max_wrong: {found} is not a share"),
            "send a number from 0 to 1: the most of the different pairs that may be served".to_owned(),
        ),
    };
    Error::invalid(detail, remediation)
}
