//! How far a cached answer is to be trusted.

use mneme_guard::{ConversationSignature, Verdict, VetoKind, compare_conversations, probability_of_similarity};
use serde::{Deserialize, Serialize};

/// Whether the guard takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// It does.
    On,
    /// It does not.
    Off,
}

impl From<bool> for Guard {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

/// `p × confidence_score × 0.5^(age / half-life)`, in [0, 1] for `p` in [0, 1]; without a half-life age does not
/// matter. `p`: the probability that the answer is right, or, without the guard, the similarity.
pub fn confidence(p: f64, confidence_score: f64, age_secs: i64, half_life_secs: Option<f64>) -> f64 {
    let freshness = half_life_secs.map_or(1.0, |half_life| 0.5f64.powf(age_secs.max(0) as f64 / half_life));
    p * confidence_score * freshness
}

/// What speaks for the answer to a stored question being right for another one, `similarity` being the cosine of their
/// embeddings: a contradiction, or the probability that it is.
///
/// Of a stored question that nothing is known of but its vector, the similarity alone speaks. With the guard off the probability
/// is the similarity itself, but what was said before a message that leans on it must agree all the same: the last message
/// alone is never the key.
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
        Some(verdict) if guard == Guard::On => verdict,
        None if guard == Guard::On => Verdict::Probability(probability_of_similarity(similarity)),
        _ => Verdict::Probability(similarity.into()),
    }
}

/// Whether a stored response may be served: not empty, not white space, not a stored failure.
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
    fn halves_with_each_half_life() {
        assert_eq!(confidence(1.0, 1.0, 3600, None), 1.0);
        assert_eq!(confidence(1.0, 0.5, 100, Some(100.0)), 0.25);
        assert_eq!(confidence(0.5, 1.0, -5, Some(100.0)), 0.5);
    }

    #[test]
    fn what_leans_needs_what_it_leans_on() {
        let said = |number| [("user", number), ("assistant", "On its way."), ("user", "cancel it")];
        let of = |number| Conversation::of(&said(number), None).unwrap().signature;
        let (one, other) = (of("Order 48213?"), of("Order 48231?"));
        let plain = Conversation::of_query("Where is my invoice?").signature;
        let context = Verdict::Vetoed(VetoKind::Context);
        for guard in [Guard::On, Guard::Off] {
            assert_eq!(verdict(&one, None, 1.0, guard), context);
            assert_eq!(verdict(&one, Some(&other), 1.0, guard), context);
            assert!(matches!(verdict(&one, Some(&one), 1.0, guard), Verdict::Probability(p) if p > 0.9));
        }
        assert_eq!(verdict(&plain, None, 0.5, Guard::Off), Verdict::Probability(0.5));
        assert_eq!(verdict(&plain, None, 0.5, Guard::On), Verdict::Probability(probability_of_similarity(0.5)));
    }

    #[test]
    fn failures_are_not_served() {
        for bad in ["", " \n", "[LLM Error] timeout", "[ERROR] 500"] {
            assert!(!is_servable(bad), "{bad:?}");
        }
        assert!(is_servable("Error codes are listed in the manual."));
    }
}
