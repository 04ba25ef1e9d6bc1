//! Signatures: the part of a question that decides its answer, as hashes of bounded size.

pub(crate) mod codec;
pub(crate) mod fingerprint;

use crate::text::material::Parts;
use crate::text::question_type::QuestionType;
use crate::text::slots::Slots;
use crate::text::tokenizer::Reading;
use crate::token::{Token, TokenKind};

/// The version of the stored format and of the tokens' meaning. It is raised when the same text gives other tokens.
const VERSION: u8 = 2;
/// The oldest version that is read.
const OLDEST_VERSION: u8 = 1;

/// The part of a question that decides its answer. It holds, as hashes, the base forms of the question's words in
/// order, each with its function, rarity and spelling; the numbers, dates, identifiers and quotations; the type of
/// question; the span of time; the form of the answer; and the material that the question is about.
///
/// A signature keeps at most [`Signature::MAX_TOKENS`] tokens. Of a longer question it keeps first the numbers,
/// identifiers, quotations and dates, then negations, names and quantifiers, then the rarest words. A hash of the exact
/// tokens that were dropped is kept, so that two long texts with different numbers have different signatures.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    /// In the order of the text.
    pub(crate) tokens: Vec<Token>,
    pub(crate) question_type: QuestionType,
    /// The number of negations, at most 255.
    pub(crate) negations: u8,
    /// The number of tokens in the text, at most 65535.
    pub(crate) total: u16,
    /// The hash of the exact tokens that were dropped: a sum, so that their order does not matter. 0: none.
    pub(crate) dropped: u32,
    /// `None` in a signature of version 1, which had no slots. The tokens of version 1 differ, too: it did not read
    /// signs, versions, dates in digits, numbers of several words, or the case of units.
    pub(crate) slots: Option<Slots>,
}

impl Signature {
    /// The most tokens that a signature keeps.
    pub const MAX_TOKENS: usize = 112;

    /// The signature of `query`, which may be any text. Of material that the query contains, such as a document or
    /// code, it holds one hash, and the tokens are those of the instruction. The time is linear in the text's length,
    /// except that the tokens of a long text are sorted.
    pub fn of(query: &str) -> Self {
        let parts = Parts::of(query);
        let mut this = Self::of_statement(&parts.instruction);
        if let Some(slots) = &mut this.slots {
            slots.material = parts.material;
        }
        this
    }

    /// The signature of a text that is no question: what was said before one. All of its tokens count, and none of it
    /// is material.
    pub(crate) fn of_statement(text: &str) -> Self {
        let Reading { mut tokens, question_type, slots } = Reading::of(text);
        let total = u16::try_from(tokens.len()).unwrap_or(u16::MAX);
        let negations = tokens.iter().filter(|token| token.kind == TokenKind::Negation).count();
        let mut dropped = 0u32;
        if tokens.len() > Self::MAX_TOKENS {
            let mut order: Vec<usize> = (0..tokens.len()).collect();
            order.sort_by_key(|&at| (std::cmp::Reverse(priority(&tokens[at])), at));
            for &at in &order[Self::MAX_TOKENS..] {
                if tokens[at].kind.is_exact() {
                    dropped = dropped.wrapping_add(tokens[at].hash.wrapping_mul(tokens[at].hash | 1));
                }
            }
            order.truncate(Self::MAX_TOKENS);
            order.sort_unstable();
            tokens = order.into_iter().map(|at| tokens[at]).collect();
        }
        let negations = u8::try_from(negations).unwrap_or(u8::MAX);
        Self { tokens, question_type, negations, total, dropped, slots: Some(slots) }
    }

    /// True if the right answer depends on the moment of asking, because the question names a span of time relative to
    /// it: "today", "next year", "the latest version". False for a signature of version 1, which does not say.
    pub fn is_volatile(&self) -> bool {
        self.slots.is_some_and(|slots| slots.time != 0)
    }
}

/// The priority of a token when a signature cannot keep all of them.
fn priority(token: &Token) -> u8 {
    match token.kind {
        TokenKind::Number | TokenKind::Identifier | TokenKind::Quote | TokenKind::Date => 255,
        TokenKind::Negation => 254,
        TokenKind::Word if token.is_name => 100 + token.rarity,
        TokenKind::Quantifier => 100,
        _ => token.rarity,
    }
}
