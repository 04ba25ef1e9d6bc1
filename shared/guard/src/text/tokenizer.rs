//! The tokenizer: reads a text, segment by segment, as tokens.

use super::notation::Notation;
use super::quantity::ONE_AND_A_HALF_WORDS;
use super::question_type::QuestionType;
use super::segment::{Segment, is_title, joined, segments};
use super::slots::Slots;
use super::token_builder::TokenBuilder;
use crate::language::Language;
use crate::language::detect::{Detector, ToldLanguage};
use crate::token::{Token, TokenKind};

/// What a signature stores of a text.
pub(crate) struct Reading {
    /// In order, without fillers.
    pub(crate) tokens: Vec<Token>,
    pub(crate) question_type: QuestionType,
    pub(crate) slots: Slots,
    pub(crate) language: ToldLanguage,
}

/// The segments of a text, the language to read them in, and what is told of it.
fn segments_in_language(text: &str) -> (Vec<Segment>, &'static Language, ToldLanguage) {
    let segments = segments(text);
    let mut character = [0; 4];
    let mut detector = Detector::default();
    for segment in &segments {
        match segment {
            Segment::Chunk { lower, .. } => detector.add(lower),
            Segment::Character(c) => detector.add(c.encode_utf8(&mut character)),
            _ => {}
        }
    }
    let (language, told) = detector.decide();
    (joined(segments, language), language, told)
}

impl Reading {
    /// Reads `text`. Linear in the text's length.
    pub(crate) fn of(text: &str) -> Self {
        let (segments, language, told) = segments_in_language(text);
        let mut tokens = read(&segments, language, Frames::Replaced).tokens;
        let question_type = QuestionType::of(&tokens);
        tokens.retain(|token| token.kind != TokenKind::Filler);
        Self { tokens, question_type, slots: Slots::of(&segments, language), language: told }
    }
}

/// The language that `text` is read in.
pub(crate) fn language_of(text: &str) -> &'static Language {
    segments_in_language(text).1
}

/// The words of `text` in lower case, each with its token. Introductory phrases and fillers are kept. A token that is
/// no word has an empty text.
pub(crate) fn words_with_tokens(text: &str) -> Vec<(String, Token)> {
    let (segments, language, _) = segments_in_language(text);
    let TokenBuilder { tokens, words, .. } = read(&segments, language, Frames::Kept);
    words.into_iter().zip(tokens).collect()
}

/// The numbers, identifiers and dates of `text`, each with its value in one form.
pub(crate) fn exact_values(text: &str) -> Vec<(Token, String)> {
    let (segments, language, _) = segments_in_language(text);
    let TokenBuilder { tokens, values, .. } = read(&segments, language, Frames::Replaced);
    tokens.into_iter().zip(values).filter(|(_, value)| !value.is_empty()).collect()
}

/// What the tokenizer does with an introductory phrase at the start of a sentence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frames {
    /// The phrase is replaced by the question word of the same meaning, or removed if there is none.
    Replaced,
    /// The phrase is read like other text.
    Kept,
}

/// Reads all segments of a text.
fn read(segments: &[Segment], language: &'static Language, frames: Frames) -> TokenBuilder {
    let mut builder = TokenBuilder::new(language, Notation::of(segments, language));
    let is_title = is_title(segments);
    let mut starts_sentence = true;
    let mut skipped = 0;
    for (at, segment) in segments.iter().enumerate() {
        if skipped > 0 {
            skipped -= 1;
            continue;
        }
        match segment {
            Segment::Mark(mark) => {
                if *mark == '/' && next_chunk(segments, at).is_some_and(|(lower, written)| builder.rate(written, lower))
                {
                    skipped = 1;
                    continue;
                }
                if *mark == '×' && builder.dimension_mark(next_word(segments, at)) {
                    continue;
                }
                builder.mark(*mark);
                starts_sentence |= ends_sentence(*mark);
            }
            Segment::Minus => builder.is_negative = true,
            Segment::Currency { sign, is_before_number } => builder.currency_sign(*sign, *is_before_number),
            Segment::Character(character) => {
                builder.character(*character);
                starts_sentence = false;
            }
            Segment::Chunk { lower: chunk, written, is_capitalised } => {
                if frames == Frames::Replaced
                    && starts_sentence
                    && let Some((length, question_word)) = frame(&segments[at..], language)
                {
                    if !question_word.is_empty() {
                        builder.word(question_word, question_word, false, false);
                        starts_sentence = false;
                    }
                    skipped = length - 1;
                    continue;
                }
                builder.next.clear();
                builder.next.push_str(next_word(segments, at));
                if let Some(length) = special(&mut builder, segments, at, starts_sentence) {
                    skipped = length - 1;
                    starts_sentence = false;
                    continue;
                }
                let is_filler = language.class(chunk).is_some_and(|class| class.kind == TokenKind::Filler);
                let is_capital = *is_capitalised && !starts_sentence;
                builder.chunk(chunk, written.as_deref(), is_capital && !is_title, is_capital);
                starts_sentence &= is_filler;
            }
        }
    }
    builder
}

