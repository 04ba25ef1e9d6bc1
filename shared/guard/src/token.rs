//! A text cut into tokens, each with what it does in the question.

use unicode_normalization::UnicodeNormalization;

use crate::hash::hash32;
use crate::language::Language;
use crate::lexicon;
use crate::number::{self, Written};

/// What a token does in the question. The discriminants are stored: never renumber them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A word of the topic.
    Word = 0,
    /// A number, by its value; `detail` is its unit.
    Number = 1,
    /// An order number, model, version, address: letters and digits or marks together.
    Identifier = 2,
    /// A quoted string, by the hashes of its words; its words are tokens too.
    Quote = 3,
    /// A day, month or time; `detail` is its group.
    Date = 4,
    /// `not` and its like.
    Negation = 5,
    /// `who`, `when`, …
    Question = 6,
    /// `is`, `do`, `have`.
    Auxiliary = 7,
    /// `can`, `should`.
    Modal = 8,
    /// `I`, `you`, `they`.
    Pronoun = 9,
    /// `all`, `only`, `first`, `latest`.
    Scope = 10,
    /// Articles, prepositions, conjunctions.
    Grammar = 11,
    /// Politeness; no signature keeps it.
    Filler = 12,
}

impl Kind {
    /// Every kind a signature keeps, at the index of its stored number.
    pub(crate) const STORED: [Kind; 12] = [
        Kind::Word,
        Kind::Number,
        Kind::Identifier,
        Kind::Quote,
        Kind::Date,
        Kind::Negation,
        Kind::Question,
        Kind::Auxiliary,
        Kind::Modal,
        Kind::Pronoun,
        Kind::Scope,
        Kind::Grammar,
    ];

    /// Whether tokens of this kind name a thing exactly, whatever the language.
    pub(crate) fn is_exact(self) -> bool {
        matches!(self, Kind::Number | Kind::Identifier | Kind::Quote | Kind::Date)
    }

    /// Whether tokens of this kind carry the topic.
    pub(crate) fn is_content(self) -> bool {
        self == Kind::Word || self.is_exact() && self != Kind::Quote
    }
}

/// The side of a relation on which a token stands. The discriminants are stored: never renumber them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Role {
    /// No such side.
    Plain = 0,
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

impl Role {
    /// Every role, at the index of its stored number.
    pub(crate) const STORED: [Role; 6] = [Role::Plain, Role::From, Role::To, Role::Than, Role::Before, Role::After];
}

/// One token of a question, without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Token {
    /// Of the word's stem, the number's value, the identifier, the quotation, the date.
    pub(crate) hash: u32,
    /// A word: its letters ([`sketch`]). A number: its unit. A date: its group. 0: none.
    pub(crate) detail: u32,
    /// What it does.
    pub(crate) kind: Kind,
    /// The side of a relation on which it stands.
    pub(crate) role: Role,
    /// [`lexicon::rarity`], at most 31.
    pub(crate) rarity: u8,
    /// Written with a capital where the sentence does not ask for one.
    pub(crate) is_name: bool,
    /// Within quotation marks.
    pub(crate) is_quoted: bool,
    /// The rarity table does not have it.
    pub(crate) is_unknown: bool,
}

/// The tokens of `text` in order, and how it asks: 0 no question word, 1 yes or no, 2 yes or no by a modal verb, else a
/// number that stands for the question word. Linear in the text's length.
pub(crate) fn tokens(text: &str) -> (Vec<Token>, u8) {
    let mut reader = read(text, true);
    let asks = asks(&reader);
    reader.tokens.retain(|token| token.kind != Kind::Filler);
    (reader.tokens, asks)
}

/// The words of `text` as they are written, in lower case, with their tokens: nothing that leads it in is cut.
pub(crate) fn plain_tokens(text: &str) -> Vec<(String, Token)> {
    let reader = read(text, false);
    reader.words.into_iter().zip(reader.tokens).collect()
}

