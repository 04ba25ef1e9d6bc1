//! Units and currencies (`units.tsv`, `unit_codes.tsv`, `currencies.tsv`, `unit_meanings.tsv`).

use fnv::{FnvHashMap as HashMap, FnvHashSet as HashSet};

use super::lexicon::hash16;
use super::lists::{ENGLISH, WordLists, rows, spellings};

/// The units of one language.
pub(super) struct Units {
    /// By a code, in which case matters.
    codes: HashMap<&'static str, &'static str>,
    /// By a spelling in lower case.
    spellings: HashMap<&'static str, &'static str>,
    /// The units that are currencies.
    currencies: HashSet<&'static str>,
    /// The hashes of a unit and of one that it can mean.
    meanings: HashSet<(u32, u32)>,
}

impl Units {
    pub(super) fn parse(lists: &WordLists) -> Self {
        let mut this = Self {
            codes: rows(lists.unit_codes).collect(),
            // The spellings of the language come last and so replace the English ones.
            spellings: rows(ENGLISH.units).chain(rows(lists.units)).flat_map(|(words, _)| spellings(words)).collect(),
            currencies: HashSet::default(),
            meanings: HashSet::default(),
        };
        for (code, words) in rows(lists.currencies) {
            this.codes.insert(code, code);
            this.currencies.insert(code);
            this.spellings.extend(words.split(' ').filter(|word| *word != "-").map(|word| (word, code)));
        }
        for (words, meanings) in rows(lists.unit_meanings) {
            for (word, unit) in spellings(words) {
                this.spellings.entry(word).or_insert(unit);
                for meaning in meanings.split(' ') {
                    this.meanings.insert((hash16(unit), hash16(meaning)));
                    if this.currencies.contains(meaning) {
                        this.currencies.insert(unit);
                    }
                }
            }
        }
        this
    }

    /// The first spelling of the unit `written`, whose form in lower case is `lower`.
    pub(super) fn unit(&self, written: &str, lower: &str) -> Option<&'static str> {
        self.codes.get(written).or_else(|| self.spellings.get(lower)).copied()
    }

    /// True if the unit with this first spelling is a currency.
    pub(super) fn is_currency(&self, unit: &str) -> bool {
        self.currencies.contains(unit)
    }

    /// True if two units, given by the hashes of their first spellings, can be the same.
    pub(super) fn agree(&self, a: u32, b: u32) -> bool {
        a == b || self.meanings.contains(&(a, b)) || self.meanings.contains(&(b, a))
    }
}
