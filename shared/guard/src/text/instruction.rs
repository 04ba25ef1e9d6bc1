//! Instructions about material in one form, so that two of them are comparable word by word.
//!
//! "Please give me a summary of the text below" and "Summarise this text" ask for one thing. The words of politeness and
//! the names of the material as a whole add nothing: the material is compared apart.

use std::borrow::Cow;

use crate::language::{Language, Phrases};

/// A longer instruction is compared as it is.
const MAX_WORDS: usize = 60;

/// `instruction` without politeness and names of the material. If it names a task, the task replaces the words that ask
/// for it. The text itself if nothing remains.
pub(super) fn comparable(instruction: &str) -> Cow<'_, str> {
    let words = instruction.split_whitespace().map(|chunk| (core(chunk).to_lowercase(), chunk));
    let words: Vec<(String, &str)> = words.filter(|(word, _)| !word.is_empty()).collect();
    if words.len() > MAX_WORDS {
        return Cow::Borrowed(instruction);
    }
    let lists = Language::instructions();
    let said = without(words, |words| {
        let polite = lists.polite.longest(lower(words)).map(|(length, ())| length);
        polite.or_else(|| whole_material(words)).map(|length| (length, None))
    });
    let task = |words: &[(String, &str)]| lists.tasks.longest(lower(words));
    let kept = if (0..said.len()).any(|at| task(&said[at..]).is_some()) {
        without(said, |words| {
            let light = || lists.light.longest(lower(words)).map(|(length, ())| (length, None));
            task(words).map(|(length, task)| (length, Some(task))).or_else(light)
        })
    } else {
        said
    };
    if kept.is_empty() {
        return Cow::Borrowed(instruction);
    }
    let mut chunks: Vec<&str> = kept.into_iter().map(|(_, chunk)| chunk).collect();
    chunks.dedup();
    Cow::Owned(chunks.join(" "))
}

/// `words`, in which each phrase that `read` recognises at its beginning is left out or replaced. `read`: the number of
/// words of the phrase, and what replaces it.
fn without<'t>(
    words: Vec<(String, &'t str)>,
    read: impl Fn(&[(String, &'t str)]) -> Option<(usize, Option<&'t str>)>,
) -> Vec<(String, &'t str)> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let (length, replacement) = read(&words[at..]).unwrap_or((1, Some(words[at].1)));
        kept.extend(replacement.map(|chunk| (core(chunk).to_lowercase(), chunk)));
        at += length;
    }
    kept
}

fn lower<'w>(words: &'w [(String, &str)]) -> impl Iterator<Item = &'w str> + Clone {
    words.iter().map(|(word, _)| word.as_str())
}

/// The number of words at the start that name the material as a whole: "according to the text below".
fn whole_material(words: &[(String, &str)]) -> Option<usize> {
    let lists = Language::instructions();
    let length = |phrases: &Phrases<()>, at: usize| phrases.longest(lower(&words[at..])).map(|(length, ())| length);
    let name = |start: usize| {
        let mut end = start + length(&lists.determiners, start)?;
        end += length(&lists.places, end).unwrap_or(0);
        end += length(&lists.documents, end)?;
        Some(end + length(&lists.places, end).unwrap_or(0))
    };
    // A source of one language may be an article of another: "de".
    length(&lists.sources, 0).and_then(name).or_else(|| name(0))
}

/// `chunk` without the marks around it.
fn core(chunk: &str) -> &str {
    chunk.trim_matches(|c: char| !c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::comparable;

    #[test]
    fn comparable_of_reworded_instructions_is_one_text() {
        for (a, b) in [
            ("Summarise this text.", "Please give me a short summary of the text below."),
            ("What are the key points of this document?", "List the main points."),
            ("Vat deze tekst samen.", "Kun je de volgende tekst samenvatten?"),
            ("Translate this text to German", "Can you translate the following text to German"),
        ] {
            assert_eq!(comparable(a), comparable(b), "{a:?} | {b:?}");
        }
    }

    #[test]
    fn comparable_keeps_what_is_asked_for() {
        assert_eq!(comparable("According to the text, who founded the society?"), "who founded the society?");
        assert_eq!(comparable("Who wrote the report?"), "Who wrote the report?");
        assert_eq!(comparable("Summarise the first paragraph."), "summarise first paragraph.");
        assert_eq!(comparable("Please"), "Please");
    }
}