fn read(text: &str, cuts_frames: bool) -> Reader {
    let pieces = pieces(text);
    let language = Language::of(pieces.iter().filter_map(|piece| match piece {
        Piece::Chunk { lower, .. } => Some(lower.as_str()),
        _ => None,
    }));
    let mut reader = Reader { language, tokens: Vec::new(), words: Vec::new(), role: Role::Plain, role_left: 0 };
    let is_title = is_title(&pieces);
    let mut quote = None;
    let mut starts_sentence = true;
    let mut framed = 0;
    for (at, piece) in pieces.iter().enumerate() {
        if framed > 0 {
            framed -= 1;
            continue;
        }
        match piece {
            Piece::Mark(mark) => {
                if matches!(mark, '.' | '?' | '!' | '。' | '？' | '！' | '؟' | '।') {
                    starts_sentence = true;
                    reader.role = Role::Plain;
                } else if matches!(mark, ',' | ';') {
                    reader.role = Role::Plain;
                } else if let Some(unit) = currency(*mark) {
                    reader.words.push(String::new());
                    reader.tokens.push(Token { detail: hash16(unit), ..plain(0, Kind::Filler) });
                } else {
                    quote = reader.quotation(*mark, quote);
                }
            }
            Piece::Glyph(glyph) => {
                let mut token = plain(hash32(glyph.encode_utf8(&mut [0; 4])), Kind::Word);
                (token.rarity, token.is_unknown) = (GLYPH_RARITY, true);
                reader.push(token, "");
                starts_sentence = false;
            }
            Piece::Chunk { lower, is_capitalised } => {
                let following = pieces[at..].iter().map_while(|piece| match piece {
                    Piece::Chunk { lower, .. } => Some(lower.as_str()),
                    _ => None,
                });
                if cuts_frames
                    && starts_sentence
                    && let Some((length, asks)) = language.frame(following)
                {
                    if !asks.is_empty() {
                        reader.word(asks, false, false);
                        starts_sentence = false;
                    }
                    framed = length - 1;
                    continue;
                }
                let is_filler = language.class(lower).is_some_and(|class| class.kind == Kind::Filler);
                reader.read(
                    lower,
                    *is_capitalised && !is_title && !starts_sentence,
                    *is_capitalised && !starts_sentence,
                );
                starts_sentence &= is_filler;
            }
        }
    }
    reader
}

/// Rarity of one character of a script that is written without spaces.
const GLYPH_RARITY: u8 = 12;

/// Quotations longer than this many tokens are read as plain text: a stray quotation mark is likelier.
const LONGEST_QUOTATION: usize = 24;

enum Piece {
    /// A run of letters, digits and the marks that hold them together, in lower case.
    Chunk { lower: String, is_capitalised: bool },
    /// A character of a script that is written without spaces.
    Glyph(char),
    /// Anything else but white space.
    Mark(char),
}

/// Whether `c` belongs to a script that is written without spaces (Unicode blocks of Han, Kana, Thai, Lao, Khmer, Burmese).
fn is_glyph(c: char) -> bool {
    matches!(c as u32, 0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff)
        && c.is_alphanumeric()
}

fn pieces(text: &str) -> Vec<Piece> {
    let text: Vec<char> = text.nfkc().map(number::ascii_digit).collect();
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let c = text[at];
        if is_glyph(c) {
            pieces.push(Piece::Glyph(c));
            at += 1;
        } else if c.is_alphanumeric() {
            let end = chunk_end(&text, at);
            let lower: String =
                text[at..end].iter().map(|c| if *c == '’' { '\'' } else { *c }).flat_map(char::to_lowercase).collect();
            pieces.push(Piece::Chunk { lower, is_capitalised: c.is_uppercase() });
            at = end;
        } else {
            if !c.is_whitespace() {
                pieces.push(Piece::Mark(c));
            }
            at += 1;
        }
    }
    pieces
}

