//! Instructions about material: what they add nothing by, and what they ask for (`material.tsv`).

use fnv::FnvHashSet as HashSet;

use super::lists::{columns, languages, phrases, rows};
use super::phrase::Phrases;

/// What the words before a colon at the start of a line announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Label {
    /// "Text:", "Context:".
    Material,
    /// "Question:", "Task:".
    Question,
    /// "Answer:".
    Answer,
}

/// The words of instructions about material, of all languages together: an instruction of three words does not show its
/// language.
#[derive(Default)]
pub(crate) struct Instructions {
    labels: HashSet<(Label, &'static str)>,
    /// Phrases that add nothing at any place.
    pub(crate) polite: Phrases<()>,
    /// Phrases before a name of the material as a whole.
    pub(crate) sources: Phrases<()>,
    /// Articles and demonstratives before such a name.
    pub(crate) determiners: Phrases<()>,
    /// Names of the material as a whole: "text".
    pub(crate) documents: Phrases<()>,
    /// Words after such a name that say where the material is.
    pub(crate) places: Phrases<()>,
    /// Phrases that add nothing where a task is named.
    pub(crate) light: Phrases<()>,
    /// Phrases that ask for a task, and the task.
    pub(crate) tasks: Phrases<&'static str>,
}

impl Instructions {
    pub(super) fn parse() -> Self {
        let mut this = Self::default();
        for (kind, rest) in languages().iter().flat_map(|lists| rows(lists.material)) {
            let of_row = || phrases(rest).map(|phrase| (phrase, ()));
            match kind {
                "label" => this.labels.extend(rest.split(' ').map(|word| (Label::Material, word))),
                "question-label" => this.labels.extend(rest.split(' ').map(|word| (Label::Question, word))),
                "answer-label" => this.labels.extend(rest.split(' ').map(|word| (Label::Answer, word))),
                "polite" => this.polite.extend(of_row()),
                "source" => this.sources.extend(of_row()),
                "determiner" => this.determiners.extend(of_row()),
                "document" => this.documents.extend(of_row()),
                "place" => this.places.extend(of_row()),
                "light" => this.light.extend(of_row()),
                "task" => {
                    let (task, row) = columns(rest);
                    this.tasks.extend(phrases(row).map(|phrase| (phrase, task)));
                }
                _ => {}
            }
        }
        this
    }

    /// What `word` before a colon announces. Its case does not matter.
    pub(crate) fn label(&self, word: &str) -> Option<Label> {
        let word = word.to_lowercase();
        let labels = [Label::Material, Label::Question, Label::Answer];
        labels.into_iter().find(|label| self.labels.contains(&(*label, word.as_str())))
    }
}
