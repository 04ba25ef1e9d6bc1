//! What the threshold is chosen for.

use serde_json::{Value, json};

/// The measure that the chosen threshold has to optimise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Target {
    /// The highest F1.
    F1,
    /// The most hits with at most this share of the different pairs served.
    MaxWrong(f64),
}

impl Target {
    /// Parses a command-line argument: `f1`, or `max-wrong=` and a share.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "f1" => Ok(Self::F1),
            Some(("max-wrong", share)) => {
                share.parse().map(Self::MaxWrong).map_err(|_| format!("{share} is not a number"))
            }
            _ => Err("give f1, or max-wrong= and a share such as 0.05".to_owned()),
        }
    }

    /// The value of the request's field `target`.
    pub(super) fn to_request(self) -> Value {
        match self {
            Self::F1 => json!("f1"),
            Self::MaxWrong(share) => json!({ "max_wrong": share }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_accepts_the_targets_of_a_request_and_nothing_else() {
        assert_eq!(Target::parse("f1").unwrap().to_request(), json!("f1"));
        assert_eq!(Target::parse("max-wrong=0.05").unwrap().to_request(), json!({"max_wrong": 0.05}));
        for bad in ["", "f2", "max-wrong", "max-wrong=", "max-wrong=few", "f1=1"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
