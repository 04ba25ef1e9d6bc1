//! The keys of the packed tables, for the program that packs them (`examples/pack.rs`).

use crate::hash::{hash32, pair24};
use crate::language::Language;

/// The hash that stands in signatures for the English word `word`.
fn key(word: &str) -> u32 {
    let language = &Language::all()[0];
    let word = word.to_lowercase();
    language.class(&word).map_or_else(|| hash32(&language.base(&word)), |class| hash32(class.canonical))
}

/// The key of a word in `rarity.bin`: as it is written, but for words of the class lists.
pub fn word_key(word: &str) -> u32 {
    let word = word.to_lowercase();
    Language::all()[0].class(&word).map_or_else(|| hash32(&word), |class| hash32(class.canonical)) >> 8
}

/// The key of two words in `synonyms.bin` and `opposites.bin`; `None` when they have one base.
pub fn pair_key(a: &str, b: &str) -> Option<u32> {
    let (a, b) = (key(a), key(b));
    (a != b).then(|| pair24(a, b))
}
