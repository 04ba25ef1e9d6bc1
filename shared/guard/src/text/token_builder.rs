//! The token builder: turns the segments of one text into tokens.

use super::notation::Notation;
use super::open_number::OpenNumber;
use super::spelling::sketch;
use crate::language::Language;
use crate::language::lexicon::{self, hash16, hash32};
use crate::token::{SemanticRole, Token, TokenKind};

/// The rarity of a character of a script that is written without spaces.
const CHARACTER_RARITY: u8 = 12;
/// The rarity of a day, month or time that a word names.
const CALENDAR_RARITY: u8 = 16;
/// The rarity of a word of the class lists that the rarity table does not contain.
const CLASS_RARITY: u8 = 4;

/// A longer quotation, in tokens, is read as plain text: a stray quotation mark is more likely.
const MAX_QUOTATION_TOKENS: usize = 24;
/// A preposition gives its role to at most this many tokens of content after it.
const MAX_ROLE_TOKENS: u8 = 3;

/// The tokens built so far, and the state that the next segments depend on.
pub(super) struct TokenBuilder {
    pub(super) language: &'static Language,
    pub(super) notation: Notation,
    pub(super) tokens: Vec<Token>,
    /// For each token its word in lower case, or an empty text.
    pub(super) words: Vec<String>,
    /// For each number, identifier and date its value in one form; for any other token an empty text.
    pub(super) values: Vec<String>,
    /// No mark but a hyphen follows the last token.
    pub(super) follows_directly: bool,
    /// The last number.
    pub(super) open_number: Option<OpenNumber>,
    /// The number of tokens after the last time of day, and that time in minutes after midnight.
    pub(super) last_time: Option<(usize, u32)>,
    /// A minus sign precedes the next number.
    pub(super) is_negative: bool,
    /// The currency of the next number.
    pub(super) currency: Option<&'static str>,
    /// The first number of a size whose second number is next.
    pub(super) dimension: Option<String>,
    /// The word after the one that is read, or an empty text.
    pub(super) next: String,
    /// The role of the next token of content.
    role: SemanticRole,
    /// The number of further tokens that the role applies to.
    role_left: u8,
    /// The index of the first token of an open quotation.
    quotation_start: Option<usize>,
}

impl TokenBuilder {
    pub(super) fn new(language: &'static Language, notation: Notation) -> Self {
        Self {
            language,
            notation,
            tokens: Vec::new(),
            words: Vec::new(),
            values: Vec::new(),
            follows_directly: false,
            open_number: None,
            last_time: None,
            is_negative: false,
            currency: None,
            dimension: None,
            next: String::new(),
            role: SemanticRole::None,
            role_left: 0,
            quotation_start: None,
        }
    }

    /// Adds a token; `word` is its text. A token of content, or a quantifier, has the current role.
    pub(super) fn push(&mut self, mut token: Token, word: &str) {
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
        self.values.push(String::new());
        self.follows_directly = true;
        self.currency = None;
        self.is_negative = false;
    }

    /// Removes the last token.
    pub(super) fn pop(&mut self) {
        self.tokens.pop();
        self.words.pop();
        self.values.pop();
    }

    /// Adds an exact token with this value.
    pub(super) fn push_exact(&mut self, token: Token, value: String, word: &str) {
        self.push(token, word);
        self.set_value(self.tokens.len() - 1, value);
    }

    /// Gives the exact token at `at` a value.
    pub(super) fn set_value(&mut self, at: usize, value: String) {
        self.tokens[at].set_exact(&value);
        self.values[at] = value;
    }

    /// Reads a mark. The end of a sentence or clause ends the current role.
    pub(super) fn mark(&mut self, mark: char) {
        self.follows_directly &= mark == '-';
        match mark {
            '.' | '?' | '!' | '。' | '？' | '！' | '؟' | '।' | ',' | ';' => self.role = SemanticRole::None,
            '"' | '`' | '“' | '”' | '«' | '»' | '「' | '」' | '『' | '』' | '„' => self.quotation_mark(),
            '°' => {
                if let Some(degree) = self.language.unit("°", "°") {
                    self.set_unit(degree);
                }
            }
            _ => {}
        }
    }

    /// Reads a currency sign, before or after its amount.
    pub(super) fn currency_sign(&mut self, sign: char, is_before_number: bool) {
        let sign = sign.encode_utf8(&mut [0; 4]).to_owned();
        match self.language.unit(&sign, &sign) {
            Some(unit) if is_before_number => self.currency = Some(unit),
            Some(unit) => self.set_unit(unit),
            None => {}
        }
    }

