//! Frames: introductory phrases of a question, such as "can you tell me" and "what is the best way to" (`frames.tsv`).

use std::collections::HashMap;

use super::lists::rows;

/// The frames of one language.
pub(super) struct Frames {
    /// By a frame's first word.
    by_first_word: HashMap<&'static str, Vec<Frame>>,
}

struct Frame {
    /// The words after the first.
    rest: Vec<&'static str>,
    /// The question word with the meaning of the frame, or an empty text.
    question_word: &'static str,
}

impl Frames {
    pub(super) fn parse(list: &'static str) -> Self {
        let mut by_first_word: HashMap<&'static str, Vec<Frame>> = HashMap::new();
        for (words, question_word) in rows(list) {
            let mut words = words.split(' ');
            if let Some(first) = words.next() {
                by_first_word.entry(first).or_default().push(Frame { rest: words.collect(), question_word });
            }
        }
        Self { by_first_word }
    }

    /// The longest frame that `words` begin with: its number of words, and the question word with the same meaning,
    /// or an empty text.
    pub(super) fn longest<'w>(
        &self,
        mut words: impl Iterator<Item = &'w str> + Clone,
    ) -> Option<(usize, &'static str)> {
        let fitting = self.by_first_word.get(words.next()?)?.iter().filter(|frame| {
            let mut rest = words.clone();
            frame.rest.iter().all(|word| rest.next() == Some(word))
        });
        fitting.max_by_key(|frame| frame.rest.len()).map(|frame| (frame.rest.len() + 1, frame.question_word))
    }
}
