//! The counter, which is item 0 of the table: the next id, the version, the stamps of the embedders, quotas and meta.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::config::{Config, EmbedderConfig};
use mneme_model::embedder::{EmbedderGeneration, MoveEnd, SecondEmbedder, ServedEmbedder};
use mneme_model::error::{Error, ErrorKind};
use mneme_model::namespace::Namespace;
use mneme_model::namespace_settings::NamespaceSettings;
use mneme_model::scale::Scale;

use crate::attribute as name;
use crate::entry_row::generation;
use crate::expression::{Condition, Expression};
use crate::item::{Item, bytes, item_bytes, n, number, s, text};
use crate::key::RowKey;
use crate::table::Table;

/// The largest size of the `meta` item, and of item 0 in a table that is shared with the Python library, which keeps
/// quotas and meta there.
pub const MAX_SETTINGS_BYTES: usize = 64 * 1024;

/// The prefix of the meta keys with which older versions switched the guard `on` or `off` in one namespace. The name of
/// the namespace follows.
pub const GUARD_KEY: &str = "guard:";

/// The meta key with which older versions switched the guard of `namespace`.
pub fn guard_key(namespace: &Namespace) -> String {
    format!("{GUARD_KEY}{namespace}")
}

/// The attributes that `provision` writes: those of item 0 that [`Table::stamp`] and a new stamp set, and those of the
/// stats of a new table ([`Table::recount`]).
pub const PROVISION_ATTRIBUTES: [&str; 19] = [
    name::ID,
    name::NEXT_ID,
    name::VERSION,
    name::META,
    name::QUOTAS,
    name::FINGERPRINT,
    name::DIM,
    name::ACTIVE_GENERATION,
    name::BASE_GENERATION,
    name::LAST_GENERATION,
    name::SWITCHES,
    name::SECOND_FINGERPRINT,
    name::SECOND_DIM,
    name::SECOND_GENERATION,
    name::SECOND_ENDING,
    name::SCALE,
    name::SECOND_SCALE,
    name::ENTRIES,
    name::COUNTED,
];

/// The counter as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counter {
    /// The id that the next insert takes, at least 1.
    pub next_id: u64,
    /// The number of committed mutations.
    pub version: u64,
    /// The fingerprint of the active embedder. Lookups use this embedder unless their instance is configured for
    /// another.
    pub fingerprint: Option<String>,
    /// The dimension of the active embedder's vectors.
    pub dim: Option<u32>,
    /// The scale of the active embedder's similarities, once it is learned.
    pub scale: Option<Scale>,
    /// The generation of the active embedder.
    pub generation: EmbedderGeneration,
    /// The generation of the first vector of rows that name none. During a move it is the generation of the source.
    pub base_generation: EmbedderGeneration,
    /// The highest generation that was given out.
    pub last_generation: EmbedderGeneration,
    /// How often the active embedder was switched.
    pub switches: u64,
    /// The embedder that is not active, during a move.
    pub second: Option<SecondEmbedder>,
    /// The quotas in item 0: `max_entries` by namespace.
    pub quotas: BTreeMap<String, u64>,
    /// Whether an older version may have written quotas to items of their own.
    pub has_quota_items: bool,
    /// The number of changes of the settings of namespaces.
    pub settings_version: u64,
    /// The `meta` map in item 0: texts by key.
    pub meta: BTreeMap<String, String>,
    /// The size of the item as DynamoDB counts it.
    pub bytes: usize,
}

impl Counter {
    /// The counter of a table in which nothing was stored: no mutation, no embedder, no quota.
    pub fn empty() -> Self {
        Self { next_id: 1, ..Self::default() }
    }

