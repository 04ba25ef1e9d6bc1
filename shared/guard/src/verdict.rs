//! Whether the answer to one question is right for another.

use crate::alignment::Alignment;
use crate::features::{Features, features_of};
use crate::model;
use crate::signature::Signature;
use crate::veto::{VetoKind, contradiction};

/// The least share of topic words, synonyms included, from which on words may speak for an answer. Of the pairs that the model
/// learnt from, 22 of 4,600 with a similarity of 0.8 share fewer, too few to have taught it what that means.
const LEAST_SHARED: f64 = 0.3;

/// What the guard says of a query and a candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// They contradict each other: the candidate's answer is wrong for the query.
    Vetoed(VetoKind),
    /// The calibrated probability that the candidate's answer is right for the query, in (0, 1).
    Probability(f64),
}

/// Compares two questions whose embeddings have this cosine `similarity`. The same whichever comes first.
pub fn compare(query: &Signature, candidate: &Signature, similarity: f32) -> Verdict {
    let alignment = Alignment::of(query, candidate);
    let features = features_of(query, candidate, &alignment, similarity);
    match contradiction(query, candidate, &alignment, &features) {
        Some(kind) => Verdict::Vetoed(kind),
        None => Verdict::Probability(probability(&features, similarity)),
    }
}

/// Where hardly a word is shared, what the words say may lower the probability that the similarity alone speaks for, and not raise it.
fn probability(features: &Features, similarity: f32) -> f64 {
    let probability = model::probability(features);
    if features.overlap_loose < LEAST_SHARED {
        probability.min(model::probability_of_similarity(similarity))
    } else {
        probability
    }
}

/// The features of two signatures, and their contradiction, whatever their similarity: for texts that are not embedded.
pub(crate) fn lexical(a: &Signature, b: &Signature) -> (Features, Option<VetoKind>) {
    let alignment = Alignment::of(a, b);
    let features = features_of(a, b, &alignment, 1.0);
    (features, contradiction(a, b, &alignment, &features))
}

/// What the model sees of the two, for the program that fits it.
pub fn features(query: &Signature, candidate: &Signature, similarity: f32) -> Features {
    features_of(query, candidate, &Alignment::of(query, candidate), similarity)
}
