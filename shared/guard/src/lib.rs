//! The guard on the semantic layer: whether the answer to one question is right for another.
//!
//! Two questions can be almost alike to an embedding and need different answers ("Track order 48213", "Track order
//! 48231"). The guard keeps of each question a [`Signature`]: what decides its answer, as hashes in at most
//! [`Signature::MAX_BYTES`]. [`compare`] sets two signatures side by side, with the cosine similarity of their
//! embeddings, and answers with a [`Verdict`]: vetoed, with the kind of contradiction, or the calibrated probability
//! that the answer to one is right for the other.
//!
//! | module | holds |
//! | --- | --- |
//! | `language` | the word lists under `languages/`, one folder per language |
//! | `token`, `number` | a text cut into tokens, each with what it does in the question |
//! | `signature`, `codec`, `digest` | what is kept of a question, its bytes, and four that tell most |
//! | `alignment`, `features` | two signatures side by side, and the numbers the model sees |
//! | `conversation` | what of a conversation is matched exactly, and what by meaning |
//! | `before` | what was said before a message, and whether two conversations agree in it |
//! | `calibration` | the best threshold for labelled pairs, and the precision/recall curve |
//! | `veto`, `model`, `verdict` | contradictions, the logistic model, and both together |

mod alignment;
mod before;
mod calibration;
mod codec;
mod conversation;
mod digest;
mod features;
mod hash;
mod language;
mod lexicon;
mod model;
mod number;
#[doc(hidden)]
pub mod pack;
mod signature;
mod token;
mod verdict;
mod veto;

pub use before::{ConversationSignature, compare_conversations};
pub use calibration::{
    Calibration, CalibrationError, CurvePoint, Judged, LEAST_PAIRS, LabelledPair, Target, calibrate,
};
pub use codec::SignatureError;
pub use conversation::{Conversation, ConversationError, Speaker, stands_alone};
pub use digest::ExactDigest;
pub use features::{FEATURE_NAMES, Features};
pub use model::probability_of_similarity;
pub use signature::Signature;
pub use verdict::{Verdict, compare, features};
pub use veto::VetoKind;
