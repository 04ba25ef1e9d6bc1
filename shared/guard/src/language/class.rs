//! Word classes: the function that a listed word has in a question (`classes.tsv`, `follow_up.tsv`).

use fnv::{FnvHashMap as HashMap, FnvHashSet as HashSet};

use super::lists::{rows, spellings};
use crate::token::{SemanticRole, TokenKind};

/// The class of a listed word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WordClass {
    pub(crate) kind: TokenKind,
    /// The role that the word gives to the words after it.
    pub(crate) opens: Option<SemanticRole>,
    /// The word whose hash a signature stores. It may be the same for all words of a row.
    pub(crate) canonical: &'static str,
}

/// Parses `classes.tsv`. A word that is listed twice has the class of its first row.
pub(super) fn parse_classes(list: &'static str) -> HashMap<&'static str, WordClass> {
    let mut classes = HashMap::default();
    for (name, words) in rows(list) {
        let Some((kind, opens)) = class_named(name) else { continue };
        // Words that open the same role or the same question are equal in comparisons. Other words equal only
        // themselves.
        let is_shared = opens.is_some() || kind == TokenKind::QuestionWord || kind == TokenKind::Negation;
        for (word, first) in spellings(words) {
            let canonical = if is_shared { first } else { word };
            classes.entry(word).or_insert(WordClass { kind, opens, canonical });
        }
    }
    classes
}

fn class_named(name: &str) -> Option<(TokenKind, Option<SemanticRole>)> {
    Some(match name {
        "negation" => (TokenKind::Negation, None),
        "question" => (TokenKind::QuestionWord, None),
        "auxiliary" => (TokenKind::Auxiliary, None),
        "modal" => (TokenKind::Modal, None),
        "pronoun" => (TokenKind::Pronoun, None),
        "quantifier" => (TokenKind::Quantifier, None),
        "function" => (TokenKind::FunctionWord, None),
        "filler" => (TokenKind::Filler, None),
        "from" => (TokenKind::FunctionWord, Some(SemanticRole::From)),
        "to" => (TokenKind::FunctionWord, Some(SemanticRole::To)),
        "than" => (TokenKind::FunctionWord, Some(SemanticRole::Than)),
        "before" => (TokenKind::Quantifier, Some(SemanticRole::Before)),
        "after" => (TokenKind::Quantifier, Some(SemanticRole::After)),
        _ => return None,
    })
}

/// A sign in a message that the message continues a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FollowUpCue {
    /// The word refers to something said before, at any place in the message: `it`, `that`, `again`.
    Reference,
    /// The word, as the message's first, continues what was said before: `and`, `yes`.
    Opener,
    /// The word presents a thing as known: `the`.
    Definite,
    /// The word says which thing is meant, after a definite one: `of`, `for`.
    Specifier,
}

/// Parses `follow_up.tsv`, or the same rows of `small_talk.tsv`.
pub(super) fn parse_follow_up_cues(list: &'static str) -> HashSet<(FollowUpCue, &'static str)> {
    let cue = |name| match name {
        "reference" => Some(FollowUpCue::Reference),
        "opener" => Some(FollowUpCue::Opener),
        "definite" => Some(FollowUpCue::Definite),
        "specifier" => Some(FollowUpCue::Specifier),
        _ => None,
    };
    rows(list)
        .filter_map(|(name, words)| Some((cue(name)?, words)))
        .flat_map(|(cue, words)| words.split(' ').map(move |word| (cue, word)))
        .collect()
}
