//! The history: what was said before the last message, and whether two histories agree.

use super::small_talk::without_pleasantries;
use super::speaker::Speaker;
use super::turn::Turn;
use crate::compare::compare_without_similarity;
use crate::compare::features::Features;
use crate::language::lexicon::hash32;
use crate::signature::Signature;
use crate::text::question_type::QuestionType;
use crate::token::{Token, TokenKind};

/// Signatures of what was said before the last message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct History {
    /// What the user said: everything but pleasantries before a follow-up, and the facts before a self-contained
    /// message.
    pub(super) user: Signature,
    /// The messages that the last message replies to: those of the assistant and its tools since the user's previous
    /// message. Empty if the last message is self-contained.
    pub(super) replied_to: Signature,
    /// All messages of the assistant and its tools.
    pub(super) assistant: Signature,
}

/// The limits up to which two signatures of a history agree. Their unit is the weight of a word: its rarity in powers of
/// ten below one word in a hundred. The limits were chosen by hand, on conversations of our own and on those of the
/// benchmark fow-cache. So its results on conversations are not results on a held-out set.
struct Limits {
    /// The largest weight of a word that each side has and the other lacks.
    on_both_sides: f64,
    /// The largest weight of a word that only one side has.
    on_one_side: f64,
    /// True if a name, a number or a negation may be on one side only.
    allows_one_sided_facts: bool,
    /// The largest share of pairs of words whose order differs.
    reordered: f64,
}

const NO_LIMIT: f64 = f64::INFINITY;
/// What the user said before a self-contained message. Each statement is a fact, so almost every word must agree.
const FACTS: Limits =
    Limits { on_both_sides: 1.25, on_one_side: 1.25, allows_one_sided_facts: false, reordered: NO_LIMIT };
/// What the user said before a follow-up, in at most [`MAX_SHORT_TOKENS`] words on each side. Each word matters.
const SHORT_USER: Limits =
    Limits { on_both_sides: 1.75, on_one_side: 1.75, allows_one_sided_facts: false, reordered: NO_LIMIT };
/// The same in at most [`MAX_MEDIUM_TOKENS`] words. A rare word on one side is a fact: "I use a wheelchair".
const MEDIUM_USER: Limits =
    Limits { on_both_sides: 2.5, on_one_side: 3.0, allows_one_sided_facts: true, reordered: NO_LIMIT };
/// The same in more words. One side may have more small talk that no list knows.
const LONG_USER: Limits =
    Limits { on_both_sides: 2.5, on_one_side: NO_LIMIT, allows_one_sided_facts: true, reordered: NO_LIMIT };
/// The order matters: "the second one" refers to another thing if the options are in another order.
const REPLIED_TO: Limits =
    Limits { on_both_sides: 2.0, on_one_side: NO_LIMIT, allows_one_sided_facts: true, reordered: 0.02 };
/// The last message chooses by place, and the options may precede the message replied to.
const OPTIONS: Limits =
    Limits { on_both_sides: 3.0, on_one_side: NO_LIMIT, allows_one_sided_facts: true, reordered: 0.02 };
/// The last message says yes or no and holds no word of content, so what was proposed is the question.
const PROPOSAL: Limits =
    Limits { on_both_sides: 1.0, on_one_side: NO_LIMIT, allows_one_sided_facts: false, reordered: 0.02 };
/// The last message says what it is about, so the order of what it replies to does not matter.
const STATEMENT: Limits =
    Limits { on_both_sides: 2.0, on_one_side: NO_LIMIT, allows_one_sided_facts: true, reordered: NO_LIMIT };
const ASSISTANT: Limits =
    Limits { on_both_sides: 3.0, on_one_side: NO_LIMIT, allows_one_sided_facts: true, reordered: NO_LIMIT };

/// The most tokens of a short history of the user.
const MAX_SHORT_TOKENS: u16 = 16;
/// The most tokens of a history of medium length.
const MAX_MEDIUM_TOKENS: u16 = 32;

/// What a last message is as a reply to the assistant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// It may choose one of several things by their order: "the second one".
    Choice,
    /// It holds no word of content: "yes please", "go ahead".
    Consent,
    /// It says what it is about.
    Other,
}

impl Reply {
    /// What a last message with this signature is. In another language than English any quantifier may choose.
    pub(super) fn of(last: &Signature) -> Self {
        let is_english = last.language.index() == Some(0);
        let is_choice = |token: &Token| match token.kind {
            TokenKind::Number | TokenKind::Date => true,
            TokenKind::Quantifier if !is_english => true,
            _ => PLACES.iter().any(|place| token.hash == hash32(place)),
        };
        let content = last.tokens.iter().filter(|token| token.kind.is_content()).count();
        if last.tokens.iter().any(is_choice) {
            Self::Choice
        } else if last.question_type == QuestionType::None && content <= MAX_CONSENT_TOKENS {
            Self::Consent
        } else {
            Self::Other
        }
    }
}

