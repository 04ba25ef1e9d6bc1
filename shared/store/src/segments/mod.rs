//! Segments: derived items with the search codes of full ranges of ids. A new instance of `lookup` reads 1,024 entries
//! by one key, without a scan.
//!
//! Ids are a log, and an embedder's vector of an id does not change. So a segment stays valid. It may contain entries
//! that were deleted later; a lookup reads the row of a candidate before it serves it, and finds such a row missing.
//!
//! | to learn about | read |
//! | --- | --- |
//! | which segments exist | [`manifest`] |
//! | the item of one segment | [`segment`] |
//! | the ranges that hold no entry any more | [`empty_ranges`] |
//! | reading and writing these items | `items` |

pub mod empty_ranges;
mod items;
pub mod manifest;
pub mod segment;

/// The number of ids that a segment covers.
pub const RANGE_IDS: u64 = 1024;

/// The ids of range `number`; the first range is 0.
pub fn ids_of(number: u64) -> std::ops::RangeInclusive<u64> {
    number * RANGE_IDS + 1..=(number + 1) * RANGE_IDS
}

/// The number of the range that holds `id`.
pub fn range_of(id: u64) -> u64 {
    id.saturating_sub(1) / RANGE_IDS
}
