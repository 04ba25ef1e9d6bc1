//! Packed segments: the search codes of full ranges of ids in derived items, so that a new instance of `lookup` reads
//! 1,024 entries with one key, and no scan.
//!
//! Ids are a log and an embedder's vector of an id does not change, so what was packed stays right for ever; an entry that was deleted
//! since is found gone when it is re-read before it is served. `vacuum` learns the basis that the codes stand on, packs
//! what is not packed yet and what much is gone of, and removes what all is gone of; a put that fills a range packs it. Whoever
//! finds a segment missing or torn reads the rows.
//!
//! - `segment`: what a segment's item holds.
//! - [`emptied`]: which ranges hold nothing any more.
//! - [`pack`]: learning and writing.
//! - `thin`: packing anew, and removing.

pub mod emptied;
pub mod pack;
pub(crate) mod segment;
pub(crate) mod thin;

use crate::embedders::Era;
use crate::entry::{Item, number};
use crate::key::RowKey;
use emptied::Emptied;

/// The attribute of a catalog that holds [`Catalog::emptied`]; absent where that is none.
pub(crate) const EMPTIED: &str = "emptied";

/// How many ids a segment covers.
pub const RANGE_IDS: u64 = 1024;

/// Which segments of one embedder's vectors there are: a derived item, without which there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// Whose vectors they are.
    pub era: Era,
    /// Which of the bases that were learned one after the other; part of the keys of its segments.
    pub generation: u64,
    /// In how many items the basis stands.
    pub basis_parts: u64,
    /// How many ranges are packed, from the first on: the ids up to `ranges × RANGE_IDS`.
    pub ranges: u64,
    /// Which of them have no segment, for they hold no entry.
    pub emptied: Emptied,
}

impl Catalog {
    pub(crate) fn from_item(item: &Item) -> Option<Self> {
        Some(Self {
            era: item.get("id").and_then(RowKey::from_attribute)?.era()?,
            generation: number(item, "generation")?,
            basis_parts: number(item, "basis_parts")?,
            ranges: number(item, "ranges")?,
            emptied: item
                .get(EMPTIED)
                .and_then(|bytes| bytes.as_b().ok())
                .map(|bytes| Emptied::from_bytes(bytes.as_ref()))
                .unwrap_or_default(),
        })
    }

    /// The lowest id that is not packed.
    pub fn next_id(&self) -> u64 {
        self.ranges * RANGE_IDS + 1
    }

    /// The keys of the items that hold the basis.
    pub(crate) fn basis_keys(&self) -> impl Iterator<Item = RowKey> + use<> {
        let generation = self.generation;
        (0..self.basis_parts).map(move |part| RowKey::basis(generation, part))
    }
}

/// The ids of range `number`, the first being 0.
pub fn ids_of(number: u64) -> std::ops::RangeInclusive<u64> {
    number * RANGE_IDS + 1..=(number + 1) * RANGE_IDS
}
