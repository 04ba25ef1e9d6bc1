//! Item 0: the ids handed out, the version, the embedder's stamp, quotas and meta.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use mneme_model::config::{Config, EmbedderConfig};
use mneme_model::embedder::{EmbedderGeneration, MoveEnd, SecondEmbedder, ServedEmbedder};
use mneme_model::error::{Error, ErrorKind};
use mneme_model::namespace::Namespace;

use crate::attribute as name;
use crate::entry_row::generation;
use crate::expression::Expression;
use crate::item::{Item, item_bytes, n, number, s, text};
use crate::key::RowKey;
use crate::table::Table;

/// The largest size of item 0 at which quotas and meta may still be written. Every request reads item 0, and every write
/// writes it.
pub const MAX_COUNTER_BYTES: usize = 64 * 1024;

/// The prefix of the meta keys that switch the guard `on` or `off` in the namespace whose name follows.
pub const GUARD_KEY: &str = "guard:";

/// Every attribute that opening a table writes: those of item 0 that [`Table::stamp`] sets, and those with which a new
/// table's count of entries starts ([`Table::recount`]).
pub const OPENING_ATTRIBUTES: [&str; 9] = [
    name::ID,
    name::NEXT_ID,
    name::VERSION,
    name::META,
    name::QUOTAS,
    name::FINGERPRINT,
    name::DIM,
    name::ENTRIES,
    name::COUNTED,
];