/// Words that choose one of several things by their order.
const PLACES: [&str; 9] = ["first", "second", "third", "fourth", "last", "former", "latter", "one", "both"];

/// A consent has at most this many words of content: "go ahead".
const MAX_CONSENT_TOKENS: usize = 1;

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
            user: Signature::of_statement(if cleaned.is_empty() { &user } else { cleaned.trim() }),
            replied_to: Signature::of_statement(&joined(&turns[reply_start..], is_assistant)),
            assistant: Signature::of_statement(&joined(turns, is_assistant)),
        }
    }

    /// The history of a self-contained message: the user's `facts`, and what the assistant said. The message replies to
    /// nothing.
    pub(super) fn of_facts(facts: &str, turns: &[Turn]) -> Self {
        Self {
            user: Signature::of_statement(facts),
            replied_to: Signature::of_statement(""),
            assistant: Signature::of_statement(&joined(turns, is_assistant)),
        }
    }

    /// True if this is the history of a self-contained message, or nobody replied to the user's last message.
    fn replies_to_nothing(&self) -> bool {
        self.replied_to.tokens.is_empty()
    }

    /// True if the two histories agree.
    ///
    /// The user's part is compared most strictly: see the limits. Of the other parts, one side says nothing that the
    /// other does not, except common words. Another order, plan or place leaves words on both sides. If both messages
    /// are self-contained, only the names and numbers of the assistant's messages must agree. If one of them is, the
    /// message replied to is compared as part of the assistant's messages.
    ///
    /// `reply`: what the last messages are as replies to the assistant.
    pub(super) fn agrees_with(&self, other: &Self, reply: Reply) -> bool {
        let is_self_contained = (self.replies_to_nothing(), other.replies_to_nothing());
        let longest = self.user.total.max(other.user.total);
        let user_limits = match is_self_contained {
            (false, false) if longest <= MAX_SHORT_TOKENS => &SHORT_USER,
            (false, false) if longest <= MAX_MEDIUM_TOKENS => &MEDIUM_USER,
            (false, false) => &LONG_USER,
            _ => &FACTS,
        };
        agree(&self.user, &other.user, user_limits)
            && match is_self_contained {
                (true, true) => name_the_same(&self.assistant, &other.assistant),
                (false, false) => {
                    let (replied_to, assistant) = match reply {
                        Reply::Choice => (&REPLIED_TO, &OPTIONS),
                        Reply::Consent => (&PROPOSAL, &ASSISTANT),
                        Reply::Other => (&STATEMENT, &ASSISTANT),
                    };
                    agree(&self.replied_to, &other.replied_to, replied_to)
                        && agree(&self.assistant, &other.assistant, assistant)
                }
                _ => agree(&self.assistant, &other.assistant, &ASSISTANT),
            }
    }
}

fn is_user(turn: &Turn) -> bool {
    turn.speaker == Speaker::User
}

fn is_assistant(turn: &Turn) -> bool {
    matches!(turn.speaker, Speaker::Assistant | Speaker::Tool)
}

fn texts(turns: &[Turn], is_included: fn(&Turn) -> bool) -> impl Iterator<Item = &str> {
    turns.iter().filter(move |turn| is_included(turn)).filter_map(|turn| turn.text.as_deref())
}

fn joined(turns: &[Turn], is_included: fn(&Turn) -> bool) -> String {
    texts(turns, is_included).collect::<Vec<_>>().join("\n")
}

fn agree(a: &Signature, b: &Signature, limits: &Limits) -> bool {
    let (features, veto) = compare_without_similarity(a, b);
    veto.is_none()
        && have_no_conflict(&features)
        && features.rarest_less <= limits.on_both_sides
        && features.rarest_more <= limits.on_one_side
        && features.reordered <= limits.reordered
        // A word in another's place is a difference however common it is: "the family plan", "the business plan".
        && features.swapped_in_place == 0.0
        && (limits.allows_one_sided_facts
            || features.exact_one == 0.0 && features.names_one == 0.0 && features.polarity == 0.0)
}

fn name_the_same(a: &Signature, b: &Signature) -> bool {
    have_no_conflict(&compare_without_similarity(a, b).0)
}

/// True if no number, identifier, date or name of one side is in place of another one.
fn have_no_conflict(features: &Features) -> bool {
    features.exact_conflict == 0.0 && features.names_both == 0.0
}
