//! Facts: what the user said before a self-contained message that may decide its answer.

use super::cues::Cue;
use super::self_contained::{MIN_TOPIC_TOKENS, asks_for_standard_thing};
use super::small_talk::{is_english_question, without_acknowledgements};
use crate::text::tokenizer::words_with_tokens;
use crate::token::{Token, TokenKind};

/// A self-contained message, by what of the user's earlier words can decide its answer.
struct Question {
    words: Vec<(String, Token)>,
    /// It names its topic, or asks the provider about itself: "When does the library in Ghent close?". What was asked
    /// before does not decide its answer.
    names_its_topic: bool,
    /// It is an English question that neither speaks of the user nor asks for a choice: "Do you accept Amex?". What the
    /// user asked for himself before does not decide its answer.
    is_impersonal: bool,
    /// It has a name or enough topic tokens to be understood alone.
    is_full: bool,
    /// It asks how to do something with what every user has: "How do I change my password?".
    is_standard: bool,
    /// It asks the provider for what is the same for every customer: "Are you open on Sundays?".
    is_of_provider: bool,
    /// It is about the world, and so it has one answer for everybody: "What is the capital of France?". Only an
    /// instruction decides its answer.
    is_of_world: bool,
}

/// What the user said in `said` that may decide the answer to `last`, which is self-contained.
///
/// Statements and instructions are kept; small talk is left out. Plain questions in English are left out if `last` names
/// its topic or asks the provider about itself: "Do you lend films?" does not decide when the library in Ghent closes. A
/// question is kept if it is in the first person, if it asks for an action, or if it holds a name, number or negation
/// that `last` does not hold.
///
/// Before an impersonal question that names its topic, names in plain questions do not matter. Questions in the first
/// person are left out as well, unless they tell something: "Can I bring my dog?". Before a question about the world, all
/// questions are left out, and statements about the user's things and doings: "I have a dog". Such a statement is kept
/// if it shares a word of content with `last`. Before a question to the provider that has one answer for every customer,
/// statements about what happened are left out: "I bought a lamp". These rules know English alone.
pub(super) fn facts_for(said: &str, last: &str) -> String {
    let question = Question::of(last);
    let said = without_acknowledgements(said);
    said.split_inclusive(['.', '!', '?', '\n', '？', '。', '！'])
        .filter(|sentence| !sentence.trim().is_empty() && question.may_depend_on(sentence))
        .collect::<String>()
        .trim()
        .to_owned()
}

impl Question {
    fn of(last: &str) -> Self {
        let words = words_with_tokens(last);
        let lower = last.trim_start().to_lowercase().replace('’', "'");
        let has = |cue: Cue| words.iter().any(|(word, _)| cue.has(word));
        let of_user = words.iter().filter(|(word, _)| Cue::First.has(word)).count();
        let is_of_user = of_user > usize::from(Cue::Procedure.begins(&lower));
        let names_its_topic = has(Cue::Address) || words.iter().any(|(_, token)| token.is_name);
        let is_impersonal = is_english_question(last) && !is_of_user && !has(Cue::Advice);
        let is_of_world = is_impersonal
            && of_user == 0
            && Cue::World.begins(&lower)
            && !has(Cue::Dependent)
            && !has(Cue::Address)
            // A name that no table knows may be that of a provider or a product.
            && !words.iter().any(|(_, token)| {
                token.kind == TokenKind::Identifier || token.is_name && token.is_unknown
            });
        let topic_tokens = words.iter().filter(|(_, token)| token.kind.is_content()).count();
        let is_full = words.iter().any(|(_, token)| token.is_name) || topic_tokens >= MIN_TOPIC_TOKENS;
        let is_standard = is_of_user && asks_for_standard_thing(last, &words);
        let is_of_provider = is_impersonal && Cue::Provider.begins(&lower);
        Self { words, names_its_topic, is_impersonal, is_full, is_standard, is_of_provider, is_of_world }
    }

    fn holds(&self, token: &Token) -> bool {
        self.words.iter().any(|(_, other)| other.hash == token.hash)
    }

    /// True if `sentence`, which the user said before, may decide the answer.
    fn may_depend_on(&self, sentence: &str) -> bool {
        let words = words_with_tokens(sentence);
        let lower = sentence.trim_start().to_lowercase().replace('’', "'");
        // Each clause must be a question: "He has a nut allergy, what can he eat?" tells something as well.
        let is_question = sentence.split(',').all(|clause| clause.trim().is_empty() || is_english_question(clause));
        let is_request = Cue::Request.begins(&lower) || lower.contains("can you") || lower.contains("could you");
        let concerns_others = self.is_of_world || self.is_impersonal && self.names_its_topic && self.is_full;
        let is_new = || words.iter().any(|(_, token)| self.is_new(token));
        let has = |cue: Cue| words.iter().any(|(word, _)| cue.has(word));
        if is_question && !is_request && !has(Cue::Reply) {
            return !if has(Cue::First) {
                self.is_of_world || (concerns_others || self.is_standard) && !is_new() && !tells_of_user(&words)
            } else {
                concerns_others || (self.names_its_topic || self.is_standard) && !is_new()
            };
        }
        if words.iter().any(|(_, token)| token.kind.is_content() && self.holds(token)) {
            return true;
        }
        let is_manner = has(Cue::Reply) || has(Cue::Manner) || has(Cue::Address);
        let names_another = || words.iter().any(|(_, token)| token.is_name && !self.holds(token));
        if self.is_of_provider && Cue::Event.begins(&lower) && !is_manner && !names_another() {
            return false;
        }
        !(self.is_of_world && Cue::Own.begins(&lower) && !is_manner)
    }

    /// True for a name, a number or a negation that the question does not hold.
    fn is_new(&self, token: &Token) -> bool {
        let is_exact = token.is_name || token.kind.is_exact() || token.kind == TokenKind::Negation;
        is_exact && !self.holds(token)
    }
}

/// True if a question in the first person tells something of the user: a thing that not everybody has ("my dog"), a role
/// ("as a vegan"), or what a choice depends on.
fn tells_of_user(words: &[(String, Token)]) -> bool {
    let is_own = |pair: &[(String, Token)]| Cue::Possessive.has(&pair[0].0) && !Cue::Everybody.has(&pair[1].0);
    words.windows(2).any(is_own)
        || words.iter().any(|(word, _)| matches!(word.as_str(), "as" | "without" | "while") || Cue::Advice.has(word))
}
