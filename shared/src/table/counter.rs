//! Item 0: the ids handed out, the version, the embedder's stamp, quotas and meta.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::{Table, fault};
use crate::config::{Config, EmbedderConfig};
use crate::embedders::{Era, Other};
use crate::entry::{Item, item_bytes, number, text};
use crate::error::Error;
use crate::key::RowKey;
use crate::namespace::Namespace;

/// Past this size a write to quotas or meta is refused: every request reads item 0, and every write writes it.
pub const MAX_COUNTER_BYTES: usize = 64 * 1024;

/// The start of the meta key that switches the guard `on` or `off` in the namespace whose name follows.
pub const GUARD_KEY: &str = "guard:";

/// Every attribute that opening a table writes: those of item 0 that [`Table::stamp`] sets, and those with which a new
/// table's count of entries starts ([`Table::recount`]).
pub const OPENING_ATTRIBUTES: [&str; 9] = [
    "id",
    "next_id",
    "version_counter",
    "meta",
    "quotas",
    "embedder_fingerprint",
    "embedder_dim",
    "entries",
    "counted",
];

/// The counter as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// The id that the next insert takes.
    pub next_id: u64,
    /// How many mutations were committed.
    pub version: u64,
    /// The active embedder's fingerprint: what the table is stamped with.
    pub fingerprint: Option<String>,
    /// The dimension of its vectors.
    pub dim: Option<u32>,
    /// Its era.
    pub era: Era,
    /// The era of the `embedding` of rows that do not say whose it is. During a move: the source's.
    pub base: Era,
    /// The highest era that was given out.
    pub last_era: Era,
    /// How often the active embedder was switched.
    pub switches: u64,
    /// The other embedder, during a move.
    pub other: Option<Other>,
    /// `max_entries` by namespace.
    pub quotas: BTreeMap<String, u64>,
    /// The `meta` map.
    pub meta: BTreeMap<String, String>,
    /// The item's size, as DynamoDB counts it.
    pub bytes: usize,
}

impl Counter {
    /// The counter in item 0. Errors: `Internal` when the numbers every writer needs are missing.
    pub fn from_item(item: &Item) -> Result<Self, Error> {
        let broken = |name: &str| Error::internal(format!("item 0 has no usable {name}"));
        let map = |name: &str| item.get(name).and_then(|value| value.as_m().ok());
        Ok(Self {
            next_id: number(item, "next_id").filter(|id| *id >= 1).ok_or_else(|| broken("next_id"))?,
            version: number(item, "version_counter").ok_or_else(|| broken("version_counter"))?,
            fingerprint: text(item, "embedder_fingerprint").filter(|fingerprint| !fingerprint.is_empty()),
            dim: number(item, "embedder_dim").filter(|dim| *dim >= 1),
            era: Era::in_item(item, "embedder_era").unwrap_or_default(),
            base: Era::in_item(item, "base_era").unwrap_or_default(),
            last_era: Era::in_item(item, "last_era").unwrap_or_default(),
            switches: number(item, "embedder_switches").unwrap_or(0),
            other: match Era::in_item(item, "reembed_era") {
                Some(era) => Some(Other {
                    era,
                    fingerprint: text(item, "reembed_fingerprint").ok_or_else(|| broken("reembed_fingerprint"))?,
                    dim: number(item, "reembed_dim").ok_or_else(|| broken("reembed_dim"))?,
                    ending: item.contains_key("reembed_ending"),
                }),
                None => None,
            },
            quotas: map("quotas")
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| Some((name.clone(), value.as_n().ok()?.parse().ok()?)))
                .collect(),
            meta: map("meta")
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| Some((key.clone(), value.as_s().ok()?.clone())))
                .collect(),
            bytes: item_bytes(item),
        })
    }

    /// Item 0 of a new table.
    pub fn first_item(config: &Config) -> Item {
        let mut item = Item::from([
            ("id".to_owned(), AttributeValue::N("0".to_owned())),
            ("next_id".to_owned(), AttributeValue::N("1".to_owned())),
            ("version_counter".to_owned(), AttributeValue::N("0".to_owned())),
            ("meta".to_owned(), AttributeValue::M(Default::default())),
            ("quotas".to_owned(), AttributeValue::M(Default::default())),
        ]);
        if let Some(fingerprint) = &config.embedder.fingerprint {
            item.insert("embedder_fingerprint".to_owned(), AttributeValue::S(fingerprint.clone()));
        }
        if let Some(dim) = config.embedder.dim {
            item.insert("embedder_dim".to_owned(), AttributeValue::N(dim.to_string()));
        }
        item
    }

    /// Whether the guard is on in `namespace`: as its meta key says, or else the configuration. Anything but `off` in the key
    /// switches it on.
    pub fn guard(&self, namespace: &Namespace, config: &Config) -> bool {
        self.meta.get(&format!("{GUARD_KEY}{namespace}")).map_or(config.guard, |value| value != "off")
    }

    /// Whether the configuration names an embedder that item 0 is not stamped with yet.
    pub fn lacks_stamp(&self, config: &Config) -> bool {
        let EmbedderConfig { fingerprint, dim, .. } = &config.embedder;
        (self.fingerprint.is_none() && fingerprint.is_some()) || (self.dim.is_none() && dim.is_some())
    }

    /// The namespace's `max_entries`, where it has a quota.
    pub fn quota(&self, namespace: &Namespace) -> Option<u64> {
        self.quotas.get(namespace.as_str()).copied()
    }
}

