//! A small deterministic text embedder, so that the demo needs no embedding service.
//!
//! It hashes words, pairs of neighbouring words, and pieces of words (3 to 5 characters) into a vector of [`DIM`]
//! numbers, weighs them, and scales the vector to length 1. The cosine of two such vectors grows with the wording the
//! texts share.
//!
//! **What it can match**: rewordings that share words or forms of them: "How do I export my data?" and "exporting all
//! of our data"; another order, other filler words, singular and plural, small typing errors.
//!
//! **What it cannot**: anything that takes the meaning of a word. Synonyms ("quit" for "cancel"), paraphrases without
//! common words, other languages: all of these look unrelated. And it errs the other way: texts that differ in the one
//! word that matters ("turn *on*" and "turn *off*", "cancel" and "pause") look alike. Its similarities also run lower
//! than a model's. A real deployment uses a real embedding model.
//!
//! The vector of a text is the same on every machine and in every release: the hash is FNV-1a with 64 bits, and no part
//! of it depends on a random seed. Source of the idea: the hashing trick, <https://arxiv.org/abs/0902.2206>.

use std::{collections::HashMap, hash::Hasher as _};

use fnv::FnvHasher;

/// How many numbers a vector has.
pub const DIM: usize = 768;

/// The embedder's name, as a cache stamps it in its table. Another hash, weight or list of stop words needs another.
pub const FINGERPRINT: &str = "mneme-local-ngram-v1";

/// How much each kind of feature counts. Words carry the topic, their pieces carry the forms of words, and pairs a
/// little of the order.
const WORD: f32 = 1.0;
const PAIR: f32 = 0.35;
const PIECE: f32 = 0.3;

/// What remains of the weight of a word that says next to nothing about the topic.
const STOP_WORD: f32 = 0.12;

/// English words that questions share whatever they are about; sorted.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "all", "am", "an", "and", "any", "are", "as", "at", "be", "by", "can", "could", "d", "did",
    "do", "does", "don", "for", "from", "get", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its",
    "like", "ll", "m", "me", "more", "my", "need", "of", "on", "one", "or", "our", "please", "re", "s", "should", "so",
    "some", "t", "tell", "that", "the", "their", "them", "there", "they", "this", "to", "us", "ve", "want", "was",
    "we", "were", "what", "when", "where", "which", "who", "why", "will", "with", "would", "you", "your",
];

/// The vector of a text: [`DIM`] numbers of Euclidean norm 1. A text without letters and digits gets one too, the same
/// for all of them, because a zero vector could not be stored.
pub fn embed(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; DIM];
    for (feature, (count, weight)) in features(text) {
        // The hash picks a place, and another part of it a sign: features that meet in one place then cancel out as
        // often as they add up, which leaves cosines right on average.
        let place = usize::try_from(feature % DIM as u64).unwrap_or_default();
        let sign = if feature >> 63 == 0 { 1.0 } else { -1.0 };
        vector[place] += sign * weight * (1.0 + (count as f32).ln());
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

/// The cosine of two vectors of norm 1.
pub fn similarity(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Every feature of a text by its hash, with how often it occurs and the weight of its kind, in a fixed order: sums of
/// floating-point numbers depend on it.
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

/// The words of a text in lower case: runs of letters and digits.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    // "e-mail", "wi-fi" and "non-profit" are as often written in one word.
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

    fn alike(a: &str, b: &str) -> f32 {
        similarity(&embed(a), &embed(b))
    }

    #[test]
    fn a_text_has_one_vector_for_ever() {
        let vector = embed("How do I reset my password?");
        assert_eq!(vector, embed("How do I reset my password?"));
        // FNV-1a's own test vector: the hash is part of what a stored vector means.
        let mut hasher = FnvHasher::default();
        hasher.write(b"foobar");
        assert_eq!(hasher.finish(), 0x8594_4171_f739_67e8);
        let largest = (0..DIM).max_by(|&a, &b| vector[a].abs().total_cmp(&vector[b].abs())).unwrap();
        assert_eq!(largest, 697);
        assert!((vector[largest] + 0.440_02).abs() < 1e-5, "{}", vector[largest]);
    }

    #[test]
    fn every_vector_has_norm_1() {
        for text in ["How do I reset my password?", "the", "x", "", "?!", "日本語", &"long ".repeat(1000)] {
            let norm = similarity(&embed(text), &embed(text)).sqrt();
            assert!((norm - 1.0).abs() < 1e-5, "{text}: {norm}");
        }
    }

    #[test]
    fn case_space_and_punctuation_do_not_count() {
        assert_eq!(embed("  Reset   MY e-mail! "), embed("reset my email"));
    }

    #[test]
    fn closer_wording_is_closer() {
        let question = "How do I export my data?";
        let order = [
            "How do I export my data?",
            "How can I export all of my data?",
            "exporting data",
            "How do I import data from a CSV file?",
            "How do I book a meeting room?",
        ];
        for pair in order.windows(2) {
            assert!(alike(question, pair[0]) > alike(question, pair[1]), "{pair:?}");
        }
        assert!(alike(question, order[4]).abs() < 0.2);
    }

    #[test]
    fn synonyms_are_strangers() {
        assert!(alike("cancel my subscription", "quit paying for this") < 0.3);
    }

    #[test]
    fn stop_words_are_sorted() {
        assert!(STOP_WORDS.is_sorted());
    }
}
