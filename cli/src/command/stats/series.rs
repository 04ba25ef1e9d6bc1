//! The lookups of a range of time.

use std::fmt;

use serde::Deserialize;

use super::rate;
use crate::output::{table, time};

/// A time that the user gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// In epoch seconds.
    At(i64),
    /// Seconds before now.
    Ago(i64),
}

impl When {
    /// The epoch second, if it is `now`.
    pub(super) fn second(self, now: i64) -> i64 {
        match self {
            Self::At(second) => second,
            Self::Ago(seconds) => now.saturating_sub(seconds),
        }
    }
}

/// Reads epoch seconds, or a time before now.
pub(super) fn when(text: &str) -> Result<When, String> {
    let refused = || "give epoch seconds, or a time before now such as 90m, 24h or 7d".to_owned();
    let unit = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return text.parse().map(When::At).map_err(|_| refused()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| refused())?;
    Ok(When::Ago(i64::from(number) * unit))
}

/// Reads the length of a period.
pub(super) fn period(text: &str) -> Result<String, String> {
    match text {
        "hour" | "day" => Ok(text.to_owned()),
        _ => Err("give hour or day".to_owned()),
    }
}

/// The fields of a reply that are shown.
#[derive(Debug, Deserialize)]
pub(super) struct Series {
    from: i64,
    to: i64,
    total: Lookups,
    periods: Vec<Period>,
}

#[derive(Debug, Deserialize)]
struct Period {
    start: i64,
    #[serde(flatten)]
    lookups: Lookups,
}

#[derive(Debug, Deserialize)]
struct Lookups {
    hits: u64,
    misses: u64,
    saved: Saved,
}

#[derive(Debug, Deserialize)]
struct Saved {
    prompt_tokens: u64,
    completion_tokens: u64,
    seconds: f64,
    cost: f64,
}

impl Lookups {
    fn cells(&self, first: String) -> [String; 7] {
        let Saved { prompt_tokens, completion_tokens, seconds, cost } = self.saved;
        [
            first,
            self.hits.to_string(),
            self.misses.to_string(),
            rate(self.hits, self.misses),
            (prompt_tokens + completion_tokens).to_string(),
            format!("{seconds:.1}"),
            format!("{cost:.4}"),
        ]
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "lookups from {} to {}", time(self.from), time(self.to))?;
        let mut table = table(&["from", "hits", "misses", "hit rate", "tokens saved", "seconds saved", "cost saved"]);
        for period in &self.periods {
            table.add_row(period.lookups.cells(time(period.start)));
        }
        table.add_row(self.total.cells("all".to_owned()));
        write!(f, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_is_epoch_seconds_or_a_time_before_now() {
        assert_eq!(when("1767398400"), Ok(When::At(1_767_398_400)));
        for (text, seconds) in [("90m", 5400), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(when(text).map(|when| when.second(1_000_000)), Ok(1_000_000 - seconds), "{text}");
        }
        for bad in ["", "d", "-1d", "7w", "yesterday", "é"] {
            assert!(when(bad).is_err(), "{bad}");
        }
    }
}
