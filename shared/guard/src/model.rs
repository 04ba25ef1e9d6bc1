//! The logistic model: `model.tsv`, written by `fit/fit.py`.

use std::sync::OnceLock;

use crate::features::{FEATURE_NAMES, Features};

/// From this similarity on, comparisons may weigh differently with it.
const NEAR: f64 = 0.7;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Term {
    Intercept,
    Feature(usize),
    Above(usize, f64),
    TimesNearness(usize),
}

struct Model {
    terms: Vec<(Term, f64)>,
}

/// The probability that the answer to one question is right for the other, in (0, 1).
///
/// Calibrated on pairs that no veto stops: of the pairs with probability p, a share p is right.
pub(crate) fn probability(features: &Features) -> f64 {
    static MODEL: OnceLock<Model> = OnceLock::new();
    let model = MODEL.get_or_init(|| Model::parse(include_str!("../model.tsv")));
    model.probability(&features.values())
}

impl Model {
    fn parse(text: &str) -> Self {
        let rows = text.lines().filter(|line| !line.starts_with('#'));
        let terms = rows.filter_map(|row| {
            let (term, weight) = row.split_once('\t')?;
            Some((Term::parse(term)?, weight.parse().ok()?))
        });
        Self { terms: terms.collect() }
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
        (1.0 / (1.0 + (-sum).exp())).clamp(1e-6, 1.0 - 1e-6)
    }
}

impl Term {
    fn parse(text: &str) -> Option<Self> {
        let place = |name: &str| FEATURE_NAMES.iter().position(|known| *known == name);
        if text == "intercept" {
            Some(Self::Intercept)
        } else if let Some((name, knot)) = text.split_once('>') {
            Some(Self::Above(place(name)?, knot.parse().ok()?))
        } else if let Some(name) = text.strip_suffix("*near") {
            Some(Self::TimesNearness(place(name)?))
        } else {
            place(text).map(Self::Feature)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_model_is_read_and_the_similarity_comes_first() {
        let text = include_str!("../model.tsv");
        let rows = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(Model::parse(text).terms.len(), rows);
        assert!(rows > FEATURE_NAMES.len());
        assert_eq!(FEATURE_NAMES[0], "similarity");
    }

    #[test]
    fn terms_mean_what_the_fitting_script_writes() {
        let model = Model::parse("# a comment\nintercept\t-1\nsimilarity\t2\nsimilarity>0.9\t10\ncloseness*near\t3\n");
        let mut values = vec![0.0; FEATURE_NAMES.len()];
        (values[0], values[1]) = (0.95, 2.0);
        let sum = -1.0 + 2.0 * 0.95 + 10.0 * (0.95 - 0.9) + 3.0 * 2.0 * (0.95 - 0.7);
        assert!((model.probability(&values) - 1.0 / (1.0 + f64::exp(-sum))).abs() < 1e-12);
    }
}
