//! Quantities: the tokens of numbers, units, dates and identifiers.

use std::borrow::Cow;

use super::date::{self, MONTHS};
use super::number::{self, DecimalMark, Written, ends_in_zero_after_point, rounded, with_point_for_thousands};
use super::open_number::{MAX_SPELT_DIGITS, MIN_SPELT_DIGITS, OpenNumber};
use super::token_builder::TokenBuilder;
use crate::language::lexicon::{self, hash16, hash32};
use crate::token::{Token, TokenKind};

/// The rarity of a number.
const NUMBER_RARITY: u8 = lexicon::UNKNOWN_RARITY - 3;
/// A word and a number that are written as one are two tokens if the word has at least this many letters and the number
/// at most [`MAX_JOINED_DIGITS`] digits: "python3". A longer number is an order number.
const MIN_JOINED_LETTERS: usize = 4;
const MAX_JOINED_DIGITS: usize = 2;
/// The number of words of "an hour and a half".
pub(super) const ONE_AND_A_HALF_WORDS: usize = 5;
/// Noon, in minutes after midnight.
const NOON: u32 = 12 * 60;
/// A larger number after a slash is no denominator of a fraction.
const MAX_DENOMINATOR: u8 = 16;
/// The unit and the factor into which a fraction of an hour is converted.
const HOUR: &str = "hour";
const MINUTE: &str = "minute";
const MINUTES_PER_HOUR: f64 = 60.0;
/// The unit that a scale of temperature replaces: "degrees Celsius".
const DEGREE: &str = "degree";

impl TokenBuilder {
    pub(super) fn identifier(&mut self, text: &str) {
        let mut token = Token::new(0, TokenKind::Identifier);
        (token.rarity, token.is_unknown) = (lexicon::UNKNOWN_RARITY, true);
        self.push_exact(token, text.to_owned(), "");
    }

