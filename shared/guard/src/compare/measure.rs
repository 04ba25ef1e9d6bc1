//! The measures of an alignment that give the features.

use super::alignment::{Alignment, MatchKind};
use super::features::Features;
use crate::language::are_opposites;
use crate::signature::Signature;
use crate::text::question_type::QuestionType;
use crate::token::{Token, TokenKind};

/// The share of its weight that a word counts if it is matched by a synonym.
const SYNONYM_SHARE: f64 = 0.8;
/// The share of its weight that a word counts if it is matched by another spelling.
const SPELLING_SHARE: f64 = 0.9;
/// If a side has more unmatched words than this, opposites are not searched for. The questions differ anyway, and the
/// time stays bounded.
const MAX_OPPOSITE_WORDS: usize = 20;
/// The share of reordered pairs is a share of at least this many pairs: fewer show little of the order.
const MIN_ORDERED_PAIRS: usize = 6;

/// The weight of a token in the topic: its rarity in powers of ten, at least 0.5.
fn weight(token: &Token) -> f64 {
    match token.kind {
        TokenKind::Word | TokenKind::Number | TokenKind::Identifier | TokenKind::Date => {
            f64::from(token.rarity.max(2)) / 4.0
        }
        TokenKind::Quantifier => 1.0,
        TokenKind::Negation => 1.5,
        _ => 0.0,
    }
}

fn is_function(token: &Token) -> bool {
    matches!(
        token.kind,
        TokenKind::QuestionWord
            | TokenKind::Auxiliary
            | TokenKind::Modal
            | TokenKind::Pronoun
            | TokenKind::FunctionWord
    )
}

/// The Dice coefficient of `shared` in `a` and `b`; 1 if both are empty.
fn dice(shared: f64, a: f64, b: f64) -> f64 {
    if a + b > 0.0 { 2.0 * shared / (a + b) } else { 1.0 }
}

