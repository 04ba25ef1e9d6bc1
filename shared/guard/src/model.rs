//! The logistic model.

use crate::features::Features;

pub(crate) fn probability(features: &Features) -> f64 {
    features.similarity
}