    /// Reads a chunk with a digit. `written`: the chunk as it was written.
    pub(super) fn chunk_with_digit(&mut self, chunk: &str, written: &str) {
        let is_letters = |part: &str| part.chars().all(char::is_alphabetic);
        let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
        if let Some(date) = date::date(chunk, self.notation.date_order) {
            self.calendar_date(date.day, date.month, Some(date.year));
            return;
        }
        // "2026-12-24T18:30" is a date and a time.
        if let Some((day, time)) = chunk.split_once('t')
            && date::date(day, None).is_some()
        {
            self.chunk_with_digit(day, day);
            return self.chunk_with_digit(time, time);
        }
        // "24-dec-2026".
        if let [day, month, year] = chunk.split(['-', '/', '.']).collect::<Vec<_>>()[..]
            && is_number(day)
            && is_number(year)
            && let Some(("month", month)) = self.language.calendar(month)
        {
            self.chunk_with_digit(day, day);
            self.month(month);
            return self.chunk_with_digit(year, year);
        }
        // "v2.0" is "version 2.0".
        if let Some(version) = chunk.strip_prefix('v')
            && version.starts_with(|c: char| c.is_ascii_digit())
        {
            self.version_word();
            return self.chunk_with_digit(version, version);
        }
        if self.measures_with_marks(chunk, written) {
            return;
        }
        // "1/2 cup" and "1 1/2 cups".
        if let Some((part, whole)) = chunk.split_once('/')
            && let (Ok(part), Ok(whole)) = (part.parse::<u8>(), whole.parse::<u8>())
            && part < whole
            && whole <= MAX_DENOMINATOR
            && (self.language.unit(&self.next, &self.next).is_some() || self.language.continues_fraction(&self.next))
        {
            let value = f64::from(part) / f64::from(whole);
            let Some(number) = self.last_number().filter(|number| !number.is_word) else {
                return self.plain_number(value);
            };
            number.group += value;
            return self.refresh_number();
        }
        // "32-bit" and "2016-2017" are two tokens each. "HH-55102" is one.
        let is_separate =
            |part: &str| is_number(part) && part.len() <= 4 || part.chars().count() > 2 && is_letters(part);
        if chunk.split(['-', '/']).count() == 2
            && chunk.split(['-', '/']).all(is_separate)
            && !chunk.starts_with(|c: char| c.is_alphabetic())
        {
            return chunk.split(['-', '/']).for_each(|part| self.chunk(part, None, false, false));
        }
        // "covid-19": if a part is a word, each part is a token.
        let is_word = |part: &str| part.chars().count() > 3 && is_letters(part);
        if chunk.contains('-') && chunk.split('-').any(is_word) {
            let parts = chunk.split('-').filter(|part| !part.is_empty());
            return parts.for_each(|part| self.chunk(part, None, false, false));
        }
        if let Some((number, "s")) = chunk.split_once('\'')
            && is_number(number)
        {
            return self.chunk_with_digit(number, number);
        }
        // "rs.500": a word and the number after its dot.
        if let Some((word, number)) = chunk.split_once('.')
            && is_letters(word)
            && is_number(number)
        {
            self.chunk(word, None, false, false);
            return self.chunk_with_digit(number, number);
        }
        // "python3": a known word and a small number.
        let digits_at = chunk.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
        let (word, number) = chunk.split_at(digits_at);
        if is_word(word)
            && word.len() >= MIN_JOINED_LETTERS
            && is_number(number)
            && number.len() <= MAX_JOINED_DIGITS
            && lexicon::rarity(hash32(word)).is_some()
        {
            self.word(word, word, false, false);
            return self.plain_number(number.parse().unwrap_or(0.0));
        }
        let chunk = without_apostrophes(chunk);
        match number::read(&chunk, self.notation.decimal_mark) {
            Written::Time(minutes) => self.time(minutes),
            Written::Number(value, unit) => {
                let digits: String = chunk.chars().take_while(|c| !c.is_alphabetic() && *c != '%').collect();
                // Letters can have another length in lower case, so the end may be within a letter.
                let unit_at = written.len() - unit.len().min(written.len());
                let written_unit = written.get(unit_at..).unwrap_or(&unit);
                self.number(value, &digits, &unit, written_unit);
            }
            Written::Identifier(text) => self.identifier(&text),
        }
    }

    /// Reads "800x600", "5-10kg", "9am-5pm" and "10mb/s". False if `chunk` is none of these.
    fn measures_with_marks(&mut self, chunk: &str, written: &str) -> bool {
        let is_amount = |part: &str| part.starts_with(|c: char| c.is_ascii_digit()) && !part.starts_with('0');
        let is_number = |part: &str| is_amount(part) && part.chars().all(|c| c.is_ascii_digit() || c == '.');
        if chunk.contains('x') && chunk.split('x').count() > 1 && chunk.split('x').all(is_number) {
            self.identifier(&dimension(chunk));
            return true;
        }
        if let Some((from, to)) = chunk.split_once('-')
            && is_number(from)
            && let Some(unit_at) = to.find(|c: char| c.is_alphabetic() || c == '%').filter(|at| *at > 0)
            && is_number(&to[..unit_at])
            && (to[unit_at..] == *"%" || self.language.unit(&to[unit_at..], &to[unit_at..]).is_some())
        {
            let written_to = written.get(from.len() + 1..).unwrap_or(to);
            self.chunk_with_digit(from, from);
            self.chunk_with_digit(to, written_to);
            return true;
        }
        // "9am-5pm".
        let is_time = |part: &str| matches!(number::read(part, DecimalMark::Point), Written::Time(_));
        if let Some((from, to)) = chunk.split_once('-')
            && is_time(from)
            && is_time(to)
        {
            self.chunk_with_digit(from, from);
            self.chunk_with_digit(to, to);
            return true;
        }
        let unit_at = chunk.find(|c: char| c.is_alphabetic()).unwrap_or(chunk.len());
        let unit = self.language.unit(written.get(unit_at..).unwrap_or(""), &chunk[unit_at..]);
        if chunk.contains('/')
            && is_number(&chunk[..unit_at])
            && let Some(unit) = unit
        {
            self.chunk_with_digit(&chunk[..unit_at], &chunk[..unit_at]);
            self.set_unit(unit);
            return true;
        }
        false
    }

