//! Segments: the search codes of full ranges of ids in derived items, so that a new instance of `lookup` reads 1,024
//! entries with one key and without a scan.
//!
//! Ids are a log, and an embedder's vector of an id does not change. A segment therefore stays right for ever. An entry
//! that was deleted since is found missing when it is read again before it is served.
//!
//! - [`manifest`]: which segments there are.
//! - [`segment`]: what one segment's item holds.
//! - [`empty_ranges`]: which ranges hold no entry any more.
//! - `items`: reading and writing these items.

pub mod empty_ranges;
mod items;
pub mod manifest;
pub mod segment;

/// How many ids a segment covers.
pub const RANGE_IDS: u64 = 1024;

/// The ids of range `number`; the first range is 0.
pub fn ids_of(number: u64) -> std::ops::RangeInclusive<u64> {
    number * RANGE_IDS + 1..=(number + 1) * RANGE_IDS
}

/// The number of the range that holds `id`.
pub fn range_of(id: u64) -> u64 {
    id.saturating_sub(1) / RANGE_IDS
}
