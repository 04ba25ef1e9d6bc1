//! Phrases: rows of words in a text, each with a meaning. Frames are the introductory phrases of a question, such as
//! "can you tell me" and "what is the best way to" (`frames.tsv`).

use fnv::FnvHashMap as HashMap;

use super::lists::rows;

/// Phrases of one language. `M` is the meaning of a phrase.
pub(crate) struct Phrases<M> {
    /// By a phrase's first word.
    by_first_word: HashMap<&'static str, Vec<Phrase<M>>>,
}

struct Phrase<M> {
    /// The words after the first.
    rest: Vec<&'static str>,
    meaning: M,
}

impl Phrases<&'static str> {
    /// Parses `frames.tsv`. The meaning of a frame is the question word of the same meaning, or an empty text.
    pub(super) fn parse_frames(list: &'static str) -> Self {
        rows(list).collect()
    }
}

impl<M> Default for Phrases<M> {
    fn default() -> Self {
        Self { by_first_word: HashMap::default() }
    }
}

impl<M> Extend<(&'static str, M)> for Phrases<M> {
    fn extend<I: IntoIterator<Item = (&'static str, M)>>(&mut self, phrases: I) {
        for (phrase, meaning) in phrases {
            let mut words = phrase.split(' ');
            if let Some(first) = words.next() {
                self.by_first_word.entry(first).or_default().push(Phrase { rest: words.collect(), meaning });
            }
        }
    }
}

impl<M> FromIterator<(&'static str, M)> for Phrases<M> {
    fn from_iter<I: IntoIterator<Item = (&'static str, M)>>(phrases: I) -> Self {
        let mut this = Self::default();
        this.extend(phrases);
        this
    }
}

impl<M: Copy> Phrases<M> {
    /// The longest phrase that `words` begin with: its number of words, and its meaning.
    pub(crate) fn longest<'w>(&self, mut words: impl Iterator<Item = &'w str> + Clone) -> Option<(usize, M)> {
        let fitting = self.by_first_word.get(words.next()?)?.iter().filter(|phrase| {
            let mut rest = words.clone();
            phrase.rest.iter().all(|word| rest.next() == Some(word))
        });
        fitting.max_by_key(|phrase| phrase.rest.len()).map(|phrase| (phrase.rest.len() + 1, phrase.meaning))
    }
}
