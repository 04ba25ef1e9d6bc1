//! What was said before a message that leans on it, and whether two conversations agree in it.
//!
//! Two conversations agree when, of what the user said, of the assistant's last message and of all of the assistant's, one side's
//! is contained in the other's: small talk adds words to one side, another order, plan or place leaves words on both. How rare a
//! word may be that both sides lack is set by three numbers below; they were chosen by hand, and what they yield on fow-cache's
//! conversations is no figure of a set kept apart.

use crate::codec::SignatureError;
use crate::conversation::Speaker;
use crate::digest::ExactDigest;
use crate::signature::Signature;
use crate::verdict::{Verdict, compare, lexical};
use crate::veto::VetoKind;

/// What decides the answer to the last message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConversationSignature {
    pub(crate) last: Signature,
    /// For a message that leans on what came before.
    pub(crate) before: Option<Before>,
}

/// What was said before the last message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Before {
    /// All that the user said.
    user: Signature,
    /// What the last message answers: what was said since the user spoke before.
    answered: Signature,
    /// All that the assistant and tools said.
    assistant: Signature,
}

/// How rare a word may be, in powers of ten below one in a hundred, that each side has and the other lacks.
const USER_SLACK: f64 = 2.5;
const ANSWERED_SLACK: f64 = 2.0;
const ASSISTANT_SLACK: f64 = 3.0;
/// How much of the order may differ in what is answered: "the second one" means another thing in another order.
const ORDER_SLACK: f64 = 0.02;

impl Before {
    pub(crate) fn of(said: &[(Speaker, &str)]) -> Self {
        let joined = |parts: &mut dyn Iterator<Item = &(Speaker, &str)>| -> Signature {
            Signature::of(&parts.map(|(_, content)| *content).collect::<Vec<_>>().join("\n"))
        };
        let since = said.iter().rposition(|(speaker, _)| *speaker == Speaker::User).map_or(0, |at| at + 1);
        let is_answer = |(speaker, _): &&(Speaker, &str)| matches!(speaker, Speaker::Assistant | Speaker::Tool);
        Self {
            user: joined(&mut said.iter().filter(|(speaker, _)| *speaker == Speaker::User)),
            answered: joined(&mut said[since..].iter().filter(is_answer)),
            assistant: joined(&mut said.iter().filter(is_answer)),
        }
    }

    fn agrees_with(&self, other: &Self) -> bool {
        contained(&self.user, &other.user, USER_SLACK, f64::INFINITY)
            && contained(&self.answered, &other.answered, ANSWERED_SLACK, ORDER_SLACK)
            && contained(&self.assistant, &other.assistant, ASSISTANT_SLACK, f64::INFINITY)
    }

    fn parts(&self) -> [&Signature; 3] {
        [&self.user, &self.answered, &self.assistant]
    }
}

/// Whether one of the two says nothing that the other does not, but for common words.
fn contained(a: &Signature, b: &Signature, slack: f64, order: f64) -> bool {
    let (features, veto) = lexical(a, b);
    veto.is_none()
        && features.exact_conflict == 0.0
        && features.names_both == 0.0
        && features.rarest_less <= slack
        && features.reordered <= order
        // However common: "the family plan" and "the business plan".
        && features.swapped_in_place == 0.0
}

/// Compares two conversations whose last messages' embeddings have this cosine `similarity`. They must be of one partition.
///
/// As [`compare`] for the last messages; [`VetoKind::Context`] when these lean on what came before and that does not agree.
pub fn compare_conversations(
    query: &ConversationSignature,
    candidate: &ConversationSignature,
    similarity: f32,
) -> Verdict {
    let agree = match (&query.before, &candidate.before) {
        (None, None) => true,
        (Some(query), Some(candidate)) => query.agrees_with(candidate),
        (None, Some(_)) | (Some(_), None) => false,
    };
    if agree { compare(&query.last, &candidate.last, similarity) } else { Verdict::Vetoed(VetoKind::Context) }
}

impl From<Signature> for ConversationSignature {
    /// Of a message that stands alone.
    fn from(last: Signature) -> Self {
        Self { last, before: None }
    }
}

impl ConversationSignature {
    /// Whether the last message leans on what was said before it.
    pub fn leans(&self) -> bool {
        self.before.is_some()
    }

    /// That of the last message. Conversations whose digests contradict each other do so, whatever was said before.
    pub fn exact_digest(&self) -> Option<ExactDigest> {
        self.last.exact_digest()
    }

    /// The most bytes the signature of a conversation takes.
    pub const MAX_BYTES: usize = 4 * (2 + Signature::MAX_BYTES);

    /// The bytes: one signature for a message that stands alone, else four; each with its length before it, 2 bytes, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let parts = std::iter::once(&self.last).chain(self.before.iter().flat_map(Before::parts));
        parts
            .flat_map(|part| {
                let bytes = part.to_bytes();
                (bytes.len() as u16).to_le_bytes().into_iter().chain(bytes)
            })
            .collect()
    }

    /// Reads [`ConversationSignature::to_bytes`]. Errors: as [`Signature::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let mut parts = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() && parts.len() < 4 {
            let short = SignatureError::WrongLength { found: bytes.len(), expected: bytes.len() + 1 };
            let (length, after) = rest.split_first_chunk::<2>().ok_or(short)?;
            let length = usize::from(u16::from_le_bytes(*length));
            let (part, after) = after.split_at_checked(length).ok_or(short)?;
            parts.push(Signature::from_bytes(part)?);
            rest = after;
        }
        let wrong = SignatureError::WrongLength { found: bytes.len(), expected: bytes.len() - rest.len() };
        if !rest.is_empty() {
            return Err(wrong);
        }
        match <[Signature; 4]>::try_from(parts) {
            Ok([last, user, answered, assistant]) => {
                Ok(Self { last, before: Some(Before { user, answered, assistant }) })
            }
            Err(mut parts) => match (parts.pop(), parts.is_empty()) {
                (Some(last), true) => Ok(last.into()),
                _ => Err(wrong),
            },
        }
    }
}
