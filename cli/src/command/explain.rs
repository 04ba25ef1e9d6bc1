//! `mneme explain`: looks a question up, and says why it has its outcome.

use std::collections::BTreeMap;
use std::fmt;

use mneme_api::operations::LOOKUP;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Done;
use super::ask::{Answer, Ask};
use crate::cache::Cache;
use crate::output::{print, printable, shortened, table};

/// How much of a stored question a row of the table shows.
const QUESTION_CHARS: usize = 60;
/// How many of the features of a candidate are shown: those that are farthest from 0.
const SHOWN_FEATURES: usize = 4;

/// The part of a reply that `explain` asks for.
#[derive(Debug, Deserialize)]
struct Explained {
    explanation: Option<Explanation>,
}

#[derive(Debug, Deserialize)]
struct Explanation {
    question: ComparedQuestion,
    rules: Rules,
    candidates: Vec<Candidate>,
    complete: bool,
    other_context: Option<OtherContext>,
}

#[derive(Debug, Deserialize)]
struct ComparedQuestion {
    text: String,
    context_key: Option<String>,
    follow_up: bool,
}

#[derive(Debug, Deserialize)]
struct Rules {
    threshold: f64,
    cutoff: f64,
    guard: String,
}

#[derive(Debug, Deserialize)]
struct Candidate {
    id: u64,
    query: Option<String>,
    layer: String,
    similarity: f64,
    confidence: f64,
    served: bool,
    reason: Option<String>,
    veto: Option<String>,
    features: BTreeMap<String, f64>,
}

#[derive(Debug, Deserialize)]
struct OtherContext {
    id: u64,
    context_key: Option<String>,
}

/// Asks the question and prints the reply with its explanation.
///
/// # Errors
/// See [`Cache::call`].
pub(crate) async fn explain(cache: &Cache, arguments: Ask, as_json: bool) -> Done {
    let reply: Box<RawValue> = cache.call(&LOOKUP, arguments.into_fields().with("explain", true)).await?;
    let answer: Answer = serde_json::from_str(reply.get())?;
    let Explained { explanation } = serde_json::from_str(reply.get())?;
    match (as_json, explanation) {
        (true, _) => print(&reply)?,
        (false, Some(explanation)) => print(&format!("{answer}\n\n{explanation}"))?,
        (false, None) => print(&format!("{answer}\n\nNothing was read, so there is nothing to explain."))?,
    }
    Ok(answer.outcome())
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { question, rules, candidates, complete, other_context } = self;
        writeln!(f, "compared   {}", printable(&question.text))?;
        if let Some(key) = &question.context_key {
            writeln!(f, "context    {}", printable(key))?;
        }
        if question.follow_up {
            writeln!(f, "kind       follow-up message: the history must agree")?;
        }
        let Rules { threshold, cutoff, guard } = rules;
        writeln!(f, "rules      threshold {threshold:.4}, cutoff {cutoff}, guard {}", printable(guard))?;
        if let Some(OtherContext { id, context_key }) = other_context {
            let key = context_key.as_deref().map_or_else(|| "no context".to_owned(), printable);
            writeln!(f, "elsewhere  entry {id} has an equal question with another context: {key}")?;
        }
        let mut table =
            table(&["entry", "stored question", "layer", "similarity", "confidence", "decision", "evidence"]);
        for candidate in candidates {
            table.add_row([
                candidate.id.to_string(),
                shortened(candidate.query.as_deref().unwrap_or("(not stored)"), QUESTION_CHARS),
                printable(&candidate.layer),
                format!("{:.4}", candidate.similarity),
                format!("{:.4}", candidate.confidence),
                candidate.decision(),
                candidate.evidence(),
            ]);
        }
        write!(f, "{table}")?;
        match complete {
            true => Ok(()),
            false => write!(f, "\nA nearer entry may be missing: not all were compared."),
        }
    }
}

impl Candidate {
    fn decision(&self) -> String {
        match (&self.reason, &self.veto) {
            _ if self.served => "served".to_owned(),
            (None, _) => "could be served".to_owned(),
            (Some(reason), None) => printable(reason),
            (Some(reason), Some(veto)) => format!("{}: {}", printable(reason), printable(veto)),
        }
    }

    /// The features that are farthest from 0, one in a line.
    fn evidence(&self) -> String {
        let mut features: Vec<_> = self.features.iter().collect();
        features.sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
        let lines: Vec<_> = features
            .iter()
            .take(SHOWN_FEATURES)
            .map(|(name, value)| format!("{} {value:.3}", printable(name)))
            .collect();
        lines.join("\n")
    }
}