/// Where the chunk that begins at `start` ends. Apostrophes hold letters together; in a chunk with a digit or an `@`,
/// or before `//`, so do the marks of numbers, identifiers and addresses.
fn chunk_end(text: &[char], start: usize) -> usize {
    let is_inner = |at: usize| text.get(at).is_some_and(|c| (c.is_alphanumeric() || is_combining(*c)) && !is_glyph(*c));
    let mut end = start;
    let mut has_digit = false;
    while end < text.len() {
        let c = text[end];
        if is_inner(end) {
            has_digit |= c.is_ascii_digit();
            end += 1;
            continue;
        }
        let next_is_digit = text.get(end + 1).is_some_and(char::is_ascii_digit);
        let holds = match c {
            '\'' | '’' if next_is_digit && !has_digit => false,
            '\'' | '’' | '_' | '@' | '.' => is_inner(end + 1),
            ',' => has_digit && next_is_digit,
            '-' | '/' | ':' => {
                (has_digit || next_is_digit) && is_inner(end + 1)
                    || c == ':' && text[end..].starts_with(&[':', '/', '/'])
            }
            '#' | '+' => end - start <= 2 && !is_inner(end + 1),
            '%' => has_digit && !is_inner(end + 1),
            _ => false,
        };
        if c == ':' && text[end..].starts_with(&[':', '/', '/']) {
            // An address runs to the next white space, without the mark that ends the sentence.
            let mut stop = end;
            while stop < text.len() && !text[stop].is_whitespace() {
                stop += 1;
            }
            while !text[stop - 1].is_alphanumeric() && text[stop - 1] != '/' {
                stop -= 1;
            }
            return stop.max(end + 3).min(text.len());
        }
        if !holds {
            break;
        }
        end += 1;
    }
    end
}

