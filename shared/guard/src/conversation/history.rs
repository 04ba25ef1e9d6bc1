//! The history of a follow-up message, and whether two histories agree.

use super::speaker::Speaker;
use crate::compare::compare_without_similarity;
use crate::signature::Signature;

/// Signatures of what was said before the last message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct History {
    /// All messages of the user.
    pub(super) user: Signature,
    /// The messages that the last message replies to: those of the assistant and its tools since the user's previous
    /// message.
    pub(super) replied_to: Signature,
    /// All messages of the assistant and its tools.
    pub(super) assistant: Signature,
}

/// The limits up to which two signatures of a history agree. The rarity limits were chosen by hand. The benchmark
/// fow-cache was seen at the time, so its results on conversations are not results on a held-out set.
struct Limits {
    /// The largest weight of a word that each side has and the other lacks: its rarity in powers of ten below one word
    /// in a hundred.
    rarity: f64,
    /// The largest share of pairs of words whose order differs.
    reordered: f64,
}

const USER: Limits = Limits { rarity: 2.5, reordered: f64::INFINITY };
/// The order matters: "the second one" refers to another thing if the options are in another order.
const REPLIED_TO: Limits = Limits { rarity: 2.0, reordered: 0.02 };
const ASSISTANT: Limits = Limits { rarity: 3.0, reordered: f64::INFINITY };

impl History {
    /// The history that consists of `messages`, oldest first. System messages are not part of it.
    pub(super) fn of(messages: &[(Speaker, &str)]) -> Self {
        let joined = |messages: &[(Speaker, &str)], is_included: fn(Speaker) -> bool| -> Signature {
            let texts = messages.iter().filter(|(speaker, _)| is_included(*speaker)).map(|(_, content)| *content);
            Signature::of_statement(&texts.collect::<Vec<_>>().join("\n"))
        };
        let is_user = |speaker| speaker == Speaker::User;
        let is_assistant = |speaker| matches!(speaker, Speaker::Assistant | Speaker::Tool);
        let reply_start = messages.iter().rposition(|(speaker, _)| is_user(*speaker)).map_or(0, |at| at + 1);
        Self {
            user: joined(messages, is_user),
            replied_to: joined(&messages[reply_start..], is_assistant),
            assistant: joined(messages, is_assistant),
        }
    }

    /// True if the two histories agree. For each of the three parts, one side says nothing that the other does not,
    /// except common words. Small talk adds words to one side only; another order, plan or place leaves words on both.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        agree(&self.user, &other.user, &USER)
            && agree(&self.replied_to, &other.replied_to, &REPLIED_TO)
            && agree(&self.assistant, &other.assistant, &ASSISTANT)
    }
}

fn agree(a: &Signature, b: &Signature, limits: &Limits) -> bool {
    let (features, veto) = compare_without_similarity(a, b);
    veto.is_none()
        && features.exact_conflict == 0.0
        && features.names_both == 0.0
        && features.rarest_less <= limits.rarity
        && features.reordered <= limits.reordered
        // A word in another's place is a difference however common it is: "the family plan", "the business plan".
        && features.swapped_in_place == 0.0
}
