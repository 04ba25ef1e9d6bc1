//! The scale of an embedder, from its vectors of the sample.

use mneme_model::scale::{REFERENCE_KNOTS, Scale};

use super::sample::{LEVELS, Language, QUANTILES, languages};
use crate::replica::similarity;

/// An embedder reads a language if so large a share of the related questions is more similar than an unrelated pair is
/// at [`UNRELATED`].
const MIN_RELATED: f64 = 0.5;

/// The quantile of the unrelated pairs in [`MIN_RELATED`].
const UNRELATED: f64 = 0.95;

/// The scale of the embedder that made `vectors`, one for each text of [`languages`], in their order; `None` for a text
/// that it cannot read.
///
/// In each language that the embedder reads, its similarity at a quantile of the compared pairs belongs to the
/// reference's similarity at that quantile. The scale is the mean of the languages, each weighted by its pairs. It is
/// [`Scale::IDENTITY`] if the embedder reads none of them.
pub(super) fn scale_of(vectors: &[Option<&[f32]>]) -> Scale {
    let mut rest = vectors;
    let mut sums = [0.0; REFERENCE_KNOTS.len()];
    let mut weight = 0.0;
    for language in languages() {
        let (own, others) = rest.split_at(language.texts.len().min(rest.len()));
        rest = others;
        let Some((pairs, at_knots)) = similarities_at_knots(language, own) else { continue };
        sums.iter_mut().zip(at_knots).for_each(|(sum, value)| *sum += pairs * value);
        weight += pairs;
    }
    if weight > 0.0 { Scale::from_similarities(sums.map(|sum| sum / weight)) } else { Scale::IDENTITY }
}

/// The number of compared pairs of one language, and the embedder's similarities at [`REFERENCE_KNOTS`]. `None` if the
/// embedder does not read the language.
fn similarities_at_knots(
    language: &Language,
    vectors: &[Option<&[f32]>],
) -> Option<(f32, [f32; REFERENCE_KNOTS.len()])> {
    let of = |(a, b): (usize, usize)| Some(similarity(vectors.get(a).copied()??, vectors.get(b).copied()??));
    let related: Vec<f32> = language.related().map(of).collect::<Option<_>>()?;
    let mut all: Vec<f32> = language.unrelated().map(of).collect::<Option<_>>()?;
    all.sort_by(f32::total_cmp);
    let limit = quantile(&all, UNRELATED)?;
    let above = related.iter().filter(|similarity| **similarity > limit).count();
    if (above as f64) < MIN_RELATED * related.len() as f64 {
        return None;
    }
    all.extend(related);
    all.sort_by(f32::total_cmp);
    let mut own = [0.0; LEVELS];
    for (own, level) in own.iter_mut().zip(QUANTILES) {
        *own = quantile(&all, level)?;
    }
    let points = || std::iter::once((-1.0, -1.0)).chain(language.reference.into_iter().zip(own)).chain([(1.0, 1.0)]);
    Some((all.len() as f32, REFERENCE_KNOTS.map(|knot| value_at(knot, points()))))
}

/// The value below which the share `level` of the `sorted` values lies, with linear interpolation.
fn quantile(sorted: &[f32], level: f64) -> Option<f32> {
    let place = level * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract() as f32)
}

/// The value at `x` of the line through `points`, which rise in their first coordinate from −1 to 1.
fn value_at(x: f32, points: impl Iterator<Item = (f32, f32)>) -> f32 {
    let mut last = (-1.0, -1.0);
    for (at, value) in points {
        if x <= at && at > last.0 {
            return last.1 + (value - last.1) * (x - last.0) / (at - last.0);
        }
        last = (at, value);
    }
    last.1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vector of length 1 whose similarity to others of its topic is about `within`, and to those of other topics
    /// about `across`.
    fn vector(at: usize, within: f32, across: f32) -> Vec<f32> {
        let topic = at / 5;
        let mut vector = vec![0.0; 600];
        (vector[0], vector[1 + topic], vector[100 + at]) =
            (across.sqrt(), (within - across).sqrt(), (1.0 - within).sqrt());
        vector
    }

    fn scale(vectors: &[Vec<f32>]) -> Scale {
        scale_of(&vectors.iter().map(|vector| Some(vector.as_slice())).collect::<Vec<_>>())
    }

    fn texts() -> usize {
        languages().iter().map(|language| language.texts.len()).sum()
    }

    #[test]
    fn scale_of_an_embedder_whose_similarities_are_all_high_lowers_them() {
        let vectors: Vec<Vec<f32>> = (0..texts()).map(|at| vector(at, 0.95, 0.8)).collect();
        let scale = scale(&vectors);
        assert!(scale.scaled(0.79) < 0.3, "{}", scale.scaled(0.79));
        assert!(scale.scaled(0.96) > 0.85, "{}", scale.scaled(0.96));
    }

    #[test]
    fn scale_of_vectors_that_say_nothing_is_the_identity() {
        let unrelated: Vec<Vec<f32>> = (0..texts()).map(|at| vector(at, 0.5, 0.5)).collect();
        assert_eq!(scale(&unrelated), Scale::IDENTITY);
        assert_eq!(scale_of(&vec![None; texts()]), Scale::IDENTITY);
        assert_eq!(scale_of(&[]), Scale::IDENTITY);
    }

    #[test]
    fn language_that_the_embedder_does_not_read_has_no_part_in_the_scale() {
        let all: Vec<Vec<f32>> = (0..texts()).map(|at| vector(at, 0.9, 0.1)).collect();
        let english = languages()[0].texts.len();
        let some = |at: usize| (at < english).then(|| all[at].as_slice());
        let english_only: Vec<_> = (0..texts()).map(some).collect();
        let broken: Vec<_> = (0..texts()).map(|at| some(at).or(Some(all[0].as_slice()))).collect();
        assert_eq!(scale_of(&broken), scale_of(&english_only));
        assert!(!scale_of(&english_only).is_identity());
    }
}
