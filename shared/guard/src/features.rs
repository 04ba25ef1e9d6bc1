//! What the model sees of two questions: the similarity of their embeddings, and how their tokens compare.

use crate::alignment::{Alignment, Match};
use crate::lexicon;
use crate::signature::Signature;
use crate::token::{Kind, Token};

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The comparisons of two signatures, each the same whichever question comes first.
        #[derive(Debug, Clone, Copy, Default, PartialEq)]
        pub struct Features { $($(#[$doc])* pub $name: f64),* }

        /// The features' names, in the order of [`Features::values`].
        pub const FEATURE_NAMES: &[&str] = &[$(stringify!($name)),*];

        impl Features {
            /// The features' values, in the order of [`FEATURE_NAMES`].
            pub fn values(&self) -> Vec<f64> { vec![$(self.$name),*] }
        }
    };
}

features! {
    /// The cosine similarity.
    similarity,
    /// The logarithm of the distance: −ln(1.01 − similarity).
    closeness,
    /// Shared topic, weighted by rarity, of both topics: 2·shared/(a+b).
    overlap,
    /// `overlap`, with synonyms and spellings.
    overlap_loose,
    /// Shared function words, of both sides' function words.
    overlap_function,
    /// Shared pairs of neighbours, of both sides' pairs.
    overlap_neighbours,
    /// Weight of the topic that only one side has: the side that has less.
    unmatched_less,
    /// The side that has more.
    unmatched_more,
    /// The rarest unmatched word of the side whose rarest is the commoner one.
    rarest_less,
    /// The rarest unmatched word of either side.
    rarest_more,
    /// The heaviest word that stands in another's place, both neighbours shared.
    swapped_in_place,
    /// The same with one neighbour shared.
    swapped_beside,
    /// One word each is all that differs in the topics.
    single_swap,
    /// Names on both sides that the other lacks.
    names_both,
    /// Names on one side only.
    names_one,
    /// Words no table knows, on both sides.
    unknown_both,
    /// Words no table knows, on one side only.
    unknown_one,
    /// Numbers, identifiers or dates that contradict each other.
    exact_conflict,
    /// Numbers, identifiers or dates on one side only.
    exact_one,
    /// Numbers, identifiers or dates shared.
    exact_shared,
    /// One side denies what the other does not.
    polarity,
    /// A word and its opposite.
    opposites,
    /// Both ask, by the same word.
    asks_same,
    /// Both ask, by different words.
    asks_different,
    /// One asks for yes or no, the other does not.
    asks_yes_no,
    /// Words of scope on both sides that the other lacks.
    scope_both,
    /// Words of scope on one side only.
    scope_one,
    /// Modal verbs differ.
    modals,
    /// Pronouns differ.
    pronouns,
    /// Shared topic words in another order, of all pairs of them.
    reordered,
    /// Nothing of the topic differs.
    same_topic,
    /// The logarithm of the shorter topic's number of words.
    length,
    /// The difference of the lengths, of the longer one.
    length_difference,
    /// The number of synonyms.
    synonyms,
    /// The number of spellings.
    spellings,
    /// The logarithm of the number of words, of any kind, that only one side has.
    edits,
    /// Nothing differs but one word of topic or scope on each side: its weight, the lighter one's.
    minimal_swap,
    /// Nothing differs but words of one side: the heaviest one's weight.
    minimal_insertion,
    /// The same words in the same order.
    identical,
    /// The first topic words stand for each other.
    same_head,
    /// The last topic words stand for each other.
    same_tail,
}

/// What a token weighs in the topic.
pub(crate) fn weight(token: &Token) -> f64 {
    match token.kind {
        Kind::Word | Kind::Number | Kind::Identifier | Kind::Date => f64::from(token.rarity.max(2)) / 4.0,
        Kind::Scope => 1.0,
        Kind::Negation => 1.5,
        _ => 0.0,
    }
}

fn is_function(token: &Token) -> bool {
    matches!(token.kind, Kind::Question | Kind::Auxiliary | Kind::Modal | Kind::Pronoun | Kind::Grammar)
}

fn dice(shared: f64, a: f64, b: f64) -> f64 {
    if a + b > 0.0 { 2.0 * shared / (a + b) } else { 1.0 }
}

/// Compares two signatures whose questions' embeddings have this cosine `similarity`.
pub(crate) fn features_of(a: &Signature, b: &Signature, alignment: &Alignment<'_>, similarity: f32) -> Features {
    let similarity = f64::from(similarity).clamp(-1.0, 1.0);
    let total = |tokens: &[Token]| tokens.iter().map(weight).sum::<f64>();
    let (total_a, total_b) = (total(alignment.a), total(alignment.b));
    let (mut same, mut loose, mut synonyms, mut spellings) = (0.0, 0.0, 0.0, 0.0);
    for (x, y, how) in alignment.pairs() {
        let weight = f64::midpoint(weight(x), weight(y));
        match how {
            Match::Same => same += weight,
            Match::Synonym => {
                loose += 0.8 * weight;
                synonyms += 1.0;
            }
            Match::Spelling => {
                loose += 0.9 * weight;
                spellings += 1.0;
            }
        }
    }
    let functions = |tokens: &[Token]| tokens.iter().filter(|token| is_function(token)).count() as f64;
    let shared_functions = alignment.pairs().filter(|(x, ..)| is_function(x)).count() as f64;
    let (only_a, only_b) = (Remainder::of(alignment.only_a()), Remainder::of(alignment.only_b()));
    let (in_place, beside) = swaps(alignment);
    let both = |x: f64, y: f64| x.min(y).min(3.0);
    let one = |x: f64, y: f64| (x.max(y) - x.min(y)).min(3.0);
    let asks_both = a.asks != 0 && b.asks != 0;
    let yes_no = |asks: u8| matches!(asks, 1 | 2);
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
        swapped_beside: beside,
        single_swap: truth(only_a.words == 1.0 && only_b.words == 1.0),
        names_both: both(only_a.names, only_b.names),
        names_one: one(only_a.names, only_b.names),
        unknown_both: both(only_a.unknown, only_b.unknown),
        unknown_one: one(only_a.unknown, only_b.unknown),
        exact_conflict: both(only_a.exact, only_b.exact),
        exact_one: one(only_a.exact, only_b.exact),
        exact_shared: (alignment.pairs().filter(|(x, ..)| x.kind.is_exact()).count() as f64).min(3.0),
        polarity: truth(a.negations % 2 != b.negations % 2),
        opposites: opposites(alignment),
        asks_same: truth(asks_both && a.asks == b.asks),
        asks_different: truth(asks_both && a.asks != b.asks),
        asks_yes_no: truth(yes_no(a.asks) != yes_no(b.asks)),
        scope_both: both(only_a.scope, only_b.scope),
        scope_one: one(only_a.scope, only_b.scope),
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
        same_head: truth(ends(alignment, content(alignment.a).next(), content(alignment.b).next())),
        same_tail: truth(ends(alignment, content(alignment.a).last(), content(alignment.b).last())),
    }
}

