//! The logistic models, which `fit/fit.py` fits, and the ceiling, which `fit/ceiling.py` fits. `model.tsv` takes all
//! features, and `similarity.tsv` the similarity alone.

use std::sync::OnceLock;

use super::features::{FEATURE_NAMES, Features};

/// Above this similarity, a feature's weight may change linearly with the similarity. `fit/fit.py` has the same number.
const NEAR: f64 = 0.7;

/// A term of a model. A number is the index of a feature.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Term {
    Intercept,
    /// The feature.
    Feature(usize),
    /// The feature's excess over a knot, or 0.
    Above(usize, f64),
    /// The feature times the similarity's excess over [`NEAR`].
    TimesNearness(usize),
}

struct Model {
    /// The share of right answers that the training labels call wrong.
    noise: f64,
    /// The terms and their weights.
    terms: Vec<(Term, f64)>,
}

/// The probability that the answer to one question is right for the other, in (0, 1).
///
/// The probability is calibrated on pairs without a veto: of the pairs with probability p, a share p is right. The
/// model learns what annotators say. Right answers that annotators call wrong (the label noise, measured on pairs of
/// the same words) are counted as right. The probability is at most the [`ceiling`] of the similarity.
pub(super) fn probability(features: &Features) -> f64 {
    static MODEL: OnceLock<Model> = OnceLock::new();
    let model = MODEL.get_or_init(|| Model::parse(include_str!("../../model.tsv")));
    model.probability(&features.values()).min(ceiling(features.similarity))
}

/// The probability that the answer to one question is right for the other, in (0, 1), if only the cosine `similarity`
/// of their embeddings is known. It is calibrated on all pairs, those with a contradiction included.
pub fn probability_of_similarity(similarity: f32) -> f64 {
    static MODEL: OnceLock<Model> = OnceLock::new();
    let model = MODEL.get_or_init(|| Model::parse(include_str!("../../similarity.tsv")));
    let mut values = [0.0; FEATURE_NAMES.len()];
    values[0] = similarity.into();
    model.probability(&values).min(ceiling(values[0]))
}

/// The highest probability at a similarity, whatever the words say: the share that was right, in texts of several kinds,
/// among pairs about as similar that the model took for right. It rises with the similarity.
fn ceiling(similarity: f64) -> f64 {
    static POINTS: OnceLock<Vec<(f64, f64)>> = OnceLock::new();
    let points = POINTS.get_or_init(|| {
        let lines = include_str!("../../ceiling.tsv").lines().filter_map(|line| line.split_once('\t'));
        lines.filter_map(|(at, ceiling)| Some((at.parse().ok()?, ceiling.parse().ok()?))).collect()
    });
    let above = points.partition_point(|(at, _)| *at <= similarity);
    match (above.checked_sub(1).and_then(|below| points.get(below)), points.get(above)) {
        (Some((low, from)), Some((high, to))) => from + (to - from) * (similarity - low) / (high - low),
        (Some((_, last)), None) => *last,
        (None, Some((_, first))) => *first,
        (None, None) => 1.0,
    }
}

impl Model {
    fn parse(text: &str) -> Self {
        let rows = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'));
        let noise = rows.clone().find(|(term, _)| *term == "noise").and_then(|(_, share)| share.parse().ok());
        let terms = rows.filter_map(|(term, weight)| Some((Term::parse(term)?, weight.parse().ok()?)));
        Self { noise: noise.unwrap_or(0.0), terms: terms.collect() }
    }

    fn probability(&self, values: &[f64]) -> f64 {
        let nearness = (values[0] - NEAR).max(0.0);
        let value = |term: Term| match term {
            Term::Intercept => 1.0,
            Term::Feature(at) => values[at],
            Term::Above(at, knot) => (values[at] - knot).max(0.0),
            Term::TimesNearness(at) => values[at] * nearness,
        };
        let sum: f64 = self.terms.iter().map(|(term, weight)| weight * value(*term)).sum();
        let labelled_same = 1.0 / (1.0 + (-sum).exp());
        (labelled_same / (1.0 - self.noise)).clamp(1e-6, 1.0 - 1e-6)
    }
}

impl Term {
    fn parse(text: &str) -> Option<Self> {
        let index = |name: &str| FEATURE_NAMES.iter().position(|known| *known == name);
        if text == "intercept" {
            Some(Self::Intercept)
        } else if let Some((name, knot)) = text.split_once('>') {
            Some(Self::Above(index(name)?, knot.parse().ok()?))
        } else if let Some(name) = text.strip_suffix("*near") {
            Some(Self::TimesNearness(index(name)?))
        } else {
            index(text).map(Self::Feature)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_of_model_file_reads_every_row_and_similarity_is_first_feature() {
        let text = include_str!("../../model.tsv");
        let rows = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(Model::parse(text).terms.len(), rows - 1);
        assert!(rows > FEATURE_NAMES.len());
        assert_eq!(FEATURE_NAMES[0], "similarity");
    }

    #[test]
    fn ceiling_rises_with_the_similarity_and_stays_below_certainty() {
        let ceilings: Vec<f64> = (-100..=100).map(|percent| ceiling(f64::from(percent) / 100.0)).collect();
        assert!(ceilings.is_sorted(), "{ceilings:?}");
        assert!((0.4..0.6).contains(&ceilings[0]) && (0.9..0.99).contains(&ceilings[200]), "{ceilings:?}");
        assert!((ceiling(0.875) - (ceiling(0.85) + ceiling(0.9)) / 2.0).abs() < 1e-9);
    }

    #[test]
    fn probability_of_equal_words_at_a_low_similarity_is_at_most_its_ceiling() {
        for similarity in [0.3, 0.65, 0.75] {
            let features =
                Features { similarity, overlap: 1.0, overlap_loose: 1.0, identical: 1.0, ..Features::default() };
            assert!(probability(&features) <= ceiling(similarity));
        }
    }

    #[test]
    fn probability_with_each_kind_of_term_returns_weighted_sum() {
        let model = Model::parse(
            "# a comment\nnoise\t0.1\nintercept\t-3\nsimilarity\t2\nsimilarity>0.9\t10\ncloseness*near\t3\n",
        );
        let mut values = vec![0.0; FEATURE_NAMES.len()];
        (values[0], values[1]) = (0.95, 2.0);
        let sum: f64 = -3.0 + 2.0 * 0.95 + 10.0 * (0.95 - 0.9) + 3.0 * 2.0 * (0.95 - 0.7);
        assert!((model.probability(&values) - 1.0 / (1.0 + f64::exp(-sum)) / 0.9).abs() < 1e-12);
    }
}
