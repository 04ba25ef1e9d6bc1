//! The signature of a conversation: its stored format and its comparison.

use super::history::{History, Reply};
use super::small_talk::without_frame;
use crate::compare::features::Features;
use crate::compare::veto::{VetoKind, contradiction_of_equal_texts, first_written_form};
use crate::compare::{Verdict, compare, features};
use crate::signature::Signature;
use crate::signature::codec::SignatureError;
use crate::signature::fingerprint::NumberFingerprint;

/// The part of a conversation that decides the answer to its last message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConversationSignature {
    pub(super) last: Signature,
    /// `None` if nothing said before the last message decides its answer.
    pub(super) history: Option<History>,
}

/// Compares two conversations with the same context key. `similarity`: the cosine similarity of their last messages'
/// embeddings, in [-1, 1].
///
/// The result is that of [`compare()`] for the last messages, or [`VetoKind::Context`] if their histories do not agree.
pub fn compare_conversations(
    query: &ConversationSignature,
    candidate: &ConversationSignature,
    similarity: f32,
) -> Verdict {
    let agree = match (&query.history, &candidate.history) {
        (None, None) => true,
        (Some(history), Some(other)) => {
            let reply = match (Reply::of(&query.last), Reply::of(&candidate.last)) {
                (one, another) if one == another => one,
                _ => Reply::Choice,
            };
            history.agrees_with(other, reply)
        }
        (None, Some(_)) | (Some(_), None) => false,
    };
    if agree { compare(&query.last, &candidate.last, similarity) } else { Verdict::Vetoed(VetoKind::Context) }
}

/// The contradiction of two conversations whose texts the exact layer normalises to one: in what normalisation drops.
/// [`VetoKind::Case`], [`VetoKind::Mark`] or [`VetoKind::Space`]. A candidate of an earlier version of the guard agrees
/// only with a text that can be written in one way, and so does one without a signature.
pub fn compare_equal_texts(
    query: &ConversationSignature,
    candidate: Option<&ConversationSignature>,
) -> Option<VetoKind> {
    match candidate {
        Some(candidate) => {
            let mut parts = query.parts().zip(candidate.parts());
            parts.find_map(|(query, candidate)| contradiction_of_equal_texts(query, candidate))
        }
        None => query.parts().find_map(first_written_form),
    }
}

/// The signature of a question, without the greeting before it and the thanks after it.
pub(super) fn of_question(text: &str) -> Signature {
    let asked = without_frame(text);
    if asked.len() == text.len() { Signature::of(text) } else { Signature::of_asked(asked, text) }
}

impl From<Signature> for ConversationSignature {
    /// The signature of a self-contained message.
    fn from(last: Signature) -> Self {
        Self { last, history: None }
    }
}

impl ConversationSignature {
    /// The maximum size in bytes.
    pub const MAX_BYTES: usize = 4 * (LENGTH_BYTES + Signature::MAX_BYTES);

    /// True if something said before the last message decides its answer.
    pub fn needs_history(&self) -> bool {
        self.history.is_some()
    }

    /// The signatures that it consists of: that of the last message and, if there is a history, its three.
    fn parts(&self) -> impl Iterator<Item = &Signature> {
        let history = self.history.iter().flat_map(|history| [&history.user, &history.replied_to, &history.assistant]);
        std::iter::once(&self.last).chain(history)
    }

    /// Makes the comparison take no account of the language of the last message, unless no word lists cover it.
    pub fn allow_any_language(&mut self) {
        self.last.allow_any_language();
    }

    /// The signature with the part of the last message made again from `message`, if an earlier version of the guard
    /// made it.
    pub fn renewed(mut self, message: &str) -> Self {
        if !self.last.is_current() {
            self.last = of_question(message);
        }
        self
    }

    /// The fingerprint of the last message; see [`Signature::number_fingerprint`]. If two fingerprints
    /// contradict each other, so do the conversations, whether or not their histories agree.
    pub fn number_fingerprint(&self) -> Option<NumberFingerprint> {
        self.last.number_fingerprint()
    }

    /// The features of the last messages of two conversations. `similarity`: as for [`compare_conversations()`].
    pub fn features(&self, candidate: &Self, similarity: f32) -> Features {
        features(&self.last, &candidate.last, similarity)
    }

    /// The stored form: the signature of the last message and, if there is a history, those of what the user said, of
    /// the messages replied to and of the assistant's messages. Each is preceded by its length, 2 bytes, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.parts()
            .flat_map(|part| {
                let bytes = part.to_bytes();
                (bytes.len() as u16).to_le_bytes().into_iter().chain(bytes)
            })
            .collect()
    }

    /// Reads [`ConversationSignature::to_bytes`]. Errors: [`SignatureError`], for any bytes that are not one or four
    /// stored signatures of this version or an earlier one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let mut parts = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() && parts.len() < 4 {
            let too_short = SignatureError::WrongLength { found: bytes.len(), expected: bytes.len() + 1 };
            let (length, after) = rest.split_first_chunk::<LENGTH_BYTES>().ok_or(too_short)?;
            let length = usize::from(u16::from_le_bytes(*length));
            let (part, after) = after.split_at_checked(length).ok_or(too_short)?;
            parts.push(Signature::from_bytes(part)?);
            rest = after;
        }
        let wrong_length = SignatureError::WrongLength { found: bytes.len(), expected: bytes.len() - rest.len() };
        if !rest.is_empty() {
            return Err(wrong_length);
        }
        match <[Signature; 4]>::try_from(parts) {
            Ok([last, user, replied_to, assistant]) => {
                Ok(Self { last, history: Some(History { user, replied_to, assistant }) })
            }
            Err(mut parts) => match (parts.pop(), parts.is_empty()) {
                (Some(last), true) => Ok(last.into()),
                _ => Err(wrong_length),
            },
        }
    }
}

/// The size of the length that precedes each signature.
const LENGTH_BYTES: usize = 2;
