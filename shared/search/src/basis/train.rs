//! Training a basis: first the directions, then the layout, then the code books.

use super::definition::{Basis, DIMS, MAX_CODE, MAX_DIRECTIONS, squared_norm};
use super::id::BasisId;
use super::layout::Layout;
use super::principal::principal_directions;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::product::times_transposed;

/// A basis is trained from at least this many rows.
pub const MIN_TRAINING_ROWS: usize = 128;

/// A basis is trained from at most this many rows, evenly spaced among those given.
const SAMPLE_ROWS: usize = 4096;

impl Basis {
    /// Trains a basis from `rows`, unit vectors of `dim`.
    ///
    /// The directions are those that carry most of the rows' energy: principal components without centring, by
    /// subspace iteration. The layout is the one that costs least at a threshold of 0.85. The same rows in the same
    /// order give the same basis on the same kind of processor.
    ///
    /// Training takes some 0.2 to 5 seconds of one processor, depending on the dimension. It does not belong into the
    /// path of a request.
    ///
    /// Errors: `Untrainable`, `Dimension`, `NotUnit`.
    pub fn train<'a>(dim: usize, rows: impl ExactSizeIterator<Item = &'a [f32]>) -> Result<Self, Error> {
        let count = rows.len();
        if !DIMS.contains(&dim) || count < MIN_TRAINING_ROWS {
            return Err(Error::Untrainable { rows: count, dim, min_rows: MIN_TRAINING_ROWS });
        }
        let sampled = count.min(SAMPLE_ROWS);
        let mut sample = Vec::with_capacity(sampled * dim);
        let mut norms = Vec::with_capacity(sampled);
        for (at, row) in rows.enumerate() {
            if norms.len() * count <= at * sampled && norms.len() < sampled {
                norms.push(squared_norm(row, dim)?);
                sample.extend_from_slice(row);
            }
        }
        let directions = principal_directions(&sample, dim, MAX_DIRECTIONS.min(dim));
        let coordinates = times_transposed(&sample, &directions, dim);
        let layout = Layout::cheapest(&coordinates, &norms, dim);
        let mut basis = Self::of_directions(&directions[..layout.directions(dim) * dim], dim, layout);
        basis.train_code_books(&sample, &norms);
        Ok(basis.seal())
    }

    /// A basis of these directions whose code books and id are still empty.
    fn of_directions(directions: &[f32], dim: usize, layout: Layout) -> Self {
        let (mut matrix, mut scales) = (Vec::with_capacity(directions.len()), Vec::new());
        for direction in directions.chunks_exact(dim) {
            let largest = direction.iter().fold(0f32, |largest, x| largest.max(x.abs()));
            let scale = largest / f32::from(i16::MAX);
            matrix.extend(direction.iter().map(|x| (x / scale).round() as i16));
            scales.push(scale);
        }
        let gram_error = gram_error(&matrix, &scales, dim);
        let (Layout { groups, lines }, level1) = (layout, layout.level1());
        Self {
            id: BasisId::UNSET,
            dim,
            groups,
            lines,
            matrix,
            scales,
            offsets: vec![0.0; level1],
            steps: vec![0.0; level1],
            centres: vec![0; level1],
            spread: 0.0,
            level1_error: 0.0,
            residual_floor: 0.0,
            residual_step: 0.0,
            residual_mean: 0.0,
            level2_step: 0.0,
            gram_error,
        }
    }

    fn train_code_books(&mut self, sample: &[f32], norms: &[f64]) {
        let (kernel, directions, level1) = (Kernel::best(), self.scales.len(), self.level1());
        let mut coordinates = vec![0f32; norms.len() * directions];
        for (row, out) in sample.chunks_exact(self.dim).zip(coordinates.chunks_exact_mut(directions)) {
            self.project(kernel, row, 0, out);
        }
        let column = |j: usize| coordinates.iter().skip(j).step_by(directions);
        // Rows outside the sample need a margin at both ends.
        let ranges: Vec<(f32, f32)> = (0..level1)
            .map(|j| {
                let (low, high) = column(j).fold((f32::MAX, f32::MIN), |(low, high), y| (low.min(*y), high.max(*y)));
                let margin = 0.05 * (high - low);
                (low - margin, (high - low + 2.0 * margin).max(1e-4))
            })
            .collect();
        let widest = ranges.iter().fold(0f32, |widest, (_, width)| widest.max(*width));
        for (j, (low, width)) in ranges.iter().enumerate() {
            // The geometric mean of two choices. One step for all coordinates gives the smallest rounding error of the
            // query; a step proportional to the range gives the smallest rounding error of the rows.
            self.steps[j] = (width * widest).sqrt() / f32::from(MAX_CODE);
            self.offsets[j] = *low;
            let mean = column(j).map(|y| f64::from(*y)).sum::<f64>() / norms.len() as f64;
            self.centres[j] = ((mean - f64::from(*low)) / f64::from(self.steps[j])).round() as u8;
        }
        let largest = coordinates
            .chunks_exact(directions)
            .flat_map(|row| &row[level1..])
            .fold(0f32, |largest, y| largest.max(y.abs()));
        self.level2_step = (1.05 * largest / 127.0).max(1e-6);

        let mut residuals = Vec::with_capacity(norms.len());
        let (mut error, mut spread) = (0f64, 0f64);
        for (row, norm) in coordinates.chunks_exact(directions).zip(norms) {
            let (mut row_error, mut row_spread, mut energy) = (0.0, 0.0, 0.0);
            for (j, y) in row[..level1].iter().enumerate() {
                let code = (((y - self.offsets[j]) / self.steps[j]).round() as u8).min(MAX_CODE);
                row_error += (f64::from(*y) - self.coordinate(j, code)).powi(2);
                row_spread += f64::from(i16::from(code) - i16::from(self.centres[j])).powi(2);
                energy += f64::from(*y).powi(2);
            }
            error = error.max(row_error.sqrt());
            spread = spread.max(row_spread.sqrt());
            residuals.push((norm - energy + self.remainder_slack()).max(0.0).sqrt());
        }
        self.level1_error = 1.1 * error as f32 + 1e-6;
        self.spread = 1.1 * spread as f32 + 1.0;
        let (low, high) = residuals.iter().fold((f64::MAX, 0f64), |(low, high), r| (low.min(*r), high.max(*r)));
        let mean = residuals.iter().sum::<f64>() / residuals.len() as f64;
        // Rows outside the sample need a margin.
        let high = (high + 0.25 * (high - low)).min(1.001);
        self.residual_floor = low as f32;
        self.residual_step = ((high - low).max(1e-3) / f64::from(MAX_CODE)) as f32;
        self.residual_mean = ((mean - low) / f64::from(self.residual_step)) as f32;
    }
}

