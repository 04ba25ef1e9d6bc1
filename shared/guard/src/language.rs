//! The word lists of `languages/`: what the words of a language do in a question.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use crate::hash::hash32;
use crate::lexicon;
use crate::token::{Kind, Role};

/// A language's word lists as they stand in its folder.
struct Files {
    classes: &'static str,
    contractions: &'static str,
    numbers: &'static str,
    units: &'static str,
    calendar: &'static str,
    polarity: &'static str,
    inflection: &'static str,
    irregular: &'static str,
    frames: &'static str,
    leaning: &'static str,
}

macro_rules! language {
    ($folder:literal) => {
        Files {
            classes: include_str!(concat!("../languages/", $folder, "/classes.tsv")),
            contractions: include_str!(concat!("../languages/", $folder, "/contractions.tsv")),
            numbers: include_str!(concat!("../languages/", $folder, "/numbers.tsv")),
            units: include_str!(concat!("../languages/", $folder, "/units.tsv")),
            calendar: include_str!(concat!("../languages/", $folder, "/calendar.tsv")),
            polarity: include_str!(concat!("../languages/", $folder, "/polarity.tsv")),
            inflection: include_str!(concat!("../languages/", $folder, "/inflection.tsv")),
            irregular: include_str!(concat!("../languages/", $folder, "/irregular.tsv")),
            frames: include_str!(concat!("../languages/", $folder, "/frames.tsv")),
            leaning: include_str!(concat!("../languages/", $folder, "/leaning.tsv")),
        }
    };
}

/// Every language the guard has lists for. A language is one more folder and one more line.
const LANGUAGES: [Files; 1] = [language!("en")];

/// What a word is, by the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class {
    /// What it does in the question.
    pub(crate) kind: Kind,
    /// The side of a relation that it opens.
    pub(crate) opens: Option<Role>,
    /// The word that stands for it and its like in comparisons.
    pub(crate) canonical: &'static str,
}

/// The lists of one language, ready for look-up.
pub(crate) struct Language {
    classes: HashMap<&'static str, Class>,
    contractions: HashMap<&'static str, &'static str>,
    numbers: HashMap<&'static str, f64>,
    units: HashMap<&'static str, &'static str>,
    calendar: HashMap<&'static str, (&'static str, &'static str)>,
    /// Prefixes that deny the word they stand before: always, and where the tables know the two as opposites.
    prefixes: Vec<(&'static str, bool)>,
    /// Words after which a negation denies nothing.
    idle: Vec<&'static str>,
    /// The word that stands for every negation.
    negation: &'static str,
    inflection: Vec<Inflection>,
    irregular: HashMap<&'static str, &'static str>,
    frames: HashMap<&'static str, Vec<Frame>>,
    /// Words that make a message lean on what came before, with how.
    leaning: HashSet<(&'static str, &'static str)>,
}

/// A rule of inflection.
struct Inflection {
    ending: &'static str,
    /// What stands in the ending's place; `None`: one of the doubled letters before it goes, too.
    base_ending: Option<&'static str>,
    /// Whether the base must be a word of the tables.
    must_be_known: bool,
}

/// A way to lead a question in: the words after the first, and what they ask for.
struct Frame {
    rest: Vec<&'static str>,
    asks: &'static str,
}

/// The rows of a list: its lines that are neither empty nor comments, cut at the tab.
fn rows(list: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    list.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once('\t').unwrap_or((line, "")))
}

/// Each spelling in `words` with the first of them.
fn spellings(words: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let canonical = words.split(' ').next().unwrap_or(words);
    words.split(' ').map(move |word| (word, canonical))
}

