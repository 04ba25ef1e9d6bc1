//! Inflection: the base form of an inflected word (`inflection.tsv`, `irregular.tsv`).

use fnv::FnvHashMap as HashMap;

use super::lexicon::{self, hash32};
use super::lists::rows;

/// The inflection of one language.
pub(super) struct Inflection {
    rules: Vec<Rule>,
    /// By the inflected form: the base.
    irregular: HashMap<&'static str, &'static str>,
}

/// A rule that turns an inflected form into a base.
struct Rule {
    ending: &'static str,
    /// What replaces the ending. `None`: the ending is removed together with one of the doubled letters before it.
    base_ending: Option<&'static str>,
    /// The rule applies only if the rarity table contains the base.
    must_be_known: bool,
}

/// A base may be this much rarer than the inflected form, in the unit of [`lexicon::rarity`].
const MAX_BASE_RARITY_GAP: u8 = 6;

impl Inflection {
    pub(super) fn parse(rules: &'static str, irregular: &'static str) -> Self {
        let forms = |(base, forms): (&'static str, &'static str)| forms.split(' ').map(move |form| (form, base));
        Self {
            rules: rows(rules).filter_map(|(ending, rest)| Rule::parse(ending, rest)).collect(),
            irregular: rows(irregular).flat_map(forms).collect(),
        }
    }

    /// The base form of `word`, in lower case: `order` for `orders`, `buy` for `bought`. A stemmer would also unite
    /// derived words (`customs`, `customer`); this function keeps them apart.
    pub(super) fn base(&self, word: &str) -> String {
        if let Some(base) = self.irregular.get(word) {
            return (*base).to_owned();
        }
        let own = lexicon::rarity(hash32(word)).unwrap_or(lexicon::UNKNOWN_RARITY);
        let base = self.rules.iter().find_map(|rule| {
            let base = rule.apply(word)?;
            // A word that is much rarer than the form is not its base: "morn" and "morning".
            let is_known = lexicon::rarity(hash32(&base)).is_some_and(|rarity| rarity <= own + MAX_BASE_RARITY_GAP);
            (is_known || !rule.must_be_known).then_some(base)
        });
        base.unwrap_or_else(|| word.to_owned())
    }
}

impl Rule {
    fn parse(ending: &'static str, rest: &'static str) -> Option<Self> {
        let (base_ending, condition) = rest.split_once('\t')?;
        let base_ending = match base_ending {
            "-" => Some(""),
            "-1" => None,
            ending => Some(ending),
        };
        Some(Self { ending, base_ending, must_be_known: condition == "known" })
    }

    fn apply(&self, word: &str) -> Option<String> {
        let start = word.strip_suffix(self.ending)?;
        let base = match self.base_ending {
            Some(ending) => format!("{start}{ending}"),
            None => {
                let mut letters = start.chars().rev();
                let last = letters.next()?;
                if letters.next() != Some(last) {
                    return None;
                }
                start[..start.len() - last.len_utf8()].to_owned()
            }
        };
        // A syllable of Hangul is one character.
        let is_hangul = base.starts_with(|c: char| ('\u{ac00}'..='\u{d7a3}').contains(&c));
        (base.chars().count() >= if is_hangul { 2 } else { 3 }).then_some(base)
    }
}
