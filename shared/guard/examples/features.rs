//! Compares pairs of questions, for the fit of the model and for the evaluation of its quality.
//!
//! Reads JSON lines `{"a", "b", "similarity"}` from standard input. Writes a JSON line for each: `{"veto": kind or
//! null, "probability": p or null, "features": [...]}`. With the argument `--names`, it writes the names of the
//! features and reads nothing.

use std::io::{BufRead, Write};

use mneme_guard::{FEATURE_NAMES, Signature, Verdict, compare, features};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Pair {
    a: String,
    b: String,
    similarity: f32,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if std::env::args().any(|argument| argument == "--names") {
        writeln!(out, "{}", json!(FEATURE_NAMES))?;
        return Ok(());
    }
    for line in std::io::stdin().lock().lines() {
        let pair: Pair = serde_json::from_str(&line?)?;
        let (a, b) = (Signature::of(&pair.a), Signature::of(&pair.b));
        let (veto, probability) = match compare(&a, &b, pair.similarity) {
            Verdict::Vetoed(kind) => (Some(kind), None),
            Verdict::Probability(p) => (None, Some(p)),
        };
        let features = features(&a, &b, pair.similarity).values();
        writeln!(out, "{}", json!({"veto": veto, "probability": probability, "features": features}))?;
    }
    Ok(())
}
