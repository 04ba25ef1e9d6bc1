//! Facts: what the user said before a self-contained message that may decide its answer.

use super::small_talk::{is_english_question, without_acknowledgements};
use crate::text::tokenizer::words_with_tokens;
use crate::token::{Token, TokenKind};

/// The beginnings of a question that asks for an action: "Can you answer in French?". It is an instruction.
const REQUESTS: [&str; 4] = ["can you", "could you", "would you", "will you"];
/// The words by which a question tells something of the user: "What can I eat as a vegan?".
const FIRST_PERSON: [&str; 14] =
    ["i", "i'm", "i've", "i'd", "i'll", "me", "my", "mine", "we", "we're", "we've", "us", "our", "ours"];
/// The words by which a question addresses the provider: "Do you deliver on Sundays?".
const ADDRESSES: [&str; 4] = ["you", "your", "yours", "you're"];

/// What the user said in `said` that may decide the answer to `last`, which is self-contained.
///
/// Statements and instructions are kept. Small talk is left out. So are plain questions in English, if `last` names its
/// topic or asks the provider about itself: "Do you lend films?" does not decide when the library in Ghent closes. A
/// question is kept if it is in the first person, if it asks for an action, or if it holds a name, number or negation
/// that `last` does not hold.
pub(super) fn facts_for(said: &str, last: &str) -> String {
    let last = words_with_tokens(last);
    let names_its_topic = last.iter().any(|(word, token)| token.is_name || ADDRESSES.contains(&word.as_str()));
    let said = without_acknowledgements(said);
    let is_nothing =
        |sentence: &str| sentence.trim().is_empty() || names_its_topic && is_plain_question(sentence, &last);
    said.split_inclusive(['.', '!', '?', '\n', '？', '。', '！'])
        .filter(|sentence| !is_nothing(sentence))
        .collect::<String>()
        .trim()
        .to_owned()
}

fn is_plain_question(sentence: &str, last: &[(String, Token)]) -> bool {
    let start = sentence.trim_start().to_lowercase();
    let decides = |(word, token): &(String, Token)| {
        let is_exact = token.is_name || token.kind.is_exact() || token.kind == TokenKind::Negation;
        let is_new = !last.iter().any(|(_, other)| other.hash == token.hash);
        is_exact && is_new || FIRST_PERSON.contains(&word.as_str())
    };
    // Each clause must be a question: "He has a nut allergy, what can he eat?" tells something as well.
    sentence.split(',').all(|clause| clause.trim().is_empty() || is_english_question(clause))
        && !REQUESTS.iter().any(|request| start.contains(request))
        && !words_with_tokens(sentence).iter().any(decides)
}