    /// Adds a day of the calendar. False if there is no such month.
    pub(super) fn calendar_date(&mut self, day: u32, month: u32, year: Option<u32>) -> bool {
        let Some(name) = MONTHS.get(month.wrapping_sub(1) as usize) else { return false };
        self.plain_number(f64::from(day));
        self.month(name);
        year.into_iter().for_each(|year| self.plain_number(f64::from(year)));
        true
    }

    fn month(&mut self, canonical: &str) {
        self.date(canonical, "month", "");
    }

    /// Adds a time of day, in minutes after midnight.
    fn time(&mut self, minutes: u32) {
        let mut token = Token::new(0, TokenKind::Date);
        (token.rarity, token.detail) = (lexicon::UNKNOWN_RARITY, hash16("clock"));
        self.push_exact(token, format!("time {minutes}"), "");
        self.last_time = Some((self.tokens.len(), minutes));
    }

    /// Reads the half of the day after a time: "3:30 pm". False if no time precedes it.
    pub(super) fn half_day(&mut self, half: &str) -> bool {
        let Some((_, minutes)) = self.last_time.filter(|(length, _)| *length == self.tokens.len()) else {
            return false;
        };
        let is_morning = minutes < NOON;
        self.pop();
        self.time(match half {
            "pm" if is_morning => minutes + NOON,
            "am" if !is_morning => minutes - NOON,
            _ => minutes,
        });
        true
    }

    fn plain_number(&mut self, value: f64) {
        self.number(value, "", "", "");
    }

    /// Adds a number. `digits`: as written, or an empty text. An empty `unit` means the currency before the number, if
    /// there is one.
    pub(super) fn number(&mut self, value: f64, digits: &str, unit: &str, written_unit: &str) {
        let is_negative = std::mem::take(&mut self.is_negative);
        let currency = self.currency.take();
        let is_version = ends_in_zero_after_point(digits)
            && unit.is_empty()
            && currency.is_none()
            && self.follows_directly
            && self.tokens.last().is_some_and(|token| token.kind == TokenKind::Word);
        let (value, unit) = match unit {
            // "$5M" is five million dollars, "5M" five million, and "5m" five metres.
            "m" if currency.is_some() || written_unit == "M" => (rounded(value * 1e6), ""),
            "b" if currency.is_some() => (rounded(value * 1e9), ""),
            unit => (value, unit),
        };
        let group = value.abs();
        let left = self.dimension.take();
        let mut token = Token::new(0, TokenKind::Number);
        token.rarity = NUMBER_RARITY;
        self.push(token, "");
        let at = self.tokens.len() - 1;
        self.open_number = Some(OpenNumber {
            at,
            total: 0.0,
            group,
            digits: digits.to_owned(),
            is_word: false,
            is_negative,
            unit: "",
            spelt: String::new(),
            spelt_at: at,
        });
        self.refresh_number();
        if is_version {
            self.set_value(at, format!("number {digits}"));
        }
        if let Some(currency) = currency {
            self.set_unit(currency);
        }
        if !unit.is_empty() {
            match self.language.unit(written_unit, unit) {
                Some(unit) => self.set_unit(unit),
                None if unit == "%" => self.tokens[at].detail = hash16("percent"),
                None => self.tokens[at].detail = hash16(unit),
            }
        }
        if let Some(left) = left {
            let right = self.open_number.take().map_or(0.0, |number| number.value());
            self.pop();
            self.pop();
            self.identifier(&format!("{left}x{right}"));
        }
    }

    /// Writes the value of the open number into its token.
    fn refresh_number(&mut self) {
        if let Some(number) = &self.open_number {
            self.set_value(number.at, format!("number {}", number.value()));
        }
    }

