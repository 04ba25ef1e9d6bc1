//! The last number of a text, which the words after it may change: "five" and "five hundred".

use super::number::rounded;

/// Single digits in words are one number from this many on: "four eight two".
pub(super) const MIN_SPELT_DIGITS: usize = 3;
/// A row of single digits ends after this many, so that each is read in constant time.
pub(super) const MAX_SPELT_DIGITS: usize = 40;

/// The last number, which the words after it may change.
pub(super) struct OpenNumber {
    /// The index of its token.
    pub(super) at: usize,
    /// The sum of the thousands, millions, … that are complete.
    pub(super) total: f64,
    /// The part below a thousand.
    pub(super) group: f64,
    /// The digits as written. Empty for words.
    pub(super) digits: String,
    pub(super) is_word: bool,
    pub(super) is_negative: bool,
    /// The unit, or an empty text.
    pub(super) unit: &'static str,
    /// The single digits of a number in words, and the index of the token of the first.
    pub(super) spelt: String,
    pub(super) spelt_at: usize,
}

impl OpenNumber {
    /// True if the number is a single digit in words, or a row of them.
    pub(super) fn is_digit_in_words(&self) -> bool {
        !self.spelt.is_empty()
    }

    pub(super) fn value(&self) -> f64 {
        let value = self.total + self.group;
        if self.is_negative { -value } else { value }
    }

    /// Multiplies the number by a hundred, a thousand, … False if `factor` is none of these or the number has none.
    pub(super) fn multiply(&mut self, factor: f64) -> bool {
        if self.is_spelt() {
            return false;
        }
        match factor {
            12.0 | 100.0 if self.is_word || self.digits.len() < 4 => {
                if self.group == 0.0 || self.group >= 100.0 || factor == 12.0 && self.group > 10.0 {
                    return false;
                }
                self.group = rounded(self.group * factor);
            }
            _ if factor < 1000.0 => return false,
            _ if self.group == 0.0 => self.total = rounded(self.total * factor),
            _ => {
                self.total = rounded(self.total + self.group * factor);
                self.group = 0.0;
            }
        }
        self.spelt.clear();
        true
    }

    /// True if the number is a row of single digits.
    pub(super) fn is_spelt(&self) -> bool {
        self.spelt.len() >= MIN_SPELT_DIGITS
    }

    pub(super) fn may_add(&self, value: f64) -> bool {
        let tens = self.group % 100.0;
        self.is_word
            && !self.is_spelt()
            && value.fract() == 0.0
            && (value < 100.0 && self.group >= 100.0 && tens == 0.0
                || (1.0..10.0).contains(&value) && tens >= 20.0 && tens % 10.0 == 0.0
                || value < 100.0 && self.group == 0.0 && self.total > 0.0)
    }

    /// Adds the tens or the units of a number in words. False if the two are separate numbers.
    pub(super) fn add(&mut self, value: f64) -> bool {
        let may_add = self.may_add(value);
        if may_add {
            self.group += value;
            self.spelt.clear();
        }
        may_add
    }

    /// True if `value` continues a row of single digits.
    pub(super) fn spell(&self, value: f64) -> bool {
        !self.spelt.is_empty() && value < 10.0 && value.fract() == 0.0
    }
}
