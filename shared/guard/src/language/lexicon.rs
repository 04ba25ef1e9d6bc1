//! The hash of words, and the packed tables keyed by it: how rare a word is, and which words are synonyms or opposites.
//!
//! `rarity.bin`: rows of 4 bytes, sorted: 24 bits of the word's hash, little-endian, then its rarity.
//! `synonyms.bin`, `opposites.bin`: rows of 3 bytes, sorted: 24 bits for the pair of words, little-endian.
//! Sources and licences: `languages/en/SOURCES.md`.

use std::hash::Hasher;

use fnv::FnvHasher;

static RARITY: &[u8] = include_bytes!("../../languages/en/rarity.bin");
static SYNONYMS: &[u8] = include_bytes!("../../languages/en/synonyms.bin");
static OPPOSITES: &[u8] = include_bytes!("../../languages/en/opposites.bin");

/// The rarity of a word that the table does not contain.
pub(crate) const UNKNOWN_RARITY: u8 = 20;

/// 64 bits of `text`: FNV-1a (Fowler, Noll, Vo), mixed by the finaliser of SplitMix64 (Steele, Lea and Flood 2014). The
/// function must never change: signatures are stored, and the tables are keyed by it.
pub(crate) fn hash64(text: &str) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    mix(hasher.finish())
}

/// The upper 32 bits of [`hash64`].
pub(crate) fn hash32(text: &str) -> u32 {
    (hash64(text) >> 32) as u32
}

/// The upper 16 bits of [`hash32`], and 1 in place of 0.
pub(crate) fn hash16(text: &str) -> u32 {
    (hash32(text) >> 16).max(1)
}

/// 24 bits for an unordered pair of word hashes.
pub(crate) fn pair24(a: u32, b: u32) -> u32 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    (mix((u64::from(high) << 32) | u64::from(low)) >> 40) as u32
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The rarity of the word with this hash, in quarters of a power of ten below one word in a hundred: 0 for the
/// commonest words, 4 more for each power of ten that a word is rarer. `None` if the table does not contain the word.
pub(crate) fn rarity(word: u32) -> Option<u8> {
    find::<4>(RARITY, word >> 8).map(|row| row[3])
}

/// True if the two words, given by their hashes, share a sense.
pub(crate) fn are_synonyms(a: u32, b: u32) -> bool {
    find::<3>(SYNONYMS, pair24(a, b)).is_some()
}

/// True if the two words, given by their hashes, are opposites.
pub(crate) fn are_opposites(a: u32, b: u32) -> bool {
    find::<3>(OPPOSITES, pair24(a, b)).is_some()
}

fn find<const ROW: usize>(table: &'static [u8], key: u32) -> Option<&'static [u8; ROW]> {
    let (rows, _) = table.as_chunks::<ROW>();
    rows.binary_search_by_key(&key, |row| u32::from_le_bytes([row[0], row[1], row[2], 0])).ok().map(|at| &rows[at])
}
