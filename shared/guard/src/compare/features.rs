//! The features: the numbers that the model takes from two questions.

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The features of two signatures. No feature depends on the order of the two.
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

// In the descriptions below, topic tokens are words, numbers, identifiers and dates, and exact tokens are numbers,
// identifiers and dates. A weight is a rarity in powers of ten; quantifiers and negations have one, too (see
// `measure::weight`). "On both sides" is the lesser of the two sides' counts, at most 3; "on one side" is the
// difference of the counts, at most 3.
features! {
    /// The cosine similarity of the embeddings.
    similarity,
    /// The negative logarithm of the distance: −ln(1.01 − similarity).
    closeness,
    /// The weight of equal tokens, as a share of both topics: 2·shared/(a + b).
    overlap,
    /// `overlap`, with synonyms and spellings counted in part.
    overlap_loose,
    /// The share of function words that are equal.
    overlap_function,
    /// The share of pairs of neighbours that are equal.
    overlap_neighbours,
    /// ln(1 + weight of the unmatched tokens), for the side where it is less.
    unmatched_less,
    /// ln(1 + weight of the unmatched tokens), for the side where it is more.
    unmatched_more,
    /// The weight of the rarest unmatched word, for the side where it is less.
    rarest_less,
    /// The weight of the rarest unmatched word, for the side where it is more.
    rarest_more,
    /// The largest weight of a topic token that replaces another between two equal neighbours.
    swapped_in_place,
    /// The largest weight of a topic token that replaces another next to one equal neighbour.
    swapped_one_neighbour,
    /// 1 if each side has exactly one unmatched word.
    single_swap,
    /// Unmatched names, on both sides.
    names_both,
    /// Unmatched names, on one side.
    names_one,
    /// Unmatched words that no table contains, on both sides.
    unknown_both,
    /// Unmatched words that no table contains, on one side.
    unknown_one,
    /// Unmatched exact tokens, on both sides.
    exact_conflict,
    /// Unmatched exact tokens, on one side.
    exact_one,
    /// Equal exact tokens, quotations included.
    exact_shared,
    /// 1 if one side's negations are odd and the other's are even.
    polarity,
    /// The number of unmatched words with an opposite on the other side, at most 2.
    opposites,
    /// 1 if both sides are questions of one type.
    question_type_same,
    /// 1 if both sides are questions, of different types.
    question_type_different,
    /// 1 if only one side is a yes-or-no question.
    yes_no_one,
    /// Unmatched quantifiers, on both sides.
    quantifiers_both,
    /// Unmatched quantifiers, on one side.
    quantifiers_one,
    /// The number of unmatched modal verbs.
    modals,
    /// The number of unmatched pronouns.
    pronouns,
    /// The share of pairs of matched topic tokens whose order differs.
    reordered,
    /// 1 if no topic token is unmatched.
    same_topic,
    /// ln(1 + number of topic tokens) of the shorter topic.
    length,
    /// The difference of the topics' lengths, as a share of the longer one.
    length_difference,
    /// The number of words matched as synonyms.
    synonyms,
    /// The number of words matched as spellings.
    spellings,
    /// ln(1 + number of tokens of any kind that are not equal).
    edits,
    /// The lesser weight of the two tokens, if exactly one token on each side is unmatched; else 0.
    minimal_swap,
    /// The weight of the unmatched tokens, if only one side has any; else 0.
    minimal_insertion,
    /// 1 if both sides have equal tokens in the same order.
    identical,
    /// 1 if the first topic tokens correspond to each other.
    same_head,
    /// 1 if the last topic tokens correspond to each other.
    same_tail,
}
