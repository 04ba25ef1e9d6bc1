//! The number fingerprint: four bytes that reveal most contradictions in numbers without the rest of the signature.

use std::num::NonZeroU32;

use super::{Signature, VERSION};
use crate::token::{Token, TokenKind};

/// The count of a question's numbers and identifiers in the upper 4 bits, and a hash of them in the lower 28.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NumberFingerprint(NonZeroU32);

/// The number of bits of the hash.
const HASH_BITS: u32 = 28;

impl NumberFingerprint {
    /// The largest count that the upper bits hold.
    const MAX_COUNT: usize = (1 << (u32::BITS - HASH_BITS)) - 1;

    /// Fingerprints of different versions must not be compared. The version is raised when the same text gives other
    /// numbers or identifiers.
    pub const VERSION: u8 = VERSION;

    /// True if the questions of these fingerprints certainly contradict each other in a number or an identifier: each
    /// has one that the other lacks. False means that they may or may not.
    pub fn contradicts(self, other: Self) -> bool {
        // With equal counts and different sets, each side lacks something of the other.
        self.count() == other.count() && self != other
    }

    fn count(self) -> u32 {
        self.0.get() >> HASH_BITS
    }

    /// The fingerprint as a number, never 0.
    pub fn to_bits(self) -> u32 {
        self.0.get()
    }

    /// Reads [`NumberFingerprint::to_bits`]. `None` for 0, which means that a question has no fingerprint.
    pub fn from_bits(bits: u32) -> Option<Self> {
        NonZeroU32::new(bits).map(Self)
    }
}

impl Signature {
    /// The fingerprint of the question's numbers and identifiers. `None` if it has none, more than 15, if the signature
    /// dropped exact tokens, or if an earlier version made it, whose numbers and identifiers differ.
    pub fn number_fingerprint(&self) -> Option<NumberFingerprint> {
        let is_counted = |token: &&Token| matches!(token.kind, TokenKind::Number | TokenKind::Identifier);
        let counted: Vec<&Token> = self.tokens.iter().filter(is_counted).collect();
        if !self.is_current() || self.dropped != 0 || counted.len() > NumberFingerprint::MAX_COUNT {
            return None;
        }
        // A sum does not depend on the order.
        let hash = counted.iter().fold(0u32, |sum, token| {
            let own = token.hash ^ token.kind as u32;
            sum.wrapping_add(own.wrapping_mul(own | 1))
        });
        let count = (counted.len() as u32) << HASH_BITS;
        NonZeroU32::new(count).map(|count| NumberFingerprint(count | (hash & ((1 << HASH_BITS) - 1))))
    }
}
