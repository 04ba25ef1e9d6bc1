//! Calibration: the best threshold for labelled pairs, chosen on one half of them and evaluated on the other.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::binomial::upper_bound;

/// The guard's result for a pair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum PairScore {
    /// The pair is served at no threshold.
    Vetoed,
    /// The pair is served if its similarity reaches the threshold and this confidence reaches the cutoff.
    Confidence(f64),
}

/// Two questions of which it is known whether one answer is right for both.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelledPair {
    /// The cosine similarity of the embeddings. It must be finite.
    pub similarity: f64,
    /// The guard's result.
    pub score: PairScore,
    /// True if one answer is right for both questions.
    pub same: bool,
}

/// The quantity that the best threshold maximises.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The harmonic mean of precision and recall.
    F1,
    /// The recall, with at most this share of the different pairs served, in [0, 1].
    MaxWrong(f64),
}

/// The confidence from which on a pair is served.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cutoff {
    /// This one, in [0, 1].
    At(f64),
    /// The one with the best threshold, of 0, 0.05, 0.1 and so on up to 0.95.
    Best,
}

/// The results of one threshold. A pair is served if its similarity is at or above the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The similarity threshold.
    pub threshold: f64,
    /// The share of the served pairs that are the same; 1 if none is served.
    pub precision: f64,
    /// The share of the same pairs that are served.
    pub recall: f64,
    /// The share of the different pairs that are served.
    pub wrong: f64,
    /// 2·precision·recall / (precision + recall).
    pub f1: f64,
}

/// The best threshold and its results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The threshold that was chosen on the first half.
    pub threshold: f64,
    /// The cutoff that applies: the given one, or the one that was chosen with the threshold.
    pub cutoff: f64,
    /// With a certainty of 95 %, at most this share of the hits is wrong (an exact binomial bound over the served pairs of
    /// the second half, if those are drawn as the questions are). 1 if none of them is served.
    pub wrong_hits_at_most: f64,
    /// The results on the first half. They are too good, since the threshold was chosen on it.
    pub fitted: CurvePoint,
    /// The results on the second half. They estimate the results on other pairs.
    pub held_back: CurvePoint,
    /// The results on the second half for each similarity in it, with falling thresholds.
    pub curve: Vec<CurvePoint>,
}

/// Pairs or a target for which no threshold can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum CalibrationError {
    /// There are fewer pairs than [`MIN_PAIRS`].
    #[error("{found} labelled pairs are too few; send at least {MIN_PAIRS}")]
    TooFew {
        /// The number of pairs.
        found: usize,
    },
    /// There are fewer than two pairs of a label. Each half needs one.
    #[error("{same} pairs are labelled the same and {different} different; send at least two of each label")]
    OneClass {
        /// The number of pairs labelled the same.
        same: usize,
        /// The number of pairs labelled different.
        different: usize,
    },
    /// A similarity is not finite.
    #[error("pair {at} has a similarity that is not a finite number; embed its texts again")]
    NotFinite {
        /// The pair's index, from 0.
        at: usize,
    },
    /// The value of [`Target::MaxWrong`] is outside [0, 1].
    #[error("`max_wrong` is {found}; give a share between 0 and 1")]
    BadTarget {
        /// The value given.
        found: f64,
    },
}

/// The minimum number of pairs.
pub const MIN_PAIRS: usize = 20;

/// The best threshold for `target`, or the best threshold and cutoff. Vetoed pairs and pairs with a confidence below
/// `cutoff` are served at no threshold.
///
/// The pairs of each label are assigned to the two halves alternately, in their order. So equal pairs give equal
/// results, and both halves have both labels. Of equally good cutoffs, and then of equally good
/// thresholds, the highest is chosen. If no threshold
/// satisfies [`Target::MaxWrong`], the result is a threshold just above the highest similarity, which serves nothing.
/// Errors: [`CalibrationError`].
pub fn calibrate(pairs: &[LabelledPair], target: Target, cutoff: Cutoff) -> Result<Calibration, CalibrationError> {
    if let Target::MaxWrong(found) = target
        && !(0.0..=1.0).contains(&found)
    {
        return Err(CalibrationError::BadTarget { found });
    }
    if let Some(at) = pairs.iter().position(|pair| !pair.similarity.is_finite()) {
        return Err(CalibrationError::NotFinite { at });
    }
    if pairs.len() < MIN_PAIRS {
        return Err(CalibrationError::TooFew { found: pairs.len() });
    }
    let same = pairs.iter().filter(|pair| pair.same).count();
    if same < 2 || pairs.len() - same < 2 {
        return Err(CalibrationError::OneClass { same, different: pairs.len() - same });
    }
    let (mut fitting, mut held_back, mut seen_of_label) = (Vec::new(), Vec::new(), [0usize; 2]);
    for pair in pairs {
        let seen = &mut seen_of_label[usize::from(pair.same)];
        if *seen % 2 == 0 { &mut fitting } else { &mut held_back }.push(*pair);
        *seen += 1;
    }
    let cutoffs = match cutoff {
        Cutoff::At(cutoff) => vec![cutoff],
        Cutoff::Best => (0..20u8).rev().map(|step| f64::from(step) / 20.0).collect(),
    };
    let nothing = |cutoff| (point(&fitting, cutoff, above_all(pairs)), cutoff);
    let goodness = |point: &CurvePoint| match target {
        Target::F1 => Some(point.f1),
        Target::MaxWrong(max) => (point.wrong <= max).then_some(point.recall),
    };
    // Cutoffs fall, and thresholds fall along a curve, so a lower one is chosen only if it is better.
    let mut best = (nothing(cutoffs[0]), 0.0);
    for cutoff in cutoffs {
        for candidate in curve(&fitting, cutoff) {
            if let Some(value) = goodness(&candidate)
                && value > best.1
            {
                best = ((candidate, cutoff), value);
            }
        }
    }
    let (fitted, cutoff) = best.0;
    let threshold = fitted.threshold;
    let served = held_back.iter().filter(|pair| pair.similarity >= threshold && is_servable(pair, cutoff));
    let (hits, wrong) = served.fold((0, 0), |(hits, wrong), pair| (hits + 1, wrong + usize::from(!pair.same)));
    Ok(Calibration {
        threshold,
        cutoff,
        wrong_hits_at_most: upper_bound(wrong, hits),
        fitted,
        held_back: point(&held_back, cutoff, threshold),
        curve: curve(&held_back, cutoff),
    })
}

/// The least threshold that serves none of `pairs`.
fn above_all(pairs: &[LabelledPair]) -> f64 {
    pairs.iter().map(|pair| pair.similarity).fold(f64::NEG_INFINITY, f64::max).next_up()
}

/// The results for each similarity of a servable pair, with falling thresholds. O(n log n).
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
            points.push(results(pair.similarity, hits, wrong, totals));
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
    results(threshold, served(true), served(false), totals(pairs))
}

fn totals(pairs: &[LabelledPair]) -> (usize, usize) {
    let same = pairs.iter().filter(|pair| pair.same).count();
    (same, pairs.len() - same)
}

fn is_servable(pair: &LabelledPair, cutoff: f64) -> bool {
    matches!(pair.score, PairScore::Confidence(confidence) if confidence >= cutoff)
}

fn results(threshold: f64, hits: usize, wrong: usize, (same, different): (usize, usize)) -> CurvePoint {
    let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
    let precision = if hits + wrong == 0 { 1.0 } else { share(hits, hits + wrong) };
    let recall = share(hits, same);
    let f1 = if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 };
    CurvePoint { threshold, precision, recall, wrong: share(wrong, different), f1 }
}