    /// The open number, if its token is the last and no mark follows it.
    pub(super) fn last_number(&mut self) -> Option<&mut OpenNumber> {
        let last = self.tokens.len().checked_sub(1)?;
        self.open_number.as_mut().filter(|number| number.at == last)
    }

    /// Gives the last number a unit, by its first spelling. A number that has a unit keeps it, but a scale of
    /// temperature replaces the degree.
    pub(super) fn set_unit(&mut self, unit: &'static str) {
        let is_currency = self.language.is_currency(unit);
        let last = self.tokens.len().checked_sub(1);
        let Some(number) = self.open_number.as_mut().filter(|number| Some(number.at) == last) else { return };
        if self.tokens[number.at].detail != 0 && number.unit != DEGREE {
            return;
        }
        number.unit = unit;
        if is_currency && let Some(value) = with_point_for_thousands(&number.digits) {
            // An amount of money has at most two decimals.
            number.group = value;
        }
        if unit == HOUR && number.value().fract() != 0.0 {
            (number.group, number.unit) = (number.group * MINUTES_PER_HOUR, MINUTE);
        }
        self.tokens[number.at].detail = hash16(number.unit);
        self.refresh_number();
    }

    /// Reads a unit after "per" or "/": "60 km per hour". False if it is none.
    pub(super) fn rate(&mut self, written: &str, lower: &str) -> bool {
        let Some(number) = self.last_number() else { return false };
        let first = number.unit;
        let rate = [format!("{first}/{written}"), format!("{first}/{lower}")];
        let canonical = self.language.unit(written, lower).map(|unit| format!("{first}/{unit}"));
        let unit = rate.iter().chain(&canonical).find_map(|rate| self.language.unit(rate, rate));
        let Some(unit) = unit.filter(|_| !first.is_empty()) else { return false };
        if let Some(number) = self.last_number() {
            number.unit = unit;
            let at = number.at;
            self.tokens[at].detail = hash16(unit);
        }
        true
    }

    /// Reads a number in words. It continues the number before it where the two are one: "two hundred", "1.5 million",
    /// "twenty five".
    pub(super) fn number_word(&mut self, value: f64) {
        let follows_directly = self.follows_directly;
        // "Half a dozen".
        if value > 1.0 && self.article_follows_fraction() {
            self.pop();
            if let Some(number) = &mut self.open_number {
                number.group = rounded(number.group * value);
            }
            return self.refresh_number();
        }
        if let Some(number) = self.last_number().filter(|number| follows_directly && number.unit.is_empty()) {
            if number.multiply(value) || number.add(value) {
                return self.refresh_number();
            }
            if number.spelt.len() < MAX_SPELT_DIGITS && number.spell(value) {
                return self.spelt_digits(value);
            }
        } else if follows_directly && self.continues_after_and(value) {
            self.pop();
            if let Some(number) = &mut self.open_number {
                number.add(value);
            }
            return self.refresh_number();
        }
        self.plain_number(value);
        if let Some(number) = &mut self.open_number {
            number.is_word = true;
            if value >= 1000.0 {
                (number.total, number.group) = (value, 0.0);
            } else if value < 10.0 && value.fract() == 0.0 {
                number.spelt = value.to_string();
            }
        }
    }

    /// True for "two hundred and" before a number below a hundred.
    fn continues_after_and(&self, value: f64) -> bool {
        let is_and = self.words.last().is_some_and(|word| word == "and");
        let is_range = |number: &OpenNumber| {
            let first = number.at.checked_sub(1).map_or("", |before| self.words[before].as_str());
            matches!(first, "between" | "from")
        };
        is_and
            && value < 100.0
            && self.open_number.as_ref().is_some_and(|number| {
                number.at + 2 == self.tokens.len()
                    && number.may_add(value)
                    && number.value() >= 100.0
                    && !is_range(number)
            })
    }

