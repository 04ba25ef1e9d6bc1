//! Hour stats: derived items that count the lookups of one hour, and what their hits saved.
//!
//! Each namespace with lookups in an hour has an item for it, and so has the whole cache. An item expires after 400 days,
//! so a namespace never has more than 9,600 of them. Instances write them late, with the counts of the namespace stats.

use std::collections::BTreeMap;
use std::ops::Range;

use mneme_model::error::Error;
use mneme_model::namespace::Namespace;

use crate::attribute as name;
use crate::expression::Expression;
use crate::item::{Item, n, number, s};
use crate::key::RowKey;
use crate::table::Table;

/// The number of seconds of an hour.
pub const HOUR_SECS: i64 = 3600;

/// How long an item is kept.
const KEPT_SECS: i64 = 400 * 24 * HOUR_SECS;

/// The attributes with counts of misses start with this. The reason follows.
const MISSES_PREFIX: &str = "misses_";

/// What the hits of a time saved, according to the usage that was stored with their entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Savings {
    /// The hits whose entry says what its answer cost.
    pub hits_with_usage: u64,
    /// The hits whose cost is known: their entry names a model that has prices.
    pub hits_with_cost: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// The time of the calls of the model, in milliseconds.
    pub latency_ms: u64,
    /// The cost in millionths of the currency of the prices.
    pub cost_micros: u64,
}

impl Savings {
    fn attributes(&mut self) -> [(&'static str, &mut u64); 6] {
        [
            (name::HITS_WITH_USAGE, &mut self.hits_with_usage),
            (name::HITS_WITH_COST, &mut self.hits_with_cost),
            (name::PROMPT_TOKENS, &mut self.prompt_tokens),
            (name::COMPLETION_TOKENS, &mut self.completion_tokens),
            (name::LATENCY_MS, &mut self.latency_ms),
            (name::COST_MICROS, &mut self.cost_micros),
        ]
    }
}

/// The lookups of some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LookupTally {
    /// Hits of the exact layer.
    pub hits_exact: u64,
    /// Hits of the semantic layer.
    pub hits_semantic: u64,
    /// Misses by the name of their reason.
    pub misses: BTreeMap<String, u64>,
    /// What the hits saved.
    pub savings: Savings,
}

impl LookupTally {
    /// The tally in an item. A missing count is 0.
    pub fn from_item(item: &Item) -> Self {
        let count = |name: &str| number(item, name).unwrap_or(0);
        let mut savings = Savings::default();
        savings.attributes().into_iter().for_each(|(name, value)| *value = count(name));
        let misses = item.keys().filter_map(|name| Some((name.strip_prefix(MISSES_PREFIX)?.to_owned(), count(name))));
        Self {
            hits_exact: count(name::HITS_EXACT),
            hits_semantic: count(name::HITS_SEMANTIC),
            misses: misses.collect(),
            savings,
        }
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.hits_exact += other.hits_exact;
        self.hits_semantic += other.hits_semantic;
        for (reason, count) in &other.misses {
            *self.misses.entry(reason.clone()).or_default() += count;
        }
        let mut others = other.savings;
        for ((_, sum), (_, value)) in self.savings.attributes().into_iter().zip(others.attributes()) {
            *sum += *value;
        }
    }

    /// The attributes that are not zero, with their counts.
    fn nonzero(&self) -> Vec<(String, u64)> {
        let hits = [(name::HITS_EXACT, self.hits_exact), (name::HITS_SEMANTIC, self.hits_semantic)];
        let hits = hits.into_iter().map(|(name, count)| (name.to_owned(), count));
        let misses = self.misses.iter().map(|(reason, count)| (format!("{MISSES_PREFIX}{reason}"), *count));
        let mut savings = self.savings;
        let savings = savings.attributes().map(|(name, count)| (name.to_owned(), *count));
        hits.chain(misses).chain(savings).filter(|(_, count)| *count > 0).collect()
    }
}

impl Table {
    /// Adds `tally` to the hour `hour`, in hours since the epoch, of `namespace` or of the whole cache.
    ///
    /// Writes: one UpdateItem. It is not idempotent: after a lost answer the SDK may add the counts twice. Errors:
    /// `StoreBackendError`.
    pub async fn add_to_hour(
        &self,
        namespace: Option<&Namespace>,
        hour: i64,
        tally: &LookupTally,
    ) -> Result<(), Error> {
        let mut expression = Expression::new();
        if let Some(namespace) = namespace {
            expression = expression.set(name::NAME, s(namespace.as_str()));
        }
        expression = expression.set(name::HOUR, n(hour)).set(name::TTL, n((hour + 1) * HOUR_SECS + KEPT_SECS));
        let expression = tally.nonzero().iter().fold(expression, |sum, (name, count)| sum.add(name, n(count)));
        self.update_if(RowKey::hour_stats(namespace, hour), expression).await.map(|_| ())
    }

    /// The tallies of those of `hours` in which `namespace`, or the whole cache, had lookups, ascending.
    ///
    /// Reads: one key for each hour, eventually consistent. Errors: `StoreBackendError`.
    pub async fn tallies(
        &self,
        namespace: Option<&Namespace>,
        hours: Range<i64>,
    ) -> Result<BTreeMap<i64, LookupTally>, Error> {
        let keys: BTreeMap<RowKey, i64> = hours.map(|hour| (RowKey::hour_stats(namespace, hour), hour)).collect();
        let items = self.batch_get_eventual(keys.keys().copied()).await?;
        Ok(items.iter().filter_map(|(key, item)| Some((*keys.get(&key)?, LookupTally::from_item(item)))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> LookupTally {
        LookupTally {
            hits_exact: 1,
            hits_semantic: 2,
            misses: [("no_entry".to_owned(), 3), ("vetoed".to_owned(), 4)].into(),
            savings: Savings {
                hits_with_usage: 5,
                hits_with_cost: 6,
                prompt_tokens: 7,
                completion_tokens: 8,
                latency_ms: 9,
                cost_micros: 10,
            },
        }
    }

    #[test]
    fn tally_from_item_of_its_attributes_is_same_tally() {
        let item: Item = tally().nonzero().into_iter().map(|(name, count)| (name, n(count))).collect();
        assert_eq!(LookupTally::from_item(&item), tally());
        assert!(LookupTally::default().nonzero().is_empty());
    }

    #[test]
    fn add_adds_each_count() {
        let mut sum = tally();
        sum.add(&tally());
        let doubled: Vec<(String, u64)> =
            tally().nonzero().into_iter().map(|(name, count)| (name, 2 * count)).collect();
        assert_eq!(sum.nonzero(), doubled);
    }
}
