//! Decides whether a stored answer may be served: the guard's verdict, the confidence and the check of the response.

use mneme_guard::{
    ConversationSignature, Verdict, VetoKind, compare_conversations, compare_equal_texts, probability_of_similarity,
};
use serde::{Deserialize, Serialize};

/// Whether the guard compares two questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// The guard vetoes an answer, or gives the probability that it is right.
    On,
    /// The similarity is the probability.
    Off,
}

impl From<bool> for Guard {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

/// Computes `p × confidence_score × 0.5^(age / half-life)`, which is in [0, 1] for `p` in [0, 1]. Without a half-life
/// the age does not matter. `p` is the probability that the answer is right, or the similarity with the guard off.
pub fn confidence(p: f64, confidence_score: f64, age_secs: i64, half_life_secs: Option<f64>) -> f64 {
    let freshness = half_life_secs.map_or(1.0, |half_life| 0.5f64.powf(age_secs.max(0) as f64 / half_life));
    p * confidence_score * freshness
}

/// Vectors of this similarity are equal but for rounding. Two texts that share no word have such vectors only if the
/// embedder does not tell texts apart.
const EQUAL_VECTORS: f32 = 0.9999;

/// Compares two questions: either a contradiction (a veto), or the probability that the stored answer is also right
/// for the new question.
///
/// `similarity` is the cosine of the embeddings of both questions. If the stored question has no signature, only the
/// similarity decides. With the guard off, the similarity is the probability. A follow-up message needs an agreeing
/// history with the guard on and off, because its text alone does not say what it asks. All but equal vectors of
/// questions without a common word of content are a veto with the guard on and off, too.
pub fn verdict(
    question: &ConversationSignature,
    stored: Option<&ConversationSignature>,
    similarity: f32,
    guard: Guard,
) -> Verdict {
    let compared = stored.map(|stored| compare_conversations(question, stored, similarity));
    match compared {
        None if question.needs_history() => Verdict::Vetoed(VetoKind::Context),
        Some(Verdict::Vetoed(VetoKind::Context)) => Verdict::Vetoed(VetoKind::Context),
        Some(Verdict::Vetoed(kind)) if guard == Guard::On => Verdict::Vetoed(kind),
        _ if similarity >= EQUAL_VECTORS && stored.is_some_and(|stored| question.has_other_content(stored)) => {
            Verdict::Vetoed(VetoKind::Embedding)
        }
        Some(verdict) if guard == Guard::On => verdict,
        None if guard == Guard::On => Verdict::Probability(probability_of_similarity(similarity)),
        _ => Verdict::Probability(similarity.into()),
    }
}

/// How the stored question of the exact layer contradicts the new question, although their normalised texts are equal:
/// in the case, the marks or the white space that normalisation drops. `None` with the guard off.
///
/// A stored question without a signature agrees with a question that can be written in one way only.
pub fn contradiction_of_equal_texts(
    question: &ConversationSignature,
    stored: Option<&ConversationSignature>,
    guard: Guard,
) -> Option<VetoKind> {
    match guard {
        Guard::On => compare_equal_texts(question, stored),
        Guard::Off => None,
    }
}

/// Whether two questions that are similar enough have the same numbers, identifiers and dates, by their texts. True if
/// the stored text is not known.
pub fn exact_values_agree(question: &str, stored: Option<&str>) -> bool {
    stored.is_none_or(|stored| mneme_guard::exact_values_agree(question, stored))
}

/// Whether two questions with the same words have the same symbols. True if the other question is not stored.
pub fn symbols_agree(question: &str, stored: Option<&str>) -> bool {
    stored.is_none_or(|stored| mneme_guard::symbols_agree(question, stored))
}

/// Whether a stored response may be served: it is not empty, not only white space, and not a stored failure.
///
/// Source: `mneme-cache` 1.0, `default_validator`.
pub fn is_servable(response: &str) -> bool {
    !response.trim().is_empty() && !response.starts_with("[LLM Error]") && !response.starts_with("[ERROR]")
}

#[cfg(test)]
mod tests {
    use mneme_guard::Conversation;

    use super::*;

    #[test]
    fn confidence_after_one_half_life_is_halved() {
        assert_eq!(confidence(1.0, 1.0, 3600, None), 1.0);
        assert_eq!(confidence(1.0, 0.5, 100, Some(100.0)), 0.25);
        assert_eq!(confidence(0.5, 1.0, -5, Some(100.0)), 0.5);
    }

    #[test]
    fn verdict_for_follow_up_message_without_same_history_is_veto() {
        let messages = |first| [("user", first), ("assistant", "On its way."), ("user", "cancel it")];
        let follow_up = |first| Conversation::of(&messages(first), None).unwrap().signature;
        let (one, other) = (follow_up("Order 48213?"), follow_up("Order 48231?"));
        let self_contained = Conversation::of_query("Where is my invoice?").signature;
        let context = Verdict::Vetoed(VetoKind::Context);
        for guard in [Guard::On, Guard::Off] {
            assert_eq!(verdict(&one, None, 1.0, guard), context);
            assert_eq!(verdict(&one, Some(&other), 1.0, guard), context);
            assert!(matches!(verdict(&one, Some(&one), 1.0, guard), Verdict::Probability(p) if p > 0.9));
        }
        let of_similarity = Verdict::Probability(probability_of_similarity(0.5));
        assert_eq!(verdict(&self_contained, None, 0.5, Guard::Off), Verdict::Probability(0.5));
        assert_eq!(verdict(&self_contained, None, 0.5, Guard::On), of_similarity);
    }

    #[test]
    fn verdict_for_equal_vectors_of_texts_without_a_common_word_is_veto() {
        let of = |text| Conversation::of_query(text).signature;
        let (hello, weather) = (of("Hello world"), of("How's the weather today?"));
        for guard in [Guard::On, Guard::Off] {
            assert_eq!(verdict(&hello, Some(&weather), 1.0, guard), Verdict::Vetoed(VetoKind::Embedding));
            assert!(!matches!(verdict(&hello, Some(&hello), 1.0, guard), Verdict::Vetoed(_)));
        }
        let (reworded, again) = (of("Where do I sign in?"), of("Which page has the login form?"));
        assert!(matches!(verdict(&reworded, Some(&again), 0.97, Guard::Off), Verdict::Probability(_)));
    }

    #[test]
    fn is_servable_with_empty_or_failed_response_is_false() {
        for bad in ["", " \n", "[LLM Error] timeout", "[ERROR] 500"] {
            assert!(!is_servable(bad), "{bad:?}");
        }
        assert!(is_servable("Error codes are listed in the manual."));
    }
}
