//! The language of a text, by its script and its function words.
//!
//! A text of a few words has few function words. So a library that knows languages by their letters is no better on short
//! questions, and it would add its tables to the package of each function.

use super::Language;
use super::lexicon::{self, hash32};

/// The language of a text, as signatures store it: [`ToldLanguage::UNCOVERED`], or one more than the index in
/// [`super::lists::languages`], with [`UNDECIDED`] if the text may be in another language. 0: an earlier version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct ToldLanguage(pub(crate) u8);

/// The bit of a language that a text is read in, and that is not told.
const UNDECIDED: u8 = 1 << 6;

/// Indexes in [`super::lists::languages`].
pub(super) const GERMAN: usize = 1;
const JAPANESE: usize = 7;
const CHINESE: usize = 8;
const RUSSIAN: usize = 9;
const HINDI: usize = 10;
const ARABIC: usize = 11;
const KOREAN: usize = 12;
const POLISH: usize = 13;
/// The languages with Latin letters.
const LATIN: [usize; 8] = [0, GERMAN, 2, 3, 4, 5, 6, POLISH];

/// A language is told if the text has at least this many more of its function words than of any other language.
const MIN_MARGIN: u32 = 2;
/// A text of at least this many words is in no covered language if fewer than one in [`MAX_WORDS`] of its words are
/// function words of one, or one in [`MAX_FOREIGN_WORDS`] if a word has a letter that no covered language has. In
/// addition, fewer than half of its words are function words and English words.
const MIN_UNCOVERED_WORDS: u32 = 4;
const MAX_WORDS: u32 = 8;
const MAX_FOREIGN_WORDS: u32 = 4;
/// A shorter text may be in no covered language if so many of its words have a letter that no covered language has.
const MIN_SHORT_FOREIGN_WORDS: u32 = 2;
/// Letters of languages with Latin script that have no word lists.
const FOREIGN_LETTERS: [char; 25] = [
    'ő', 'ű', 'č', 'ě', 'ř', 'š', 'ž', 'ů', 'ğ', 'ı', 'ş', 'ă', 'ș', 'ț', 'å', 'æ', 'ø', 'ð', 'þ', 'đ', 'ď', 'ť', 'ė',
    'į', 'ų',
];
/// Letters that of the covered languages only Polish has.
const POLISH_LETTERS: [char; 8] = ['ą', 'ć', 'ę', 'ł', 'ń', 'ś', 'ź', 'ż'];
/// The ending of an English contraction has at most this many letters.
const MAX_ENDING_LETTERS: usize = 2;

impl ToldLanguage {
    /// The text is in a language that has no word lists.
    pub(crate) const UNCOVERED: Self = Self(u8::MAX);

    fn of_index(index: usize) -> Self {
        Self(index as u8 + 1)
    }

    /// The index of the language, if it is told and covered.
    pub(crate) fn index(self) -> Option<usize> {
        usize::from(self.0 & !UNDECIDED).checked_sub(1).filter(|index| *index < Language::all().len())
    }

    /// True if the language is known to be this or that one, or none that is covered.
    pub(crate) fn is_told(self) -> bool {
        self == Self::UNCOVERED || self.0 != 0 && self.0 & UNDECIDED == 0
    }

    /// The same language as one that may be another. An uncovered language stays so.
    pub(crate) fn undecided(self) -> Self {
        if self == Self::UNCOVERED { self } else { Self(self.0 | UNDECIDED) }
    }
}

/// Finds the language of a text.
#[derive(Default)]
pub(crate) struct Detector {
    kana: u32,
    han: u32,
    /// Words by script.
    latin: u32,
    cyrillic: u32,
    arabic: u32,
    devanagari: u32,
    hangul: u32,
    other: u32,
    /// Function words by language.
    listed: [u32; 16],
    /// Words with a letter that no covered language has.
    foreign: u32,
    /// Words with a letter that only Polish has.
    polish: u32,
    /// Words of the English rarity table that are listed in no language.
    english: u32,
}

impl Detector {
    /// Adds a word in lower case, or a character of a script without spaces.
    pub(crate) fn add(&mut self, word: &str) {
        let Some(first) = word.chars().find(|c| c.is_alphabetic()) else { return };
        match first as u32 {
            0..0x370 | 0x1e00..0x1f00 => self.latin += 1,
            // Letters of Ukrainian, Belarusian, Serbian and Macedonian.
            0x400..0x530 if word.contains(['і', 'ї', 'є', 'ґ', 'ў', 'ј', 'љ', 'њ', 'ћ', 'ђ', 'џ', 'ѓ', 'ќ', 'ѕ']) =>
            {
                self.other += 1;
            }
            0x400..0x530 => self.cyrillic += 1,
            // Letters of Persian and Urdu.
            0x600..0x700 if word.contains(['پ', 'چ', 'ژ', 'گ', 'ک', 'ی', 'ٹ', 'ڈ']) => self.other += 1,
            0x600..0x700 => self.arabic += 1,
            0x900..0x980 => self.devanagari += 1,
            0x3040..0x3100 => self.kana += 1,
            0x3400..0xa000 => self.han += 1,
            0xac00..0xd7b0 => self.hangul += 1,
            _ => self.other += 1,
        }
        let listed = Language::listed();
        self.foreign += u32::from(word.contains(FOREIGN_LETTERS));
        self.polish += u32::from(word.contains(POLISH_LETTERS));
        let mut is_listed = false;
        for (at, part) in word.split('\'').enumerate() {
            // "What's" has an ending, and "l'année" has two words.
            if at > 0 && part.len() <= MAX_ENDING_LETTERS {
                continue;
            }
            let mut languages = listed.get(part).copied().unwrap_or(0);
            is_listed |= languages != 0;
            // Short words of Polish are words of English as well: "do", "my", "i".
            if languages != 1 << POLISH {
                languages &= !(1 << POLISH);
            }
            while languages != 0 {
                self.listed[languages.trailing_zeros() as usize] += 1;
                languages &= languages - 1;
            }
        }
        if !is_listed && lexicon::rarity(hash32(word)).is_some() {
            self.english += 1;
        }
    }