    fn quotation_mark(&mut self) {
        let end = self.tokens.len();
        match self.quotation_start {
            Some(start) if end > start && end - start <= MAX_QUOTATION_TOKENS => {
                let mut quote = Token::new(0, TokenKind::Quote);
                for token in &mut self.tokens[start..end] {
                    token.is_quoted = true;
                    quote.hash = quote.hash.rotate_left(5) ^ token.hash;
                    quote.low = quote.low.rotate_left(9) ^ token.hash;
                }
                quote.low = quote.low.max(1);
                self.push(quote, "");
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

    /// Reads a chunk in lower case. `written`: as it was written, if not in lower case. `is_capital`: it has a capital
    /// within a sentence. `is_name`: that capital shows a name.
    pub(super) fn chunk(&mut self, chunk: &str, written: Option<&str>, is_name: bool, is_capital: bool) {
        let written = written.unwrap_or(chunk);
        if chunk.contains("://") || chunk.contains('@') || chunk.contains('_') {
            return self.identifier(chunk);
        }
        if chunk.contains(|c: char| c.is_ascii_digit()) {
            return self.chunk_with_digit(chunk, written);
        }
        if let Some(expanded) = self.language.expand(chunk) {
            return expanded.split(' ').for_each(|word| self.word(word, word, is_name, is_capital));
        }
        if let Some(verb) = chunk.strip_suffix("n't") {
            self.word(verb, verb, is_name, is_capital);
            return self.word("not", "not", false, false);
        }
        for (at, part) in chunk.split(['.', '\'']).enumerate() {
            let is_ending = at > 0 && matches!(part, "s" | "d" | "ll" | "re" | "ve" | "m");
            if !part.is_empty() && !is_ending {
                self.word(part, if part.len() == written.len() { written } else { part }, is_name, is_capital);
            }
        }
    }

    /// Adds a token of the calendar. `group`: words of one group contradict each other.
    pub(super) fn date(&mut self, canonical: &str, group: &str, word: &str) {
        let mut token = Token::new(0, TokenKind::Date);
        (token.rarity, token.detail) = (CALENDAR_RARITY, hash16(group));
        self.push_exact(token, canonical.to_owned(), word);
    }

    /// Adds the bound of the number that is next: "at least".
    pub(super) fn bound(&mut self, bound: &str) {
        let mut token = Token::new(hash32(bound), TokenKind::Quantifier);
        token.rarity = CLASS_RARITY;
        token.detail = sketch(bound);
        self.push(token, bound);
    }

    /// Adds the word that "v" abbreviates before a number.
    pub(super) fn version_word(&mut self) {
        if self.words.last().is_none_or(|word| word != "version") {
            self.topic_word("version", false);
        }
    }

    /// Reads a word in lower case. `written`, `is_capital` and `is_name`: see [`TokenBuilder::chunk`].
    pub(super) fn word(&mut self, word: &str, written: &str, is_name: bool, is_capital: bool) {
        let class = self.language.class(word);
        let follows_number = self.tokens.last().is_some_and(|token| token.kind == TokenKind::Number);
        if follows_number && let Some(unit) = self.language.unit(written, word) {
            return self.set_unit(unit);
        }
        if let Some(unit) = self.language.unit(written, word)
            && self.article_follows_fraction()
        {
            // "Half an hour".
            self.pop();
            return self.set_unit(unit);
        }
        if follows_number
            && matches!(word, "am" | "pm")
            && let Some(hour) = self.hour_before()
        {
            // "3 pm" is "3pm".
            self.pop();
            return self.chunk_with_digit(&format!("{hour}{word}"), "");
        }
        if matches!(word, "am" | "pm") && self.half_day(word) {
            return;
        }
        if self.number_in_place(word) {
            return;
        }
        // Some words of the class lists also name a month, such as "may": these need a capital or a number before them.
        if let Some((group, canonical)) = self.language.calendar(word)
            && (class.is_none() || is_capital || follows_number)
        {
            return self.date(canonical, group, word);
        }
        if class.is_none()
            && let Some(value) = self.language.number(word)
        {
            return self.number_word(value);
        }
        let Some(class) = class else {
            return match self.language.negated(word) {
                Some(base) => {
                    let negation = self.language.negation();
                    self.word(negation, negation, false, false);
                    self.word(base, base, is_name, is_capital);
                }
                None => self.topic_word(word, is_name),
            };
        };
        if class.kind == TokenKind::Negation
            && self.words.last().is_some_and(|before| self.language.neutralises_negation(before))
        {
            return;
        }
        // "Similar to" and "compared to" relate two parts as equals.
        let last_is_symmetric =
            || self.tokens.last().is_some_and(|last| self.language.relations.symmetric.contains(&last.hash));
        if class.opens == Some(SemanticRole::To) && last_is_symmetric() {
            self.role = SemanticRole::None;
        } else if let Some(opens) = class.opens {
            (self.role, self.role_left) = (opens, MAX_ROLE_TOKENS);
        } else if class.kind == TokenKind::Auxiliary || class.kind == TokenKind::QuestionWord {
            self.role = SemanticRole::None;
        }
        let mut token = Token::new(hash32(class.canonical), class.kind);
        token.rarity = lexicon::rarity(token.hash).unwrap_or(CLASS_RARITY);
        token.detail = if class.kind == TokenKind::Filler { 0 } else { sketch(word) };
        self.push_without_role(token, word);
    }

    /// Reads a word that is a number only in some places: "one tablet", "half a cup", "two and a half", "once a day".
    /// False if it is none here.
    fn number_in_place(&mut self, word: &str) -> bool {
        if let Some(fraction) = self.language.fraction(word)
            && self.fraction_word(fraction)
        {
            return true;
        }
        let before = self.words.last().map_or("", String::as_str);
        // In a row of digits, any word that can be a digit is one.
        let value = match self.language.count(word, before, &self.next) {
            None if self.last_number().is_some_and(|number| number.is_digit_in_words()) => self.language.digit(word),
            value => value,
        };
        if let Some(value) = value {
            self.number_word(value);
        }
        value.is_some()
    }

    /// The last token's value, if the token is a whole number from 0 to 12.
    fn hour_before(&self) -> Option<u32> {
        let last = self.tokens.last()?;
        (0..=12).find(|hour| last.hash == hash32(&format!("number {hour}")))
    }

    /// Adds a word that is in no list.
    pub(super) fn topic_word(&mut self, word: &str, is_name: bool) {
        let mut token = Token::new(hash32(&self.language.base(word)), TokenKind::Word);
        let rarity = [token.hash, hash32(word)].into_iter().filter_map(lexicon::rarity).min();
        token.rarity = rarity.unwrap_or(lexicon::UNKNOWN_RARITY);
        token.is_unknown = rarity.is_none();
        token.is_name = is_name;
        token.detail = sketch(word);
        self.push(token, word);
    }
}
