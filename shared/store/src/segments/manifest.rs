//! Which segments there are for one embedder's vectors.

use mneme_model::embedder::EmbedderGeneration;

use super::RANGE_IDS;
use super::empty_ranges::EmptyRanges;
use crate::attribute as name;
use crate::item::{Item, b, bytes, n, number};
use crate::key::RowKey;

/// Which segments there are for one embedder's vectors. Without a manifest there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentManifest {
    /// The generation of the vectors.
    pub generation: EmbedderGeneration,
    /// The version of the basis that the segments' codes use. It is part of the keys of the segments.
    pub basis_version: u64,
    /// In how many items the basis is stored.
    pub basis_parts: u64,
    /// How many ranges are covered, from the first on: the ids up to `ranges × RANGE_IDS`.
    pub ranges: u64,
    /// Which of these ranges have no segment, because they hold no entry.
    pub empty_ranges: EmptyRanges,
}

impl SegmentManifest {
    /// The manifest in `item`; `None` where a number is missing.
    pub fn from_item(item: &Item) -> Option<Self> {
        Some(Self {
            generation: item.get(name::ID).and_then(RowKey::from_attribute)?.embedder_generation()?,
            basis_version: number(item, name::BASIS_VERSION)?,
            basis_parts: number(item, name::BASIS_PARTS)?,
            ranges: number(item, name::RANGES)?,
            empty_ranges: bytes(item, name::EMPTY_RANGES).map(EmptyRanges::from_bytes).unwrap_or_default(),
        })
    }

    pub(super) fn to_item(&self) -> Item {
        let mut item = Item::from([
            (name::ID.to_owned(), RowKey::manifest(self.generation).attribute()),
            (name::BASIS_VERSION.to_owned(), n(self.basis_version)),
            (name::BASIS_PARTS.to_owned(), n(self.basis_parts)),
            (name::RANGES.to_owned(), n(self.ranges)),
        ]);
        if !self.empty_ranges.as_bytes().is_empty() {
            item.insert(name::EMPTY_RANGES.to_owned(), b(self.empty_ranges.as_bytes()));
        }
        item
    }

    /// The lowest id that no segment covers.
    pub fn next_id(&self) -> u64 {
        self.ranges * RANGE_IDS + 1
    }

    /// The keys of the items that hold the basis.
    pub fn basis_keys(&self) -> impl Iterator<Item = RowKey> + use<> {
        let version = self.basis_version;
        (0..self.basis_parts).map(move |part| RowKey::basis(version, part))
    }
}
