//! Compares pairs of questions, for the fit of the model and for the evaluation of its quality.
//!
//! Reads JSON lines `{"a", "b", "similarity"}` from standard input. A side is a text or a list of messages. Writes a JSON
//! line for each: `{"veto": kind or null, "probability": p or null, "features": [...]}`. The features are those of the
//! texts or the last messages. With the argument `--names`, it writes the names of the features and reads nothing.

use std::io::{BufRead, Write};

use mneme_guard::{Conversation, FEATURE_NAMES, Signature, Verdict, compare_conversations, features};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Pair {
    a: Side,
    b: Side,
    similarity: f32,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Side {
    Text(String),
    Messages(Vec<Value>),
}

impl Side {
    fn read(&self) -> Result<Conversation, Box<dyn std::error::Error>> {
        Ok(match self {
            Self::Text(text) => Conversation::of_query(text),
            Self::Messages(messages) => Conversation::of_messages(messages, None)?,
        })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if std::env::args().any(|argument| argument == "--names") {
        writeln!(out, "{}", json!(FEATURE_NAMES))?;
        return Ok(());
    }
    for line in std::io::stdin().lock().lines() {
        let pair: Pair = serde_json::from_str(&line?)?;
        let (a, b) = (pair.a.read()?, pair.b.read()?);
        let (veto, probability) = match compare_conversations(&a.signature, &b.signature, pair.similarity) {
            _ if a.context_key != b.context_key => (Some(json!("partition")), None),
            Verdict::Vetoed(kind) => (Some(json!(kind)), None),
            Verdict::Probability(p) => (None, Some(p)),
        };
        let features = features(&Signature::of(&a.message), &Signature::of(&b.message), pair.similarity).values();
        writeln!(out, "{}", json!({"veto": veto, "probability": probability, "features": features}))?;
    }
    Ok(())
}
