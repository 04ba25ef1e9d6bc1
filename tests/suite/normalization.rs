//! Normalisation and hashes equal those of the Python library, which wrote the fixture.

use mneme_model::normalize::{QueryHash, normalize};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    text: String,
    normalized: String,
    hash: String,
}

#[test]
fn normalization_and_hash_equal_the_python_library() {
    let cases: Vec<Case> = include_str!("../fixtures/normalization.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(cases.len() >= 1000, "{} cases", cases.len());
    for Case { text, normalized, hash } in cases {
        assert_eq!(normalize(&text, true), normalized, "{text:?}");
        assert_eq!(QueryHash::of(&text, true).as_str(), hash, "{text:?}");
    }
}
