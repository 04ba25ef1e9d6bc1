//! Whether a response is an answer.

use mneme_model::question::is_blank;
use mneme_model::skip_reason::SkipReason;

use crate::error_body::is_error_body;
use crate::refusal;

/// Why `response`, the answer to `question`, is not stored: it is blank, the report of a failure, or a refusal. `None`
/// if it is an answer. In doubt it is one.
pub fn skip_reason(question: &str, response: &str) -> Option<SkipReason> {
    if is_blank(response) || is_nothing(response) {
        Some(SkipReason::Empty)
    } else if is_error_body(response) {
        Some(SkipReason::Error)
    } else {
        refusal::skip_reason(question, response)
    }
}

/// What programs write where a text is missing, in lower case.
const PLACEHOLDERS: [&str; 5] = ["undefined", "[done]", "data: [done]", "<|endoftext|>", "[object object]"];
/// A longer text of marks is a drawing or data.
const MAX_MARKS: usize = 16;

/// Whether `response` holds nothing but marks around a missing text: quotes, a code fence, points, the thoughts of a model
/// without its answer.
fn is_nothing(response: &str) -> bool {
    let text = response.trim();
    let said = match text.strip_prefix("<think>") {
        Some(thoughts) => thoughts.split_once("</think>").map_or("", |(_, said)| said),
        None => text,
    };
    let said = said.trim();
    let is_mark = |character: char| character.is_whitespace() || "\"'`“”‘’.…".contains(character);
    said.len() <= MAX_MARKS && (said.chars().all(is_mark) || PLACEHOLDERS.contains(&said.to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &str = "How do I do it?";

    /// The responses of one data file under `tests/`, one a line.
    fn lines(text: &str) -> impl Iterator<Item = &str> {
        text.lines().filter(|line| !line.is_empty())
    }

    #[test]
    fn responses_that_are_no_answers_are_not_stored() {
        let found = |response| skip_reason(QUESTION, response).map(SkipReason::name);
        let rows = lines(include_str!("../tests/not_answers.tsv")).map(|line| line.split_once('\t').unwrap());
        let wrong: Vec<_> = rows.filter(|(reason, response)| found(response) != Some(reason)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(skip_reason("q", " \u{200b}\n"), Some(SkipReason::Empty));
    }

    #[test]
    fn answers_are_stored_also_if_they_say_sorry_or_quote_an_error() {
        let answers: Vec<&str> = lines(include_str!("../tests/answers.txt")).collect();
        assert!(answers.len() >= 40, "{}", answers.len());
        let wrong: Vec<_> = answers.into_iter().filter(|answer| skip_reason(QUESTION, answer).is_some()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn translations_of_a_refusal_are_answers() {
        let question = "Translate \"I'm sorry, I can't help you\" to German";
        assert_eq!(skip_reason(question, "Es tut mir leid, ich kann Ihnen nicht helfen."), None);
    }
}