/// The features of two signatures. `similarity`: the cosine similarity of the questions' embeddings.
pub(super) fn features_of(a: &Signature, b: &Signature, alignment: &Alignment<'_>, similarity: f32) -> Features {
    let similarity = f64::from(similarity).clamp(-1.0, 1.0);
    let total = |tokens: &[Token]| tokens.iter().map(weight).sum::<f64>();
    let (total_a, total_b) = (total(alignment.a), total(alignment.b));
    let (mut same, mut loose, mut synonyms, mut spellings) = (0.0, 0.0, 0.0, 0.0);
    for (x, y, kind) in alignment.matches() {
        let weight = f64::midpoint(weight(x), weight(y));
        match kind {
            MatchKind::Same => same += weight,
            MatchKind::Synonym => {
                loose += SYNONYM_SHARE * weight;
                synonyms += 1.0;
            }
            MatchKind::Spelling => {
                loose += SPELLING_SHARE * weight;
                spellings += 1.0;
            }
        }
    }
    let functions = |tokens: &[Token]| tokens.iter().filter(|token| is_function(token)).count() as f64;
    let shared_functions = alignment.matches().filter(|(x, ..)| is_function(x)).count() as f64;
    let (only_a, only_b) = (Remainder::of(alignment.only_a()), Remainder::of(alignment.only_b()));
    let (in_place, one_neighbour) = swaps(alignment);
    let both = |x: f64, y: f64| x.min(y).min(3.0);
    let one = |x: f64, y: f64| (x.max(y) - x.min(y)).min(3.0);
    let (type_a, type_b) = (a.question_type, b.question_type);
    let are_questions = type_a != QuestionType::None && type_b != QuestionType::None;
    let (length_a, length_b) = (content(alignment.a).count() as f64, content(alignment.b).count() as f64);
    let truth = |is: bool| f64::from(u8::from(is));
    Features {
        similarity,
        closeness: -(1.01 - similarity).ln(),
        overlap: dice(same, total_a, total_b),
        overlap_loose: dice(same + loose, total_a, total_b),
        overlap_function: dice(shared_functions, functions(alignment.a), functions(alignment.b)),
        overlap_neighbours: neighbours(alignment),
        unmatched_less: only_a.weight.min(only_b.weight).ln_1p(),
        unmatched_more: only_a.weight.max(only_b.weight).ln_1p(),
        rarest_less: only_a.rarest.min(only_b.rarest),
        rarest_more: only_a.rarest.max(only_b.rarest),
        swapped_in_place: in_place,
        swapped_one_neighbour: one_neighbour,
        single_swap: truth(only_a.words == 1.0 && only_b.words == 1.0),
        names_both: both(only_a.names, only_b.names),
        names_one: one(only_a.names, only_b.names),
        unknown_both: both(only_a.unknown, only_b.unknown),
        unknown_one: one(only_a.unknown, only_b.unknown),
        exact_conflict: both(only_a.exact, only_b.exact),
        exact_one: one(only_a.exact, only_b.exact),
        exact_shared: (alignment.matches().filter(|(x, ..)| x.kind.is_exact()).count() as f64).min(3.0),
        polarity: truth(a.negations % 2 != b.negations % 2),
        opposites: opposites(alignment),
        question_type_same: truth(are_questions && type_a == type_b),
        question_type_different: truth(are_questions && type_a != type_b),
        yes_no_one: truth(type_a.is_yes_no() != type_b.is_yes_no()),
        quantifiers_both: both(only_a.quantifiers, only_b.quantifiers),
        quantifiers_one: one(only_a.quantifiers, only_b.quantifiers),
        modals: (only_a.modals + only_b.modals).min(2.0),
        pronouns: (only_a.pronouns + only_b.pronouns).min(4.0),
        reordered: reordered(alignment),
        same_topic: truth(only_a.words + only_b.words + only_a.exact + only_b.exact == 0.0),
        length: length_a.min(length_b).ln_1p(),
        length_difference: (length_a - length_b).abs() / length_a.max(length_b).max(1.0),
        synonyms: f64::min(synonyms, 3.0),
        spellings: f64::min(spellings, 2.0),
        edits: (only_a.tokens + only_b.tokens + synonyms + spellings).ln_1p(),
        identical: truth(only_a.tokens + only_b.tokens + synonyms + spellings == 0.0 && reordered(alignment) == 0.0),
        minimal_swap: if only_a.tokens == 1.0 && only_b.tokens == 1.0 { only_a.weight.min(only_b.weight) } else { 0.0 },
        minimal_insertion: if only_a.tokens.min(only_b.tokens) == 0.0 {
            only_a.weight.max(only_b.weight).min(8.0)
        } else {
            0.0
        },
        same_head: truth(correspond(alignment, content(alignment.a).next(), content(alignment.b).next())),
        same_tail: truth(correspond(alignment, content(alignment.a).last(), content(alignment.b).last())),
    }
}

/// The indexes of the tokens that carry the topic.
fn content(tokens: &[Token]) -> impl Iterator<Item = usize> {
    (0..tokens.len()).filter(|&at| tokens[at].kind.is_content())
}

/// True if token `a` of the first side corresponds to token `b` of the second.
fn correspond(alignment: &Alignment<'_>, a: Option<usize>, b: Option<usize>) -> bool {
    match (a, b) {
        (Some(i), Some(j)) => alignment.of_a[i].is_some_and(|(partner, _)| partner == j),
        _ => false,
    }
}

/// Counts and weights of the unmatched tokens of one side.
#[derive(Default)]
struct Remainder {
    tokens: f64,
    weight: f64,
    rarest: f64,
    words: f64,
    names: f64,
    unknown: f64,
    exact: f64,
    quantifiers: f64,
    modals: f64,
    pronouns: f64,
}