/// The frame that `segments` begin with: its number of segments, and the question word of the same meaning. A hyphen
/// separates words: "comment puis-je".
fn frame(segments: &[Segment], language: &Language) -> Option<(usize, &'static str)> {
    let words = segments.iter().filter(|segment| !matches!(segment, Segment::Mark('-'))).map_while(Segment::lower);
    let (count, question_word) = language.frame(words)?;
    let mut ends = (0..segments.len()).filter(|at| segments[*at].lower().is_some());
    Some((ends.nth(count.checked_sub(1)?)? + 1, question_word))
}

/// Reads the chunk at `at` and those after it, if they are more than a word. Returns the number of segments read.
fn special(builder: &mut TokenBuilder, segments: &[Segment], at: usize, starts_sentence: bool) -> Option<usize> {
    let language = builder.language;
    let Segment::Chunk { lower: chunk, written, .. } = &segments[at] else { return None };
    let written = written.as_deref().unwrap_or(chunk);
    let next = next_word(segments, at);
    // "60 km per hour".
    if chunk == "per" && next_chunk(segments, at).is_some_and(|(lower, written)| builder.rate(written, lower)) {
        return Some(2);
    }
    if matches!(chunk.as_str(), "by" | "x") && builder.dimension_mark(next) {
        return Some(1);
    }
    // "2026年12月24日", "12月24日".
    if let Some(length) = date_in_characters(builder, segments, at) {
        return Some(length);
    }
    let next_is_amount = next.starts_with(|c: char| c.is_ascii_digit());
    // "Minus 5", "minus five".
    if matches!(chunk.as_str(), "minus" | "negative") && language.may_be_number(next) && builder.last_number().is_none()
    {
        builder.is_negative = true;
        return Some(1);
    }
    // "EUR 20" and "v 2.0".
    if next_is_amount {
        let is_after_number = builder.last_number().is_some();
        if let Some(currency) = language.unit(written, chunk).filter(|unit| language.is_currency(unit))
            && !is_after_number
        {
            builder.currency = Some(currency);
            return Some(1);
        }
        if chunk == "v" || chunk == "ver" {
            builder.version_word();
            return Some(1);
        }
    }
    // "An hour and a half".
    if builder.one_and_a_half(segments[at..].iter().map_while(Segment::lower)) {
        return Some(ONE_AND_A_HALF_WORDS);
    }
    // "At least 5".
    if let Some((length, bound)) = language.bound(segments[at..].iter().map_while(Segment::lower))
        && segments.get(at + length).is_some_and(|next| match next {
            Segment::Currency { .. } => true,
            next => next.lower().is_some_and(|word| language.may_be_number(word)),
        })
    {
        builder.bound(bound);
        return Some(length);
    }
    // "un-cancel" and "re-open" are one word each.
    if let (Some(Segment::Mark('-')), Some(Segment::Chunk { lower: base, .. })) =
        (segments.get(at + 1), segments.get(at + 2))
        && language.is_prefix(chunk)
    {
        builder.chunk(&format!("{chunk}{base}"), None, false, false);
        return Some(3);
    }
    // "Can't I return it?" and "…, isn't it?" ask the same without the negation.
    let is_tag = || {
        let ends = match segments.get(at + 2) {
            None | Some(Segment::Mark('?' | '.' | '!')) => true,
            Some(_) => false,
        };
        ends && at.checked_sub(1).is_some_and(|before| matches!(segments[before], Segment::Mark(',')))
    };
    let begins_question = || {
        let end = segments[at..].iter().find(|segment| matches!(segment, Segment::Mark(mark) if ends_sentence(*mark)));
        starts_sentence && matches!(end, Some(Segment::Mark('?')))
    };
    if (language.neutralises_negation_before(next) && (starts_sentence || is_tag())
        || language.is_neutral_verb(chunk) && begins_question())
        && let Some(verb) = language.verb_of_negated(chunk)
    {
        builder.word(verb, verb, false, false);
        return Some(1);
    }
    None
}

/// Reads a date whose parts are followed by the characters for year, month and day. Returns the number of segments read.
fn date_in_characters(builder: &mut TokenBuilder, segments: &[Segment], at: usize) -> Option<usize> {
    let number_before = |at: usize, unit: char| match (segments.get(at)?, segments.get(at + 1)?) {
        (Segment::Chunk { lower, .. }, Segment::Character(c)) if *c == unit => lower.parse::<u32>().ok(),
        (Segment::Chunk { lower, .. }, Segment::Chunk { lower: word, .. }) if word.chars().eq([unit]) => {
            lower.parse::<u32>().ok()
        }
        _ => None,
    };
    let year = number_before(at, '年');
    let start = if year.is_some() { at + 2 } else { at };
    let (month, day) =
        (number_before(start, '月')?, number_before(start + 2, '日').or(number_before(start + 2, '号'))?);
    builder.calendar_date(day, month, year).then_some(start + 4 - at)
}

/// The word directly after the segment at `at`, or an empty text.
fn next_word(segments: &[Segment], at: usize) -> &str {
    segments.get(at + 1).and_then(Segment::lower).unwrap_or("")
}

/// The chunk directly after the segment at `at`, in lower case and as written.
fn next_chunk(segments: &[Segment], at: usize) -> Option<(&str, &str)> {
    match segments.get(at + 1)? {
        Segment::Chunk { lower, written, .. } => Some((lower, written.as_deref().unwrap_or(lower))),
        _ => None,
    }
}

fn ends_sentence(mark: char) -> bool {
    matches!(mark, '.' | '?' | '!' | '。' | '？' | '！' | '؟' | '।')
}