    /// Reads the counter from item 0.
    ///
    /// Errors: `Internal` if `next_id`, `version_counter` or a stamp of the second embedder is missing or malformed.
    pub fn from_item(item: &Item) -> Result<Self, Error> {
        let missing = |name: &str| Error::internal(format!("item 0 has no usable {name}"));
        let map = |name: &str| item.get(name).and_then(|value| value.as_m().ok()).into_iter().flatten();
        Ok(Self {
            next_id: number(item, name::NEXT_ID).filter(|id| *id >= 1).ok_or_else(|| missing(name::NEXT_ID))?,
            version: number(item, name::VERSION).ok_or_else(|| missing(name::VERSION))?,
            fingerprint: text(item, name::FINGERPRINT).filter(|fingerprint| !fingerprint.is_empty()),
            dim: number(item, name::DIM).filter(|dim| *dim >= 1),
            scale: bytes(item, name::SCALE).and_then(Scale::from_bytes),
            generation: generation(item, name::ACTIVE_GENERATION).unwrap_or_default(),
            base_generation: generation(item, name::BASE_GENERATION).unwrap_or_default(),
            last_generation: generation(item, name::LAST_GENERATION).unwrap_or_default(),
            switches: number(item, name::SWITCHES).unwrap_or(0),
            second: match generation(item, name::SECOND_GENERATION) {
                Some(generation) => Some(SecondEmbedder {
                    generation,
                    fingerprint: text(item, name::SECOND_FINGERPRINT)
                        .ok_or_else(|| missing(name::SECOND_FINGERPRINT))?,
                    scale: bytes(item, name::SECOND_SCALE).and_then(Scale::from_bytes),
                    dim: number(item, name::SECOND_DIM).ok_or_else(|| missing(name::SECOND_DIM))?,
                    ending: item.contains_key(name::SECOND_ENDING),
                }),
                None => None,
            },
            quotas: map(name::QUOTAS)
                .filter_map(|(name, value)| Some((name.clone(), value.as_n().ok()?.parse().ok()?)))
                .collect(),
            has_quota_items: item.contains_key(name::HAS_QUOTA_ITEMS),
            settings_version: number(item, name::SETTINGS_VERSION).unwrap_or(0),
            meta: map(name::META).filter_map(|(key, value)| Some((key.clone(), value.as_s().ok()?.clone()))).collect(),
            bytes: item_bytes(item),
        })
    }

    /// Item 0 of a new table, stamped with the configured embedder.
    pub fn first_item(config: &Config) -> Item {
        let mut item = Item::from([
            (name::ID.to_owned(), RowKey::COUNTER.attribute()),
            (name::NEXT_ID.to_owned(), n(1)),
            (name::VERSION.to_owned(), n(0)),
            (name::META.to_owned(), AttributeValue::M(Default::default())),
            (name::QUOTAS.to_owned(), AttributeValue::M(Default::default())),
        ]);
        item.extend(stamps(config).map(|(attribute, value)| (attribute.to_owned(), value)));
        item
    }

    /// Whether this is the counter of a table without item 0.
    pub fn is_unwritten(&self) -> bool {
        self.bytes == 0
    }

    /// The settings of `namespace` that are in item 0: its quota, and its switch of the guard. They hold where the
    /// namespace's item sets nothing. Every value of the switch except `off` switches the guard on.
    pub fn settings(&self, namespace: &Namespace) -> NamespaceSettings {
        NamespaceSettings {
            guard: self.meta.get(&guard_key(namespace)).map(|value| (value != "off").into()),
            max_entries: self.quotas.get(namespace.as_str()).copied(),
            ..NamespaceSettings::default()
        }
    }

    /// The namespaces that have settings in item 0.
    pub fn namespaces_with_settings(&self) -> impl Iterator<Item = Namespace> {
        let guarded = self.meta.keys().filter_map(|key| key.strip_prefix(GUARD_KEY));
        guarded.chain(self.quotas.keys().map(String::as_str)).map(|name| Namespace::from_row(name.to_owned()))
    }

    /// Whether namespaces may have settings in items of their own.
    pub fn may_have_settings_items(&self) -> bool {
        self.settings_version > 0 || self.has_quota_items
    }

    /// Whether the configuration has a fingerprint or a dimension, and item 0 lacks it.
    pub fn lacks_stamp(&self, config: &Config) -> bool {
        let EmbedderConfig { fingerprint, dim, .. } = &config.embedder;
        (self.fingerprint.is_none() && fingerprint.is_some()) || (self.dim.is_none() && dim.is_some())
    }