fn is_combining(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

/// Whether most words begin with a capital, so that a capital says nothing.
fn is_title(pieces: &[Piece]) -> bool {
    let (mut capitals, mut chunks) = (0, 0);
    for piece in pieces {
        if let Piece::Chunk { is_capitalised, lower } = piece
            && lower.starts_with(char::is_alphabetic)
        {
            chunks += 1;
            capitals += usize::from(*is_capitalised);
        }
    }
    chunks > 3 && capitals * 10 > chunks * 7
}

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

/// 16 bits of `text`'s hash, never 0.
pub(crate) fn hash16(text: &str) -> u32 {
    (hash32(text) >> 16).max(1)
}

/// A sketch of a word's spelling, 24 bits: its letters, a bit for each of sixteen sets of them; the first one's set; and
/// its length, 15 at most.
pub(crate) fn sketch(word: &str) -> u32 {
    let set = |c: char| match c {
        'e' => 0,
        't' => 1,
        'a' => 2,
        'o' => 3,
        'i' => 4,
        'n' => 5,
        's' => 6,
        'r' => 7,
        'h' => 8,
        'l' => 9,
        'd' => 10,
        'c' => 11,
        'u' => 12,
        'm' => 13,
        'p' | 'b' | 'f' | 'v' => 14,
        'a'..='z' => 15,
        other => other as u32 % 16,
    };
    let letters = word.chars().fold(0, |bits, c| bits | 1 << set(c));
    let first = word.chars().next().map_or(0, set);
    letters | first << 16 | (word.chars().take(15).count() as u32) << 20
}

/// Whether two sketches may be of one word, one of them misspelt: a slip leaves the first letter, changes the length by
/// one at most, and takes a letter for another.
pub(crate) fn is_slip(x: u32, y: u32) -> bool {
    let (length_x, length_y) = (x >> 20, y >> 20);
    let differing = ((x ^ y) & 0xffff).count_ones();
    length_x.min(length_y) >= 4
        && length_x.abs_diff(length_y) <= 1
        && (x ^ y) >> 16 & 0xf == 0
        && differing <= if length_x >= 6 { 2 } else { 1 }
}

fn plain(hash: u32, kind: Kind) -> Token {
    Token { hash, detail: 0, kind, role: Role::Plain, rarity: 0, is_name: false, is_quoted: false, is_unknown: false }
}

struct Reader {
    language: &'static Language,
    tokens: Vec<Token>,
    /// The tokens' words in lower case, as far as the reader needs them.
    words: Vec<String>,
    role: Role,
    /// How many more tokens the role reaches.
    role_left: u8,
}

impl Reader {
    fn push(&mut self, mut token: Token, word: &str) {
        if token.kind.is_content() || token.kind == Kind::Scope {
            if self.role_left == 0 {
                self.role = Role::Plain;
            }
            token.role = self.role;
            self.role_left = self.role_left.saturating_sub(1);
        }
        self.tokens.push(token);
        self.words.push(word.to_owned());
    }

    /// Handles a quotation mark; `open`: where the quotation began, if one is open.
    fn quotation(&mut self, mark: char, open: Option<usize>) -> Option<usize> {
        match mark {
            '"' | '`' | '“' | '”' | '«' | '»' | '「' | '」' | '『' | '』' | '„' => {}
            _ => return open,
        }
        let Some(start) = open else { return Some(self.tokens.len()) };
        let end = self.tokens.len();
        if end > start && end - start <= LONGEST_QUOTATION {
            let mut digest = 0u32;
            for token in &mut self.tokens[start..end] {
                token.is_quoted = true;
                digest = digest.rotate_left(5) ^ token.hash;
            }
            self.push(plain(digest, Kind::Quote), "");
            return None;
        }
        // An empty or an over-long quotation: this mark may as well open one.
        Some(end)
    }

    /// Reads one chunk. `is_name`: its capital makes it a name; `is_capital`: it has one within a sentence.
    fn read(&mut self, lower: &str, is_name: bool, is_capital: bool) {
        if lower.contains("://") || lower.contains('@') || lower.contains('_') {
            return self.identifier(lower);
        }
        if lower.contains(|c: char| c.is_ascii_digit()) {
            return self.digits(lower);
        }
        if let Some(expanded) = self.language.expand(lower) {
            return expanded.split(' ').for_each(|word| self.word(word, is_name, is_capital));
        }
        if let Some(base) = lower.strip_suffix("n't") {
            self.word(base, is_name, is_capital);
            return self.word("not", false, false);
        }
        for (at, part) in lower.split(['.', '\'']).enumerate() {
            let is_ending = at > 0 && matches!(part, "s" | "d" | "ll" | "re" | "ve" | "m");
            if !part.is_empty() && !is_ending {
                self.word(part, is_name, is_capital);
            }
        }
    }

    fn identifier(&mut self, text: &str) {
        let mut token = plain(hash32(text), Kind::Identifier);
        (token.rarity, token.is_unknown) = (lexicon::UNKNOWN_RARITY, true);
        self.push(token, "");
    }

    fn digits(&mut self, lower: &str) {
        // "covid-19", "5-star", "wi-fi6": a word of letters on one side of a hyphen is a word.
        // "32-bit" and "2016-2017" are two tokens, "HH-55102" is one, and so is a date.
        let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
        let is_apart = |part: &str| {
            is_number(part) && part.len() <= 4 || part.chars().count() > 2 && part.chars().all(char::is_alphabetic)
        };
        if lower.split(['-', '/']).count() == 2
            && lower.split(['-', '/']).all(is_apart)
            && !lower.starts_with(|c: char| c.is_alphabetic())
        {
            return lower.split(['-', '/']).for_each(|part| self.read(part, false, false));
        }
        let is_worded = |part: &str| part.chars().count() > 3 && part.chars().all(char::is_alphabetic);
        if lower.contains('-') && lower.split('-').any(is_worded) {
            return lower.split('-').filter(|part| !part.is_empty()).for_each(|part| self.read(part, false, false));
        }
        if let Some((number, "s")) = lower.split_once('\'')
            && is_number(number)
        {
            return self.digits(number);
        }
        // "upto25", "rs.500": a word and the number after its dot.
        if let Some((word, number)) = lower.split_once('.')
            && word.chars().all(char::is_alphabetic)
            && is_number(number)
        {
            self.read(word, false, false);
            return self.digits(number);
        }
        match number::read(lower) {
            Written::Time(minutes) => {
                let mut token = plain(hash32(&format!("time {minutes}")), Kind::Date);
                (token.rarity, token.detail) = (lexicon::UNKNOWN_RARITY, hash16("clock"));
                self.push(token, "");
            }
            Written::Number(value, unit) => self.number(value, &unit),
            Written::Identifier(text) => self.identifier(&text),
        }
    }

    fn number(&mut self, value: f64, unit: &str) {
        let mut token = plain(hash32(&format!("number {value}")), Kind::Number);
        token.rarity = lexicon::UNKNOWN_RARITY - 3;
        token.detail = match unit {
            "" => match self.tokens.last() {
                // The currency sign before it.
                Some(sign) if sign.kind == Kind::Filler => sign.detail,
                _ => 0,
            },
            "%" => hash16("percent"),
            unit => hash16(self.language.unit(unit).unwrap_or(unit)),
        };
        self.push(token, "");
    }

    fn word(&mut self, word: &str, is_name: bool, is_capital: bool) {
        let class = self.language.class(word);
        let follows_number = self.tokens.last().is_some_and(|token| token.kind == Kind::Number);
        if follows_number && let Some(unit) = self.language.unit(word) {
            if let Some(number) = self.tokens.last_mut()
                && number.detail == 0
            {
                number.detail = hash16(unit);
            }
            return;
        }
        if follows_number && matches!(word, "am" | "pm") {
            // "3 pm" is "3pm": the number before it becomes a time of day.
            let value =
                (0..=12).find(|hour| self.tokens.last().is_some_and(|t| t.hash == hash32(&format!("number {hour}"))));
            if let Some(hour) = value {
                self.tokens.pop();
                self.words.pop();
                return self.digits(&format!("{hour}{word}"));
            }
        }
        if let Some((group, canonical)) = self.language.calendar(word)
            && (class.is_none() || is_capital || follows_number)
        {
            let mut token = plain(hash32(canonical), Kind::Date);
            (token.rarity, token.detail) = (16, hash16(group));
            return self.push(token, word);
        }
        if class.is_none()
            && let Some(value) = self.language.number(word)
        {
            return self.number(value, "");
        }
        let Some(class) = class else {
            return match self.language.denied(word) {
                Some(base) => {
                    self.word(self.language.negation(), false, false);
                    self.word(base, is_name, is_capital);
                }
                None => self.plain_word(word, is_name),
            };
        };
        if class.kind == Kind::Negation && self.words.last().is_some_and(|before| self.language.is_idle_before(before))
        {
            // "or not", "why not": nothing is denied.
            return;
        }
        if let Some(opens) = class.opens {
            (self.role, self.role_left) = (opens, 3);
        } else if class.kind == Kind::Auxiliary || class.kind == Kind::Question {
            self.role = Role::Plain;
        }
        let mut token = plain(hash32(class.canonical), class.kind);
        token.rarity = lexicon::rarity(token.hash).unwrap_or(4);
        token.detail = if class.kind == Kind::Filler { 0 } else { sketch(word) };
        self.tokens.push(token);
        self.words.push(word.to_owned());
    }

    fn plain_word(&mut self, word: &str, is_name: bool) {
        let mut token = plain(hash32(&self.language.base(word)), Kind::Word);
        let rarity = [token.hash, hash32(word)].into_iter().filter_map(lexicon::rarity).min();
        token.rarity = rarity.unwrap_or(lexicon::UNKNOWN_RARITY);
        token.is_unknown = rarity.is_none();
        token.is_name = is_name;
        token.detail = sketch(word);
        self.push(token, word);
    }
}

/// How a question asks, from its first words.
fn asks(reader: &Reader) -> u8 {
    let mut kept = reader.tokens.iter().zip(&reader.words).filter(|(token, _)| token.kind != Kind::Filler);
    let question = |hash: u32| 3 + (hash % 253) as u8;
    match kept.next() {
        None => return 0,
        Some((token, _)) if token.kind == Kind::Auxiliary => return 1,
        Some((token, _)) if token.kind == Kind::Modal => return 2,
        Some(_) => {}
    }
    let kept: Vec<_> = reader.tokens.iter().filter(|token| token.kind != Kind::Filler).collect();
    let Some(at) = kept.iter().position(|token| token.kind == Kind::Question) else {
        // "I lost my card. Can I get another?"
        return 0;
    };
    let how_much = match (kept.get(at + 1), kept.get(at + 2)) {
        (Some(next), _) if next.kind == Kind::Scope => Some(next),
        (Some(next), Some(then)) if next.kind == Kind::Word && matches!(then.kind, Kind::Auxiliary | Kind::Modal) => {
            Some(next)
        }
        _ => None,
    };
    match how_much {
        // "how many", "how long is", "how dangerous are" ask for a measure; "how do", "how to" for a way.
        Some(measure) if kept[at].hash == hash32("how") => question(kept[at].hash ^ measure.hash),
        _ => question(kept[at].hash),
    }
}
