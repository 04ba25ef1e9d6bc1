//! The scale of an embedder: its similarities, as the reference model would give them.
//!
//! Each embedder spreads its similarities differently. Unrelated questions have about 0.1 with all-MiniLM-L6-v2, the
//! reference, and about 0.8 with multilingual-e5-small. A scale maps the similarities of one embedder to those of the
//! reference, so that a threshold and the guard's probability mean the same for each embedder.

/// The similarities of the reference at which a scale knows those of its embedder. 1 belongs to 1, and −1 to −1.
pub const REFERENCE_KNOTS: [f32; 13] = [-0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95];

/// The version of [`Scale::to_bytes`].
const VERSION: u8 = 1;

/// How many steps a stored similarity has from −1 to 1.
const STEPS: f32 = 65_535.0;

/// Candidates are searched from this much below the raw threshold on, because the way back from it is rounded.
const ROUNDING: f32 = 1e-4;

/// A monotone map from the similarities of one embedder to those of the reference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scale {
    /// The embedder's similarity at each of [`REFERENCE_KNOTS`], rising, in steps from −1 on. `None`: similarities are
    /// taken as they are.
    at_knots: Option<[u16; REFERENCE_KNOTS.len()]>,
}

impl Scale {
    /// The scale of the reference, and of an embedder whose scale cannot be learned.
    pub const IDENTITY: Self = Self { at_knots: None };

    /// The scale of an embedder with these similarities at [`REFERENCE_KNOTS`]. A value that does not exceed the one
    /// before it is raised by one step, so that the map has an inverse.
    pub fn from_similarities(similarities: [f32; REFERENCE_KNOTS.len()]) -> Self {
        let mut last = 0;
        let steps = similarities.map(|similarity| {
            let steps = ((similarity.clamp(-1.0, 1.0) + 1.0) / 2.0 * STEPS).round() as u16;
            // There is room for the knots that follow below the last step, which stands for 1.
            last = steps.min(u16::MAX - REFERENCE_KNOTS.len() as u16).max(last + 1);
            last
        });
        Self { at_knots: Some(steps) }
    }

    /// Whether similarities are taken as they are.
    pub fn is_identity(&self) -> bool {
        self.at_knots.is_none()
    }

    /// The similarity that the reference would give where the embedder gives `similarity`.
    pub fn scaled(&self, similarity: f32) -> f32 {
        match &self.at_knots {
            Some(at_knots) => interpolate(similarity, points(at_knots)),
            None => similarity,
        }
    }

    /// A similarity of the embedder below which none reaches `threshold` on the scale of the reference.
    pub fn raw_threshold(&self, threshold: f32) -> f32 {
        match &self.at_knots {
            Some(at_knots) => interpolate(threshold, points(at_knots).map(|(own, knot)| (knot, own))) - ROUNDING,
            None => threshold,
        }
    }

    /// The stored form: a version, and two bytes for each knot; the version alone for [`Scale::IDENTITY`].
    pub fn to_bytes(self) -> Vec<u8> {
        let steps = self.at_knots.iter().flatten().flat_map(|steps| steps.to_be_bytes());
        std::iter::once(VERSION).chain(steps).collect()
    }

    /// Reads the stored form. `None` if it is of another version, or no rising map.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, steps) = bytes.split_first()? else { return None };
        if steps.is_empty() {
            return Some(Self::IDENTITY);
        }
        let (pairs, rest) = steps.as_chunks::<2>();
        let steps: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
        let at_knots: [u16; REFERENCE_KNOTS.len()] = steps.try_into().ok()?;
        (rest.is_empty() && at_knots.is_sorted_by(|a, b| a < b)).then_some(Self { at_knots: Some(at_knots) })
    }
}

/// The similarity of the embedder and of the reference at each knot, from −1 to 1.
fn points(at_knots: &[u16; REFERENCE_KNOTS.len()]) -> impl Iterator<Item = (f32, f32)> {
    let own = at_knots.iter().map(|steps| f32::from(*steps) / STEPS * 2.0 - 1.0);
    std::iter::once((-1.0, -1.0)).chain(own.zip(REFERENCE_KNOTS)).chain([(1.0, 1.0)])
}

/// The value at `x` of the line through `points`, which rise in both coordinates. Outside of them it is `x`.
fn interpolate(x: f32, points: impl Iterator<Item = (f32, f32)>) -> f32 {
    let mut before = None;
    for (at, value) in points {
        match before {
            Some((last_at, last)) if x < at => {
                return if x < last_at { x } else { last + (value - last) * (x - last_at) / (at - last_at) };
            }
            _ => before = Some((at, value)),
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The scale of an embedder whose similarities lie above 0.7.
    fn narrow() -> Scale {
        Scale::from_similarities(REFERENCE_KNOTS.map(|knot| 0.75 + 0.25 * knot))
    }

    #[test]
    fn scaled_similarity_of_a_narrow_embedder_is_that_of_the_reference() {
        for knot in REFERENCE_KNOTS {
            assert!((narrow().scaled(0.75 + 0.25 * knot) - knot).abs() < 1e-3, "{knot}");
        }
        assert_eq!((narrow().scaled(1.0), narrow().scaled(-1.0)), (1.0, -1.0));
        assert_eq!(Scale::IDENTITY.scaled(0.3), 0.3);
    }

    #[test]
    fn similarities_that_do_not_rise_give_a_rising_map() {
        for similarities in [[1.0; 13], [-1.0; 13], [f32::NAN; 13]] {
            let scale = Scale::from_similarities(similarities);
            assert_eq!(Scale::from_bytes(&scale.to_bytes()), Some(scale), "{similarities:?}");
        }
    }

    #[test]
    fn stored_form_is_read_again_and_another_one_is_not() {
        for scale in [narrow(), Scale::IDENTITY] {
            assert_eq!(Scale::from_bytes(&scale.to_bytes()), Some(scale));
        }
        let stored = narrow().to_bytes();
        assert_eq!(stored.len(), 27);
        let falling: Vec<u8> = stored[..1].iter().chain(stored[1..].iter().rev()).copied().collect();
        for bad in [&[][..], &[2], &stored[..26], &stored[..25], &falling] {
            assert_eq!(Scale::from_bytes(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn scale_is_monotone_and_no_similarity_below_the_raw_threshold_reaches_the_threshold(
            similarities in prop::array::uniform13(-1.0f32..1.0), a in -1.0f32..1.0, b in -1.0f32..1.0
        ) {
            let mut rising = similarities;
            rising.sort_by(f32::total_cmp);
            let scale = Scale::from_similarities(rising);
            prop_assert!(scale.scaled(a.min(b)) <= scale.scaled(a.max(b)));
            if a < scale.raw_threshold(b) {
                prop_assert!(scale.scaled(a) < b);
            }
        }
    }
}