    /// The active embedder.
    pub fn active_embedder(&self) -> ServedEmbedder {
        ServedEmbedder {
            generation: self.generation,
            base_generation: self.base_generation,
            switches: self.switches,
            dim: self.dim,
            fingerprint: self.fingerprint.clone(),
            scale: self.scale,
        }
    }

    /// The embedder that is not active, during a move.
    pub fn second_embedder(&self) -> Option<ServedEmbedder> {
        self.second.as_ref().map(|second| ServedEmbedder {
            generation: second.generation,
            dim: Some(second.dim),
            fingerprint: Some(second.fingerprint.clone()),
            scale: second.scale,
            ..self.active_embedder()
        })
    }

    /// The embedders that instances may serve: first the active one, then the second one of a move that is not ending.
    pub fn served_embedders(&self) -> impl Iterator<Item = ServedEmbedder> {
        let is_served = self.second.as_ref().is_some_and(|second| !second.ending);
        std::iter::once(self.active_embedder()).chain(self.second_embedder().filter(|_| is_served))
    }

    /// Whether the source or the target of the move is active. `None` without a move.
    pub fn active_end(&self) -> Option<MoveEnd> {
        let end = if self.generation == self.base_generation { MoveEnd::Source } else { MoveEnd::Target };
        self.second.as_ref().map(|_| end)
    }

    /// The embedder that an instance with this configuration serves. It is the active one, if the configuration names
    /// it or names none. Otherwise it is the second one of a move; entries may still lack its vectors.
    ///
    /// Errors: `EmbedderMismatchError` if the configuration names neither.
    pub fn served_embedder(&self, config: &Config) -> Result<ServedEmbedder, Error> {
        let is_configured = |served: &ServedEmbedder| {
            let differs = |configured: &EmbedderConfig| {
                let fingerprints = served.fingerprint.as_deref().zip(configured.fingerprint.as_deref());
                let dims = served.dim.zip(configured.dim);
                fingerprints.is_some_and(|(stamped, configured)| stamped != configured)
                    || dims.is_some_and(|(stamped, configured)| stamped != configured)
            };
            std::iter::once(&config.embedder).chain(&config.next_embedder).any(|configured| !differs(configured))
        };
        self.served_embedders()
            .find(is_configured)
            .ok_or_else(|| configuration_mismatch(&self.active_embedder(), config))
    }

    /// The embedder that made a caller's vector: the one with `fingerprint`. If the caller names no fingerprint, it is
    /// the one that an instance with this configuration serves.
    ///
    /// Errors: `EmbedderMismatchError` if no served embedder has the fingerprint.
    pub fn vector_maker(&self, fingerprint: Option<&str>, config: &Config) -> Result<ServedEmbedder, Error> {
        let Some(fingerprint) = fingerprint else { return self.served_embedder(config) };
        let matches = |served: &ServedEmbedder| served.fingerprint.as_deref().is_none_or(|own| own == fingerprint);
        self.served_embedders().find(matches).ok_or_else(|| {
            let active = self.fingerprint.as_deref().unwrap_or_default();
            mismatch(format!("the cache holds embeddings of {active:?}, and this one is of {fingerprint:?}"))
        })
    }
}

fn mismatch(detail: String) -> Error {
    Error::new(
        ErrorKind::EmbedderMismatchError,
        detail,
        "configure the embedder that the cache was built with, or move the cache to this one (`reembed`); while no entry \
         has an embedding, invoke `provision` with `restamp`",
    )
}

