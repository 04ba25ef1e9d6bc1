//! Whether a message is self-contained, or a follow-up that needs the messages before it.

use super::cues::Cue;
use crate::language::FollowUpCue;
use crate::text::tokenizer::{language_of, words_with_tokens};
use crate::token::{Token, TokenKind};

/// A text is in a language if at least one in so many of its words is in that language's class lists.
const MAX_WORDS_PER_LISTED_WORD: usize = 5;
/// A self-contained message without a name, identifier or number has at least this many topic tokens.
pub(super) const MIN_TOPIC_TOKENS: usize = 4;
/// A self-contained message with a name, identifier or number has at least this many topic tokens, these included.
const MIN_NAMED_TOPIC_TOKENS: usize = 2;

/// True for an English question about what every user has ("How do I change my email address?") or about the provider
/// ("Are you open on Sundays?"), which does not ask for a choice.
pub(super) fn asks_for_standard_thing(text: &str, words: &[(String, Token)]) -> bool {
    let lower = text.trim_start().to_lowercase().replace('’', "'");
    let has = |cue: Cue| words.iter().any(|(word, _)| cue.has(word));
    let is_of_everybody = || {
        let owned = |at: usize| words[at + 1..].iter().take(2).any(|(word, _)| Cue::Everybody.has(word));
        let mut possessives = (0..words.len()).filter(|at| Cue::Possessive.has(&words[*at].0)).peekable();
        // "My password", "my email address".
        possessives.peek().is_some() && possessives.all(owned)
    };
    !has(Cue::Advice)
        && !has(Cue::Reply)
        && (Cue::Procedure.begins(&lower) && is_of_everybody() || Cue::Standing.begins(&lower) && has(Cue::Address))
}

/// True if a message can be understood without the messages before it.
///
/// A self-contained message has at least four topic tokens, or two if a name, an identifier or a number is among them or
/// if it is an English question about what every user has, or about the provider.
/// It does not refer to something said before (`it`, `that one`), does not begin with a word that continues the
/// conversation (`and for two?`, `yes`), and does not mention a thing as known without saying which (`the link`).
///
/// A self-contained message that is taken for a follow-up only loses a hit. A follow-up that is taken for
/// self-contained gets a wrong answer. So the function returns false when it is unsure, and for every text in a
/// language without word lists. It does not recognise a follow-up that has no word to show it ("How much is delivery?"
/// after talk of one shop or another).
pub fn is_self_contained(text: &str) -> bool {
    let words = words_with_tokens(text);
    let language = language_of(text);
    if !language.has_follow_up_cues() {
        return false;
    }
    let listed = words.iter().filter(|(word, _)| language.is_listed(word)).count();
    if listed * MAX_WORDS_PER_LISTED_WORD < words.len() {
        return false;
    }
    let Some((first, _)) = words.first() else { return false };
    if language.is_cue(FollowUpCue::Opener, first)
        || words.iter().any(|(word, _)| language.is_cue(FollowUpCue::Reference, word))
    {
        return false;
    }
    let is_name = |token: &Token| token.is_name && !language.has_capital_nouns();
    // "The link" does not say which link. "The opening hours of the Leeds branch" does.
    let mentions_unspecified_thing = words.iter().enumerate().any(|(at, (word, _))| {
        language.is_cue(FollowUpCue::Definite, word)
            && !words[at + 1..].iter().any(|(later, token)| {
                language.is_cue(FollowUpCue::Specifier, later) || is_name(token) || token.kind.is_exact()
            })
    });
    let topic_tokens = words.iter().filter(|(_, token)| token.kind.is_content()).count();
    let is_named = words
        .iter()
        .any(|(_, token)| is_name(token) || matches!(token.kind, TokenKind::Identifier | TokenKind::Number));
    let min_topic_tokens = if is_named || language.is_english() && asks_for_standard_thing(text, &words) {
        MIN_NAMED_TOPIC_TOKENS
    } else {
        MIN_TOPIC_TOKENS
    };
    !mentions_unspecified_thing && topic_tokens >= min_topic_tokens
}
