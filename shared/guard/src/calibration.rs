//! The best threshold for labelled pairs, chosen on one half and reported on the other.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What the guard said of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Judged {
    /// Never served, at whatever threshold.
    Vetoed,
    /// Served when the similarity reaches the threshold and this reaches the cutoff.
    Confident(f64),
}

/// A pair whose right answer is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelledPair {
    /// The cosine similarity, finite.
    pub similarity: f64,
    /// What the guard said.
    pub judged: Judged,
    /// Whether one answer serves both.
    pub same: bool,
}

/// What the best threshold is best for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The harmonic mean of precision and recall.
    F1,
    /// The most hits with at most this share of the different pairs served, in [0, 1].
    MaxWrong(f64),
}

/// What a threshold yields. Serves what is at or above it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The similarity threshold.
    pub threshold: f64,
    /// Of the pairs served, the share that is the same; 1 when none is served.
    pub precision: f64,
    /// Of the same pairs, the share served.
    pub recall: f64,
    /// Of the different pairs, the share served.
    pub wrong: f64,
    /// 2·precision·recall / (precision + recall).
    pub f1: f64,
}

/// The best threshold, and what it yields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The threshold, as chosen on the fitting half.
    pub threshold: f64,
    /// What it yields on the half it was chosen on.
    pub fitted: CurvePoint,
    /// What it yields on the half kept apart: the figure to believe.
    pub held_back: CurvePoint,
    /// The whole curve of the half kept apart, thresholds falling; pairs of one similarity are one point.
    pub curve: Vec<CurvePoint>,
}

/// Why pairs give no threshold.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum CalibrationError {
    /// Fewer pairs than [`LEAST_PAIRS`].
    #[error("{found} labelled pairs are too few; send at least {LEAST_PAIRS}")]
    TooFew {
        /// How many there are.
        found: usize,
    },
    /// Fewer than two pairs of a kind: each half needs one.
    #[error("{same} pairs are labelled the same and {different} different; send at least two of each")]
    OneClass {
        /// How many are the same.
        same: usize,
        /// How many are different.
        different: usize,
    },
    /// A similarity that is not finite.
    #[error("pair {at} has a similarity that is no finite number; embed its texts again")]
    NotFinite {
        /// The pair's place, from 0.
        at: usize,
    },
    /// A `max_wrong` outside [0, 1].
    #[error("`max_wrong` is {found}; give a share between 0 and 1")]
    BadTarget {
        /// The value found.
        found: f64,
    },
}

/// The fewest pairs that are taken.
pub const LEAST_PAIRS: usize = 20;

/// The best threshold for `target`. Pairs below `cutoff` and vetoed ones are served at no threshold.
///
/// The pairs of each label take turns between the halves, in their order, so the answer is the same for the same pairs, and both
/// halves have both labels. Of equally good thresholds the highest is taken. When no threshold keeps `max_wrong`, the answer
/// serves nothing: a threshold just above the highest similarity. Errors: [`CalibrationError`].
pub fn calibrate(pairs: &[LabelledPair], target: Target, cutoff: f64) -> Result<Calibration, CalibrationError> {
    if let Target::MaxWrong(found) = target
        && !(0.0..=1.0).contains(&found)
    {
        return Err(CalibrationError::BadTarget { found });
    }
    if let Some(at) = pairs.iter().position(|pair| !pair.similarity.is_finite()) {
        return Err(CalibrationError::NotFinite { at });
    }
    if pairs.len() < LEAST_PAIRS {
        return Err(CalibrationError::TooFew { found: pairs.len() });
    }
    let same = pairs.iter().filter(|pair| pair.same).count();
    if same < 2 || pairs.len() - same < 2 {
        return Err(CalibrationError::OneClass { same, different: pairs.len() - same });
    }
    let (mut fitting, mut held_back, mut seen) = (Vec::new(), Vec::new(), [0usize; 2]);
    for pair in pairs {
        let turn = &mut seen[usize::from(pair.same)];
        if *turn % 2 == 0 { &mut fitting } else { &mut held_back }.push(*pair);
        *turn += 1;
    }
    let candidates = curve(&fitting, cutoff);
    let nothing = point(&fitting, cutoff, above_all(pairs));
    let good = |point: &CurvePoint| match target {
        Target::F1 => Some(point.f1),
        Target::MaxWrong(most) => (point.wrong <= most).then_some(point.recall),
    };
    // Thresholds fall along the curve: only a better one replaces a higher one.
    let mut best = (nothing, good(&nothing).unwrap_or(0.0));
    for candidate in &candidates {
        if let Some(value) = good(candidate)
            && value > best.1
        {
            best = (*candidate, value);
        }
    }
    let threshold = best.0.threshold;
    Ok(Calibration {
        threshold,
        fitted: best.0,
        held_back: point(&held_back, cutoff, threshold),
        curve: curve(&held_back, cutoff),
    })
}

fn above_all(pairs: &[LabelledPair]) -> f64 {
    pairs.iter().map(|pair| pair.similarity).fold(f64::NEG_INFINITY, f64::max).next_up()
}

/// The whole curve of `pairs`: one point for each similarity that serves a pair more, thresholds falling. O(n log n).
fn curve(pairs: &[LabelledPair], cutoff: f64) -> Vec<CurvePoint> {
    let mut servable: Vec<&LabelledPair> = pairs.iter().filter(|pair| is_servable(pair, cutoff)).collect();
    servable.sort_by(|x, y| y.similarity.total_cmp(&x.similarity));
    let totals = totals(pairs);
    let (mut hits, mut wrong) = (0, 0);
    let mut points = Vec::new();
    for (at, pair) in servable.iter().enumerate() {
        if pair.same {
            hits += 1
        } else {
            wrong += 1
        }
        if servable.get(at + 1).is_none_or(|next| next.similarity != pair.similarity) {
            points.push(yielded(pair.similarity, hits, wrong, totals));
        }
    }
    points
}

fn point(pairs: &[LabelledPair], cutoff: f64, threshold: f64) -> CurvePoint {
    let served = |same: bool| {
        let is_served =
            |pair: &&LabelledPair| pair.same == same && pair.similarity >= threshold && is_servable(pair, cutoff);
        pairs.iter().filter(is_served).count()
    };
    yielded(threshold, served(true), served(false), totals(pairs))
}

fn totals(pairs: &[LabelledPair]) -> (usize, usize) {
    let same = pairs.iter().filter(|pair| pair.same).count();
    (same, pairs.len() - same)
}

fn is_servable(pair: &LabelledPair, cutoff: f64) -> bool {
    matches!(pair.judged, Judged::Confident(confidence) if confidence >= cutoff)
}

fn yielded(threshold: f64, hits: usize, wrong: usize, (same, different): (usize, usize)) -> CurvePoint {
    let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
    let precision = if hits + wrong == 0 { 1.0 } else { share(hits, hits + wrong) };
    let recall = share(hits, same);
    let f1 = if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 };
    CurvePoint { threshold, precision, recall, wrong: share(wrong, different), f1 }
}
