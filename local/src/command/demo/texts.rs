//! What the demo stores and asks: the files of `local/demo/`, one JSON object per line.

use std::error::Error;

use serde::{Deserialize, de::DeserializeOwned};

const QUESTIONS: &str = include_str!("../../../demo/questions.jsonl");
const LOOKUPS: &str = include_str!("../../../demo/lookups.jsonl");

/// How many stored questions are asked again word for word.
const VERBATIM: usize = 6;

/// A question and its answer, to be stored.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    pub(super) query: String,
    pub(super) response: String,
    pub(super) topic: String,
}

/// A question to look up.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lookup {
    pub(super) query: String,
    /// The stored question that answers it; none does when `None`.
    pub(super) expected: Option<String>,
}

/// Everything to store.
pub(super) fn questions() -> Result<Vec<Question>, Box<dyn Error>> {
    parse(QUESTIONS, "questions.jsonl")
}

/// Everything to look up: first some of the stored questions in other case and spacing, which the exact layer must
/// find, then rewordings and questions without an answer.
pub(super) fn lookups(questions: &[Question]) -> Result<Vec<Lookup>, Box<dyn Error>> {
    let every = (questions.len() / VERBATIM).max(1);
    let verbatim = questions.iter().step_by(every).take(VERBATIM).enumerate().map(|(nth, question)| {
        let query = &question.query;
        let query = match nth % 3 {
            0 => query.to_uppercase(),
            1 => format!("  {}\t", query.replace(' ', "  ")),
            _ => query.to_lowercase(),
        };
        Lookup { query, expected: Some(question.query.clone()) }
    });
    Ok(verbatim.chain(parse(LOOKUPS, "lookups.jsonl")?).collect())
}

fn parse<T: DeserializeOwned>(lines: &str, file: &str) -> Result<Vec<T>, Box<dyn Error>> {
    let parse = |(index, line)| {
        serde_json::from_str(line).map_err(|error| format!("demo/{file}, line {}: {error}", index + 1).into())
    };
    lines.lines().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::embed::{embed, similarity};

    #[test]
    fn the_files_hold_what_the_demo_promises() {
        let questions = questions().unwrap();
        let distinct: HashSet<_> = questions.iter().map(|question| question.query.as_str()).collect();
        assert!(distinct.len() >= 60 && distinct.len() == questions.len());
        let lookups: Vec<Lookup> = parse(LOOKUPS, "lookups.jsonl").unwrap();
        let expected: Vec<_> = lookups.iter().filter_map(|lookup| lookup.expected.as_deref()).collect();
        assert!(expected.len() >= 24 && lookups.len() - expected.len() >= 6);
        assert!(expected.iter().all(|question| distinct.contains(question)));
    }

    #[test]
    fn the_threshold_serves_what_its_comment_says() {
        let defaults: HashMap<_, _> = super::super::DEFAULTS.into_iter().collect();
        let threshold: f32 = defaults["MNEME_SIMILARITY_THRESHOLD"].parse().unwrap();
        let questions: Vec<_> =
            questions().unwrap().into_iter().map(|question| (embed(&question.query), question.query)).collect();
        let (mut right, mut missed) = (0, 0);
        for lookup in parse::<Lookup>(LOOKUPS, "lookups.jsonl").unwrap() {
            let vector = embed(&lookup.query);
            let best = questions.iter().map(|(of, question)| (similarity(&vector, of), question));
            let (similarity, question) = best.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            // Rounding must not decide on another machine.
            assert!((similarity - threshold).abs() > 0.004, "{lookup:?}: {similarity}");
            if similarity >= threshold {
                assert_eq!(lookup.expected.as_ref(), Some(question), "wrong at {similarity}: {lookup:?}");
                right += 1;
            } else if lookup.expected.is_some() {
                missed += 1;
            }
        }
        assert_eq!((right, missed), (25, 11));
    }
}
