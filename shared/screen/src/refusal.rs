//! Responses that decline to answer, and apologies for a failure.
//!
//! Only the beginning of a short response decides. A response that says "sorry" and then answers is an answer.

use mneme_model::skip_reason::SkipReason;

use crate::phrases::{LANGUAGES, after, contains, folded, phrases, word_count};

/// A longer response answers, whatever it begins with.
const MAX_WORDS: usize = 80;
/// The same in bytes, so that a long response costs nothing.
const MAX_BYTES: usize = 2_000;
/// A refusal that is followed by this many words is the beginning of an answer.
const MAX_WORDS_AFTER_REFUSAL: usize = 30;
/// An apology for a failure is not longer.
const MAX_FAILURE_WORDS: usize = 25;
/// Within so many words after "I cannot" stands what is declined.
const MAX_WORDS_TO_ACT: usize = 6;

/// Whether `response` declines to answer, or is an apology for a failure.
///
/// A response to a question that holds such words itself, as for a translation, is an answer.
pub(crate) fn skip_reason(question: &str, response: &str) -> Option<SkipReason> {
    if response.len() > MAX_BYTES || word_count(response) > MAX_WORDS {
        return None;
    }
    let (question, response) = (folded(question), folded(response));
    let found = LANGUAGES.iter().find_map(|(file, _)| Language(file).judge(&response))?;
    let is_quoted = |(file, _): &(&str, &str)| {
        phrases(file, "unable").chain(phrases(file, "failure")).any(|phrase| contains(&question, phrase))
    };
    (!LANGUAGES.iter().any(is_quoted)).then_some(found)
}

/// The data file of one language.
struct Language(&'static str);

impl Language {
    /// `response`: folded.
    fn judge(&self, response: &str) -> Option<SkipReason> {
        let (rest, apologises) = self.without_openers(response);
        let sentence_end = rest.find(['.', '!', '?', '。', '！', '？']).unwrap_or(rest.len());
        let (sentence, others) = rest.split_at(sentence_end);
        if word_count(response) <= MAX_FAILURE_WORDS
            && let Some(after) = self.begins(rest, "failure")
            && self.begins(after.trim_start_matches(|c: char| !c.is_alphanumeric()), "explains").is_none()
        {
            return Some(SkipReason::Error);
        }
        let declines = self.begins(rest, "refusal").is_some()
            || phrases(self.0, "within").any(|phrase| contains(sentence, phrase))
            || self.begins(rest, "unable").is_some_and(|after| apologises || self.is_act(after));
        (declines && word_count(others) <= MAX_WORDS_AFTER_REFUSAL).then_some(SkipReason::Refusal)
    }

    /// What follows the apologies and the words that lead over to the statement, and whether there was an apology.
    fn without_openers<'t>(&self, text: &'t str) -> (&'t str, bool) {
        let mut rest = text;
        let mut apologises = false;
        loop {
            let trimmed = rest.trim_start_matches(|c: char| !c.is_alphanumeric() && !"\"“„«'".contains(c));
            if let Some(after) = self.begins(trimmed, "apology") {
                (rest, apologises) = (after, true);
            } else if let Some(after) = self.begins(trimmed, "lead") {
                rest = after;
            } else {
                return (trimmed, apologises);
            }
        }
    }

    /// What follows the longest phrase of `kind` that `text` begins with.
    fn begins<'t>(&self, text: &'t str, kind: &str) -> Option<&'t str> {
        phrases(self.0, kind).filter_map(|phrase| after(text, phrase)).min_by_key(|rest| rest.len())
    }

    /// Whether the words after "I cannot" say that an answer or help is declined.
    fn is_act(&self, after: &str) -> bool {
        let end = after.match_indices(' ').nth(MAX_WORDS_TO_ACT).map_or(after.len(), |(at, _)| at);
        phrases(self.0, "act").any(|act| contains(&after[..end], act))
    }
}
