//! A query that is prepared for one basis: the integer test of level 1, and the bounds of level 2.

use simsimd::SpatialSimilarity;

use crate::basis::{Basis, MAX_CODE, MAX_DIRECTIONS, MAX_LEVEL2_COORDINATES, squared_norm};
use crate::encode::Level2Row;
use crate::error::Error;
use crate::kernel::{GROUPS, Kernel};
use crate::memory::signed;

/// A query prepared for level 1. Level 2 computes the remaining coordinates when it is needed.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    basis: &'a Basis,
    vector: &'a [f32],
    squared_norm: f64,
    coordinates: [f32; MAX_DIRECTIONS],
    weights: [i8; 4 * *GROUPS.end()],
    /// The similarity that one unit of the integer score represents.
    unit: f64,
    /// Σ coordinate × offset: the product of the query with a row whose codes are all zero.
    base: f64,
    /// The upper bound of level 1 is `base + unit * score + level1_slack`.
    level1_slack: f64,
    /// The part of `level1_slack` for the rounding of the weights, for a score without the residual.
    scored_slack: f64,
}

/// A query prepared for level 2. It is made when the first row has passed level 1.
#[derive(Debug)]
pub(crate) struct Level2Query {
    weights: [i8; MAX_LEVEL2_COORDINATES],
    /// The similarity that one unit of the integer product represents.
    unit: f64,
    /// The norm of the coordinates of both levels.
    norm: f64,
    /// What to add for the rounding of the weights.
    rounding: f64,
    /// The norm of the remainder: the part of the query outside the directions.
    remainder: f64,
}

impl<'a> Query<'a> {
    /// Prepares level 1. `vector`: unit norm, `[dim]`.
    ///
    /// Errors: `Dimension`, `NotUnit`.
    pub(crate) fn new(basis: &'a Basis, kernel: Kernel, vector: &'a [f32]) -> Result<Self, Error> {
        let squared_norm = squared_norm(vector, basis.dim)?;
        let level1 = basis.level1();
        let mut coordinates = [0f32; MAX_DIRECTIONS];
        basis.project(kernel, vector, 0, &mut coordinates[..level1]);
        let p = &coordinates[..level1];
        let (mut base, mut energy, mut largest) = (0.0, 0.0, 0f64);
        for ((p, offset), step) in p.iter().zip(&basis.offsets).zip(&basis.steps) {
            let p = f64::from(*p);
            base += p * f64::from(*offset);
            energy += p * p;
            largest = largest.max((p * f64::from(*step)).abs());
        }
        let residual = (squared_norm - energy + basis.remainder_slack()).max(0.0).sqrt();
        let residual_share = residual * f64::from(basis.residual_step);
        let unit = (largest / 127.0).max(residual_share / 127.0 * (1.0 + 1e-6)).max(f64::MIN_POSITIVE);
        let mut weights = [0i8; 4 * *GROUPS.end()];
        let (mut left_over, mut lost) = (0.0, 0f64);
        for (j, p) in p.iter().enumerate() {
            let worth = f64::from(*p) * f64::from(basis.steps[j]);
            let weight = (worth / unit).round().clamp(-127.0, 127.0);
            weights[j] = weight as i8;
            let lost_here = worth - unit * weight;
            left_over += lost_here * f64::from(basis.centres[j]);
            lost += lost_here * lost_here;
        }
        let mut residual_weight = (residual_share / unit).ceil();
        if residual_weight * unit < residual_share {
            residual_weight += 1.0;
        }
        debug_assert!(residual_weight <= f64::from(MAX_CODE));
        weights[level1] = residual_weight as i8;
        let scored_slack = left_over + lost.sqrt() * f64::from(basis.spread);
        let level1_slack = scored_slack
            + energy.sqrt() * f64::from(basis.level1_error)
            + residual * f64::from(basis.residual_floor)
            + basis.slack();
        Ok(Self { basis, vector, squared_norm, coordinates, weights, unit, base, level1_slack, scored_slack })
    }

    pub(crate) fn weights(&self) -> &[i8] {
        &self.weights[..4 * self.basis.groups]
    }

    /// The smallest integer score with which the upper bound of a row can reach `threshold`.
    pub(crate) fn integer_threshold(&self, threshold: f32) -> i32 {
        // Rounded down, and less one for the rounding of the division. The conversion saturates.
        ((f64::from(threshold) - self.base - self.level1_slack) / self.unit - 1.0).floor() as i32
    }