impl Remainder {
    fn of<'t>(tokens: impl Iterator<Item = &'t Token>) -> Self {
        let mut this = Self::default();
        for token in tokens {
            let weight = weight(token);
            this.tokens += 1.0;
            this.weight += weight;
            match token.kind {
                TokenKind::Word => {
                    this.rarest = this.rarest.max(weight);
                    this.words += 1.0;
                    this.names += f64::from(u8::from(token.is_name));
                    this.unknown += f64::from(u8::from(token.is_unknown));
                }
                TokenKind::Number | TokenKind::Identifier | TokenKind::Date => this.exact += 1.0,
                TokenKind::Quantifier => this.quantifiers += 1.0,
                TokenKind::Modal => this.modals += 1.0,
                TokenKind::Pronoun => this.pronouns += 1.0,
                TokenKind::Quote
                | TokenKind::Negation
                | TokenKind::QuestionWord
                | TokenKind::Auxiliary
                | TokenKind::FunctionWord
                | TokenKind::Filler => {}
            }
        }
        this
    }
}

/// The largest weight of an unmatched topic token that repartners another: between two equal neighbours, and next to
/// one.
fn swaps(alignment: &Alignment<'_>) -> (f64, f64) {
    let (mut in_place, mut one_neighbour) = (0.0f64, 0.0f64);
    for i in content(alignment.a).filter(|&i| alignment.of_a[i].is_none()) {
        for j in content(alignment.b).filter(|&j| alignment.of_b[j].is_none()) {
            let weight = weight(&alignment.a[i]).min(weight(&alignment.b[j]));
            match alignment.shared_neighbours(i, j) {
                2 => in_place = in_place.max(weight),
                1 => one_neighbour = one_neighbour.max(weight),
                _ => {}
            }
        }
    }
    (in_place, one_neighbour)
}

/// The share of pairs of neighbours that correspond to pairs of neighbours.
fn neighbours(alignment: &Alignment<'_>) -> f64 {
    let pairs = |tokens: &[Token]| tokens.len().saturating_sub(1) as f64;
    let shared = alignment.of_a.windows(2).filter(|pair| matches!(pair, [Some((x, _)), Some((y, _))] if x + 1 == *y));
    dice(shared.count() as f64, pairs(alignment.a), pairs(alignment.b))
}

/// The number of unmatched words of one side with an opposite on the other, where the two have at least one equal
/// neighbour; at most 2.
fn opposites(alignment: &Alignment<'_>) -> f64 {
    let may_be_opposite = |token: &Token| {
        matches!(token.kind, TokenKind::Word | TokenKind::Quantifier | TokenKind::FunctionWord | TokenKind::Modal)
    };
    let unmatched = |tokens: &[Token], matched: &[Option<(usize, MatchKind)>]| -> Vec<usize> {
        (0..tokens.len()).filter(|&at| matched[at].is_none() && may_be_opposite(&tokens[at])).collect()
    };
    let (left, right) = (unmatched(alignment.a, &alignment.of_a), unmatched(alignment.b, &alignment.of_b));
    if left.len() > MAX_OPPOSITE_WORDS || right.len() > MAX_OPPOSITE_WORDS {
        return 0.0;
    }
    let are_opposites = |i: usize, j: usize| {
        are_opposites(alignment.a[i].hash, alignment.b[j].hash) && alignment.shared_neighbours(i, j) > 0
    };
    (left.iter().filter(|&&i| right.iter().any(|&j| are_opposites(i, j))).count() as f64).min(2.0)
}

/// The share of pairs of matched topic tokens whose order differs.
fn reordered(alignment: &Alignment<'_>) -> f64 {
    // A topic token can correspond to a quantifier. Such a pair does not count, or the result would depend on the order
    // of the two questions.
    let partners: Vec<usize> = content(alignment.a)
        .filter_map(|i| alignment.of_a[i].map(|(j, _)| j))
        .filter(|&j| alignment.b[j].kind.is_content())
        .collect();
    let all = (partners.len() * partners.len().saturating_sub(1) / 2).max(MIN_ORDERED_PAIRS);
    let reordered: usize =
        (0..partners.len()).map(|i| partners[i + 1..].iter().filter(|later| **later < partners[i]).count()).sum();
    reordered as f64 / all as f64
}
