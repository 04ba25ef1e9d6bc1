//! A small deterministic text embedder, so that the demo needs no embedding service.
//!
//! It hashes words, pairs of neighbouring words, and pieces of words (3 to 5 characters) into a vector of [`DIM`]
//! numbers, weighs them, and scales the vector to length 1. The cosine of two such vectors grows with the wording the
//! texts share.
//!
//! **It matches** rewordings that share words or forms of them, such as "How do I export my data?" and "exporting all
//! of our data". It tolerates another word order, other filler words, singular and plural, and small typing errors.
//!
//! **It does not know the meaning of words.** Synonyms ("quit" for "cancel"), paraphrases without common words, and
//! other languages look unrelated. Texts that differ in the one word that matters ("turn *on*" and "turn *off*",
//! "cancel" and "pause") look alike. Its similarities are lower than a model's. A deployment needs an embedding model.
//!
//! The vector of a text is the same on every machine and in every release: the hash is FNV-1a with 64 bits, and no part
//! of it depends on a random seed. Source of the idea: the hashing trick, <https://arxiv.org/abs/0902.2206>.

use std::{collections::HashMap, hash::Hasher as _};

use fnv::FnvHasher;

/// The dimension of a vector.
pub const DIM: usize = 768;

/// The embedder's name, with which a cache's table is stamped. Change it with the hash, a weight or the stop words.
pub const FINGERPRINT: &str = "mneme-local-ngram-v1";

/// The weight of a word. Words carry the topic.
const WORD: f32 = 1.0;
/// The weight of a pair of neighbouring words. Pairs carry a little of the word order.
const PAIR: f32 = 0.35;
/// The weight of a piece of a word. Pieces match different forms of a word.
const PIECE: f32 = 0.3;

/// The factor on the weight of a stop word, which says next to nothing about the topic.
const STOP_WORD: f32 = 0.12;

/// English words that are common in questions about any topic; sorted.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "all", "am", "an", "and", "any", "are", "as", "at", "be", "by", "can", "could", "d", "did",
    "do", "does", "don", "for", "from", "get", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its",
    "like", "ll", "m", "me", "more", "my", "need", "of", "on", "one", "or", "our", "please", "re", "s", "should", "so",
    "some", "t", "tell", "that", "the", "their", "them", "there", "they", "this", "to", "us", "ve", "want", "was",
    "we", "were", "what", "when", "where", "which", "who", "why", "will", "with", "would", "you", "your",
];

/// Returns the vector of a text: [`DIM`] numbers of Euclidean norm 1. All texts without letters and digits have the
/// same vector, because a cache refuses a zero vector.
pub fn embed(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; DIM];
    for (feature, (count, weight)) in features(text) {
        // One part of the hash selects the dimension and another the sign. Features that collide in a dimension then
        // cancel out as often as they add up, so cosines are right on average.
        let dimension = usize::try_from(feature % DIM as u64).unwrap_or_default();
        let sign = if feature >> 63 == 0 { 1.0 } else { -1.0 };
        vector[dimension] += sign * weight * (1.0 + (count as f32).ln());
    }
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        for x in &mut vector {
            *x /= norm;
        }
    } else {
        vector[0] = 1.0;
    }
    vector
}

/// Returns the cosine of two vectors of norm 1.
pub fn similarity(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Returns every feature of a text: its hash, its number of occurrences and its weight. The order is fixed, because
/// sums of floating-point numbers depend on it.
fn features(text: &str) -> Vec<(u64, (u32, f32))> {
    let words = words(text);
    let mut counts: HashMap<u64, (u32, f32)> = HashMap::new();
    let mut add = |kind: u8, text: &str, weight: f32| {
        let entry = counts.entry(hash(kind, text)).or_insert((0, weight));
        entry.0 += 1;
    };
    for word in &words {
        let weight = weight(word);
        add(b'w', word, WORD * weight);
        let bounded: Vec<char> = format!("<{word}>").chars().collect();
        for length in 3..=5 {
            for piece in bounded.windows(length) {
                add(b'p', &piece.iter().collect::<String>(), PIECE * weight);
            }
        }
    }
    for pair in words.windows(2) {
        add(b'2', &pair.join(" "), PAIR * (weight(&pair[0]) * weight(&pair[1])).sqrt());
    }
    let mut features: Vec<_> = counts.into_iter().collect();
    features.sort_unstable_by_key(|&(hash, _)| hash);
    features
}

/// Returns the words of a text, runs of letters and digits, in lower case.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    // "e-mail", "wi-fi" and "non-profit" are often written as one word.
    let joined = lower.replace('-', "");
    joined.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn weight(word: &str) -> f32 {
    if STOP_WORDS.binary_search(&word).is_ok() { STOP_WORD } else { 1.0 }
}

fn hash(kind: u8, text: &str) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(&[kind]);
    hasher.write(text.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_similarity(a: &str, b: &str) -> f32 {
        similarity(&embed(a), &embed(b))
    }

    #[test]
    fn embed_of_a_text_never_changes() {
        let vector = embed("How do I reset my password?");
        assert_eq!(vector, embed("How do I reset my password?"));
        // A test vector of FNV-1a: stored vectors depend on the hash.
        let mut hasher = FnvHasher::default();
        hasher.write(b"foobar");
        assert_eq!(hasher.finish(), 0x8594_4171_f739_67e8);
        let largest = (0..DIM).max_by(|&a, &b| vector[a].abs().total_cmp(&vector[b].abs())).unwrap();
        assert_eq!(largest, 697);
        assert!((vector[largest] + 0.440_02).abs() < 1e-5, "{}", vector[largest]);
    }

    #[test]
    fn embed_of_any_text_has_norm_1() {
        for text in ["How do I reset my password?", "the", "x", "", "?!", "日本語", &"long ".repeat(1000)] {
            let norm = similarity(&embed(text), &embed(text)).sqrt();
            assert!((norm - 1.0).abs() < 1e-5, "{text}: {norm}");
        }
    }

    #[test]
    fn embed_ignores_case_space_and_punctuation() {
        assert_eq!(embed("  Reset   MY e-mail! "), embed("reset my email"));
    }

    #[test]
    fn similarity_grows_with_shared_wording() {
        let question = "How do I export my data?";
        let order = [
            "How do I export my data?",
            "How can I export all of my data?",
            "exporting data",
            "How do I import data from a CSV file?",
            "How do I book a meeting room?",
        ];
        for pair in order.windows(2) {
            assert!(text_similarity(question, pair[0]) > text_similarity(question, pair[1]), "{pair:?}");
        }
        assert!(text_similarity(question, order[4]).abs() < 0.2);
    }

    #[test]
    fn similarity_of_synonyms_is_low() {
        assert!(text_similarity("cancel my subscription", "quit paying for this") < 0.3);
    }

    #[test]
    fn stop_words_are_sorted() {
        assert!(STOP_WORDS.is_sorted());
    }
}
