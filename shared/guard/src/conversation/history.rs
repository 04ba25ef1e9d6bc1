//! The history of a follow-up message, and whether two histories agree.

use super::small_talk::without_pleasantries;
use super::speaker::Speaker;
use super::turn::Turn;
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
    facts_only: bool,
    is_strict: bool,
}

const USER: Limits = Limits { rarity: 2.5, reordered: f64::INFINITY, facts_only: false, is_strict: false };
/// The order matters: "the second one" refers to another thing if the options are in another order.
const REPLIED_TO: Limits = Limits { rarity: 2.0, reordered: 0.02, facts_only: false, is_strict: false };
const ASSISTANT: Limits = Limits { rarity: 3.0, reordered: f64::INFINITY, facts_only: false, is_strict: false };
const FACTS: Limits = Limits { rarity: 2.5, reordered: f64::INFINITY, facts_only: false, is_strict: true };
const MAX_ONE_SIDED: f64 = 1.25;
/// The assistant's messages where both last messages are self-contained.
const ASIDE: Limits = Limits { rarity: f64::INFINITY, reordered: f64::INFINITY, facts_only: true, is_strict: false };

impl History {
    /// The history of a follow-up: everything said in `turns`, oldest first. System messages are not part of it.
    ///
    /// Pleasantries are left out, unless nothing remains: earlier versions stored them.
    pub(super) fn of_follow_up(turns: &[Turn]) -> Self {
        let reply_start = turns.iter().rposition(is_user).map_or(0, |at| at + 1);
        let user = joined(turns, is_user);
        let cleaned: Vec<String> = texts(turns, is_user).map(without_pleasantries).collect();
        let cleaned: Vec<&str> = cleaned.iter().map(String::as_str).filter(|text| !text.trim().is_empty()).collect();
        let cleaned = cleaned.join("\n");
        Self {
            user: Signature::of(if cleaned.is_empty() { &user } else { cleaned.trim() }),
            replied_to: Signature::of(&joined(&turns[reply_start..], is_assistant)),
            assistant: Signature::of(&joined(turns, is_assistant)),
        }
    }

    /// The history of a self-contained message: the user's `facts`, and what the assistant said. The message replies to
    /// nothing.
    pub(super) fn of_facts(facts: &str, turns: &[Turn]) -> Self {
        Self {
            user: Signature::of(facts),
            replied_to: Signature::of(""),
            assistant: Signature::of(&joined(turns, is_assistant)),
        }
    }

    /// True if this is the history of a self-contained message, or nobody replied to the user's last message.
    fn replies_to_nothing(&self) -> bool {
        self.replied_to.tokens.is_empty()
    }

    /// True if the two histories agree.
    ///
    /// For each of the parts, one side says nothing that the other does not, except common words. Another order, plan
    /// or place leaves words on both sides. What the user said is compared more strictly: a number, a name or a rare
    /// word on one side only is a fact that the other side lacks. If both messages are self-contained, only the names
    /// and numbers of the assistant's messages must agree.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        let assistant = if self.replies_to_nothing() && other.replies_to_nothing() { &ASIDE } else { &ASSISTANT };
        let replies_agree = self.replies_to_nothing() != other.replies_to_nothing()
            || agree(&self.replied_to, &other.replied_to, &REPLIED_TO);
        let user = if self.replies_to_nothing() || other.replies_to_nothing() { &FACTS } else { &USER };
        agree(&self.user, &other.user, user) && replies_agree && agree(&self.assistant, &other.assistant, assistant)
    }
}

fn is_user(turn: &Turn) -> bool {
    turn.speaker == Speaker::User
}

fn is_assistant(turn: &Turn) -> bool {
    matches!(turn.speaker, Speaker::Assistant | Speaker::Tool)
}

fn texts<'t>(turns: &'t [Turn], is_included: fn(&Turn) -> bool) -> impl Iterator<Item = &'t str> {
    turns.iter().filter(move |turn| is_included(turn)).filter_map(|turn| turn.text.as_deref())
}

fn joined(turns: &[Turn], is_included: fn(&Turn) -> bool) -> String {
    texts(turns, is_included).collect::<Vec<_>>().join("\n")
}

fn agree(a: &Signature, b: &Signature, limits: &Limits) -> bool {
    let (features, veto) = compare_without_similarity(a, b);
    let facts_agree = features.exact_conflict == 0.0 && features.names_both == 0.0;
    if limits.facts_only {
        return facts_agree;
    }
    facts_agree
        && veto.is_none()
        && features.rarest_less <= limits.rarity
        && features.reordered <= limits.reordered
        // A word in another's place is a difference however common it is: "the family plan", "the business plan".
        && features.swapped_in_place == 0.0
        && !(limits.is_strict
            && (features.exact_one > 0.0
                || features.names_one > 0.0
                || features.rarest_more > MAX_ONE_SIDED
                || features.polarity > 0.0))
}
