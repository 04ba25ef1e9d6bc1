//! The token builder: turns the segments of one text into tokens.

use super::number::{self, Written};
use super::spelling::sketch;
use crate::language::Language;
use crate::language::lexicon::{self, hash16, hash32};
use crate::token::{SemanticRole, Token, TokenKind};

/// The rarity of a character of a script that is written without spaces.
const CHARACTER_RARITY: u8 = 12;
/// The rarity of a day, month or time that a word names.
const CALENDAR_RARITY: u8 = 16;
/// The rarity of a number.
const NUMBER_RARITY: u8 = lexicon::UNKNOWN_RARITY - 3;
/// The rarity of a word of the class lists that the rarity table does not contain.
const CLASS_RARITY: u8 = 4;

/// A longer quotation, in tokens, is read as plain text: a stray quotation mark is more likely.
const MAX_QUOTATION_TOKENS: usize = 24;
/// A preposition gives its role to at most this many tokens of content after it.
const MAX_ROLE_TOKENS: u8 = 3;

/// The tokens built so far, and the state that the next segments depend on.
pub(super) struct TokenBuilder {
    language: &'static Language,
    tokens: Vec<Token>,
    /// For each token its word in lower case, or an empty text.
    words: Vec<String>,
    /// The role of the next token of content.
    role: SemanticRole,
    /// The number of further tokens that the role applies to.
    role_left: u8,
    /// The index of the first token of an open quotation.
    quotation_start: Option<usize>,
}

impl TokenBuilder {
    pub(super) fn new(language: &'static Language) -> Self {
        let (tokens, words) = (Vec::new(), Vec::new());
        Self { language, tokens, words, role: SemanticRole::None, role_left: 0, quotation_start: None }
    }

    /// The tokens and, at the same places, their words.
    pub(super) fn finish(self) -> (Vec<Token>, Vec<String>) {
        (self.tokens, self.words)
    }

    /// Adds a token; `word` is its text. A token of content, or a quantifier, has the current role.
    fn push(&mut self, mut token: Token, word: &str) {
        if token.kind.is_content() || token.kind == TokenKind::Quantifier {
            if self.role_left == 0 {
                self.role = SemanticRole::None;
            }
            token.role = self.role;
            self.role_left = self.role_left.saturating_sub(1);
        }
        self.push_without_role(token, word);
    }

    fn push_without_role(&mut self, token: Token, word: &str) {
        self.tokens.push(token);
        self.words.push(word.to_owned());
    }

    /// Reads a mark. The end of a sentence or clause ends the current role.
    pub(super) fn mark(&mut self, mark: char) {
        match mark {
            '.' | '?' | '!' | '。' | '？' | '！' | '؟' | '।' | ',' | ';' => self.role = SemanticRole::None,
            '"' | '`' | '“' | '”' | '«' | '»' | '「' | '」' | '『' | '』' | '„' => self.quotation_mark(),
            mark => {
                // The number after a currency sign takes its unit from this filler.
                if let Some(unit) = currency(mark) {
                    self.push_without_role(Token { detail: hash16(unit), ..Token::new(0, TokenKind::Filler) }, "");
                }
            }
        }
    }

    fn quotation_mark(&mut self) {
        let end = self.tokens.len();
        match self.quotation_start {
            Some(start) if end > start && end - start <= MAX_QUOTATION_TOKENS => {
                let mut hash = 0u32;
                for token in &mut self.tokens[start..end] {
                    token.is_quoted = true;
                    hash = hash.rotate_left(5) ^ token.hash;
                }
                self.push(Token::new(hash, TokenKind::Quote), "");
                self.quotation_start = None;
            }
            // After an empty or a too long quotation, the mark that ends it may instead open one.
            _ => self.quotation_start = Some(end),
        }
    }

    /// Reads a character of a script that is written without spaces.
    pub(super) fn character(&mut self, character: char) {
        let mut token = Token::new(hash32(character.encode_utf8(&mut [0; 4])), TokenKind::Word);
        (token.rarity, token.is_unknown) = (CHARACTER_RARITY, true);
        self.push(token, "");
    }

    /// Reads a chunk in lower case. `is_capital`: it has a capital within a sentence. `is_name`: that capital shows a
    /// name.
    pub(super) fn chunk(&mut self, chunk: &str, is_name: bool, is_capital: bool) {
        if chunk.contains("://") || chunk.contains('@') || chunk.contains('_') {
            return self.identifier(chunk);
        }
        if chunk.contains(|c: char| c.is_ascii_digit()) {
            return self.chunk_with_digit(chunk);
        }
        if let Some(expanded) = self.language.expand(chunk) {
            return expanded.split(' ').for_each(|word| self.word(word, is_name, is_capital));
        }
        if let Some(verb) = chunk.strip_suffix("n't") {
            self.word(verb, is_name, is_capital);
            return self.word("not", false, false);
        }
        for (at, part) in chunk.split(['.', '\'']).enumerate() {
            let is_ending = at > 0 && matches!(part, "s" | "d" | "ll" | "re" | "ve" | "m");
            if !part.is_empty() && !is_ending {
                self.word(part, is_name, is_capital);
            }
        }
    }

    fn identifier(&mut self, text: &str) {
        let mut token = Token::new(hash32(text), TokenKind::Identifier);
        (token.rarity, token.is_unknown) = (lexicon::UNKNOWN_RARITY, true);
        self.push(token, "");
    }