    /// The language to read the text in, and what is told of it.
    pub(crate) fn decide(&self) -> (&'static Language, ToldLanguage) {
        let (index, told) = self.index();
        (&Language::all()[index], told)
    }

    fn index(&self) -> (usize, ToldLanguage) {
        // Two characters count as a word.
        let unspaced = (self.kana + self.han).div_ceil(2);
        let scripts = [self.latin, self.cyrillic, self.arabic, self.devanagari, self.hangul, unspaced, self.other];
        let most = scripts.into_iter().max().unwrap_or(0);
        if unspaced > 0 && unspaced == most {
            let index = if self.kana > 0 { JAPANESE } else { CHINESE };
            return (index, ToldLanguage::of_index(index));
        }
        for (count, index) in
            [(self.cyrillic, RUSSIAN), (self.arabic, ARABIC), (self.devanagari, HINDI), (self.hangul, KOREAN)]
        {
            if count > 0 && count == most {
                return (index, ToldLanguage::of_index(index));
            }
        }
        if self.other > 0 && self.other == most {
            return (0, ToldLanguage::UNCOVERED);
        }
        self.decide_latin()
    }

    fn decide_latin(&self) -> (usize, ToldLanguage) {
        let of = |index: &usize| self.listed[*index] + if *index == POLISH { self.polish } else { 0 };
        // The first of several is English, or else the one that is listed first.
        let best = LATIN.into_iter().rev().max_by_key(of).unwrap_or(0);
        let second = LATIN.iter().filter(|index| **index != best).map(of).max().unwrap_or(0);
        let is_uncovered = (self.latin >= MIN_UNCOVERED_WORDS || self.foreign >= MIN_SHORT_FOREIGN_WORDS)
            && of(&best) * if self.foreign > 0 { MAX_FOREIGN_WORDS } else { MAX_WORDS } < self.latin
            && (self.english + of(&best)) * 2 < self.latin;
        if is_uncovered {
            (best, ToldLanguage::UNCOVERED)
        } else if of(&best) >= second + MIN_MARGIN {
            (best, ToldLanguage::of_index(best))
        } else {
            (best, ToldLanguage::of_index(best).undecided())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> u8 {
        let mut detector = Detector::default();
        let is_letter = |c: char| c.is_alphanumeric() || c == '\'' || ('\u{900}'..'\u{980}').contains(&c);
        let lower = text.to_lowercase();
        lower.split(|c| !is_letter(c)).filter(|word| !word.is_empty()).for_each(|word| detector.add(word));
        let told = detector.decide().1;
        if told.is_told() { told.0 } else { 0 }
    }

    #[test]
    fn language_of_sentence_is_told() {
        for (index, text) in [
            (0, "How do I reset my password?"),
            (1, "Wie kann ich mein Passwort zurücksetzen?"),
            (2, "Comment puis-je réinitialiser mon mot de passe ?"),
            (3, "¿Cómo puedo restablecer mi contraseña?"),
            (4, "Como posso redefinir a minha senha?"),
            (5, "Come posso reimpostare la mia password?"),
            (6, "Hoe kan ik mijn wachtwoord opnieuw instellen?"),
            (7, "パスワードを忘れました"),
            (8, "如何重置密码"),
            (9, "Как мне сбросить пароль?"),
            (10, "मैं अपना पासवर्ड कैसे बदलूं"),
            (11, "كيف يمكنني تغيير كلمة المرور"),
            (12, "비밀번호를 어떻게 바꾸나요"),
            (13, "Jak mogę zresetować swoje hasło?"),
        ] {
            assert_eq!(told(text), index + 1, "{text}");
        }
    }

    #[test]
    fn language_of_short_text_is_undecided_and_of_uncovered_language_is_uncovered() {
        for text in ["Netflix", "reset password iphone 15", "Kreditkarte sperren"] {
            assert_eq!(told(text), 0, "{text}");
        }
        for text in
            ["Jak si mohu změnit heslo ke svému účtu?", "Hur återställer jag mitt lösenord?", "Πώς αλλάζω τον κωδικό;"]
        {
            assert_eq!(told(text), u8::MAX, "{text}");
        }
    }
}
