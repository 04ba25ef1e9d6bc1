//! The questions that a scale is learned from, and which of them are compared.

use std::sync::OnceLock;

/// The number of questions on one topic in one language.
const PER_TOPIC: usize = 5;

/// Questions on topics that stand at most so far from each other, in the order of the file, are compared.
const REACH: usize = 3;

/// The number of quantiles in [`QUANTILES`].
pub(super) const LEVELS: usize = 15;

/// The shares of the pairs below each similarity in a language's `reference`. They are dense at the end, where the
/// questions on one topic are.
pub(super) const QUANTILES: [f64; LEVELS] =
    [0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.86, 0.88, 0.9, 0.92, 0.94, 0.955, 0.97, 0.98, 0.99];

/// The questions of one language.
#[derive(Debug)]
pub(super) struct Language {
    /// Topic by topic, [`PER_TOPIC`] each.
    pub(super) texts: Vec<&'static str>,
    /// The similarities of the reference model at [`QUANTILES`], for the same questions in English.
    pub(super) reference: [f32; LEVELS],
}

/// The languages of the sample. `tests/quality/reference_scale.py` reads the same file and makes the reference.
pub(super) fn languages() -> &'static [Language] {
    static LANGUAGES: OnceLock<Vec<Language>> = OnceLock::new();
    LANGUAGES.get_or_init(|| {
        let lines = |text: &'static str| text.lines().filter(|line| !line.starts_with('#'));
        let reference = lines(include_str!("reference.tsv")).filter_map(|line| {
            let (language, values) = line.split_once('\t')?;
            let values: Vec<f32> = values.split('\t').filter_map(|value| value.parse().ok()).collect();
            Some((language, values.try_into().ok()?))
        });
        let questions = |wanted: &str| {
            let of_line = |line: &'static str| {
                let (_topic, rest) = line.split_once('\t')?;
                let (language, texts) = rest.split_once('\t')?;
                (language == wanted).then(|| texts.split('\t'))
            };
            lines(include_str!("texts.tsv")).filter_map(of_line).flatten().collect()
        };
        reference.map(|(language, reference)| Language { texts: questions(language), reference }).collect()
    })
}

impl Language {
    /// The pairs of questions on one topic, as places in `texts`.
    pub(super) fn related(&self) -> impl Iterator<Item = (usize, usize)> {
        let topics = (0..self.texts.len()).step_by(PER_TOPIC);
        topics.flat_map(|topic| (0..PER_TOPIC).flat_map(move |j| (0..j).map(move |i| (topic + i, topic + j))))
    }

    /// The pairs of questions on two topics that are compared, as places in `texts`.
    pub(super) fn unrelated(&self) -> impl Iterator<Item = (usize, usize)> {
        let topics = self.texts.len() / PER_TOPIC;
        let neighbours = move |topic: usize| (1..=REACH).map(move |step| (topic, (topic + step) % topics));
        let questions = |(a, b): (usize, usize)| {
            (0..PER_TOPIC * PER_TOPIC).map(move |at| (a * PER_TOPIC + at / PER_TOPIC, b * PER_TOPIC + at % PER_TOPIC))
        };
        (0..topics).flat_map(neighbours).flat_map(questions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_has_five_questions_for_each_topic_and_a_rising_reference_for_each_language() {
        let sizes: Vec<usize> = languages().iter().map(|language| language.texts.len()).collect();
        assert_eq!(sizes, [100, 50, 50, 30, 40, 20, 20]);
        for Language { texts, reference } in languages() {
            assert!(reference.is_sorted(), "{reference:?}");
            assert!(texts.iter().all(|text| !text.trim().is_empty()));
        }
    }

    #[test]
    fn pairs_of_a_language_are_those_that_the_reference_was_made_from() {
        let english = &languages()[0];
        assert_eq!((english.related().count(), english.unrelated().count()), (200, 1500));
        assert_eq!(english.related().take(3).collect::<Vec<_>>(), [(0, 1), (0, 2), (1, 2)]);
        assert_eq!(english.unrelated().last(), Some((99, 14)));
    }
}
