//! Words by which an exchange of two parts of a question is judged (`symmetric.tsv`).

use fnv::FnvHashSet as HashSet;

use super::Language;
use super::detect::ToldLanguage;
use super::inflection::Inflection;
use super::lexicon::hash32;
use super::lists::{ENGLISH, words_of};

/// The words of one language, by the hashes that signatures hold.
pub(crate) struct Relations {
    /// Between two parts, they join them as equals.
    pub(crate) connectives: HashSet<u32>,
    /// Anywhere in a question, they relate two parts as equals.
    pub(crate) symmetric: HashSet<u32>,
    /// They do not decide the role of what follows.
    pub(crate) articles: HashSet<u32>,
    /// They precede the one who does something, after a passive verb.
    pub(crate) agents: HashSet<u32>,
    /// Pronouns of the first, second and third person.
    pub(crate) persons: [HashSet<u32>; 3],
    /// Pronouns of the one who does something.
    pub(crate) subjects: HashSet<u32>,
    /// Pronouns of the one to whom something is done.
    pub(crate) objects: HashSet<u32>,
    /// Question words that ask for one who does something, or for one to whom it is done.
    pub(crate) participants: HashSet<u32>,
    /// Those among them that no noun follows.
    pub(crate) persons_asked: HashSet<u32>,
    /// Prepositions that mark the one to whom something is done: Spanish "a".
    pub(crate) object_markers: HashSet<u32>,
    /// Auxiliaries that support a verb whose subject follows them: "did".
    pub(crate) supports: HashSet<u32>,
    /// The auxiliaries of the passive.
    pub(crate) passives: HashSet<u32>,
    /// Articles of the one who does something, and of the one to whom it is done: German "der" and "den".
    pub(crate) subject_articles: HashSet<u32>,
    pub(crate) object_articles: HashSet<u32>,
    /// The last word of a question may be its verb, so that both participants stand before it.
    pub(crate) has_final_verb: bool,
}

impl Relations {
    pub(super) fn parse(list: &'static str, inflection: &Inflection) -> Self {
        let of = |name| -> HashSet<u32> {
            words_of(list, name).flat_map(|word| [hash32(word), hash32(&inflection.base(word))]).collect()
        };
        Self {
            connectives: of("connective"),
            symmetric: of("relation"),
            articles: of("article").into_iter().chain(words_of(ENGLISH.symmetric, "article").map(hash32)).collect(),
            agents: of("agent"),
            persons: ["first", "second", "third"].map(of),
            subjects: of("subject"),
            objects: of("object"),
            participants: of("participant"),
            persons_asked: of("person-asked"),
            object_markers: of("object-marker"),
            supports: of("support"),
            passives: of("passive"),
            subject_articles: of("subject-article"),
            object_articles: of("object-article"),
            has_final_verb: words_of(list, "final").any(|word| word == "verb"),
        }
    }

    /// The words of the language of two texts, or of English if it is not told.
    pub(crate) fn of(a: ToldLanguage, b: ToldLanguage) -> &'static Self {
        let index = [a, b].into_iter().find_map(ToldLanguage::index).unwrap_or(0);
        &Language::all()[index].relations
    }
}
