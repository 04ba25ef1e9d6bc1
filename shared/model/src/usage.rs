//! What an answer cost: the tokens and the time of the call of the model that gave it, and the prices of tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The most tokens of one call. A larger number is a mistake of the caller.
const MAX_TOKENS: u64 = 1_000_000_000;
/// The longest time of one call: a day in milliseconds.
const MAX_LATENCY_MS: u64 = 86_400_000;
/// The longest name of a model.
const MAX_MODEL_BYTES: usize = 128;
/// The highest price of a million tokens. With [`MAX_TOKENS`] it keeps the cost of a call far below 2^63.
const MAX_PRICE: f64 = 1e6;

/// The call of a model that an answer comes from, as the caller of a put states it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// The tokens of the prompt.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// The tokens of the answer.
    #[serde(default)]
    pub completion_tokens: u64,
    /// The name of the model, by which its prices are found.
    #[serde(default)]
    pub model: Option<String>,
    /// The time of the call in milliseconds.
    #[serde(default)]
    pub latency_ms: u64,
}

impl Usage {
    /// Checks the bounds of each field. Errors: `InvalidRequest`.
    pub fn check(&self) -> Result<(), Error> {
        let numbers = [
            ("prompt_tokens", self.prompt_tokens, MAX_TOKENS),
            ("completion_tokens", self.completion_tokens, MAX_TOKENS),
            ("latency_ms", self.latency_ms, MAX_LATENCY_MS),
        ];
        if let Some((name, value, max)) = numbers.into_iter().find(|(_, value, max)| value > max) {
            return Err(Error::invalid(
                format!("usage.{name}: {value} is above {max}"),
                "send what one call of the model used, or leave the field out",
            ));
        }
        match &self.model {
            Some(model) if !(1..=MAX_MODEL_BYTES).contains(&model.len()) => Err(Error::invalid(
                format!("usage.model: it has {} bytes, and 1 to {MAX_MODEL_BYTES} are allowed", model.len()),
                "send the name by which MNEME_PRICES knows the model, or leave the field out",
            )),
            _ => Ok(()),
        }
    }
}

/// The prices of one model for a million tokens, in any currency.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ModelPrices {
    prompt: f64,
    completion: f64,
}

/// The prices of tokens by model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prices(BTreeMap<String, ModelPrices>);

impl Prices {
    /// The accepted form of the text.
    pub const FORM: &str =
        "model=prompt/completion, separated by commas, with two prices for a million tokens from 0 to 1000000";

    /// The cost of `usage` in millionths of the currency. `None` if the model is not named or has no prices.
    pub fn cost_micros(&self, usage: &Usage) -> Option<u64> {
        let prices = self.0.get(usage.model.as_deref()?)?;
        // A price for a million tokens is the price of one token in millionths.
        let cost = usage.prompt_tokens as f64 * prices.prompt + usage.completion_tokens as f64 * prices.completion;
        Some(cost.round() as u64)
    }
}

impl FromStr for Prices {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let price =
            |text: &str| text.trim().parse::<f64>().ok().filter(|price| (0.0..=MAX_PRICE).contains(price)).ok_or(());
        let model = |part: &str| {
            let (model, prices) = part.rsplit_once('=').ok_or(())?;
            let (prompt, completion) = prices.split_once('/').ok_or(())?;
            let model = model.trim();
            if model.is_empty() {
                return Err(());
            }
            Ok((model.to_owned(), ModelPrices { prompt: price(prompt)?, completion: price(completion)? }))
        };
        text.split(',').map(model).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Prices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prices = self.0.iter().map(|(model, prices)| format!("{model}={}/{}", prices.prompt, prices.completion));
        f.write_str(&prices.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(model: Option<&str>) -> Usage {
        Usage { prompt_tokens: 1000, completion_tokens: 200, model: model.map(str::to_owned), latency_ms: 1500 }
    }

    #[test]
    fn cost_is_tokens_times_prices_in_millionths() {
        let prices: Prices = "gpt-x=2.5/10, vendor/model:0=0/0.1".parse().unwrap();
        assert_eq!(prices.cost_micros(&usage(Some("gpt-x"))), Some(2500 + 2000));
        assert_eq!(prices.cost_micros(&usage(Some("vendor/model:0"))), Some(20));
        assert_eq!(prices.cost_micros(&usage(Some("other"))), None);
        assert_eq!(prices.cost_micros(&usage(None)), None);
        assert_eq!(prices.to_string().parse(), Ok(prices));
    }

    #[test]
    fn prices_of_another_form_are_refused() {
        for bad in ["", "a", "a=1", "=1/2", "a=1/x", "a=-1/2", "a=1/2,", "a=inf/2", "a=1/1000001"] {
            assert!(bad.parse::<Prices>().is_err(), "{bad}");
        }
    }

    #[test]
    fn usage_above_a_bound_is_refused_by_name() {
        usage(Some("m")).check().unwrap();
        for (bad, name) in [
            (Usage { prompt_tokens: MAX_TOKENS + 1, ..usage(None) }, "usage.prompt_tokens"),
            (Usage { latency_ms: MAX_LATENCY_MS + 1, ..usage(None) }, "usage.latency_ms"),
            (usage(Some("")), "usage.model"),
            (usage(Some(&"m".repeat(129))), "usage.model"),
        ] {
            assert!(bad.check().unwrap_err().detail.starts_with(name), "{bad:?}");
        }
    }
}