/// The counter as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// The id that the next insert takes.
    pub next_id: u64,
    /// How many mutations were committed.
    pub version: u64,
    /// The fingerprint of the active embedder: the one that lookups use unless an instance is configured for another.
    pub fingerprint: Option<String>,
    /// The dimension of the active embedder's vectors.
    pub dim: Option<u32>,
    /// The active embedder's generation.
    pub generation: EmbedderGeneration,
    /// The generation of the first vector of rows that name none. During a move this is the source's.
    pub base_generation: EmbedderGeneration,
    /// The highest generation that was given out.
    pub last_generation: EmbedderGeneration,
    /// How often the active embedder was switched.
    pub switches: u64,
    /// The embedder that is not active, during a move.
    pub second: Option<SecondEmbedder>,
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
        let map = |name: &str| item.get(name).and_then(|value| value.as_m().ok()).into_iter().flatten();
        Ok(Self {
            next_id: number(item, name::NEXT_ID).filter(|id| *id >= 1).ok_or_else(|| broken(name::NEXT_ID))?,
            version: number(item, name::VERSION).ok_or_else(|| broken(name::VERSION))?,
            fingerprint: text(item, name::FINGERPRINT).filter(|fingerprint| !fingerprint.is_empty()),
            dim: number(item, name::DIM).filter(|dim| *dim >= 1),
            generation: generation(item, name::ACTIVE_GENERATION).unwrap_or_default(),
            base_generation: generation(item, name::BASE_GENERATION).unwrap_or_default(),
            last_generation: generation(item, name::LAST_GENERATION).unwrap_or_default(),
            switches: number(item, name::SWITCHES).unwrap_or(0),
            second: match generation(item, name::SECOND_GENERATION) {
                Some(generation) => Some(SecondEmbedder {
                    generation,
                    fingerprint: text(item, name::SECOND_FINGERPRINT)
                        .ok_or_else(|| broken(name::SECOND_FINGERPRINT))?,
                    dim: number(item, name::SECOND_DIM).ok_or_else(|| broken(name::SECOND_DIM))?,
                    ending: item.contains_key(name::SECOND_ENDING),
                }),
                None => None,
            },
            quotas: map(name::QUOTAS)
                .filter_map(|(name, value)| Some((name.clone(), value.as_n().ok()?.parse().ok()?)))
                .collect(),
            meta: map(name::META).filter_map(|(key, value)| Some((key.clone(), value.as_s().ok()?.clone()))).collect(),
            bytes: item_bytes(item),
        })
    }

    /// Item 0 of a new table.
    pub fn first_item(config: &Config) -> Item {
        let mut item = Item::from([
            (name::ID.to_owned(), RowKey::COUNTER.attribute()),
            (name::NEXT_ID.to_owned(), n(1)),
            (name::VERSION.to_owned(), n(0)),
            (name::META.to_owned(), AttributeValue::M(Default::default())),
            (name::QUOTAS.to_owned(), AttributeValue::M(Default::default())),
        ]);
        if let Some(fingerprint) = &config.embedder.fingerprint {
            item.insert(name::FINGERPRINT.to_owned(), s(fingerprint));
        }
        if let Some(dim) = config.embedder.dim {
            item.insert(name::DIM.to_owned(), n(dim));
        }
        item
    }

    /// Whether the guard is on in `namespace`: its meta key decides, or else the configuration. Any value of the key but `off`
    /// switches the guard on.
    pub fn guard(&self, namespace: &Namespace, config: &Config) -> bool {
        self.meta.get(&format!("{GUARD_KEY}{namespace}")).map_or(config.guard, |value| value != "off")
    }

    /// Whether the configuration names an embedder and item 0 has no stamp of it yet.
    pub fn lacks_stamp(&self, config: &Config) -> bool {
        let EmbedderConfig { fingerprint, dim, .. } = &config.embedder;
        (self.fingerprint.is_none() && fingerprint.is_some()) || (self.dim.is_none() && dim.is_some())
    }

    /// The namespace's `max_entries`, where it has a quota.
    pub fn quota(&self, namespace: &Namespace) -> Option<u64> {
        self.quotas.get(namespace.as_str()).copied()
    }

    /// The active embedder.
    pub fn active_embedder(&self) -> ServedEmbedder {
        ServedEmbedder {
            generation: self.generation,
            base_generation: self.base_generation,
            switches: self.switches,
            dim: self.dim,
            fingerprint: self.fingerprint.clone(),
        }
    }

    /// The embedder that is not active, during a move.
    pub fn second_embedder(&self) -> Option<ServedEmbedder> {
        self.second.as_ref().map(|second| ServedEmbedder {
            generation: second.generation,
            dim: Some(second.dim),
            fingerprint: Some(second.fingerprint.clone()),
            ..self.active_embedder()
        })
    }

    /// The embedders that instances may serve: the active one, and during a move, until it is ending, the second one.
    pub fn served_embedders(&self) -> impl Iterator<Item = ServedEmbedder> {
        let is_served = self.second.as_ref().is_some_and(|second| !second.ending);
        std::iter::once(self.active_embedder()).chain(self.second_embedder().filter(|_| is_served))
    }

    /// The end of the move whose embedder is active; `None` without a move.
    pub fn active_end(&self) -> Option<MoveEnd> {
        let end = if self.generation == self.base_generation { MoveEnd::Source } else { MoveEnd::Target };
        self.second.as_ref().map(|_| end)
    }

    /// The embedder that an instance of this configuration serves: the active one, if the configuration names it or names
    /// none; else the second one of a move, whose vectors may not be complete yet.
    ///
    /// Errors: `EmbedderMismatchError`.
    pub fn served_embedder(&self, config: &Config) -> Result<ServedEmbedder, Error> {
        let is_configured = |served: &ServedEmbedder| {
            let differs = |stamp: &EmbedderConfig| {
                let fingerprints = served.fingerprint.as_deref().zip(stamp.fingerprint.as_deref());
                let dims = served.dim.zip(stamp.dim);
                fingerprints.is_some_and(|(own, configured)| own != configured)
                    || dims.is_some_and(|(own, configured)| own != configured)
            };
            std::iter::once(&config.embedder).chain(&config.next_embedder).any(|stamp| !differs(stamp))
        };
        self.served_embedders()
            .find(is_configured)
            .ok_or_else(|| configuration_mismatch(&self.active_embedder(), config))
    }

    /// The embedder that made a vector: the one with `fingerprint`, or, where the caller names none, the one that an instance of
    /// this configuration serves.
    ///
    /// Errors: `EmbedderMismatchError`.
    pub fn vector_maker(&self, fingerprint: Option<&str>, config: &Config) -> Result<ServedEmbedder, Error> {
        let Some(fingerprint) = fingerprint else { return self.served_embedder(config) };
        let made_it = |served: &ServedEmbedder| served.fingerprint.as_deref().is_none_or(|own| own == fingerprint);
        self.served_embedders().find(made_it).ok_or_else(|| {
            let active = self.fingerprint.as_deref().unwrap_or_default();
            mismatch(format!("the cache holds embeddings of {active:?}, and this one is of {fingerprint:?}"))
        })
    }
}

