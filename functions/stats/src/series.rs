//! The lookups of a range of time by hour or by day, and what their hits saved.

use std::collections::BTreeMap;

use mneme_api::access::Access;
use mneme_core::cache::Cache;
use mneme_model::error::Error;
use mneme_store::hour_stats::{HOUR_SECS, LookupTally};
use serde::{Deserialize, Serialize};

/// The start of the year 10000 in epoch seconds. No range ends later.
const MAX_TIME: i64 = 253_402_300_800;

/// The hours of a day.
const DAY_HOURS: i64 = 24;

/// The length of a period. Days are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// One hour.
    Hour,
    /// One day.
    Day,
}

impl By {
    fn hours(self) -> i64 {
        match self {
            Self::Hour => 1,
            Self::Day => DAY_HOURS,
        }
    }

    /// The most hours that one request may ask for: 31 days by hour, 400 by day.
    fn max_hours(self) -> i64 {
        match self {
            Self::Hour => 31 * DAY_HOURS,
            Self::Day => 400 * DAY_HOURS,
        }
    }

    /// The hours that a request without `from` asks for: a day by hour, 30 days by day.
    fn default_hours(self) -> i64 {
        match self {
            Self::Hour => DAY_HOURS,
            Self::Day => 30 * DAY_HOURS,
        }
    }
}

/// The lookups of some time.
#[derive(Debug, PartialEq, Serialize)]
pub struct Lookups {
    /// Hits of both layers.
    pub hits: u64,
    /// Hits of the exact layer.
    pub hits_exact: u64,
    /// Hits of the semantic layer.
    pub hits_semantic: u64,
    /// Misses.
    pub misses: u64,
    /// Misses by reason. A reason without misses is left out.
    pub misses_by_reason: BTreeMap<String, u64>,
    /// Hits divided by lookups. Null if there was no lookup.
    pub hit_rate: Option<f64>,
    /// What the hits saved.
    pub saved: Saved,
}

/// What hits saved, according to the `usage` that was put with their entries.
#[derive(Debug, PartialEq, Serialize)]
pub struct Saved {
    /// The hits whose entries have a `usage`. Only these count below.
    pub hits_with_usage: u64,
    /// The hits whose entries name a model with prices. Only these count in `cost`.
    pub hits_with_cost: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// Seconds of calls of the model. The time of the lookups is not subtracted.
    pub seconds: f64,
    /// The price of the tokens, in the currency of `MNEME_PRICES`, as it was when the hits happened.
    pub cost: f64,
}

impl From<LookupTally> for Lookups {
    fn from(tally: LookupTally) -> Self {
        let LookupTally { hits_exact, hits_semantic, misses: misses_by_reason, savings } = tally;
        let hits = hits_exact + hits_semantic;
        let misses = misses_by_reason.values().sum();
        let lookups = hits + misses;
        Self {
            hits,
            hits_exact,
            hits_semantic,
            misses,
            misses_by_reason,
            hit_rate: (lookups > 0).then(|| hits as f64 / lookups as f64),
            saved: Saved {
                hits_with_usage: savings.hits_with_usage,
                hits_with_cost: savings.hits_with_cost,
                prompt_tokens: savings.prompt_tokens,
                completion_tokens: savings.completion_tokens,
                seconds: savings.latency_ms as f64 / 1e3,
                cost: savings.cost_micros as f64 / 1e6,
            },
        }
    }
}

/// One period.
#[derive(Debug, PartialEq, Serialize)]
pub struct Period {
    /// Its first second, in epoch seconds.
    pub start: i64,
    /// Its lookups.
    #[serde(flatten)]
    pub lookups: Lookups,
}

/// A range of time in periods.
#[derive(Debug, PartialEq, Serialize)]
pub struct Series {
    /// The first second, in epoch seconds: the start of a period.
    pub from: i64,
    /// The second after the last one: the end of a period.
    pub to: i64,
    /// The length of a period.
    pub by: By,
    /// The lookups of the whole range.
    pub total: Lookups,
    /// The periods with lookups, ascending.
    pub periods: Vec<Period>,
}

/// The periods from that of the second `from` up to that of the last second before `to`.
///
/// Reads: one key for each hour of the range, for each namespace of a list in `access`, eventually consistent.
/// Errors: `InvalidRequest` for an empty or too long range; `StoreBackendError`.
pub(crate) async fn series(
    cache: &Cache,
    access: &Access,
    from: Option<i64>,
    to: Option<i64>,
    by: By,
) -> Result<Series, Error> {
    let period_secs = by.hours() * HOUR_SECS;
    let to = to.unwrap_or_else(|| cache.now_secs() + 1);
    let from = from.unwrap_or_else(|| to.saturating_sub(by.default_hours() * HOUR_SECS));
    if !(0..to.min(MAX_TIME)).contains(&from) || to > MAX_TIME {
        return Err(Error::invalid(
            format!("from: {from} is not a time before {to}, the time of `to`"),
            "send epoch seconds before the year 10000 with `from` below `to`, or leave one of them out",
        ));
    }
    let first = from.div_euclid(period_secs) * by.hours();
    let end = ((to - 1).div_euclid(period_secs) + 1) * by.hours();
    let (hours, max) = (end - first, by.max_hours());
    if hours > max + by.hours() {
        return Err(Error::invalid(
            format!("the range has {hours} hours, and {max} are allowed"),
            "send a shorter range, or `by=day`, which allows 400 days",
        ));
    }
    let mut tallies: BTreeMap<i64, LookupTally> = BTreeMap::new();
    let mut add = |of_hours: BTreeMap<i64, LookupTally>| {
        for (hour, tally) in of_hours {
            tallies.entry(hour.div_euclid(by.hours())).or_default().add(&tally);
        }
    };
    match access {
        Access::All => add(cache.table.tallies(None, first..end).await?),
        Access::Only(namespaces) => {
            for namespace in namespaces {
                add(cache.table.tallies(Some(namespace), first..end).await?);
            }
        }
    }
    let mut total = LookupTally::default();
    tallies.values().for_each(|tally| total.add(tally));
    let period = |(number, tally): (i64, LookupTally)| Period { start: number * period_secs, lookups: tally.into() };
    Ok(Series {
        from: first * HOUR_SECS,
        to: end * HOUR_SECS,
        by,
        total: total.into(),
        periods: tallies.into_iter().map(period).collect(),
    })
}
