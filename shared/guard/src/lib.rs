//! The guard on the semantic layer: whether the answer to one question is right for another.
//!
//! The embeddings of two questions can be very similar although the questions need different answers ("Track order
//! 48213", "Track order 48231"). The guard stores a [`Signature`] of each question: hashes of everything that decides
//! its answer, in at most [`Signature::MAX_BYTES`]. [`compare()`] takes two signatures and the cosine similarity of
//! their embeddings. It returns a [`Verdict`]: a veto with the kind of contradiction, or the calibrated probability
//! that the answer to one question is right for the other.
//!
//! | module | contains | imports |
//! | --- | --- | --- |
//! | `token` | the units that are compared | |
//! | `language` | the word lists under `languages/`, one folder per language; word tables | `token` |
//! | `text` | a text as tokens: numbers, spelling, question type; time, form, material | `language`, `token` |
//! | `signature` | the signature of a question, its stored format, its number fingerprint | `text`, `token` |
//! | `compare` | two signatures: alignment, features, vetoes, model | `signature`, `text`, `language`, `token` |
//! | `conversation` | messages: context key, history, signature of a conversation | all of the above |
//! | `binomial` | the exact bound of a share that was counted | |
//! | `calibration` | the best threshold for labelled pairs, and the curve of precision and recall | |

mod binomial;
mod calibration;
mod compare;
mod conversation;
mod language;
mod signature;
mod text;
mod token;

pub use calibration::{
    Calibration, CalibrationError, CurvePoint, Cutoff, LabelledPair, MIN_PAIRS, PairScore, Target, calibrate,
};
pub use compare::features::{FEATURE_NAMES, Features};
pub use compare::model::probability_of_similarity;
pub use compare::veto::VetoKind;
pub use compare::{Verdict, compare, features};
pub use conversation::Conversation;
pub use conversation::messages::ConversationError;
pub use conversation::self_contained::is_self_contained;
pub use conversation::signature::{ConversationSignature, compare_conversations, compare_equal_texts};
pub use conversation::speaker::Speaker;
#[doc(hidden)]
pub use language::{rarity_key, relation_key};
pub use signature::codec::SignatureError;
pub use signature::fingerprint::NumberFingerprint;
pub use signature::{Signature, exact_values_agree};
pub use text::material::instruction_and_material;
pub use text::symbols::symbols_agree;
