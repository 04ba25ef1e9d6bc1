//! Whether the answer to one question is right for another.

use crate::alignment::Alignment;
use crate::features::{Features, features_of};
use crate::model;
use crate::signature::Signature;
use crate::veto::{VetoKind, contradiction};

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
        None => Verdict::Probability(model::probability(&features)),
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
