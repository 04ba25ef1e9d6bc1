//! Four bytes of a question that show most contradictions in numbers, where the rest of its signature is not at hand.

use std::num::NonZeroU32;

use crate::codec;
use crate::signature::Signature;
use crate::token::{Kind, Token};

/// How many numbers and identifiers a question has, and, as a hash, which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExactDigest(NonZeroU32);

/// The bits of the hash; those above are the count.
const HASH_BITS: u32 = 28;

impl ExactDigest {
    /// The most numbers and identifiers that are counted.
    const MOST: usize = (1 << (u32::BITS - HASH_BITS)) - 1;

    /// Changes with what a question's numbers and identifiers are: digests of another version are not to be compared with these.
    pub const VERSION: u8 = codec::VERSION;

    /// The digest of a question; `None` without a number or an identifier, and for one with too many.
    pub(crate) fn of(signature: &Signature) -> Option<Self> {
        let is_counted = |token: &&Token| matches!(token.kind, Kind::Number | Kind::Identifier);
        let counted: Vec<&Token> = signature.tokens.iter().filter(is_counted).collect();
        if signature.dropped != 0 || counted.len() > Self::MOST {
            return None;
        }
        // A sum, since the order does not matter.
        let hash = counted.iter().fold(0u32, |sum, token| {
            let own = token.hash ^ token.kind as u32;
            sum.wrapping_add(own.wrapping_mul(own | 1))
        });
        let count = (counted.len() as u32) << HASH_BITS;
        NonZeroU32::new(count).map(|count| Self(count | (hash & ((1 << HASH_BITS) - 1))))
    }

    /// Whether questions of these digests contradict each other in a number or an identifier: each has one that the other
    /// lacks. True is certain, whatever else they say; false is not.
    pub fn contradicts(self, other: Self) -> bool {
        // Of as many that are not the same, some are missing on either side.
        self.count() == other.count() && self != other
    }

    fn count(self) -> u32 {
        self.0.get() >> HASH_BITS
    }

    /// The digest as a number that is not 0.
    pub fn to_bits(self) -> u32 {
        self.0.get()
    }

    /// Reads [`ExactDigest::to_bits`]; `None` for 0, which stands for a question without one.
    pub fn from_bits(bits: u32) -> Option<Self> {
        NonZeroU32::new(bits).map(Self)
    }
}