    /// Prepares level 2, and computes the coordinates that it needs.
    pub(crate) fn level2(&mut self, kernel: Kernel) -> Level2Query {
        let (from, directions) = (self.basis.level1(), self.basis.scales.len());
        let second = &mut self.coordinates[from..directions];
        self.basis.project(kernel, self.vector, from, second);
        let largest = second.iter().fold(0f32, |largest, p| largest.max(p.abs()));
        let unit = (f64::from(largest) / 127.0).max(f64::MIN_POSITIVE);
        let mut weights = [0i8; MAX_LEVEL2_COORDINATES];
        let mut lost = 0.0;
        for (weight, p) in weights.iter_mut().zip(&*second) {
            let rounded = (f64::from(*p) / unit).round().clamp(-127.0, 127.0);
            *weight = rounded as i8;
            lost += (f64::from(*p) - unit * rounded).powi(2);
        }
        let energy: f64 = self.coordinates[..directions].iter().map(|p| f64::from(*p).powi(2)).sum();
        let step = f64::from(self.basis.level2_step);
        // An upper bound of the norm of the values that the codes represent: they differ from the coordinates of the
        // row, whose norm is at most 1.01, by at most half a step each.
        let codes_norm = 1.01 + step / 2.0 * (MAX_LEVEL2_COORDINATES as f64).sqrt();
        Level2Query {
            weights,
            unit: unit * step,
            norm: energy.sqrt(),
            rounding: lost.sqrt() * codes_norm,
            remainder: (self.squared_norm - energy + self.basis.remainder_slack()).max(0.0).sqrt(),
        }
    }

    /// An upper bound of the similarity of a row that is not an outlier, computed by integer products.
    ///
    /// `score`: the score of level 1, including the residual. `line`: the level 2 of the row.
    pub(crate) fn coarse_bound(&self, query: &Level2Query, score: i32, residual_code: u8, line: &[u8]) -> f64 {
        let residual_weight = self.weights[self.basis.level1()];
        let score = score - i32::from(residual_weight) * i32::from(residual_code);
        let Level2Row { codes, remainder, error } = Level2Row::parse(line);
        let (Some(remainder), Some(error)) = (remainder, error) else { return 1.0 };
        let weights = &query.weights[..codes.len()];
        let products = <i8 as SpatialSimilarity>::dot(signed(codes), weights).expect("vectors of one length");
        self.base
            + self.unit * f64::from(score)
            + self.scored_slack
            + query.unit * products
            + query.rounding
            + query.norm * error
            + query.remainder * remainder
            + self.basis.slack()
    }

