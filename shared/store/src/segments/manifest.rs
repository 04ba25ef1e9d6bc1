//! The segment manifest: the derived item that says which segments exist for the vectors of one embedder.

use mneme_model::embedder::EmbedderGeneration;

use super::RANGE_IDS;
use super::empty_ranges::EmptyRanges;
use crate::attribute as name;
use crate::item::{Item, b, bytes, n, number};
use crate::key::RowKey;

/// The segments that exist for the vectors of one embedder. Without a manifest there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentManifest {
    /// The generation of the vectors.
    pub generation: EmbedderGeneration,
    /// The version of the basis that the segments' codes use. It is part of the keys of the segments.
    pub basis_version: u64,
    /// The number of items that hold the basis.
    pub basis_parts: u64,
    /// The number of ranges that are covered, from the first on. They hold the ids up to `ranges × RANGE_IDS`.
    pub ranges: u64,
    /// The ranges that have no segment because they hold no entry.
    pub empty_ranges: EmptyRanges,
}

impl SegmentManifest {
    /// The manifest in `item`. `None` if the key is not a manifest's, or a number is missing.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(empty_ranges: EmptyRanges) -> SegmentManifest {
        let generation = EmbedderGeneration::new(2);
        SegmentManifest { generation, basis_version: 77, basis_parts: 3, ranges: 9, empty_ranges }
    }

    #[test]
    fn from_item_of_to_item_is_same_manifest() {
        let mut some_empty = EmptyRanges::default();
        some_empty.insert(4);
        for empty_ranges in [EmptyRanges::default(), some_empty] {
            let manifest = manifest(empty_ranges);
            assert_eq!(SegmentManifest::from_item(&manifest.to_item()), Some(manifest));
        }
    }

    #[test]
    fn from_item_without_number_returns_none() {
        for attribute in [name::BASIS_VERSION, name::BASIS_PARTS, name::RANGES] {
            let mut item = manifest(EmptyRanges::default()).to_item();
            item.remove(attribute);
            assert_eq!(SegmentManifest::from_item(&item), None, "{attribute}");
        }
    }

    #[test]
    fn basis_keys_are_one_key_per_part() {
        let keys: Vec<RowKey> = manifest(EmptyRanges::default()).basis_keys().collect();
        assert_eq!(keys, [RowKey::basis(77, 0), RowKey::basis(77, 1), RowKey::basis(77, 2)]);
    }
}