fn mismatch(detail: String) -> Error {
    Error::new(
        ErrorKind::EmbedderMismatchError,
        detail,
        "configure the embedder that the cache was built with, move the cache to this one, or use another table",
    )
}

fn configuration_mismatch(active: &ServedEmbedder, config: &Config) -> Error {
    mismatch(match (&active.fingerprint, &config.embedder.fingerprint) {
        (Some(stamped), Some(configured)) if stamped != configured => {
            format!("the cache holds embeddings of {stamped:?}, and {configured:?} is configured")
        }
        _ => {
            let [stamped, configured] = [active.dim, config.embedder.dim].map(Option::unwrap_or_default);
            format!("the cache holds embeddings of dimension {stamped}, and {configured} is configured")
        }
    })
}

impl Table {
    /// Item 0, strongly consistent; `None` when it, or the table, is missing.
    pub async fn read_counter(&self) -> Result<Option<Counter>, Error> {
        match self.try_get(RowKey::COUNTER).await? {
            Some(item) => Counter::from_item(&item).map(Some),
            None => Ok(None),
        }
    }

    /// Makes item 0 if it is missing, stamps it with the configured fingerprint and dimension where it has none, and
    /// returns it.
    ///
    /// Writes: one UpdateItem that never changes a value that exists.
    pub async fn stamp(&self, config: &Config) -> Result<Counter, Error> {
        let first = Counter::first_item(config).into_iter().filter(|(attribute, _)| attribute != name::ID);
        let expression = first.fold(Expression::new(), |all, (attribute, value)| all.set_if_absent(&attribute, value));
        Counter::from_item(&self.update_returning(RowKey::COUNTER, expression, ReturnValue::AllNew).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_counter_reads_back() {
        let config = Config::with(&[("MNEME_EMBEDDER_FINGERPRINT", "f"), ("MNEME_EMBEDDER_DIM", "3")]);
        let counter = Counter::from_item(&Counter::first_item(&config)).unwrap();
        assert_eq!((counter.next_id, counter.version), (1, 0));
        assert_eq!((counter.fingerprint.as_deref(), counter.dim), (Some("f"), Some(3)));
        counter.served_embedder(&config).unwrap();
        counter.active_embedder().check_dim(3).unwrap();
        assert_eq!(counter.active_embedder().check_dim(4).unwrap_err().kind, ErrorKind::EmbedderDimensionError);
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
            let error = counter.served_embedder(&Config::with(&[other])).unwrap_err();
            assert_eq!(error.kind, ErrorKind::EmbedderMismatchError);
        }
        counter.served_embedder(&Config::with(&[])).unwrap();
    }

    #[test]
    fn an_item_without_its_numbers_is_refused() {
        let mut item = Counter::first_item(&Config::with(&[]));
        item.remove("next_id");
        assert_eq!(Counter::from_item(&item).unwrap_err().kind, ErrorKind::Internal);
    }

    /// Stamped with `a` of 3 dimensions, moving to `b` of 4.
    fn moving() -> Counter {
        let stamped = Config::with(&[("MNEME_EMBEDDER_FINGERPRINT", "a"), ("MNEME_EMBEDDER_DIM", "3")]);
        let mut counter = Counter::from_item(&Counter::first_item(&stamped)).unwrap();
        counter.second = Some(SecondEmbedder {
            generation: EmbedderGeneration::new(1),
            fingerprint: "b".to_owned(),
            dim: 4,
            ending: false,
        });
        counter
    }

    fn switched() -> Counter {
        let mut counter = moving();
        (counter.generation, counter.fingerprint, counter.dim) =
            (EmbedderGeneration::new(1), Some("b".to_owned()), Some(4));
        counter.second = Some(SecondEmbedder {
            generation: EmbedderGeneration::new(0),
            fingerprint: "a".to_owned(),
            dim: 3,
            ending: false,
        });
        counter
    }

    const A: (&str, &str) = ("MNEME_EMBEDDER_FINGERPRINT", "a");
    const B: (&str, &str) = ("MNEME_EMBEDDER_FINGERPRINT", "b");
    const NEXT_B: (&str, &str) = ("MNEME_EMBEDDER_NEXT_FINGERPRINT", "b");
    const DIM_3: (&str, &str) = ("MNEME_EMBEDDER_DIM", "3");

    #[test]
    fn an_instance_serves_what_it_is_configured_for_and_the_active_one_first() {
        for (variables, before, after) in [
            (&[][..], 0, 1),
            (&[A][..], 0, 0),
            (&[A, DIM_3][..], 0, 0),
            (&[DIM_3][..], 0, 0),
            (&[B][..], 1, 1),
            (&[A, NEXT_B][..], 0, 1),
        ] {
            let config = Config::with(variables);
            let era = |counter: &Counter| counter.served_embedder(&config).unwrap().generation;
            assert_eq!(
                (era(&moving()), era(&switched())),
                (EmbedderGeneration::new(before), EmbedderGeneration::new(after)),
                "{variables:?}"
            );
        }
        for variables in
            [&[("MNEME_EMBEDDER_FINGERPRINT", "c")][..], &[B, DIM_3][..], &[("MNEME_EMBEDDER_DIM", "5")][..]]
        {
            for counter in [moving(), switched()] {
                let error = counter.served_embedder(&Config::with(variables)).unwrap_err();
                assert_eq!(error.kind, ErrorKind::EmbedderMismatchError, "{variables:?}");
            }
        }
    }

    #[test]
    fn one_whose_vectors_are_being_removed_is_not_served() {
        let mut counter = switched();
        counter.second.as_mut().unwrap().ending = true;
        assert_eq!(counter.served_embedder(&Config::with(&[A])).unwrap_err().kind, ErrorKind::EmbedderMismatchError);
        assert_eq!(
            counter.served_embedder(&Config::with(&[A, NEXT_B])).unwrap().generation,
            EmbedderGeneration::new(1)
        );
        assert_eq!(
            counter.vector_maker(Some("a"), &Config::with(&[])).unwrap_err().kind,
            ErrorKind::EmbedderMismatchError
        );
    }

    #[test]
    fn a_vector_has_the_era_of_its_maker() {
        let (any, only_a) = (Config::with(&[]), Config::with(&[A]));
        let era =
            |counter: &Counter, fingerprint, config| counter.vector_maker(fingerprint, config).unwrap().generation;
        assert_eq!(era(&moving(), Some("a"), &any), EmbedderGeneration::new(0));
        assert_eq!(era(&moving(), Some("b"), &any), EmbedderGeneration::new(1));
        assert_eq!(era(&switched(), Some("a"), &any), EmbedderGeneration::new(0));
        assert_eq!(era(&switched(), None, &only_a), EmbedderGeneration::new(0));
        assert_eq!(era(&switched(), None, &any), EmbedderGeneration::new(1));
        assert_eq!(moving().vector_maker(Some("c"), &any).unwrap_err().kind, ErrorKind::EmbedderMismatchError);
        assert_eq!((moving().active_end(), switched().active_end()), (Some(MoveEnd::Source), Some(MoveEnd::Target)));
    }
}
