//! Signatures: the part of a question that decides its answer, as hashes of bounded size.

pub(crate) mod codec;
pub(crate) mod fingerprint;

use crate::language::detect::ToldLanguage;
use crate::text::material::Parts;
use crate::text::question_type::QuestionType;
use crate::text::slots::Slots;
use crate::text::tokenizer::{Reading, exact_values};
use crate::text::written::{WrittenForm, written_forms};
use crate::token::{Token, TokenKind};

/// The version of the stored format and of the tokens' meaning. It is raised when the same text gives other tokens.
const VERSION: u8 = 3;
/// The oldest version that is read.
const OLDEST_VERSION: u8 = 1;
/// The version that has slots and no written forms.
const VERSION_WITHOUT_FORMS: u8 = 2;

/// The part of a question that decides its answer. It holds, as hashes, the base forms of the question's words in
/// order, each with its function, rarity and spelling; the numbers, dates, identifiers and quotations; the type of
/// question; the span of time; the form of the answer; the material that the question is about; and the case, the marks
/// and the white space that decide.
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
    pub(crate) dropped: u64,
    /// `None` in a signature of version 1, which had no slots. The tokens of version 1 differ, too: it did not read
    /// signs, versions, dates in digits, numbers of several words, or the case of units.
    pub(crate) slots: Option<Slots>,
    /// The language of the text. Not decided in signatures of the versions 1 and 2.
    pub(crate) language: ToldLanguage,
    /// How the text writes what can be written in two ways. `None` in signatures of the versions 1 and 2.
    pub(crate) written: Option<Vec<WrittenForm>>,
}

impl Signature {
    /// The most tokens that a signature keeps.
    pub const MAX_TOKENS: usize = 112;

    /// The signature of `query`, which may be any text. Of material that the query contains, such as a document or
    /// code, it holds one hash, and the tokens are those of the instruction. The time is linear in the text's length,
    /// except that the tokens of a long text are sorted.
    pub fn of(query: &str) -> Self {
        let parts = Parts::of(query);
        Self::of_parts(&parts, query)
    }

    /// The signature of a text that is no question: what was said before one. All of its tokens count, and none of it
    /// is material.
    pub(crate) fn of_statement(text: &str) -> Self {
        Self::of_parts(&Parts::without_material(text), text)
    }

    /// The signature of `asked`, a part of `text`. How things are written is read from all of `text`.
    pub(crate) fn of_asked(asked: &str, text: &str) -> Self {
        Self::of_parts(&Parts::of(asked), text)
    }

    /// The signature of `text`, which consists of these parts.
    fn of_parts(parts: &Parts<'_>, text: &str) -> Self {
        let Reading { mut tokens, question_type, mut slots, language } = Reading::of(&parts.comparable_instruction());
        slots.material = parts.material;
        let total = u16::try_from(tokens.len()).unwrap_or(u16::MAX);
        let negations = tokens.iter().filter(|token| token.kind == TokenKind::Negation).count();
        let mut dropped = 0u64;
        if tokens.len() > Self::MAX_TOKENS {
            let mut order: Vec<usize> = (0..tokens.len()).collect();
            order.sort_by_key(|&at| (std::cmp::Reverse(priority(&tokens[at])), at));
            for &at in &order[Self::MAX_TOKENS..] {
                if tokens[at].kind.is_exact() {
                    let hash = u64::from(tokens[at].hash) << 32 | u64::from(tokens[at].low);
                    dropped = dropped.wrapping_add(hash.wrapping_mul(hash | 1));
                }
            }
            order.truncate(Self::MAX_TOKENS);
            order.sort_unstable();
            tokens = order.into_iter().map(|at| tokens[at]).collect();
        }
        let negations = u8::try_from(negations).unwrap_or(u8::MAX);
        let written = Some(written_forms(text));
        Self { tokens, question_type, negations, total, dropped, slots: Some(slots), language, written }
    }

    /// Makes the comparison take no account of the language, unless no word lists cover it.
    pub(crate) fn allow_any_language(&mut self) {
        self.language = self.language.undecided();
    }

    /// True if this version of the guard made the signature.
    pub(crate) fn is_current(&self) -> bool {
        self.written.is_some()
    }

    /// True if the right answer depends on the moment of asking, because the question names a span of time relative to
    /// it: "today", "next year", "the latest version". False for a signature of version 1, which does not say.
    pub fn is_volatile(&self) -> bool {
        self.slots.is_some_and(|slots| slots.time != 0)
    }
}

/// True if no two numbers, identifiers or dates of two questions have one hash and different values. Signatures compare
/// hashes only, and whoever knows the function can find two numbers with one hash.
pub fn exact_values_agree(query: &str, candidate: &str) -> bool {
    !collide(&exact_values(query), &exact_values(candidate))
}

/// True if a token of one list has the hash of a token of the other, and another value.
fn collide(a: &[(Token, String)], b: &[(Token, String)]) -> bool {
    let is_collision = |(x, value): &(Token, String)| {
        b.iter().any(|(y, other)| x.hash == y.hash && x.low == y.low && x.kind == y.kind && value != other)
    };
    a.iter().any(is_collision)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_with_one_hash_and_different_values_collide() {
        let values = |value: &str| {
            let mut token = Token::new(0, TokenKind::Number);
            token.set_exact("number 7");
            vec![(token, value.to_owned())]
        };
        assert!(collide(&values("number 7"), &values("number 8")));
        assert!(!collide(&values("number 7"), &values("number 7")));
        assert!(!collide(&values("number 7"), &exact_values("order 8")));
    }
}
