//! How rare words are, and which words mean the same or the opposite: packed tables, keyed by hashes.
//!
//! `rarity.bin`: rows of 4 bytes, sorted: 24 bits of the word's hash, little-endian, then its rarity.
//! `synonyms.bin`, `opposites.bin`: rows of 3 bytes, sorted: 24 bits for the pair of words, little-endian.
//! Sources and licences: `languages/en/SOURCES.md`.

use crate::hash::pair24;

static RARITY: &[u8] = include_bytes!("../languages/en/rarity.bin");
static SYNONYMS: &[u8] = include_bytes!("../languages/en/synonyms.bin");
static OPPOSITES: &[u8] = include_bytes!("../languages/en/opposites.bin");

/// The rarity of a word that the table does not have.
pub(crate) const UNKNOWN_RARITY: u8 = 20;

/// Rarity of the word with this hash, in quarters of a power of ten below one word in a hundred: 0 for the commonest words,
/// 4 for each power of ten that a word is rarer; `None` when the table lacks it.
pub(crate) fn rarity(word: u32) -> Option<u8> {
    find::<4>(RARITY, word >> 8).map(|row| row[3])
}

/// Whether a sense of one word is a sense of the other.
pub(crate) fn are_synonyms(a: u32, b: u32) -> bool {
    find::<3>(SYNONYMS, pair24(a, b)).is_some()
}

/// Whether one word is the opposite of the other.
pub(crate) fn are_opposites(a: u32, b: u32) -> bool {
    find::<3>(OPPOSITES, pair24(a, b)).is_some()
}

fn find<const ROW: usize>(table: &'static [u8], key: u32) -> Option<&'static [u8; ROW]> {
    let (rows, _) = table.as_chunks::<ROW>();
    rows.binary_search_by_key(&key, |row| u32::from_le_bytes([row[0], row[1], row[2], 0])).ok().map(|at| &rows[at])
}
