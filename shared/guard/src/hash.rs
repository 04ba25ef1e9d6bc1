//! The hash of words, stable for ever: signatures are stored, and the packed data files are keyed by it.

use std::hash::Hasher;

use fnv::FnvHasher;

/// 32 bits of `text`: FNV-1a of 64 bits (Fowler, Noll, Vo), mixed by the finaliser of SplitMix64 (Steele, Lea and
/// Flood 2014), upper half.
pub(crate) fn hash32(text: &str) -> u32 {
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    (mix(hasher.finish()) >> 32) as u32
}

/// 24 bits for the pair of two words, in either order.
pub(crate) fn pair24(a: u32, b: u32) -> u32 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    (mix((u64::from(high) << 32) | u64::from(low)) >> 40) as u32
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
