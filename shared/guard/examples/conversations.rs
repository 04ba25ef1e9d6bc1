//! What the guard makes of pairs of conversations: reads JSON lines `{"a", "b", "similarity"}` from stdin, `a` and `b` lists of
//! `{"role", "content"}`, `similarity` that of their last messages; writes a JSON line each: `{"meet", "alone", "veto", "probability"}`.

use std::io::{BufRead, Write};

use mneme_guard::{Conversation, ConversationError, Verdict, compare_conversations};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Message {
    role: String,
    content: String,
}

#[derive(Deserialize)]
struct Pair {
    a: Vec<Message>,
    b: Vec<Message>,
    similarity: f32,
}

fn conversation(messages: &[Message]) -> Result<Conversation, ConversationError> {
    let messages: Vec<_> = messages.iter().map(|message| (message.role.as_str(), message.content.as_str())).collect();
    Conversation::of(&messages, None)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let pair: Pair = serde_json::from_str(&line?)?;
        let (a, b) = (conversation(&pair.a)?, conversation(&pair.b)?);
        let (veto, probability) = match compare_conversations(&b.signature, &a.signature, pair.similarity) {
            Verdict::Vetoed(kind) => (Some(kind), None),
            Verdict::Probability(p) => (None, Some(p)),
        };
        let meet = a.partition == b.partition;
        writeln!(out, "{}", json!({"meet": meet, "alone": a.stands_alone, "veto": veto, "probability": probability}))?;
    }
    Ok(())
}
