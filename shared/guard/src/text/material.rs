//! The material of a question: a document, code, a list or another payload that an instruction is about.

use std::borrow::Cow;

use super::instruction::comparable;
use super::segment::is_unspaced;
use crate::language::lexicon::hash32;
use crate::language::{Label, Language};

/// A text as an instruction and the material that it is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parts<'t> {
    /// The text without the material.
    pub(crate) instruction: Cow<'t, str>,
    /// The hash of the material, never 0. 0: the text has none.
    pub(crate) material: u32,
}

/// A text with fewer bytes and without a line break, a colon or a quotation has no material.
const MIN_BYTES: usize = 200;
/// A text with this many words that has no other mark of a payload is a document with an instruction.
const MIN_DOCUMENT_WORDS: usize = 60;
/// Paragraphs apart from the instruction are material from this many words on.
const MIN_PARAGRAPH_WORDS: usize = 25;
/// A longer paragraph or sentence is no instruction.
const MAX_INSTRUCTION_WORDS: usize = 40;
/// A quotation is material from this many words on. A shorter one is a token of the question.
const MIN_QUOTED_WORDS: usize = 9;
/// So many lines that are items of a list, rows of a table, examples or data are material.
const MIN_DATA_LINES: usize = 2;
/// So many tags are read. The time stays linear.
const MAX_TAGS: usize = 32;
/// The text after a colon or between tags is material from this many words on.
const MIN_WORDS_AFTER_COLON: usize = 2;

impl<'t> Parts<'t> {
    /// Splits `text`. Linear in its length. Where the split is in doubt, all of the text is material.
    pub(crate) fn of(text: &'t str) -> Self {
        let may_have_material = text.len() >= MIN_BYTES || text.contains(['\n', ':', '`', '"', '“', '«', '<']);
        let split = || {
            fenced(text)
                .or_else(|| tagged(text))
                .or_else(|| labelled(text))
                .or_else(|| data_lines(text))
                .or_else(|| after_colon(text))
                .or_else(|| quoted(text))
                .or_else(|| document(text))
        };
        may_have_material.then(split).flatten().unwrap_or_else(|| Self::without_material(text))
    }

    /// The instruction in the form that is compared. That of a text without material is the text.
    pub(crate) fn comparable_instruction(&self) -> Cow<'_, str> {
        if self.material == 0 { Cow::Borrowed(&self.instruction) } else { comparable(&self.instruction) }
    }

    /// All of `text` as the instruction.
    pub(crate) fn without_material(text: &'t str) -> Self {
        Self { instruction: Cow::Borrowed(text), material: 0 }
    }

    /// `pieces`: the pieces of the material, in order. White space and marks at their ends do not count.
    fn new<'p>(instruction: impl Into<Cow<'t, str>>, pieces: impl Iterator<Item = &'p str>) -> Self {
        let mut normal = String::new();
        for line in pieces.flat_map(str::lines).filter(|line| !is_separator(line)) {
            for word in line.split_whitespace() {
                normal.push_str(word);
                normal.push(' ');
            }
        }
        let ends = |c: char| c.is_whitespace() || matches!(c, '.' | '"' | '\'' | '“' | '”' | '«' | '»');
        Self { instruction: instruction.into(), material: hash32(normal.trim_matches(ends)).max(1) }
    }
}

/// The instruction in `text` and the hash of the material that it is about. `None` if the text has no material, or no
/// instruction apart from it.
pub fn instruction_and_material(text: &str) -> Option<(Cow<'_, str>, u32)> {
    let Parts { instruction, material } = Parts::of(text);
    (material != 0 && !instruction.trim().is_empty()).then_some((instruction, material))
}

/// The number of words. In a script without spaces, two characters count as a word.
fn words(text: &str) -> usize {
    text.split_whitespace().count() + text.chars().filter(|c| is_unspaced(*c)).count() / 2
}

/// Code between fences of three backticks. Its indentation counts.
fn fenced(text: &str) -> Option<Parts<'_>> {
    const FENCE: &str = "```";
    text.contains(FENCE).then(|| {
        let pieces = || text.split(FENCE);
        let instruction: Vec<&str> = pieces().step_by(2).collect();
        let code: Vec<&str> = pieces().skip(1).step_by(2).flat_map(str::lines).map(str::trim_end).collect();
        Parts {
            instruction: Cow::Owned(instruction.join(" ")),
            material: hash32(code.join("\n").trim_matches('\n')).max(1),
        }
    })
}

