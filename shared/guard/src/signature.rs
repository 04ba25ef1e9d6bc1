//! What is kept of a question: what decides its answer.

use crate::digest::ExactDigest;
use crate::token::{Kind, Token, tokens};

/// What decides the answer to a question, as hashes: its words' stems in order, each with what it does in the question,
/// how rare and how it is spelled; its numbers, dates, identifiers and quotations; how it asks.
///
/// Of a question of more than [`Signature::MAX_TOKENS`] tokens, those that decide most are kept: first its numbers,
/// identifiers, quotations and dates, negations, names and words of scope, then its rarest words; a digest of the exact ones that are
/// dropped is kept, so that two long texts with different numbers never look alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    /// In the order of the text.
    pub(crate) tokens: Vec<Token>,
    /// How it asks: see [`tokens`].
    pub(crate) asks: u8,
    /// How many negations it has.
    pub(crate) negations: u8,
    /// How many tokens the text has, up to 65535.
    pub(crate) total: u16,
    /// The exact tokens that were dropped: the sum of their hashes, each by its square.
    pub(crate) dropped: u32,
}

impl Signature {
    /// The most tokens a signature keeps.
    pub const MAX_TOKENS: usize = 112;

    /// Which numbers and identifiers it has, in four bytes.
    pub fn exact_digest(&self) -> Option<ExactDigest> {
        ExactDigest::of(self)
    }

    /// The signature of `query`. Any text has one; linear in the text's length, but for the sorting of long texts' tokens.
    pub fn of(query: &str) -> Self {
        let (mut tokens, asks) = tokens(query);
        let total = u16::try_from(tokens.len()).unwrap_or(u16::MAX);
        let negations = tokens.iter().filter(|token| token.kind == Kind::Negation).count();
        let mut dropped = 0u32;
        if tokens.len() > Self::MAX_TOKENS {
            let mut order: Vec<usize> = (0..tokens.len()).collect();
            order.sort_by_key(|&at| (std::cmp::Reverse(weight(&tokens[at])), at));
            for &at in &order[Self::MAX_TOKENS..] {
                if tokens[at].kind.is_exact() {
                    dropped = dropped.wrapping_add(tokens[at].hash.wrapping_mul(tokens[at].hash | 1));
                }
            }
            order.truncate(Self::MAX_TOKENS);
            order.sort_unstable();
            tokens = order.into_iter().map(|at| tokens[at]).collect();
        }
        Self { tokens, asks, negations: u8::try_from(negations).unwrap_or(u8::MAX), total, dropped }
    }
}

/// How much a token decides, for the choice among too many.
fn weight(token: &Token) -> u8 {
    match token.kind {
        Kind::Number | Kind::Identifier | Kind::Quote | Kind::Date => 255,
        Kind::Negation => 254,
        Kind::Word if token.is_name => 100 + token.rarity,
        Kind::Scope => 100,
        _ => token.rarity,
    }
}
