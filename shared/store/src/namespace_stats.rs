//! Tallies: per namespace, how many entries there are and what happened; derived items.
//!
//! Every transaction that adds or removes entries adds to the tally in passing, so that a put knows whether a
//! quota is exceeded without counting. A tally starts without knowing what was there before it (rows of the Python
//! library, a tally that vanished); `counted` says that a full count has been taken into it since.

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;

use crate::attribute as name;
use crate::expression::{Condition, Expression};
use crate::item::{Item, flag, n, number, s};
use crate::key::RowKey;
use crate::table::Table;

/// What happened in one namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct EventCounts {
    /// Lookups answered by the exact layer.
    pub hits_exact: u64,
    /// Lookups answered by the semantic layer.
    pub hits_semantic: u64,
    /// Lookups not answered.
    pub misses: u64,
    /// Entries removed for a quota or a cap.
    pub evictions: u64,
    /// Entries removed because their time was over.
    pub expirations: u64,
}

impl EventCounts {
    /// The counts in a tally item.
    pub fn from_item(item: &Item) -> Self {
        let count = |name| number(item, name).unwrap_or(0);
        Self {
            hits_exact: count("hits_exact"),
            hits_semantic: count("hits_semantic"),
            misses: count("misses"),
            evictions: count("evictions"),
            expirations: count("expirations"),
        }
    }

    /// Name and number of each kind that happened.
    pub fn nonzero(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("hits_exact", self.hits_exact),
            ("hits_semantic", self.hits_semantic),
            ("misses", self.misses),
            ("evictions", self.evictions),
            ("expirations", self.expirations),
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

/// The statistics of a namespace, or of the whole table, as they were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NamespaceStats {
    /// The number of rows, expired ones included; negative only while not `counted`.
    pub entries: i64,
    /// Whether `entries` includes the rows that were stored before the statistics were.
    pub counted: bool,
    /// Whether an entry with a time to live was ever written here.
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
    /// Adds each of `counts` that is not zero to the counter of its name.
    pub(crate) fn add_counts(self, counts: &EventCounts) -> Self {
        counts.nonzero().fold(self, |expression, (kind, count)| expression.add(kind, n(count)))
    }
}

impl Table {
    /// The statistics at `key`. Missing ones read as no entries, not counted.
    /// Reads: one key, strongly. Errors: `StoreBackendError`.
    pub async fn namespace_stats(&self, key: RowKey) -> Result<NamespaceStats, Error> {
        Ok(self.get(key, true).await?.as_ref().map(NamespaceStats::from_item).unwrap_or_default())
    }

    /// Replaces the number of entries by a full count, unless the number changed since it was read as `seen`. `has_ttl` is
    /// only ever switched on, because a put may have set it in the meantime.
    ///
    /// Writes: one UpdateItem. If another writer was faster nothing is written, and the next put that finds the quota exceeded
    /// counts again. Errors: `StoreBackendError`.
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

    /// Adds `counts` to the statistics at `key`. Where there are none yet and `make` is false, adds nothing and returns false.
    ///
    /// Writes: one UpdateItem. Not idempotent: after a lost answer the SDK may count them twice.
    pub async fn add_counts(&self, key: RowKey, name: &str, counts: &EventCounts, make: bool) -> Result<bool, Error> {
        if counts.nonzero().next().is_none() {
            return Ok(true);
        }
        let mut expression = Expression::new().set(name::NAME, s(name)).add_counts(counts);
        if !make {
            expression = expression.and(Condition::Exists(name::NAME));
        }
        self.update_if(key, expression).await
    }

    /// Adds `namespace` to the set of names in the directory item at `key`. Writes: one UpdateItem.
    pub async fn add_name(&self, key: RowKey, namespace: &Namespace) -> Result<(), Error> {
        let names = AttributeValue::Ss(vec![namespace.to_string()]);
        self.update_if(key, Expression::new().add(name::NAMES, names)).await.map(|_| ())
    }
}