    /// Adds a digit in words to the digits before it. From the third on they are one number.
    fn spelt_digits(&mut self, value: f64) {
        let Some(number) = self.open_number.take() else { return };
        let (spelt, start) = (format!("{}{value}", number.spelt), number.spelt_at);
        if spelt.len() < MIN_SPELT_DIGITS {
            self.plain_number(value);
        } else {
            while self.tokens.len() > start {
                self.pop();
            }
            match number::read(&spelt, DecimalMark::Point) {
                Written::Number(value, _) => self.plain_number(value),
                Written::Time(_) | Written::Identifier(_) => {
                    self.identifier(&spelt);
                    self.plain_number(0.0);
                    self.pop();
                }
            }
        }
        let at = self.tokens.len() - 1;
        if let Some(number) = &mut self.open_number {
            (number.at, number.is_word, number.spelt, number.spelt_at) = (at, true, spelt, start);
        }
    }

    /// Reads a half after a number: "two and a half". False if no number and two function words precede it.
    pub(super) fn fraction_word(&mut self, value: f64) -> bool {
        let follows = self.open_number.as_ref().is_some_and(|number| {
            number.at + 3 == self.tokens.len()
                && self.tokens[number.at + 1..].iter().all(|token| token.kind == TokenKind::FunctionWord)
                && self.words[number.at + 1] == "and"
        });
        if follows {
            self.pop();
            self.pop();
            if let Some(number) = &mut self.open_number {
                number.group += value;
            }
            self.refresh_number();
        }
        follows
    }

    /// Reads "an hour and a half". False if `words` do not begin so.
    pub(super) fn one_and_a_half<'w>(&mut self, mut words: impl Iterator<Item = &'w str>) -> bool {
        let mut next = || words.next().unwrap_or("");
        if !matches!(next(), "a" | "an" | "one") {
            return false;
        }
        let noun = next();
        let Some(unit) = self.language.unit(noun, noun) else { return false };
        let Some(fraction) =
            (next() == "and" && next() == "a").then(next).and_then(|word| self.language.fraction(word))
        else {
            return false;
        };
        self.plain_number(1.0 + fraction);
        self.set_unit(unit);
        true
    }

    /// True if the last two tokens are a fraction in words and an article or preposition: "half an".
    pub(super) fn article_follows_fraction(&self) -> bool {
        self.open_number.as_ref().is_some_and(|number| {
            number.at + 2 == self.tokens.len()
                && number.is_word
                && number.group < 1.0
                && number.group > 0.0
                && self.tokens[number.at + 1].kind == TokenKind::FunctionWord
        })
    }

    /// Reads "by" or "x" between two numbers. The two are one size: "800 by 600". False if no number precedes it.
    pub(super) fn dimension_mark(&mut self, next: &str) -> bool {
        let is_amount = next.starts_with(|c: char| c.is_ascii_digit() && c != '0');
        let last = self.tokens.len().checked_sub(1);
        match &self.open_number {
            Some(number) if Some(number.at) == last && is_amount && self.follows_directly => {
                self.dimension = Some(number.value().to_string());
                true
            }
            _ => false,
        }
    }
}

/// A size in digits, "800x600", with each number in one form.
fn dimension(text: &str) -> String {
    let value = |part: &str| part.parse::<f64>().map_or_else(|_| part.to_owned(), |value| value.to_string());
    text.split('x').map(value).collect::<Vec<_>>().join("x")
}

/// `chunk` without the apostrophes between its thousands, as in Switzerland: "1'500'000".
fn without_apostrophes(chunk: &str) -> Cow<'_, str> {
    let mut groups = chunk.split('\'');
    let is_first = |group: &str| (1..=3).contains(&group.len());
    let are_thousands = chunk.contains('\'')
        && chunk.bytes().all(|b| b.is_ascii_digit() || b == b'\'')
        && groups.next().is_some_and(is_first)
        && groups.all(|group| group.len() == 3);
    if are_thousands { Cow::Owned(chunk.replace('\'', "")) } else { Cow::Borrowed(chunk) }
}
