//! The comparison of two questions: a contradiction, or the probability that one answer is right for both.
//!
//! | module | contains |
//! | --- | --- |
//! | `alignment` | which token of one question corresponds to which of the other |
//! | `features`, `measure` | the numbers that the model takes, and how they are computed |
//! | `veto`, `roles` | contradictions, found by rules; exchanged roles |
//! | `model` | the logistic models |

mod alignment;
pub(crate) mod features;
mod measure;
pub(crate) mod model;
mod roles;
pub(crate) mod veto;

use alignment::Alignment;
use features::Features;
use measure::features_of;
use veto::{VetoKind, contradiction, contradiction_of_histories};

use crate::signature::Signature;

/// Below this share of common topic words (`overlap_loose`), the words may lower the probability that the similarity
/// alone gives, but not raise it. Of the 4,600 pairs with a similarity of 0.8 that the model learnt from, only 22 share
/// less, so the model did not learn what so small a share means.
const MIN_TOPIC_OVERLAP: f64 = 0.3;

/// The result of comparing a query with a candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// The two contradict each other: the candidate's answer is wrong for the query.
    Vetoed(VetoKind),
    /// The calibrated probability that the candidate's answer is right for the query, in (0, 1).
    Probability(f64),
}

/// Compares two questions. `similarity`: the cosine similarity of their embeddings, in [-1, 1]. The result does not
/// depend on their order.
pub fn compare(query: &Signature, candidate: &Signature, similarity: f32) -> Verdict {
    let alignment = Alignment::of(query, candidate);
    let features = features_of(query, candidate, &alignment, similarity);
    match contradiction(query, candidate, &alignment, &features) {
        Some(kind) => Verdict::Vetoed(kind),
        None => Verdict::Probability(probability(&features, similarity)),
    }
}

fn probability(features: &Features, similarity: f32) -> f64 {
    let probability = model::probability(features);
    if features.overlap_loose < MIN_TOPIC_OVERLAP {
        probability.min(model::probability_of_similarity(similarity))
    } else {
        probability
    }
}

/// The features and the contradiction of two texts that were said before a question. The features that depend on the
/// similarity have no meaning.
pub(crate) fn compare_without_similarity(a: &Signature, b: &Signature) -> (Features, Option<VetoKind>) {
    let alignment = Alignment::of(a, b);
    let features = features_of(a, b, &alignment, 1.0);
    (features, contradiction_of_histories(a, b, &alignment, &features))
}

/// The features of two questions, for the program that fits the model. `similarity`: as for [`compare()`].
pub fn features(query: &Signature, candidate: &Signature, similarity: f32) -> Features {
    features_of(query, candidate, &Alignment::of(query, candidate), similarity)
}
