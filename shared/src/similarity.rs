//! Cosine similarity of unit vectors: larger is closer.

use simsimd::SpatialSimilarity;

/// The cosine similarity of two unit vectors of the same length, in [-1, 1], by simsimd's float32 dot product.
///
/// # Panics
///
/// When the lengths differ, which callers have ruled out.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = <f32 as SpatialSimilarity>::dot(a, b).expect("vectors of one length");
    (dot as f32).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedding::Embedding;

    fn scalar(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_loop(pairs in prop::collection::vec((-1f32..1.0, -1f32..1.0), 1..400)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let (Ok(a), Ok(b)) = (Embedding::normalized(a), Embedding::normalized(b)) else { return Ok(()) };
            let similarity = cosine(a.as_slice(), b.as_slice());
            prop_assert!((f64::from(similarity) - scalar(a.as_slice(), b.as_slice())).abs() < 1e-5);
        }
    }
}
