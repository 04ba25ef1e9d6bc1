//! The exact bound of a share that was counted (C. J. Clopper and E. S. Pearson, Biometrika 26, 1934).

/// The certainty of [`upper_bound`].
pub(crate) const CERTAINTY: f64 = 0.95;

/// The share that the true one does not exceed, with a certainty of [`CERTAINTY`], if `found` of `of` were counted. 1 if
/// nothing was counted. `found` must be at most `of`.
pub(crate) fn upper_bound(found: usize, of: usize) -> f64 {
    if found >= of {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    // 60 halvings reach the precision of a float64.
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if at_most(found, of, middle) > 1.0 - CERTAINTY { low = middle } else { high = middle }
    }
    high
}

/// The probability that at most `found` of `of` draws hit, if each hits with probability `p`, in (0, 1).
fn at_most(found: usize, of: usize, p: f64) -> f64 {
    let odds = (p / (1.0 - p)).ln();
    let mut term = of as f64 * (1.0 - p).ln();
    let mut sum = term.exp();
    for hits in 1..=found {
        term += ((of - hits + 1) as f64 / hits as f64).ln() + odds;
        sum += term.exp();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_bound_is_that_of_the_tables() {
        // SciPy 1.17: `beta.ppf(0.95, found + 1, of - found)`.
        for (found, of, bound) in [(0, 100, 0.029_51), (0, 149, 0.019_90), (1, 100, 0.046_56), (5, 100, 0.102_3)] {
            assert!((upper_bound(found, of) - bound).abs() < 5e-5, "{found} of {of}: {}", upper_bound(found, of));
        }
        assert_eq!((upper_bound(0, 0), upper_bound(7, 7)), (1.0, 1.0));
    }

    #[test]
    fn upper_bound_falls_with_more_draws_and_is_above_the_share_that_was_found() {
        let bounds: Vec<f64> = (1..60).map(|n| upper_bound(n, 50 * n)).collect();
        assert!(bounds.is_sorted_by(|a, b| a > b), "{bounds:?}");
        assert!(bounds.iter().all(|bound| *bound > 0.02), "{bounds:?}");
    }

    #[test]
    fn share_above_the_bound_is_found_at_most_once_in_twenty_draws() {
        // Exact, without drawing: the probability of counts whose bound lies below the true share.
        for (of, p) in [(50, 0.02), (200, 0.05), (400, 0.3)] {
            let misses = (0..of).take_while(|found| upper_bound(*found, of) < p).last();
            let probability = misses.map_or(0.0, |found| at_most(found, of, p));
            assert!(probability <= 1.0 - CERTAINTY + 1e-9, "{of} draws of {p}: {probability}");
        }
    }
}
