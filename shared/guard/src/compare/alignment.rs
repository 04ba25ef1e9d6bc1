//! The alignment of two signatures: which token of one corresponds to which of the other.

use crate::language::{are_opposites, lexicon};
use crate::signature::Signature;
use crate::text::spelling::{have_same_letters, may_be_misspelling};
use crate::token::{Token, TokenKind};

/// The way in which two tokens correspond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MatchKind {
    /// The same base form, number or identifier.
    Same,
    /// Words that share a sense.
    Synonym,
    /// Two spellings of a word. At least one is not in the rarity table.
    Spelling,
}

/// If a side has more unmatched words than this, synonyms and spellings are not searched for. The questions differ
/// anyway, and the time stays bounded.
const MAX_LOOSE_WORDS: usize = 20;

/// The tokens of two signatures, and for each token the index of the token that it corresponds to. The result does not
/// depend on the order of the two.
pub(super) struct Alignment<'s> {
    pub(super) a: &'s [Token],
    pub(super) b: &'s [Token],
    /// By the index in `a`: the index in `b`.
    pub(super) of_a: Vec<Option<(usize, MatchKind)>>,
    /// By the index in `b`: the index in `a`.
    pub(super) of_b: Vec<Option<(usize, MatchKind)>>,
}

impl<'s> Alignment<'s> {
    /// Aligns two signatures. First the nth of several equal tokens corresponds to the nth on the other side. Then
    /// spellings and, after them, synonyms are matched, those with the nearest positions first.
    pub(super) fn of(a: &'s Signature, b: &'s Signature) -> Self {
        let (a, b) = (a.tokens.as_slice(), b.tokens.as_slice());
        let mut this = Self { a, b, of_a: vec![None; a.len()], of_b: vec![None; b.len()] };
        for (i, x) in a.iter().enumerate() {
            let partner = (0..b.len())
                .find(|&j| this.of_b[j].is_none() && b[j].hash == x.hash && b[j].low == x.low && b[j].kind == x.kind);
            if let Some(j) = partner {
                this.join(i, j, MatchKind::Same);
            }
        }
        this.join_loosely();
        this
    }

    fn join(&mut self, i: usize, j: usize, kind: MatchKind) {
        self.of_a[i] = Some((j, kind));
        self.of_b[j] = Some((i, kind));
    }

    fn join_loosely(&mut self) {
        let words = |tokens: &[Token], matched: &[Option<(usize, MatchKind)>]| -> Vec<usize> {
            (0..tokens.len()).filter(|&at| matched[at].is_none() && may_match_loosely(&tokens[at])).collect()
        };
        let (left, right) = (words(self.a, &self.of_a), words(self.b, &self.of_b));
        if left.len() > MAX_LOOSE_WORDS || right.len() > MAX_LOOSE_WORDS {
            return;
        }
        let mut matches = Vec::new();
        for &i in &left {
            for &j in &right {
                if let Some(kind) = loose_match(&self.a[i], &self.b[j]) {
                    matches.push((kind == MatchKind::Synonym, i.abs_diff(j), i + j, i, j, kind));
                }
            }
        }
        matches.sort_unstable_by_key(|&(is_synonym, distance, sum, ..)| (is_synonym, distance, sum));
        for (.., i, j, kind) in matches {
            if self.of_a[i].is_none() && self.of_b[j].is_none() {
                self.join(i, j, kind);
            }
        }
    }

    /// The unmatched tokens of `a`.
    pub(super) fn only_a(&self) -> impl Iterator<Item = &Token> {
        self.a.iter().zip(&self.of_a).filter(|(_, matched)| matched.is_none()).map(|(token, _)| token)
    }

    /// The unmatched tokens of `b`.
    pub(super) fn only_b(&self) -> impl Iterator<Item = &Token> {
        self.b.iter().zip(&self.of_b).filter(|(_, matched)| matched.is_none()).map(|(token, _)| token)
    }

    /// The matched tokens of `a` and `b`, in the order of `a`.
    pub(super) fn matches(&self) -> impl Iterator<Item = (&Token, &Token, MatchKind)> {
        self.of_a.iter().enumerate().filter_map(|(i, matched)| matched.map(|(j, kind)| (&self.a[i], &self.b[j], kind)))
    }

    /// The number of the two neighbours of token `i` in `a` that correspond to the same neighbour of token `j` in `b`,
    /// 0 to 2. The ends of the questions correspond to each other.
    pub(super) fn shared_neighbours(&self, i: usize, j: usize) -> u8 {
        let before = match (i.checked_sub(1), j.checked_sub(1)) {
            (None, None) => true,
            (Some(i), Some(j)) => self.of_a[i].is_some_and(|(partner, _)| partner == j),
            _ => false,
        };
        let after = match (i + 1 == self.a.len(), j + 1 == self.b.len()) {
            (true, true) => true,
            (false, false) => self.of_a[i + 1].is_some_and(|(partner, _)| partner == j + 1),
            _ => false,
        };
        u8::from(before) + u8::from(after)
    }
}

/// True if the token may have a synonym or another spelling.
fn may_match_loosely(token: &Token) -> bool {
    matches!(token.kind, TokenKind::Word | TokenKind::Quantifier)
}

fn loose_match(x: &Token, y: &Token) -> Option<MatchKind> {
    if are_opposites(x.hash, y.hash) {
        return None;
    }
    // Two words of the rarity table are two words. Two unknown words must have the same letters.
    let may_be_one_word = x.is_unknown != y.is_unknown || x.is_unknown && have_same_letters(x.detail, y.detail);
    let are_words = x.kind == TokenKind::Word && y.kind == TokenKind::Word;
    if are_words && may_be_one_word && may_be_misspelling(x.detail, y.detail) {
        return Some(MatchKind::Spelling);
    }
    lexicon::are_synonyms(x.hash, y.hash).then_some(MatchKind::Synonym)
}