impl Table {
    /// Item 0, strongly; `None` when it, or the table, is missing.
    pub async fn read_counter(&self) -> Result<Option<Counter>, Error> {
        match self.try_get(RowKey::COUNTER).await? {
            Some(item) => Counter::from_item(&item).map(Some),
            None => Ok(None),
        }
    }

    /// Makes item 0 if it is missing, gives it the configured fingerprint and dimension where it has none, and
    /// returns it.
    ///
    /// Writes: one UpdateItem that never changes a value that is there.
    pub async fn stamp(&self, config: &Config) -> Result<Counter, Error> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("id", RowKey::COUNTER.attribute())
            .return_values(ReturnValue::AllNew);
        let mut sets = Vec::new();
        for (name, value) in Counter::first_item(config) {
            if name == "id" {
                continue;
            }
            sets.push(format!("#{name} = if_not_exists(#{name}, :{name})"));
            update = update
                .expression_attribute_names(format!("#{name}"), &name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        let output = update
            .update_expression(format!("SET {}", sets.join(", ")))
            .send()
            .await
            .map_err(|error| fault::named("UpdateItem", error))?;
        Counter::from_item(&output.attributes.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_new_counter_reads_back() {
        let config = Config::with(&[("MNEME_EMBEDDER_FINGERPRINT", "f"), ("MNEME_EMBEDDER_DIM", "3")]);
        let counter = Counter::from_item(&Counter::first_item(&config)).unwrap();
        assert_eq!((counter.next_id, counter.version), (1, 0));
        assert_eq!((counter.fingerprint.as_deref(), counter.dim), (Some("f"), Some(3)));
        counter.serving(&config).unwrap();
        counter.active().check_dim(3).unwrap();
        assert_eq!(counter.active().check_dim(4).unwrap_err().kind, ErrorKind::EmbedderDimensionError);
    }

    #[test]
    fn opening_attributes_are_those_of_a_new_counter_and_a_new_count() {
        let config = Config::with(&[("MNEME_EMBEDDER_FINGERPRINT", "f"), ("MNEME_EMBEDDER_DIM", "3")]);
        let mut written: Vec<String> = Counter::first_item(&config).into_keys().collect();
        written.extend(["entries".to_owned(), "counted".to_owned()]);
        written.sort_unstable();
        let mut declared = OPENING_ATTRIBUTES;
        declared.sort_unstable();
        assert_eq!(written, declared);
    }

    #[test]
    fn another_embedder_is_refused_and_an_unknown_one_is_not() {
        let stamped = Config::with(&[("MNEME_EMBEDDER_FINGERPRINT", "f"), ("MNEME_EMBEDDER_DIM", "3")]);
        let counter = Counter::from_item(&Counter::first_item(&stamped)).unwrap();
        for other in [("MNEME_EMBEDDER_FINGERPRINT", "g"), ("MNEME_EMBEDDER_DIM", "4")] {
            let error = counter.serving(&Config::with(&[other])).unwrap_err();
            assert_eq!(error.kind, ErrorKind::EmbedderMismatchError);
        }
        counter.serving(&Config::with(&[])).unwrap();
    }

    #[test]
    fn an_item_without_its_numbers_is_refused() {
        let mut item = Counter::first_item(&Config::with(&[]));
        item.remove("next_id");
        assert_eq!(Counter::from_item(&item).unwrap_err().kind, ErrorKind::Internal);
    }
}