impl Language {
    /// The languages, parsed at the first call.
    pub(crate) fn all() -> &'static [Language] {
        static ALL: OnceLock<Vec<Language>> = OnceLock::new();
        ALL.get_or_init(|| LANGUAGES.iter().map(Language::parse).collect())
    }

    /// The language most of whose listed words stand among `words`; the first language when none has any.
    pub(crate) fn of<'a>(words: impl Iterator<Item = &'a str> + Clone) -> &'static Language {
        let all = Self::all();
        match all {
            [only] => only,
            _ => all
                .iter()
                .rev()
                .max_by_key(|language| words.clone().filter(|word| language.classes.contains_key(word)).count())
                .unwrap_or(&all[0]),
        }
    }

    fn parse(files: &Files) -> Self {
        let mut classes = HashMap::new();
        for (name, words) in rows(files.classes) {
            let Some((kind, opens)) = class(name) else { continue };
            // Alike are the words of a relation's side and of one question; the others stand for themselves.
            let alike = opens.is_some() || kind == Kind::Question || kind == Kind::Negation;
            for (word, canonical) in spellings(words) {
                classes.entry(word).or_insert(Class { kind, opens, canonical: if alike { canonical } else { word } });
            }
        }
        let polarity = |wanted: &'static str| {
            rows(files.polarity).filter(move |(name, _)| *name == wanted).flat_map(|(_, words)| words.split(' '))
        };
        let negation = classes.values().find(|class| class.kind == Kind::Negation).map_or("", |class| class.canonical);
        Self {
            classes,
            prefixes: polarity("prefix")
                .map(|p| (p, true))
                .chain(polarity("prefix-of-opposites").map(|p| (p, false)))
                .collect(),
            idle: polarity("idle-after").collect(),
            negation,
            contractions: rows(files.contractions).collect(),
            numbers: rows(files.numbers).filter_map(|(word, value)| Some((word, value.parse().ok()?))).collect(),
            units: rows(files.units).flat_map(|(words, _)| spellings(words)).collect(),
            calendar: rows(files.calendar)
                .flat_map(|(group, words)| spellings(words).map(move |(word, canonical)| (word, (group, canonical))))
                .collect(),
            inflection: rows(files.inflection).filter_map(|(ending, rest)| Inflection::parse(ending, rest)).collect(),
            irregular: rows(files.irregular)
                .flat_map(|(base, forms)| forms.split(' ').map(move |form| (form, base)))
                .collect(),
            frames: frames(files.frames),
            leaning: rows(files.leaning)
                .flat_map(|(how, words)| words.split(' ').map(move |word| (how, word)))
                .collect(),
        }
    }

    /// What `word`, in lower case, does in a question.
    pub(crate) fn class(&self, word: &str) -> Option<Class> {
        self.classes.get(word).copied()
    }

    /// The words that the contraction `word` stands for, with a space between them.
    pub(crate) fn expand(&self, word: &str) -> Option<&'static str> {
        self.contractions.get(word).copied()
    }

    /// The number that `word` names.
    pub(crate) fn number(&self, word: &str) -> Option<f64> {
        self.numbers.get(word).copied()
    }

    /// The unit that `word` names, by its first spelling.
    pub(crate) fn unit(&self, word: &str) -> Option<&'static str> {
        self.units.get(word).copied()
    }

    /// The group and first spelling of the day, month or time that `word` names.
    pub(crate) fn calendar(&self, word: &str) -> Option<(&'static str, &'static str)> {
        self.calendar.get(word).copied()
    }

    /// The word that `word` denies by its prefix: `safe` for `unsafe`. Both must be words that people use.
    pub(crate) fn denied<'w>(&self, word: &'w str) -> Option<&'w str> {
        let hash = |word: &str| hash32(&self.base(word));
        self.prefixes.iter().find_map(|(prefix, is_always)| {
            let base = word.strip_prefix(prefix)?.trim_start_matches('-');
            let is_word = base.chars().count() >= 4 && lexicon::rarity(hash(base)).is_some();
            (is_word && (*is_always || lexicon::are_opposites(hash(word), hash(base)))).then_some(base)
        })
    }

    /// Whether a negation after `word` denies nothing.
    pub(crate) fn is_idle_before(&self, word: &str) -> bool {
        self.idle.contains(&word)
    }

    /// The word that stands for every negation.
    pub(crate) fn negation(&self) -> &'static str {
        self.negation
    }

    /// The base form of `word`: `order` for `orders`, `buy` for `bought`. Unlike stems, derived words stay apart
    /// (`customs`, `customer`).
    pub(crate) fn base(&self, word: &str) -> String {
        if let Some(base) = self.irregular.get(word) {
            return (*base).to_owned();
        }
        let own = lexicon::rarity(hash32(word)).unwrap_or(lexicon::UNKNOWN_RARITY);
        let fitting = self.inflection.iter().find_map(|rule| {
            let base = rule.apply(word)?;
            // A base much rarer than the form is no base of it ("morn", "morning").
            let is_known = lexicon::rarity(hash32(&base)).is_some_and(|rarity| rarity <= own + 6);
            (is_known || !rule.must_be_known).then_some(base)
        });
        fitting.unwrap_or_else(|| word.to_owned())
    }

    /// Whether `word` is in one of the language's lists of function words.
    pub(crate) fn lists(&self, word: &str) -> bool {
        self.classes.contains_key(word)
    }

    /// Whether `word` makes a message lean on what came before, in the way `how`: `back`, `opener`, `definite`, `which`.
    pub(crate) fn leans(&self, how: &str, word: &str) -> bool {
        self.leaning.contains(&(how, word))
    }

    /// How many of `words` lead a question in, and the question word they stand for, if any.
    pub(crate) fn frame<'w>(&self, mut words: impl Iterator<Item = &'w str> + Clone) -> Option<(usize, &'static str)> {
        let fitting = self.frames.get(words.next()?)?.iter().filter(|frame| {
            let mut rest = words.clone();
            frame.rest.iter().all(|word| rest.next() == Some(word))
        });
        fitting.max_by_key(|frame| frame.rest.len()).map(|frame| (frame.rest.len() + 1, frame.asks))
    }
}

impl Inflection {
    fn parse(ending: &'static str, rest: &'static str) -> Option<Self> {
        let (base_ending, how) = rest.split_once('\t')?;
        let base_ending = match base_ending {
            "-" => Some(""),
            "-1" => None,
            ending => Some(ending),
        };
        Some(Self { ending, base_ending, must_be_known: how == "known" })
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
        (base.chars().count() >= 3).then_some(base)
    }
}

fn frames(list: &'static str) -> HashMap<&'static str, Vec<Frame>> {
    let mut frames: HashMap<&'static str, Vec<Frame>> = HashMap::new();
    for (words, asks) in rows(list) {
        let mut words = words.split(' ');
        if let Some(first) = words.next() {
            frames.entry(first).or_default().push(Frame { rest: words.collect(), asks });
        }
    }
    frames
}

fn class(name: &str) -> Option<(Kind, Option<Role>)> {
    Some(match name {
        "negation" => (Kind::Negation, None),
        "question" => (Kind::Question, None),
        "yesno" => (Kind::Auxiliary, None),
        "modal" => (Kind::Modal, None),
        "pronoun" => (Kind::Pronoun, None),
        "scope" => (Kind::Scope, None),
        "grammar" => (Kind::Grammar, None),
        "filler" => (Kind::Filler, None),
        "from" => (Kind::Grammar, Some(Role::From)),
        "to" => (Kind::Grammar, Some(Role::To)),
        "than" => (Kind::Grammar, Some(Role::Than)),
        "before" => (Kind::Scope, Some(Role::Before)),
        "after" => (Kind::Scope, Some(Role::After)),
        _ => return None,
    })
}