    fn chunk_with_digit(&mut self, chunk: &str) {
        let is_letters = |part: &str| part.chars().all(char::is_alphabetic);
        let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
        // "32-bit" and "2016-2017" are two tokens each. "HH-55102" is one, and so is a date.
        let is_separate =
            |part: &str| is_number(part) && part.len() <= 4 || part.chars().count() > 2 && is_letters(part);
        if chunk.split(['-', '/']).count() == 2
            && chunk.split(['-', '/']).all(is_separate)
            && !chunk.starts_with(|c: char| c.is_alphabetic())
        {
            return chunk.split(['-', '/']).for_each(|part| self.chunk(part, false, false));
        }
        // "covid-19": if a part is a word, each part is a token.
        let is_word = |part: &str| part.chars().count() > 3 && is_letters(part);
        if chunk.contains('-') && chunk.split('-').any(is_word) {
            return chunk.split('-').filter(|part| !part.is_empty()).for_each(|part| self.chunk(part, false, false));
        }
        if let Some((number, "s")) = chunk.split_once('\'')
            && is_number(number)
        {
            return self.chunk_with_digit(number);
        }
        // "rs.500": a word and the number after its dot.
        if let Some((word, number)) = chunk.split_once('.')
            && is_letters(word)
            && is_number(number)
        {
            self.chunk(word, false, false);
            return self.chunk_with_digit(number);
        }
        match number::read(chunk) {
            Written::Time(minutes) => self.time(minutes),
            Written::Number(value, unit) => self.number(value, &unit),
            Written::Identifier(text) => self.identifier(&text),
        }
    }

    /// Adds a time of day, in minutes after midnight.
    fn time(&mut self, minutes: u32) {
        let mut token = Token::new(hash32(&format!("time {minutes}")), TokenKind::Date);
        (token.rarity, token.detail) = (lexicon::UNKNOWN_RARITY, hash16("clock"));
        self.push(token, "");
    }

    /// Adds a number. An empty `unit` means the currency sign before the number, if there is one.
    fn number(&mut self, value: f64, unit: &str) {
        let mut token = Token::new(hash32(&format!("number {value}")), TokenKind::Number);
        token.rarity = NUMBER_RARITY;
        token.detail = match unit {
            "" => match self.tokens.last() {
                Some(sign) if sign.kind == TokenKind::Filler => sign.detail,
                _ => 0,
            },
            "%" => hash16("percent"),
            unit => hash16(self.language.unit(unit).unwrap_or(unit)),
        };
        self.push(token, "");
    }

    /// Reads a word in lower case. `is_capital` and `is_name`: see [`TokenBuilder::chunk`].
    pub(super) fn word(&mut self, word: &str, is_name: bool, is_capital: bool) {
        let class = self.language.class(word);
        let follows_number = self.tokens.last().is_some_and(|token| token.kind == TokenKind::Number);
        if follows_number && let Some(unit) = self.language.unit(word) {
            if let Some(number) = self.tokens.last_mut()
                && number.detail == 0
            {
                number.detail = hash16(unit);
            }
            return;
        }
        if follows_number
            && matches!(word, "am" | "pm")
            && let Some(hour) = self.hour_before()
        {
            // "3 pm" is "3pm".
            self.tokens.pop();
            self.words.pop();
            return self.chunk_with_digit(&format!("{hour}{word}"));
        }
        // Some words of the class lists also name a month, such as "may": these need a capital or a number before them.
        if let Some((group, canonical)) = self.language.calendar(word)
            && (class.is_none() || is_capital || follows_number)
        {
            let mut token = Token::new(hash32(canonical), TokenKind::Date);
            (token.rarity, token.detail) = (CALENDAR_RARITY, hash16(group));
            return self.push(token, word);
        }
        if class.is_none()
            && let Some(value) = self.language.number(word)
        {
            return self.number(value, "");
        }
        let Some(class) = class else {
            return match self.language.negated(word) {
                Some(base) => {
                    self.word(self.language.negation(), false, false);
                    self.word(base, is_name, is_capital);
                }
                None => self.topic_word(word, is_name),
            };
        };
        if class.kind == TokenKind::Negation
            && self.words.last().is_some_and(|before| self.language.neutralises_negation(before))
        {
            return;
        }
        if let Some(opens) = class.opens {
            (self.role, self.role_left) = (opens, MAX_ROLE_TOKENS);
        } else if class.kind == TokenKind::Auxiliary || class.kind == TokenKind::QuestionWord {
            self.role = SemanticRole::None;
        }
        let mut token = Token::new(hash32(class.canonical), class.kind);
        token.rarity = lexicon::rarity(token.hash).unwrap_or(CLASS_RARITY);
        token.detail = if class.kind == TokenKind::Filler { 0 } else { sketch(word) };
        self.push_without_role(token, word);
    }

    /// The last token's value, if the token is a whole number from 0 to 12.
    fn hour_before(&self) -> Option<u32> {
        let last = self.tokens.last()?;
        (0..=12).find(|hour| last.hash == hash32(&format!("number {hour}")))
    }

    /// Adds a word that is in no list.
    fn topic_word(&mut self, word: &str, is_name: bool) {
        let mut token = Token::new(hash32(&self.language.base(word)), TokenKind::Word);
        let rarity = [token.hash, hash32(word)].into_iter().filter_map(lexicon::rarity).min();
        token.rarity = rarity.unwrap_or(lexicon::UNKNOWN_RARITY);
        token.is_unknown = rarity.is_none();
        token.is_name = is_name;
        token.detail = sketch(word);
        self.push(token, word);
    }
}

/// The unit of a currency sign.
fn currency(mark: char) -> Option<&'static str> {
    Some(match mark {
        '$' => "dollar",
        '€' => "euro",
        '£' => "gbp",
        '₹' => "rupee",
        '¥' => "jpy",
        _ => return None,
    })
}
