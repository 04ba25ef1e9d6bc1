//! Namespace stats: derived items with the number of rows of a namespace and counts of its events.
//!
//! Every transaction that adds or removes rows also changes the stats. So a put knows whether a quota is exceeded
//! without counting rows. New stats do not include the rows that were stored before them, such as rows of the Python
//! library. `counted` says that a full count has replaced the number since.

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use serde::Serialize;

use crate::attribute as name;
use crate::expression::{Condition, Expression};
use crate::item::{Item, flag, n, number, s};
use crate::key::RowKey;
use crate::table::Table;

/// The events of one namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct EventCounts {
    /// The number of lookups that the exact layer answered.
    pub hits_exact: u64,
    /// The number of lookups that the semantic layer answered.
    pub hits_semantic: u64,
    /// The number of lookups without an answer.
    pub misses: u64,
    /// The number of entries that were removed for a quota or a cap.
    pub evictions: u64,
    /// The number of entries that were removed because they had expired.
    pub expirations: u64,
}

impl EventCounts {
    /// Reads the counts from an item with namespace stats. A missing count is 0.
    pub fn from_item(item: &Item) -> Self {
        let count = |name| number(item, name).unwrap_or(0);
        Self {
            hits_exact: count(name::HITS_EXACT),
            hits_semantic: count(name::HITS_SEMANTIC),
            misses: count(name::MISSES),
            evictions: count(name::EVICTIONS),
            expirations: count(name::EXPIRATIONS),
        }
    }

    /// The attribute and the count of each kind of event that is not zero.
    pub fn nonzero(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            (name::HITS_EXACT, self.hits_exact),
            (name::HITS_SEMANTIC, self.hits_semantic),
            (name::MISSES, self.misses),
            (name::EVICTIONS, self.evictions),
            (name::EXPIRATIONS, self.expirations),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.hits_exact += other.hits_exact;
        self.hits_semantic += other.hits_semantic;
        self.misses += other.misses;
        self.evictions += other.evictions;
        self.expirations += other.expirations;
    }
}

/// The number of rows of a namespace, or of the whole table, as it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NamespaceStats {
    /// The number of rows, including expired ones. It may be negative while `counted` is false.
    pub entries: i64,
    /// Whether `entries` includes the rows that were stored before the stats existed.
    pub counted: bool,
    /// Whether an entry with a time to live was ever written to the namespace.
    pub has_ttl: bool,
}

impl NamespaceStats {
    fn from_item(item: &Item) -> Self {
        Self {
            entries: number(item, name::ENTRIES).unwrap_or(0),
            counted: flag(item, name::COUNTED).unwrap_or(false),
            has_ttl: flag(item, name::HAS_TTL).unwrap_or(false),
        }
    }
}

impl Expression {
    /// Adds each of `counts` that is not zero to the attribute of its name.
    pub(crate) fn add_counts(self, counts: &EventCounts) -> Self {
        counts.nonzero().fold(self, |expression, (attribute, count)| expression.add(attribute, n(count)))
    }
}

impl Table {
    /// The stats at `key`. If there are none, the result has no entries and is not counted.
    ///
    /// Reads: one key, strongly consistent. Errors: `StoreBackendError`.
    pub async fn namespace_stats(&self, key: RowKey) -> Result<NamespaceStats, Error> {
        Ok(self.get(key, true).await?.as_ref().map(NamespaceStats::from_item).unwrap_or_default())
    }

    /// Replaces the number of entries by the full count `entries`, if the number is still that of `seen` or there is
    /// none. `has_ttl` can only become true, because a put may have set it in the meantime.
    ///
    /// Writes: one UpdateItem. If the number has changed, nothing is written; the next put that finds the quota
    /// exceeded counts again. Errors: `StoreBackendError`.
    pub async fn recount(&self, key: RowKey, seen: NamespaceStats, entries: u64, has_ttl: bool) -> Result<(), Error> {
        let is_unchanged = vec![Condition::Absent(name::ENTRIES), Condition::equals(name::ENTRIES, n(seen.entries))];
        let mut expression = Expression::when(Condition::Any(is_unchanged))
            .set(name::ENTRIES, n(entries))
            .set(name::COUNTED, AttributeValue::Bool(true));
        if has_ttl {
            expression = expression.set(name::HAS_TTL, AttributeValue::Bool(true));
        }
        self.update_if(key, expression).await.map(|_| ())
    }

    /// Adds `counts` to the stats at `key`. If there are no stats and `create` is false, adds nothing and returns
    /// false.
    ///
    /// Writes: one UpdateItem. It is not idempotent: after a lost answer the SDK may add the counts twice. Errors:
    /// `StoreBackendError`.
    pub async fn add_counts(&self, key: RowKey, name: &str, counts: &EventCounts, create: bool) -> Result<bool, Error> {
        if counts.nonzero().next().is_none() {
            return Ok(true);
        }
        let mut expression = Expression::new().set(name::NAME, s(name)).add_counts(counts);
        if !create {
            expression = expression.and(Condition::Exists(name::NAME));
        }
        self.update_if(key, expression).await
    }

    /// Adds `namespace` to the set of names in the directory item at `key`. Writes: one UpdateItem. Errors:
    /// `StoreBackendError`.
    pub async fn add_name(&self, key: RowKey, namespace: &Namespace) -> Result<(), Error> {
        let names = AttributeValue::Ss(vec![namespace.to_string()]);
        self.update_if(key, Expression::new().add(name::NAMES, names)).await.map(|_| ())
    }

    /// Takes `namespace` out of the set of names in the directory item at `key`, if that exists. Writes: one UpdateItem.
    /// Errors: `StoreBackendError`.
    pub async fn remove_name(&self, key: RowKey, namespace: &Namespace) -> Result<(), Error> {
        let names = AttributeValue::Ss(vec![namespace.to_string()]);
        let expression = Expression::when(Condition::Exists(name::NAMES)).delete(name::NAMES, names);
        self.update_if(key, expression).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: EventCounts =
        EventCounts { hits_exact: 1, hits_semantic: 2, misses: 3, evictions: 4, expirations: 5 };

    fn item(counts: &EventCounts) -> Item {
        counts.nonzero().map(|(attribute, count)| (attribute.to_owned(), n(count))).collect()
    }

    #[test]
    fn counts_from_item_of_nonzero_are_same_counts() {
        assert_eq!(EventCounts::from_item(&item(&COUNTS)), COUNTS);
        let misses_only = EventCounts { misses: 3, ..EventCounts::default() };
        assert_eq!(item(&misses_only).len(), 1);
        assert_eq!(EventCounts::from_item(&item(&misses_only)), misses_only);
    }

    #[test]
    fn add_adds_each_count() {
        let mut sum = COUNTS;
        sum.add(&COUNTS);
        let doubled = EventCounts { hits_exact: 2, hits_semantic: 4, misses: 6, evictions: 8, expirations: 10 };
        assert_eq!(sum, doubled);
    }

    #[test]
    fn stats_from_item_without_attributes_are_not_counted() {
        let stats = NamespaceStats { entries: 0, counted: false, has_ttl: false };
        assert_eq!(NamespaceStats::from_item(&Item::new()), stats);
    }
}