    /// The tightest upper bound that the codes of a row allow. It does not round the query, and holds for outliers too.
    ///
    /// `line`: the level 2 of the row.
    pub(crate) fn fine_bound(&self, query: &Level2Query, level1: impl Iterator<Item = u8>, line: &[u8]) -> f64 {
        let Level2Row { codes, remainder, error } = Level2Row::parse(line);
        let (Some(remainder), Some(error)) = (remainder, error) else { return 1.0 };
        let (first, second) = self.coordinates[..self.basis.scales.len()].split_at(self.basis.level1());
        let scored: f64 = first
            .iter()
            .zip(&self.basis.steps)
            .zip(level1)
            .map(|((p, step), code)| f64::from(*p) * f64::from(*step) * f64::from(code))
            .sum();
        let products: f64 = second.iter().zip(codes).map(|(p, code)| f64::from(*p) * f64::from(*code as i8)).sum();
        self.base
            + scored
            + f64::from(self.basis.level2_step) * products
            + query.norm * error
            + query.remainder * remainder
            + self.basis.slack()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::basis::MIN_TRAINING_ROWS;
    use crate::float_rows::similarity;

    const DIM: usize = 96;

    fn unit(row: &[f64]) -> Vec<f32> {
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.iter().map(|x| (x / norm) as f32).collect()
    }

    fn drawn(rng: &mut fastrand::Rng) -> Vec<f32> {
        unit(&(0..DIM).map(|j| (rng.f64() - 0.5) / (1.0 + j as f64).sqrt()).collect::<Vec<_>>())
    }

    /// The part of `vector` outside the directions with these coordinates.
    fn remainder(basis: &Basis, vector: &[f32], coordinates: &[f64]) -> Vec<f64> {
        let mut remainder: Vec<f64> = vector.iter().map(|x| f64::from(*x)).collect();
        for ((row, scale), y) in basis.matrix.chunks(DIM).zip(&basis.scales).zip(coordinates) {
            remainder.iter_mut().zip(row).for_each(|(x, weight)| *x -= y * f64::from(*scale) * f64::from(*weight));
        }
        remainder
    }

    /// The row for which the level-1 bound of `query` is tightest, so that a missing term would show. Its codes deviate
    /// from the centres along the rounding errors of the query's weights. Its coordinates deviate from their codes
    /// along the query. Its remainder is parallel to that of the query.
    fn worst_row(basis: &Basis, query: &Query<'_>, share: f64) -> Option<Vec<f32>> {
        let level1 = basis.level1();
        let p: Vec<f64> = query.coordinates[..level1].iter().map(|p| f64::from(*p)).collect();
        let lost: Vec<f64> = p
            .iter()
            .zip(&basis.steps)
            .zip(&query.weights)
            .map(|((p, step), weight)| p * f64::from(*step) - query.unit * f64::from(*weight))
            .collect();
        let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
        let (lost_norm, p_norm) = (norm(&lost), norm(&p));
        let y: Vec<f64> = (0..level1)
            .map(|j| {
                let code = f64::from(basis.centres[j]) + share * f64::from(basis.spread) * lost[j] / lost_norm;
                let step = f64::from(basis.steps[j]);
                let off = (f64::from(basis.level1_error) * p[j] / p_norm).clamp(-0.49 * step, 0.49 * step);
                f64::from(basis.offsets[j]) + step * code.round().clamp(0.0, 127.0) + off
            })
            .collect();
        let left = 1.0 - y.iter().map(|y| y * y).sum::<f64>();
        let outside = remainder(basis, query.vector, &p);
        let outside_norm = norm(&outside);
        (left > 0.0).then(|| {
            let mut row = remainder(basis, &[0.0; DIM], &y.iter().map(|y| -y).collect::<Vec<_>>());
            row.iter_mut().zip(outside).for_each(|(x, out)| *x += left.sqrt() * out / outside_norm);
            unit(&row)
        })
    }

    /// The query for which the bound of `row` is tightest: along the errors of the row's codes, and along its
    /// remainder.
    fn worst_query(basis: &Basis, row: &[f32], directions: usize, share: f64) -> Vec<f32> {
        let codes = basis.encode(Kernel::Portable, row).unwrap();
        let mut y = vec![0f32; directions];
        basis.project(Kernel::Portable, row, 0, &mut y);
        let y: Vec<f64> = y.into_iter().map(f64::from).collect();
        let lost: Vec<f64> = (0..directions)
            .map(|j| match j.checked_sub(basis.level1()) {
                None => y[j] - basis.coordinate(j, codes.level1[j]),
                Some(at) => y[j] - f64::from(basis.level2_step) * f64::from(codes.level2[at] as i8),
            })
            .collect();
        let norm = lost.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
        let mut query = remainder(basis, &[0.0; DIM], &lost.iter().map(|x| -x * share / norm).collect::<Vec<_>>());
        query.iter_mut().zip(remainder(basis, row, &y)).for_each(|(q, out)| *q += out);
        unit(&query)
    }

    fn check(basis: &Basis, query: &[f32], row: &[f32]) -> Result<(), TestCaseError> {
        for kernel in Kernel::available() {
            let codes = basis.encode(kernel, row).unwrap();
            let mut query = Query::new(basis, kernel, query).unwrap();
            let true_similarity = similarity(query.vector, row);
            let pairs = query.weights().iter().zip(&codes.level1);
            let score: i32 = pairs.map(|(weight, code)| i32::from(*weight) * i32::from(*code)).sum();
            let level2 = query.level2(kernel);
            let line = &codes.level2[..basis.level2_bytes()];
            if !codes.is_outlier {
                prop_assert!(score >= query.integer_threshold(true_similarity), "level 1");
                let residual = codes.level1[basis.level1()];
                let coarse = query.coarse_bound(&level2, score, residual, line);
                prop_assert!(coarse >= f64::from(true_similarity), "coarse {coarse} {true_similarity}");
            }
            let fine = query.fine_bound(&level2, codes.level1[..basis.level1()].iter().copied(), line);
            prop_assert!(fine >= f64::from(true_similarity), "fine {fine} {true_similarity}");
        }
        Ok(())
    }

    proptest! {
        /// For random vectors the bound is so loose that a missing term would not show. For these it is nearly tight.
        #[test]
        fn bounds_with_worst_case_roundings_are_at_least_the_similarity(seed in any::<u64>(), share in 0.0..1.0f64) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let sample: Vec<Vec<f32>> = (0..MIN_TRAINING_ROWS).map(|_| drawn(&mut rng)).collect();
            let basis = Basis::train(DIM, sample.iter().map(Vec::as_slice)).unwrap();
            for vector in &sample[..32] {
                let query = Query::new(&basis, Kernel::Portable, vector).unwrap();
                if let Some(row) = worst_row(&basis, &query, share) {
                    check(&basis, vector, &row)?;
                }
                for directions in [basis.level1(), basis.scales.len()] {
                    check(&basis, &worst_query(&basis, vector, directions, share), vector)?;
                }
                check(&basis, vector, vector)?;
            }
        }
    }
}