/// The text between a tag and its end, where the tag is named like a label: "<document>…</document>". Other tags are
/// code.
fn tagged(text: &str) -> Option<Parts<'_>> {
    let (mut instruction, mut material) = (String::new(), Vec::new());
    let mut rest = text;
    for _ in 0..MAX_TAGS {
        let Some(open) = rest.find('<') else { break };
        let after = &rest[open + 1..];
        let name = &after[..after.find(|c: char| !c.is_alphanumeric()).unwrap_or(0)];
        let is_label = Language::instructions().label(name) == Some(Label::Material);
        let block = after[name.len()..].split_once('>').filter(|_| is_label);
        let end = format!("</{name}>");
        match block.and_then(|(attributes, block)| Some((attributes, block.split_once(end.as_str())?))) {
            Some((attributes, (inner, next))) => {
                instruction.push_str(&rest[..open]);
                material.extend([attributes, inner]);
                rest = next;
            }
            None => {
                instruction.push_str(&rest[..=open]);
                rest = after;
            }
        }
    }
    instruction.push_str(rest);
    let count: usize = material.iter().map(|piece| words(piece)).sum();
    (count >= MIN_WORDS_AFTER_COLON).then(|| Parts::new(instruction, material.into_iter()))
}

/// A material and a question, each behind its label: "Text: … Question: …". Several questions are examples.
fn labelled(text: &str) -> Option<Parts<'_>> {
    let mut pieces = Vec::new();
    let (mut open, mut start, mut end) = (None, 0, 0);
    for word in text.split_whitespace() {
        let at = end + text[end..].find(word)?;
        let starts_sentence = text[..end].ends_with(['.', '?', '!', ':', '"', '”']) || text[end..at].contains('\n');
        end = at + word.len();
        let name = word.trim_matches(|c: char| matches!(c, '*' | '#' | '[' | ']'));
        let name = name.strip_suffix([':', '：']).filter(|_| at == 0 || starts_sentence);
        if let Some(label) = name.and_then(|name| Language::instructions().label(name)) {
            pieces.push((open, &text[start..at]));
            (open, start) = (Some(label), end);
        }
    }
    let last = &text[start..];
    let (material, question) = match last.trim_end().rsplit_once('\n') {
        // "Text: …", and the question in a paragraph after it.
        Some((material, question)) if open == Some(Label::Material) && is_instruction(question.trim()) => {
            (material, question)
        }
        _ => (last, ""),
    };
    pieces.extend([(open, material), (None, question)]);
    let of = |wanted: fn(&Option<Label>) -> bool| -> Vec<&str> {
        let texts = pieces.iter().filter(move |(label, text)| wanted(label) && !text.trim().is_empty());
        texts.map(|(_, text)| *text).collect()
    };
    let (material, answers) = (of(|label| *label == Some(Label::Material)), of(|label| *label == Some(Label::Answer)));
    let instruction = of(|label| matches!(label, None | Some(Label::Question)));
    let questions = pieces.iter().filter(|(label, _)| *label == Some(Label::Question)).count();
    (material.len() == 1 && answers.is_empty() && questions <= 1 && !instruction.is_empty())
        .then(|| Parts::new(instruction.join(" "), material.into_iter()))
}

/// Lines that are items of a list, rows of a table, examples or data.
fn data_lines(text: &str) -> Option<Parts<'_>> {
    if !text.contains('\n') {
        return None;
    }
    let (data, instruction): (Vec<&str>, Vec<&str>) =
        text.lines().filter(|line| !is_separator(line)).partition(|line| is_data(line.trim()));
    (data.len() >= MIN_DATA_LINES).then(|| Parts::new(instruction.join("\n"), data.into_iter()))
}

/// True for an empty line, or one of marks that separate: `---`.
fn is_separator(line: &str) -> bool {
    line.trim().chars().all(|c| "-=*#_~\"'`—–".contains(c))
}

fn is_data(line: &str) -> bool {
    let first = line.chars().next().unwrap_or(' ');
    let number_end = line.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
    let is_numbered = number_end > 0 && line[number_end..].starts_with(['.', ')']);
    let is_item = matches!(first, '-' | '*' | '•' | '|' | '{' | '}' | '[' | ']' | '<' | '"' | '>') || is_numbered;
    let is_row = line.contains("->") || line.contains("=>") || line.matches([';', '\t']).count() > 1;
    let is_labelled = line.split_once(':').is_some_and(|(label, rest)| {
        words(label) == 1 && !rest.trim().is_empty() && label.chars().all(char::is_alphabetic)
    });
    is_item || is_row || is_labelled
}

/// The text after the colon of an instruction that announces it: "Translate the following text: …".
fn after_colon(text: &str) -> Option<Parts<'_>> {
    let (head, rest) = text.match_indices(':').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        rest.starts_with(|c: char| c.is_whitespace() || matches!(c, '"' | '“' | '«' | '\''))
            .then(|| (&text[..at], rest))
    })?;
    // "Answer by the text: when was it built? It was built …": the question is part of the instruction.
    let asks_first = rest.split_once(['?', '？']).is_some_and(|(_, material)| words(material) >= MIN_PARAGRAPH_WORDS);
    if words(rest) < MIN_WORDS_AFTER_COLON || words(head) > MAX_INSTRUCTION_WORDS || asks_first {
        return None;
    }
    Language::announces_material(head).then(|| Parts::new(head, std::iter::once(rest)))
}

