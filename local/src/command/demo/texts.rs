//! The questions that the demo stores and looks up: the files of `local/demo/`, one JSON object per line.
//!
//! `wording` has rewordings that an embedder can match by words alone. `meaning` needs a model: it has questions of
//! many kinds, and many of them differ only in the one word that matters.

use std::error::Error;

use serde::{Deserialize, de::DeserializeOwned};

/// A folder of `local/demo/`.
struct Folder {
    name: &'static str,
    questions: &'static str,
    lookups: &'static str,
}

const WORDING: Folder = Folder {
    name: "wording",
    questions: include_str!("../../../demo/wording/questions.jsonl"),
    lookups: include_str!("../../../demo/wording/lookups.jsonl"),
};
const MEANING: Folder = Folder {
    name: "meaning",
    questions: include_str!("../../../demo/meaning/questions.jsonl"),
    lookups: include_str!("../../../demo/meaning/lookups.jsonl"),
};

/// The number of stored questions that are looked up word for word.
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
    /// The stored question that answers it; `None` when none does.
    pub(super) expected: Option<String>,
}

/// The texts of one demo.
#[derive(Debug)]
pub(super) struct Texts {
    /// Everything to store.
    pub(super) questions: Vec<Question>,
    /// Everything to look up: first some of the stored questions in other case and spacing, which the exact layer must
    /// find, then rewordings and questions without an answer.
    pub(super) lookups: Vec<Lookup>,
}

impl Texts {
    /// The texts for an embedder that compares wording alone.
    pub(super) fn wording() -> Result<Self, Box<dyn Error>> {
        Self::parse(&[WORDING])
    }

    /// The texts for an embedder that compares meaning.
    pub(super) fn meaning() -> Result<Self, Box<dyn Error>> {
        Self::parse(&[WORDING, MEANING])
    }

    fn parse(folders: &[Folder]) -> Result<Self, Box<dyn Error>> {
        let (mut questions, mut reworded) = (Vec::new(), Vec::new());
        for Folder { name, questions: stored, lookups } in folders {
            questions.extend(parse::<Question>(stored, &format!("{name}/questions.jsonl"))?);
            reworded.extend(parse(lookups, &format!("{name}/lookups.jsonl"))?);
        }
        let lookups = verbatim(&questions).chain(reworded).collect();
        Ok(Self { questions, lookups })
    }
}

/// Returns some of the questions in another case or with other white space, which the exact layer normalises.
fn verbatim(questions: &[Question]) -> impl Iterator<Item = Lookup> {
    let every = (questions.len() / VERBATIM).max(1);
    questions.iter().step_by(every).take(VERBATIM).enumerate().map(|(nth, question)| {
        let query = &question.query;
        let query = match nth % 3 {
            0 => query.to_uppercase(),
            1 => format!("  {}\t", query.replace(' ', "  ")),
            _ => query.to_lowercase(),
        };
        Lookup { query, expected: Some(question.query.clone()) }
    })
}

fn parse<T: DeserializeOwned>(lines: &str, file: &str) -> Result<Vec<T>, Box<dyn Error>> {
    let parse = |(index, line)| {
        serde_json::from_str(line).map_err(|error| format!("local/demo/{file}, line {}: {error}", index + 1).into())
    };
    lines.lines().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::embed::{embed, similarity};

    #[test]
    fn texts_have_at_least_the_promised_numbers_of_questions() {
        for (texts, stored, reworded, without) in [(Texts::wording(), 60, 24, 6), (Texts::meaning(), 200, 100, 50)] {
            let Texts { questions, lookups } = texts.unwrap();
            let distinct: HashSet<_> = questions.iter().map(|question| question.query.as_str()).collect();
            assert!(distinct.len() >= stored && distinct.len() == questions.len());
            let lookups = &lookups[VERBATIM..];
            let expected: Vec<_> = lookups.iter().filter_map(|lookup| lookup.expected.as_deref()).collect();
            assert!(expected.len() >= reworded && lookups.len() - expected.len() >= without);
            assert!(expected.iter().all(|question| distinct.contains(question)));
            assert!(lookups.iter().all(|lookup| !distinct.contains(lookup.query.as_str())));
        }
    }

    #[test]
    fn default_threshold_gives_the_measured_hits_and_misses() {
        let defaults: HashMap<_, _> = super::super::DEFAULTS.into_iter().collect();
        let threshold: f32 = defaults["MNEME_SIMILARITY_THRESHOLD"].parse().unwrap();
        let texts = Texts::wording().unwrap();
        let questions: Vec<_> =
            texts.questions.into_iter().map(|question| (embed(&question.query), question.query)).collect();
        let (mut right, mut missed) = (0, 0);
        for lookup in texts.lookups.into_iter().skip(VERBATIM) {
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