/// An upper bound of the spectral norm of (Gram matrix − identity): its Frobenius norm. The integer products are exact.
fn gram_error(matrix: &[i16], scales: &[f32], dim: usize) -> f32 {
    let rows: Vec<&[i16]> = matrix.chunks_exact(dim).collect();
    let mut squares = 0.0;
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows[..=i].iter().enumerate() {
            let product: i64 = a.iter().zip(*b).map(|(a, b)| i64::from(i32::from(*a) * i32::from(*b))).sum();
            let entry = product as f64 * f64::from(scales[i]) * f64::from(scales[j]);
            squares += if i == j { (entry - 1.0).powi(2) } else { 2.0 * entry.powi(2) };
        }
    }
    (1.000_001 * squares.sqrt()) as f32 + f32::MIN_POSITIVE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(mut row: Vec<f32>) -> Vec<f32> {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
        row
    }

    /// Rows whose coordinate `perm(j)` has a standard deviation of 0.9^j.
    fn decaying(rows: usize, dim: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let normal = |rng: &mut fastrand::Rng| (0..12).map(|_| rng.f32()).sum::<f32>() - 6.0;
        (0..rows)
            .map(|_| {
                let mut row = vec![0.0; dim];
                (0..dim).for_each(|j| row[j * 5 % dim] = normal(&mut rng) * 0.9f32.powi(j as i32));
                unit(row)
            })
            .collect()
    }

    #[test]
    fn train_returns_orthonormal_directions_with_most_energy_first() {
        let rows = decaying(600, 128, 5);
        let basis = Basis::train(128, rows.iter().map(Vec::as_slice)).unwrap();
        assert!(basis.gram_error < 1e-3, "{}", basis.gram_error);
        let mut energy = vec![0f64; basis.scales.len()];
        for row in &rows {
            let mut out = vec![0.0; energy.len()];
            basis.project(Kernel::Portable, row, 0, &mut out);
            energy.iter_mut().zip(out).for_each(|(sum, y)| *sum += f64::from(y).powi(2));
        }
        assert!(energy.is_sorted_by(|a, b| a >= b || (a - b).abs() < 1e-2 * a), "{energy:?}");
        // The principal components carry at least as much energy as any four directions, so as the data's own four
        // axes.
        let first: f64 = energy[..4].iter().sum();
        let axes: f64 = rows.iter().flat_map(|row| (0..4).map(|j| f64::from(row[j * 5]).powi(2))).sum();
        assert!(first > 0.999 * axes, "{first} {axes}");
        assert_eq!(basis, Basis::train(128, rows.iter().map(Vec::as_slice)).unwrap());
    }

    #[test]
    fn train_with_rows_of_low_rank_returns_an_orthonormal_basis() {
        let rows: Vec<Vec<f32>> = (0..MIN_TRAINING_ROWS)
            .map(|at| unit((0..65).map(|j| f32::from(u8::from(j == at % 3))).collect()))
            .collect();
        let basis = Basis::train(65, rows.iter().map(Vec::as_slice)).unwrap();
        assert!(basis.gram_error < 1e-3);
    }

    #[test]
    fn train_with_too_few_or_invalid_rows_returns_an_error() {
        let rows = decaying(MIN_TRAINING_ROWS, 64, 1);
        let train = |dim: usize, rows: &[Vec<f32>]| Basis::train(dim, rows.iter().map(Vec::as_slice));
        assert!(matches!(train(64, &rows[1..]), Err(Error::Untrainable { rows: 127, dim: 64, .. })));
        assert!(matches!(train(63, &rows), Err(Error::Untrainable { .. })));
        assert!(matches!(train(65, &rows), Err(Error::Dimension { expected: 65, found: 64 })));
        let mut long = rows.clone();
        long[0][0] += 1.0;
        assert!(matches!(train(64, &long), Err(Error::NotUnit { .. })));
    }
}
