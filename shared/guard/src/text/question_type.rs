//! The type of a question: the kind of answer that it asks for.

use crate::language::lexicon::hash32;
use crate::token::{Token, TokenKind};

/// The kind of answer that a question asks for. Signatures store [`QuestionType::to_byte`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum QuestionType {
    /// The text has no question word and does not begin with an auxiliary or modal verb.
    None,
    /// Yes or no, asked with an auxiliary verb: "Is it open?"
    YesNo,
    /// Yes or no, asked with a modal verb: "Can I pay by card?"
    ModalYesNo,
    /// The answer to a question word, or to a question word with a measure ("how long is"). The number is a hash of
    /// these, at least [`QuestionType::MIN_WORD`].
    Word(u8),
}

impl QuestionType {
    /// The least number of [`QuestionType::Word`].
    const MIN_WORD: u8 = 3;

    /// The type of the question with these tokens. `tokens`: in the order of the text, fillers included.
    pub(super) fn of(tokens: &[Token]) -> Self {
        let kept: Vec<&Token> = tokens.iter().filter(|token| token.kind != TokenKind::Filler).collect();
        match kept.first().map(|token| token.kind) {
            None => return Self::None,
            Some(TokenKind::Auxiliary) if is_prohibition(&kept) => return Self::None,
            Some(TokenKind::Auxiliary) => return Self::YesNo,
            Some(TokenKind::Modal) => return Self::ModalYesNo,
            Some(_) => {}
        }
        let Some(at) = kept.iter().position(|token| token.kind == TokenKind::QuestionWord) else {
            // A verb that opens a later sentence does not count: "I lost my card. Can I get another?"
            return Self::None;
        };
        let is_verb = |token: &Token| matches!(token.kind, TokenKind::Auxiliary | TokenKind::Modal);
        let measure = match (kept.get(at + 1), kept.get(at + 2)) {
            (Some(next), _) if next.kind == TokenKind::Quantifier => Some(next),
            (Some(next), Some(then)) if next.kind == TokenKind::Word && is_verb(then) => Some(next),
            _ => None,
        };
        match measure {
            // "How many", "how long is" and "how dangerous are" ask for a measure; "how do" and "how to" for a method.
            Some(measure) if kept[at].hash == hash32("how") => Self::of_word(kept[at].hash ^ measure.hash),
            _ => Self::of_word(kept[at].hash),
        }
    }

    fn of_word(hash: u32) -> Self {
        let words = u32::from(u8::MAX - Self::MIN_WORD) + 1;
        Self::Word(Self::MIN_WORD + (hash % words) as u8)
    }

    pub(crate) fn is_yes_no(self) -> bool {
        matches!(self, Self::YesNo | Self::ModalYesNo)
    }

    /// The stored form of the type.
    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Self::None => 0,
            Self::YesNo => 1,
            Self::ModalYesNo => 2,
            Self::Word(number) => number,
        }
    }

    /// Reads [`QuestionType::to_byte`]. Every byte is a type.
    pub(crate) fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::None,
            1 => Self::YesNo,
            2 => Self::ModalYesNo,
            number => Self::Word(number),
        }
    }
}

/// True for "do not cancel it", which is no question.
fn is_prohibition(tokens: &[&Token]) -> bool {
    tokens.len() > 1 && tokens[0].hash == hash32("do") && tokens[1].kind == TokenKind::Negation
}