/// The attributes of item 0 that name the configured embedder, and their values.
fn stamps(config: &Config) -> impl Iterator<Item = (&'static str, AttributeValue)> {
    let EmbedderConfig { fingerprint, dim, .. } = &config.embedder;
    let fingerprint = fingerprint.as_ref().map(|fingerprint| (name::FINGERPRINT, s(fingerprint)));
    fingerprint.into_iter().chain(dim.map(|dim| (name::DIM, n(dim))))
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
    /// The counter. `None` if item 0 or the table does not exist.
    ///
    /// Reads: one GetItem, strongly consistent. Errors: `StoreBackendError`, and those of [`Counter::from_item`].
    pub async fn read_counter(&self) -> Result<Option<Counter>, Error> {
        match self.try_get(RowKey::COUNTER).await? {
            Some(item) => Counter::from_item(&item).map(Some),
            None => Ok(None),
        }
    }

    /// Creates item 0 if it is missing, adds the configured fingerprint and dimension if it has none, and returns it.
    /// Nothing is added to an item whose fingerprint or dimension is another one.
    ///
    /// Reads: item 0, after the write. Writes: one UpdateItem, which never changes a value that exists. Errors:
    /// `StoreBackendError`, and those of [`Counter::from_item`].
    pub async fn stamp(&self, config: &Config) -> Result<Counter, Error> {
        let first = Counter::first_item(config).into_iter().filter(|(attribute, _)| attribute != name::ID);
        let expression = first.fold(Expression::new(), |all, (attribute, value)| all.set_if_absent(&attribute, value));
        let is_same = |(attribute, value)| {
            Condition::Any(vec![Condition::Absent(attribute), Condition::equals(attribute, value)])
        };
        let expression = stamps(config).map(is_same).fold(expression, Expression::and);
        self.update_if(RowKey::COUNTER, expression).await?;
        let counter = self.read_counter().await?;
        counter.ok_or_else(|| Error::internal("item 0 is missing right after it was written"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_item_of_first_item_is_new_counter_with_configured_stamp() {
        let config = Config::with(&[("MNEME_EMBEDDER_FINGERPRINT", "f"), ("MNEME_EMBEDDER_DIM", "3")]);
        let counter = Counter::from_item(&Counter::first_item(&config)).unwrap();
        assert_eq!((counter.next_id, counter.version), (1, 0));
        assert_eq!((counter.fingerprint.as_deref(), counter.dim), (Some("f"), Some(3)));
        counter.served_embedder(&config).unwrap();
        counter.active_embedder().check_dim(3).unwrap();
        assert_eq!(counter.active_embedder().check_dim(4).unwrap_err().kind, ErrorKind::EmbedderDimensionError);
    }

    #[test]
    fn provision_attributes_include_those_of_first_item() {
        let config = Config::with(&[("MNEME_EMBEDDER_FINGERPRINT", "f"), ("MNEME_EMBEDDER_DIM", "3")]);
        let written: Vec<String> = Counter::first_item(&config).into_keys().collect();
        assert_eq!(written.len(), 7);
        assert!(written.iter().all(|attribute| PROVISION_ATTRIBUTES.contains(&attribute.as_str())), "{written:?}");
    }

    #[test]
    fn served_embedder_with_other_stamp_is_refused_and_without_configuration_is_active() {
        let stamped = Config::with(&[("MNEME_EMBEDDER_FINGERPRINT", "f"), ("MNEME_EMBEDDER_DIM", "3")]);
        let counter = Counter::from_item(&Counter::first_item(&stamped)).unwrap();
        for other in [("MNEME_EMBEDDER_FINGERPRINT", "g"), ("MNEME_EMBEDDER_DIM", "4")] {
            let error = counter.served_embedder(&Config::with(&[other])).unwrap_err();
            assert_eq!(error.kind, ErrorKind::EmbedderMismatchError);
        }
        counter.served_embedder(&Config::with(&[])).unwrap();
    }

    #[test]
    fn from_item_without_next_id_is_refused() {
        let mut item = Counter::first_item(&Config::with(&[]));
        item.remove(name::NEXT_ID);
        assert_eq!(Counter::from_item(&item).unwrap_err().kind, ErrorKind::Internal);
    }

    const OLD: EmbedderGeneration = EmbedderGeneration::new(0);
    const NEW: EmbedderGeneration = EmbedderGeneration::new(1);

    fn second(generation: EmbedderGeneration, fingerprint: &str, dim: u32) -> Option<SecondEmbedder> {
        Some(SecondEmbedder { generation, fingerprint: fingerprint.to_owned(), dim, scale: None, ending: false })
    }

    /// The counter during a move from `a` with 3 dimensions, which is active, to `b` with 4.
    fn before_switch() -> Counter {
        let stamped = Config::with(&[("MNEME_EMBEDDER_FINGERPRINT", "a"), ("MNEME_EMBEDDER_DIM", "3")]);
        let mut counter = Counter::from_item(&Counter::first_item(&stamped)).unwrap();
        counter.second = second(NEW, "b", 4);
        counter
    }

    /// The counter during the same move, once `b` is active.
    fn after_switch() -> Counter {
        let mut counter = before_switch();
        (counter.generation, counter.fingerprint, counter.dim) = (NEW, Some("b".to_owned()), Some(4));
        counter.second = second(OLD, "a", 3);
        counter
    }

    const A: (&str, &str) = ("MNEME_EMBEDDER_FINGERPRINT", "a");
    const B: (&str, &str) = ("MNEME_EMBEDDER_FINGERPRINT", "b");
    const NEXT_B: (&str, &str) = ("MNEME_EMBEDDER_NEXT_FINGERPRINT", "b");
    const DIM_3: (&str, &str) = ("MNEME_EMBEDDER_DIM", "3");

    #[test]
    fn served_embedder_during_move_is_configured_one_and_prefers_active_one() {
        for (variables, before, after) in [
            (&[][..], OLD, NEW),
            (&[A][..], OLD, OLD),
            (&[A, DIM_3][..], OLD, OLD),
            (&[DIM_3][..], OLD, OLD),
            (&[B][..], NEW, NEW),
            (&[A, NEXT_B][..], OLD, NEW),
        ] {
            let config = Config::with(variables);
            let generation = |counter: &Counter| counter.served_embedder(&config).unwrap().generation;
            assert_eq!((generation(&before_switch()), generation(&after_switch())), (before, after), "{variables:?}");
        }
    }

    #[test]
    fn served_embedder_during_move_with_third_embedder_configured_is_refused() {
        for variables in
            [&[("MNEME_EMBEDDER_FINGERPRINT", "c")][..], &[B, DIM_3][..], &[("MNEME_EMBEDDER_DIM", "5")][..]]
        {
            for counter in [before_switch(), after_switch()] {
                let error = counter.served_embedder(&Config::with(variables)).unwrap_err();
                assert_eq!(error.kind, ErrorKind::EmbedderMismatchError, "{variables:?}");
            }
        }
    }

    #[test]
    fn served_embedder_while_move_is_ending_is_never_the_second_one() {
        let mut counter = after_switch();
        counter.second.as_mut().unwrap().ending = true;
        assert_eq!(counter.served_embedder(&Config::with(&[A])).unwrap_err().kind, ErrorKind::EmbedderMismatchError);
        assert_eq!(counter.served_embedder(&Config::with(&[A, NEXT_B])).unwrap().generation, NEW);
        let error = counter.vector_maker(Some("a"), &Config::with(&[])).unwrap_err();
        assert_eq!(error.kind, ErrorKind::EmbedderMismatchError);
    }

    #[test]
    fn vector_maker_during_move_is_embedder_with_fingerprint() {
        let (any, only_a) = (Config::with(&[]), Config::with(&[A]));
        let generation =
            |counter: &Counter, fingerprint, config| counter.vector_maker(fingerprint, config).unwrap().generation;
        assert_eq!(generation(&before_switch(), Some("a"), &any), OLD);
        assert_eq!(generation(&before_switch(), Some("b"), &any), NEW);
        assert_eq!(generation(&after_switch(), Some("a"), &any), OLD);
        assert_eq!(generation(&after_switch(), None, &only_a), OLD);
        assert_eq!(generation(&after_switch(), None, &any), NEW);
        let error = before_switch().vector_maker(Some("c"), &any).unwrap_err();
        assert_eq!(error.kind, ErrorKind::EmbedderMismatchError);
    }

    #[test]
    fn active_end_during_move_changes_with_switch() {
        let ends = [before_switch().active_end(), after_switch().active_end()];
        assert_eq!(ends, [Some(MoveEnd::Source), Some(MoveEnd::Target)]);
        assert_eq!(Counter { second: None, ..before_switch() }.active_end(), None);
    }
}