/// The first long quotation in a question or an instruction. A report may quote in many ways.
fn quoted(text: &str) -> Option<Parts<'_>> {
    let is_request = text.trim_end().ends_with(['?', '？']) || Language::starts_instruction(text);
    if !is_request {
        return None;
    }
    let is_mark = |c: char| matches!(c, '"' | '“' | '”' | '«' | '»' | '„' | '`');
    let mut open = text.find(is_mark)?;
    loop {
        let start = open + text[open..].chars().next().map_or(0, char::len_utf8);
        let end = start + text[start..].find(is_mark)?;
        let quotation = &text[start..end];
        if words(quotation) >= MIN_QUOTED_WORDS {
            let instruction = format!("{} {}", &text[..open], &text[end..]);
            return Some(Parts::new(instruction, std::iter::once(quotation)));
        }
        // The mark that ends a short quotation opens none. After an empty one, it may.
        let after = end + text[end..].chars().next().map_or(0, char::len_utf8);
        open = if quotation.is_empty() { end } else { after + text[after..].find(is_mark)? };
    }
}

/// Paragraphs or sentences, of which the first or the last is the instruction.
fn document(text: &str) -> Option<Parts<'_>> {
    let count = words(text);
    let paragraphs: Vec<&str> = text.lines().map(str::trim).filter(|line| !is_separator(line)).collect();
    if let [first, .., last] = paragraphs[..] {
        let rest = |instruction: &str| count - words(instruction) >= MIN_PARAGRAPH_WORDS;
        if is_instruction(last) && rest(last) {
            let (_, material) = paragraphs.split_last()?;
            return Some(Parts::new(last, material.iter().copied()));
        }
        if is_instruction(first) && rest(first) {
            return Some(Parts::new(first, paragraphs[1..].iter().copied()));
        }
    }
    if count < MIN_DOCUMENT_WORDS {
        return None;
    }
    let sentences: Vec<&str> = text
        .split_inclusive(['.', '?', '!', '\n', '。', '？', '！'])
        .map(str::trim)
        .filter(|sentence| !sentence.is_empty())
        .collect();
    match sentences[..] {
        [ref material @ .., last] if is_instruction(last) && !material.is_empty() => {
            Some(Parts::new(last, material.iter().copied()))
        }
        [first, ref material @ ..] if is_instruction(first) && !material.is_empty() => {
            Some(Parts::new(first, material.iter().copied()))
        }
        _ => Some(Parts::new("", std::iter::once(text))),
    }
}

/// True if a paragraph or sentence is a question or begins like an instruction.
fn is_instruction(text: &str) -> bool {
    words(text) <= MAX_INSTRUCTION_WORDS
        && (text.ends_with(['?', ':', '？', '：']) || Language::starts_instruction(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The instruction of `text`, and whether the text has material.
    fn instruction(text: &str) -> (String, bool) {
        let parts = Parts::of(text);
        (parts.instruction.trim().to_owned(), parts.material != 0)
    }

    #[test]
    fn parts_of_text_with_payload_separate_the_instruction() {
        for (text, expected) in [
            ("Translate the following text to German: The gate is open.", "Translate the following text to German"),
            ("Please fix this code:\n```\na = 1\n```", "Please fix this code:"),
            ("Sort these:\n- pear\n- apple", "Sort these:"),
        ] {
            assert_eq!(instruction(text), (expected.to_owned(), true));
        }
        let document = "Roses grow in the garden behind the old school. ".repeat(8);
        assert_eq!(instruction(&format!("{document}Who waters them?")), ("Who waters them?".to_owned(), true));
        assert_eq!(instruction(&format!("Summarise this.\n\n{document}")), ("Summarise this.".to_owned(), true));
        assert_eq!(instruction(&document), (String::new(), true));
    }

    #[test]
    fn parts_of_plain_question_have_no_material() {
        for text in [
            "Hello\nHow do I reset my password?",
            "I have a problem: my card is lost",
            "What is your review of Hamlet: the film?",
            "What does <b>a text of more than nine words in a bold face</b> look like?",
            "What does \"idle\" mean?",
            "Is it \"bad\" or \"badly\" that I should have written in the letter?",
        ] {
            assert_eq!(instruction(text), (text.to_owned(), false));
        }
    }

    #[test]
    fn material_ignores_white_space_and_final_marks_but_not_the_indentation_of_code() {
        let material = |text: &str| Parts::of(text).material;
        assert_eq!(material("Translate this text: It  rains."), material("Translate this text:\nIt rains"));
        assert_ne!(material("Fix:\n```\nif a:\n  b\n  c\n```"), material("Fix:\n```\nif a:\n  b\nc\n```"));
    }
}
