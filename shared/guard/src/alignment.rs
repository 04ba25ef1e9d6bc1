//! Two signatures side by side: which token of one stands for which of the other.

use crate::lexicon;
use crate::signature::Signature;
use crate::token::{Kind, Token, is_slip};

/// How two tokens stand for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// The same stem, number, identifier.
    Same,
    /// Words that share a sense.
    Synonym,
    /// Two spellings, one of them of no known word.
    Spelling,
}

/// Beyond this many unmatched words on a side, synonyms and spellings are not looked for: the questions differ anyway,
/// and the time stays bounded.
const MOST_LOOSE: usize = 20;

/// Which token of `a` stands for which of `b`. The same whichever comes first.
pub(crate) struct Alignment<'s> {
    pub(crate) a: &'s [Token],
    pub(crate) b: &'s [Token],
    /// By the place in `a`: the place in `b`, and how they match.
    pub(crate) of_a: Vec<Option<(usize, Match)>>,
    /// By the place in `b`: the place in `a`.
    pub(crate) of_b: Vec<Option<(usize, Match)>>,
}

impl<'s> Alignment<'s> {
    /// Aligns two signatures. The nth of equal tokens stands for the nth; then synonyms and spellings, nearest first.
    pub(crate) fn of(a: &'s Signature, b: &'s Signature) -> Self {
        let (a, b) = (a.tokens.as_slice(), b.tokens.as_slice());
        let mut this = Self { a, b, of_a: vec![None; a.len()], of_b: vec![None; b.len()] };
        for (i, x) in a.iter().enumerate() {
            let partner = (0..b.len()).find(|&j| this.of_b[j].is_none() && b[j].hash == x.hash && b[j].kind == x.kind);
            if let Some(j) = partner {
                this.pair(i, j, Match::Same);
            }
        }
        this.pair_loosely();
        this
    }

    fn pair(&mut self, i: usize, j: usize, how: Match) {
        self.of_a[i] = Some((j, how));
        self.of_b[j] = Some((i, how));
    }

    fn pair_loosely(&mut self) {
        let words = |tokens: &[Token], matched: &[Option<(usize, Match)>]| -> Vec<usize> {
            (0..tokens.len()).filter(|&at| matched[at].is_none() && is_loose(&tokens[at])).collect()
        };
        let (left, right) = (words(self.a, &self.of_a), words(self.b, &self.of_b));
        if left.len() > MOST_LOOSE || right.len() > MOST_LOOSE {
            return;
        }
        let mut pairs = Vec::new();
        for &i in &left {
            for &j in &right {
                if let Some(how) = loosely(&self.a[i], &self.b[j]) {
                    pairs.push((how == Match::Synonym, i.abs_diff(j), i + j, i, j, how));
                }
            }
        }
        pairs.sort_unstable_by_key(|&(is_synonym, distance, sum, ..)| (is_synonym, distance, sum));
        for (.., i, j, how) in pairs {
            if self.of_a[i].is_none() && self.of_b[j].is_none() {
                self.pair(i, j, how);
            }
        }
    }

    /// The tokens of `a` that nothing of `b` stands for.
    pub(crate) fn only_a(&self) -> impl Iterator<Item = &Token> {
        self.a.iter().zip(&self.of_a).filter(|(_, matched)| matched.is_none()).map(|(token, _)| token)
    }

    /// The tokens of `b` that nothing of `a` stands for.
    pub(crate) fn only_b(&self) -> impl Iterator<Item = &Token> {
        self.b.iter().zip(&self.of_b).filter(|(_, matched)| matched.is_none()).map(|(token, _)| token)
    }

    /// The matched pairs, in `a`'s order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&Token, &Token, Match)> {
        self.of_a.iter().enumerate().filter_map(|(i, matched)| matched.map(|(j, how)| (&self.a[i], &self.b[j], how)))
    }

    /// How many of the two neighbours of the place `i` in `a` stand for the neighbours of the place `j` in `b`; the
    /// ends of the questions stand for each other.
    pub(crate) fn shared_neighbours(&self, i: usize, j: usize) -> u8 {
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

fn is_loose(token: &Token) -> bool {
    matches!(token.kind, Kind::Word | Kind::Scope)
}

fn loosely(x: &Token, y: &Token) -> Option<Match> {
    if lexicon::are_opposites(x.hash, y.hash) {
        return None;
    }
    let one_is_unknown = x.is_unknown != y.is_unknown || x.is_unknown && x.detail & 0xffff == y.detail & 0xffff;
    if x.kind == Kind::Word && y.kind == Kind::Word && one_is_unknown && is_slip(x.detail, y.detail) {
        return Some(Match::Spelling);
    }
    lexicon::are_synonyms(x.hash, y.hash).then_some(Match::Synonym)
}
