//! Tokens: the units by which questions are compared. A signature stores them without their text.

use crate::language::lexicon::hash64;

/// The function of a token in its question. Signatures store the discriminants, so they must never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum TokenKind {
    /// A word that carries the topic.
    Word = 0,
    /// A number, by its value; `detail` is its unit.
    Number = 1,
    /// An order number, model, version or address: letters and digits or marks together.
    Identifier = 2,
    /// A quoted string, by the hashes of its words. Its words are tokens of their own, too.
    Quote = 3,
    /// A day, month or time; `detail` is its group.
    Date = 4,
    /// `not`, `never`, `without`, …
    Negation = 5,
    /// `who`, `when`, …
    QuestionWord = 6,
    /// `is`, `do`, `have`.
    Auxiliary = 7,
    /// `can`, `should`.
    Modal = 8,
    /// `I`, `you`, `they`.
    Pronoun = 9,
    /// `all`, `only`, `first`, `latest`: words that select a part, a count, a frequency or a state.
    Quantifier = 10,
    /// Articles, prepositions, conjunctions.
    FunctionWord = 11,
    /// Politeness. No signature keeps it.
    Filler = 12,
}

impl TokenKind {
    /// Every kind that a signature keeps, at the index of its stored number.
    pub(crate) const STORED: [TokenKind; 12] = [
        TokenKind::Word,
        TokenKind::Number,
        TokenKind::Identifier,
        TokenKind::Quote,
        TokenKind::Date,
        TokenKind::Negation,
        TokenKind::QuestionWord,
        TokenKind::Auxiliary,
        TokenKind::Modal,
        TokenKind::Pronoun,
        TokenKind::Quantifier,
        TokenKind::FunctionWord,
    ];

    /// True if tokens of this kind are compared exactly, in any language.
    pub(crate) fn is_exact(self) -> bool {
        matches!(self, TokenKind::Number | TokenKind::Identifier | TokenKind::Quote | TokenKind::Date)
    }

    /// True if tokens of this kind carry the topic.
    pub(crate) fn is_content(self) -> bool {
        self == TokenKind::Word || self.is_exact() && self != TokenKind::Quote
    }
}

/// The side of a relation that a token is on: a preposition before the token opens it. Signatures store the
/// discriminants, so they must never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum SemanticRole {
    /// No preposition of a relation precedes the token.
    None = 0,
    /// After `from`.
    From = 1,
    /// After `to`, `into`.
    To = 2,
    /// After `than`, `over`, `versus`.
    Than = 3,
    /// After `before`, `until`.
    Before = 4,
    /// After `after`, `since`.
    After = 5,
}

impl SemanticRole {
    /// Every role, at the index of its stored number.
    pub(crate) const STORED: [SemanticRole; 6] = [
        SemanticRole::None,
        SemanticRole::From,
        SemanticRole::To,
        SemanticRole::Than,
        SemanticRole::Before,
        SemanticRole::After,
    ];
}

/// One token of a question, without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Token {
    /// The hash of the word's base form, the number's value, the identifier, the quotation or the date.
    pub(crate) hash: u32,
    /// Of an exact token, 32 further bits of the hash, never 0. 0: a word, or an exact token of an earlier version.
    pub(crate) low: u32,
    /// Of a word, its letters ([`crate::text::spelling::sketch`]); of a number, its unit; of a date, its group.
    /// 0: none. 24 bits.
    pub(crate) detail: u32,
    pub(crate) kind: TokenKind,
    pub(crate) role: SemanticRole,
    /// [`crate::language::lexicon::rarity`], at most 31.
    pub(crate) rarity: u8,
    /// The token has a capital that neither the start of a sentence nor a title in capitals explains.
    pub(crate) is_name: bool,
    /// The token is within quotation marks.
    pub(crate) is_quoted: bool,
    /// The rarity table does not contain the token.
    pub(crate) is_unknown: bool,
}

impl Token {
    /// A token without a role, a detail, a rarity or a flag.
    pub(crate) fn new(hash: u32, kind: TokenKind) -> Self {
        let role = SemanticRole::None;
        Self { hash, low: 0, detail: 0, kind, role, rarity: 0, is_name: false, is_quoted: false, is_unknown: false }
    }
    /// Gives an exact token the hash of `text`, which is its value in one form.
    pub(crate) fn set_exact(&mut self, text: &str) {
        let hash = hash64(text);
        (self.hash, self.low) = ((hash >> 32) as u32, (hash as u32).max(1));
    }
}
