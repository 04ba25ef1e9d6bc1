//! Tallies: per namespace, how many entries there are and what happened; derived items.
//!
//! Every transaction that adds or removes entries adds to the tally in passing, so that a put knows whether a
//! quota is exceeded without counting. A tally starts without knowing what was there before it (rows of the Python
//! library, a tally that vanished); `counted` says that a full count has been taken into it since.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;

use super::Table;
use super::fault::{self, applied};
use crate::entry::{Item, number};
use crate::error::Error;
use crate::key::RowKey;
use crate::namespace::Namespace;

/// What happened in one namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
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

impl Counts {
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

/// A tally as it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// The number of rows, expired ones included; negative only while not `counted`.
    pub entries: i64,
    /// Whether `entries` includes all that was there before the tally.
    pub counted: bool,
    /// Whether an entry with a time to live was ever written here.
    pub has_ttl: bool,
}

impl Tally {
    fn from_item(item: &Item) -> Self {
        let flag = |name: &str| item.get(name).and_then(|value| value.as_bool().ok()).copied().unwrap_or(false);
        Self { entries: number(item, "entries").unwrap_or(0), counted: flag("counted"), has_ttl: flag("has_ttl") }
    }
}

impl Table {
    /// The tally at `key`; one that is missing counts as one that knows nothing.
    pub async fn tally(&self, key: RowKey) -> Result<Tally, Error> {
        Ok(self.get(key, true).await?.as_ref().map(Tally::from_item).unwrap_or_default())
    }

    /// Replaces the tally's number of entries by a full count, unless it has moved since it was read as `seen`, and
    /// notes `has_ttl`, which is never taken back: a put may have noted it in the meantime.
    pub async fn recount(&self, key: RowKey, seen: Tally, entries: u64, has_ttl: bool) -> Result<(), Error> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("id", key.attribute())
            .update_expression(if has_ttl {
                "SET #entries = :entries, #counted = :true, #has_ttl = :true"
            } else {
                "SET #entries = :entries, #counted = :true"
            })
            .set_expression_attribute_names(
                has_ttl.then(|| HashMap::from([("#has_ttl".to_owned(), "has_ttl".to_owned())])),
            )
            .condition_expression("attribute_not_exists(#entries) OR #entries = :seen")
            .expression_attribute_names("#entries", "entries")
            .expression_attribute_names("#counted", "counted")
            .expression_attribute_values(":entries", AttributeValue::N(entries.to_string()))
            .expression_attribute_values(":seen", AttributeValue::N(seen.entries.to_string()))
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .send()
            .await;
        // Where a writer was faster, the next one to find the quota exceeded counts again.
        applied("UpdateItem", sent, UpdateItemError::is_conditional_check_failed_exception).map(|_| ())
    }

    /// Adds `counts` to the tally at `key`; where there is none yet and `make` is false, false and nothing added.
    /// Not idempotent: a lost answer may count them twice.
    pub async fn add_counts(&self, key: RowKey, name: &str, counts: &Counts, make: bool) -> Result<bool, Error> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("id", key.attribute())
            .expression_attribute_names("#name", "name")
            .expression_attribute_values(":name", AttributeValue::S(name.to_owned()));
        let mut adds = Vec::new();
        for (kind, count) in counts.nonzero() {
            adds.push(format!("#{kind} :{kind}"));
            update = update
                .expression_attribute_names(format!("#{kind}"), kind)
                .expression_attribute_values(format!(":{kind}"), AttributeValue::N(count.to_string()));
        }
        if adds.is_empty() {
            return Ok(true);
        }
        if !make {
            update = update.condition_expression("attribute_exists(#name)");
        }
        let sent = update.update_expression(format!("SET #name = :name ADD {}", adds.join(", "))).send().await;
        applied("UpdateItem", sent, UpdateItemError::is_conditional_check_failed_exception)
    }

    /// Adds `namespace` to the set of names at `key`, a directory item.
    pub(crate) async fn add_name(&self, key: RowKey, namespace: &Namespace) -> Result<(), Error> {
        self.client
            .update_item()
            .table_name(&self.name)
            .key("id", key.attribute())
            .update_expression("ADD #names :names")
            .expression_attribute_names("#names", "names")
            .expression_attribute_values(":names", AttributeValue::Ss(vec![namespace.to_string()]))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| fault::named("UpdateItem", error))
    }
}
