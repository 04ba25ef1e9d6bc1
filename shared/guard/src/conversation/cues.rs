//! Words that show whether a question depends on what the user said before (`facts.tsv`).

use std::collections::HashSet;
use std::sync::OnceLock;

const LIST: &str = include_str!("../../languages/en/facts.tsv");

/// What a word or the beginning of a sentence shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Cue {
    /// The user speaks of himself.
    First,
    /// Something of the user's follows.
    Possessive,
    /// The provider is addressed.
    Address,
    /// A thing that every user has.
    Everybody,
    /// The question asks for a choice.
    Advice,
    /// The answer depends on a place, a time, a person or a provider.
    Dependent,
    /// It may be an instruction about the answer.
    Reply,
    /// It may be one in a statement.
    Manner,
    /// The beginning of a question whose "I" is anybody.
    Procedure,
    /// The beginning of a question that asks for an action.
    Request,
    /// The beginning of a question that may be about the world.
    World,
    /// The beginning of a statement about the user's things, place and doings.
    Own,
    /// The beginning of a question about the provider that names all that it needs.
    Standing,
    /// The beginning of a question to the provider that has one answer for every customer.
    Provider,
    /// The beginning of a statement about something that happened, or that the user likes.
    Event,
}

impl Cue {
    const ALL: [(&'static str, Self); 15] = [
        ("first", Self::First),
        ("possessive", Self::Possessive),
        ("address", Self::Address),
        ("everybody", Self::Everybody),
        ("advice", Self::Advice),
        ("dependent", Self::Dependent),
        ("reply", Self::Reply),
        ("manner", Self::Manner),
        ("procedure", Self::Procedure),
        ("request", Self::Request),
        ("world", Self::World),
        ("own", Self::Own),
        ("standing", Self::Standing),
        ("provider", Self::Provider),
        ("event", Self::Event),
    ];

    fn is_beginning(self) -> bool {
        matches!(
            self,
            Self::Procedure | Self::Request | Self::World | Self::Own | Self::Standing | Self::Provider | Self::Event
        )
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(of, _)| *of == name).map(|(_, cue)| *cue)
    }

    /// True if `word`, in lower case, shows this.
    pub(super) fn has(self, word: &str) -> bool {
        listed().contains(&(self, word))
    }

    /// True if `sentence`, in lower case and without white space before it, begins with a phrase that shows this.
    pub(super) fn begins(self, sentence: &str) -> bool {
        let ends = sentence.match_indices(' ').map(|(at, _)| at).chain([sentence.len()]);
        ends.take(MAX_PHRASE_WORDS).any(|end| listed().contains(&(self, &sentence[..end])))
    }
}

/// No phrase has more words.
const MAX_PHRASE_WORDS: usize = 4;

fn listed() -> &'static HashSet<(Cue, &'static str)> {
    static LISTED: OnceLock<HashSet<(Cue, &'static str)>> = OnceLock::new();
    LISTED.get_or_init(|| {
        let rows = LIST.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'));
        rows.filter_map(|(name, row)| Cue::named(name).map(|cue| (cue, row)))
            .flat_map(|(cue, row)| row.split(if cue.is_beginning() { ',' } else { ' ' }).map(move |part| (cue, part)))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_known_cue_and_phrases_of_few_words() {
        for (name, row) in LIST.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t')) {
            let cue = Cue::named(name).expect("a known cue");
            assert!(!cue.is_beginning() || row.split(',').all(|phrase| phrase.split(' ').count() <= MAX_PHRASE_WORDS));
        }
    }

    #[test]
    fn beginning_of_a_sentence_is_found_at_the_end_of_a_word() {
        assert!(Cue::Own.begins("i have a dog"));
        assert!(Cue::Own.begins("i have"));
        assert!(!Cue::Own.begins("i haven't"));
        assert!(Cue::Possessive.has("my") && !Cue::Possessive.has("me"));
    }
}
