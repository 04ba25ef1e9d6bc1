//! The tokenizer: reads a text, segment by segment, as tokens.

use super::question_type::QuestionType;
use super::segment::{Segment, is_title, segments};
use super::token_builder::TokenBuilder;
use crate::language::Language;
use crate::token::{Token, TokenKind};

/// The tokens of `text` in order, without fillers, and the type of the question. Linear in the text's length.
pub(crate) fn tokens(text: &str) -> (Vec<Token>, QuestionType) {
    let (mut tokens, _) = read(text, Frames::Replaced);
    let question_type = QuestionType::of(&tokens);
    tokens.retain(|token| token.kind != TokenKind::Filler);
    (tokens, question_type)
}

/// The words of `text` in lower case, each with its token. Introductory phrases and fillers are kept. A token that is
/// no word has an empty text.
pub(crate) fn words_with_tokens(text: &str) -> Vec<(String, Token)> {
    let (tokens, words) = read(text, Frames::Kept);
    words.into_iter().zip(tokens).collect()
}

/// What the tokenizer does with an introductory phrase at the start of a sentence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frames {
    /// The phrase is replaced by the question word of the same meaning, or removed if there is none.
    Replaced,
    /// The phrase is read like other text.
    Kept,
}

/// Returns the tokens of `text` and, at the same places, their words.
fn read(text: &str, frames: Frames) -> (Vec<Token>, Vec<String>) {
    let segments = segments(text);
    let language = Language::of(segments.iter().filter_map(lower));
    let mut builder = TokenBuilder::new(language);
    let is_title = is_title(&segments);
    let mut starts_sentence = true;
    let mut left_of_frame = 0;
    for (at, segment) in segments.iter().enumerate() {
        if left_of_frame > 0 {
            left_of_frame -= 1;
            continue;
        }
        match segment {
            Segment::Mark(mark) => {
                builder.mark(*mark);
                starts_sentence |= ends_sentence(*mark);
            }
            Segment::Character(character) => {
                builder.character(*character);
                starts_sentence = false;
            }
            Segment::Chunk { lower: chunk, is_capitalised } => {
                if frames == Frames::Replaced
                    && starts_sentence
                    && let Some((length, question_word)) = language.frame(segments[at..].iter().map_while(lower))
                {
                    if !question_word.is_empty() {
                        builder.word(question_word, false, false);
                        starts_sentence = false;
                    }
                    left_of_frame = length - 1;
                    continue;
                }
                let is_filler = language.class(chunk).is_some_and(|class| class.kind == TokenKind::Filler);
                let is_capital = *is_capitalised && !starts_sentence;
                builder.chunk(chunk, is_capital && !is_title, is_capital);
                starts_sentence &= is_filler;
            }
        }
    }
    builder.finish()
}

fn lower(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Chunk { lower, .. } => Some(lower),
        Segment::Character(_) | Segment::Mark(_) => None,
    }
}

fn ends_sentence(mark: char) -> bool {
    matches!(mark, '.' | '?' | '!' | '。' | '？' | '！' | '؟' | '।')
}
