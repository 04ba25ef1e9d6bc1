//! How far a cached answer is to be trusted.

/// `p × confidence_score × 0.5^(age / half-life)`, in [0, 1] for `p` in [0, 1]; without a half-life age does not
/// matter. `p`: the probability that the answer is right, or, without the guard, the similarity.
pub fn confidence(p: f64, confidence_score: f64, age_secs: i64, half_life_secs: Option<f64>) -> f64 {
    let freshness = half_life_secs.map_or(1.0, |half_life| 0.5f64.powf(age_secs.max(0) as f64 / half_life));
    p * confidence_score * freshness
}

/// Whether a stored response may be served: not empty, not white space, not a stored failure.
///
/// Source: `mneme-cache` 1.0, `default_validator`.
pub fn is_servable(response: &str) -> bool {
    !response.trim().is_empty() && !response.starts_with("[LLM Error]") && !response.starts_with("[ERROR]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_with_each_half_life() {
        assert_eq!(confidence(1.0, 1.0, 3600, None), 1.0);
        assert_eq!(confidence(1.0, 0.5, 100, Some(100.0)), 0.25);
        assert_eq!(confidence(0.5, 1.0, -5, Some(100.0)), 0.5);
    }

    #[test]
    fn failures_are_not_served() {
        for bad in ["", " \n", "[LLM Error] timeout", "[ERROR] 500"] {
            assert!(!is_servable(bad), "{bad:?}");
        }
        assert!(is_servable("Error codes are listed in the manual."));
    }
}