fn content(tokens: &[Token]) -> impl Iterator<Item = usize> {
    (0..tokens.len()).filter(|&at| tokens[at].kind.is_content())
}

fn ends(alignment: &Alignment<'_>, a: Option<usize>, b: Option<usize>) -> bool {
    match (a, b) {
        (Some(i), Some(j)) => alignment.of_a[i].is_some_and(|(partner, _)| partner == j),
        _ => false,
    }
}

/// What one side has and the other lacks.
#[derive(Default)]
struct Remainder {
    tokens: f64,
    weight: f64,
    rarest: f64,
    words: f64,
    names: f64,
    unknown: f64,
    exact: f64,
    scope: f64,
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
                Kind::Word => {
                    this.rarest = this.rarest.max(weight);
                    this.words += 1.0;
                    this.names += f64::from(u8::from(token.is_name));
                    this.unknown += f64::from(u8::from(token.is_unknown));
                }
                Kind::Number | Kind::Identifier | Kind::Date => this.exact += 1.0,
                Kind::Scope => this.scope += 1.0,
                Kind::Modal => this.modals += 1.0,
                Kind::Pronoun => this.pronouns += 1.0,
                Kind::Quote | Kind::Negation | Kind::Question | Kind::Auxiliary | Kind::Grammar | Kind::Filler => {}
            }
        }
        this
    }
}

/// The heaviest unmatched topic word that stands in another's place: with both neighbours shared, with one.
fn swaps(alignment: &Alignment<'_>) -> (f64, f64) {
    let (mut in_place, mut beside) = (0.0f64, 0.0f64);
    for i in content(alignment.a).filter(|&i| alignment.of_a[i].is_none()) {
        for j in content(alignment.b).filter(|&j| alignment.of_b[j].is_none()) {
            let weight = weight(&alignment.a[i]).min(weight(&alignment.b[j]));
            match alignment.shared_neighbours(i, j) {
                2 => in_place = in_place.max(weight),
                1 => beside = beside.max(weight),
                _ => {}
            }
        }
    }
    (in_place, beside)
}

fn neighbours(alignment: &Alignment<'_>) -> f64 {
    let pairs = |tokens: &[Token]| tokens.len().saturating_sub(1) as f64;
    let shared = alignment.of_a.windows(2).filter(|pair| matches!(pair, [Some((x, _)), Some((y, _))] if x + 1 == *y));
    dice(shared.count() as f64, pairs(alignment.a), pairs(alignment.b))
}

/// Words and their opposites, each in the other's place: at least one neighbour is shared, or no other word of the topic differs.
fn opposites(alignment: &Alignment<'_>) -> f64 {
    let is_open = |token: &Token| matches!(token.kind, Kind::Word | Kind::Scope | Kind::Grammar);
    let open = |tokens: &[Token], matched: &[Option<(usize, Match)>]| -> Vec<usize> {
        (0..tokens.len()).filter(|&at| matched[at].is_none() && is_open(&tokens[at])).collect()
    };
    let (left, right) = (open(alignment.a, &alignment.of_a), open(alignment.b, &alignment.of_b));
    if left.len() > MOST_OPPOSITES || right.len() > MOST_OPPOSITES {
        return 0.0;
    }
    let is_turned = |i: usize, j: usize| {
        lexicon::are_opposites(alignment.a[i].hash, alignment.b[j].hash) && alignment.shared_neighbours(i, j) > 0
    };
    (left.iter().filter(|&&i| right.iter().any(|&j| is_turned(i, j))).count() as f64).min(2.0)
}

/// Beyond this many unmatched words on a side, opposites are not looked for: the questions differ anyway, and the time stays bounded.
const MOST_OPPOSITES: usize = 20;

fn reordered(alignment: &Alignment<'_>) -> f64 {
    let places: Vec<usize> = content(alignment.a).filter_map(|i| alignment.of_a[i].map(|(j, _)| j)).collect();
    let all = (places.len() * places.len().saturating_sub(1) / 2).max(LEAST_PAIRS);
    let turned: usize =
        (0..places.len()).map(|i| places[i + 1..].iter().filter(|later| **later < places[i]).count()).sum();
    turned as f64 / all as f64
}

/// Fewer pairs than these say little about the order.
const LEAST_PAIRS: usize = 6;
