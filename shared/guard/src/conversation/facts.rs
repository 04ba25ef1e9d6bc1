//! Facts: what the user said before a self-contained message that may decide its answer.

use super::small_talk::{is_question, without_acknowledgements};
use crate::text::tokenizer::words_with_tokens;
use crate::token::{Token, TokenKind};

/// The beginnings of a question that asks for an action: "Can you answer in French?". It is an instruction.
const REQUESTS: [&str; 5] = ["can you", "could you", "would you", "will you", "please"];
/// The words by which a question addresses the provider: "Do you deliver on Sundays?".
const ADDRESSES: [&str; 4] = ["you", "your", "yours", "you're"];

/// What the user said in `said` that may decide the answer to `last`, which is self-contained.
///
/// Statements and instructions are kept. Small talk is left out. So are plain questions, if `last` names its topic or
/// asks the provider about itself: "Do you lend films?" does not decide when the library in Ghent closes. A question
/// is kept if it holds a name, number or negation that `last` does not hold, or if it asks for an action.
pub(super) fn facts_for(said: &str, last: &str) -> String {
    let named = words_with_tokens(last);
    let names_its_topic = named.iter().any(|(word, token)| token.is_name || ADDRESSES.contains(&word.as_str()));
    let said = without_acknowledgements(said);
    let is_fact =
        |sentence: &&str| !sentence.trim().is_empty() && !(names_its_topic && is_plain_question(sentence, &named));
    said.split_inclusive(['.', '!', '?', '\n', '？', '。', '！']).filter(is_fact).collect::<String>().trim().to_owned()
}

fn is_plain_question(sentence: &str, last: &[(String, Token)]) -> bool {
    let start = sentence.trim_start().to_lowercase();
    let decides = |token: &Token| {
        let is_exact = token.is_name || token.kind.is_exact() || token.kind == TokenKind::Negation;
        is_exact && !last.iter().any(|(_, other)| other.hash == token.hash)
    };
    // "I have a nut allergy, what can I eat?" tells something as well.
    sentence.split(',').all(|clause| clause.trim().is_empty() || is_question(clause))
        && !REQUESTS.iter().any(|request| start.starts_with(request))
        && !words_with_tokens(sentence).iter().any(|(_, token)| decides(token))
}
