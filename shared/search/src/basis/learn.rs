//! Learning a basis: the directions from a sample, then the number of codes, then the code books.

use simsimd::SpatialSimilarity;

use super::codec::BasisId;
use super::{Basis, CODE_MAX, DIMS, NORMS_BYTES, squared_norm};
use crate::encode::DIRECTIONS_MAX;
use crate::error::Error;
use crate::kernel::{GROUPS, Kernel};
use crate::memory::LINE_BYTES;
use crate::product::{times_transposed, transposed_times};

/// The fewest rows that a basis is learned from.
pub const MIN_ROWS: usize = 128;

/// The rows of the sample, at most: evenly spaced among those given.
const SAMPLE_ROWS: usize = 4096;

/// Directions that are iterated beside those wanted, so that the last wanted ones converge too.
const SPARE_DIRECTIONS: usize = 8;

/// Rounds of the subspace iteration.
const ROUNDS: usize = 6;

/// What a wrong choice costs: nanoseconds a byte of level 1 streamed, a line of level 2 fetched, a candidate row read.
const STREAM_NS_PER_BYTE: f64 = 0.1;
const LINE_NS: f64 = 30.0;
const ROW_NS: f64 = 1000.0;
/// What a second line of level 2 must save in time a row, for the memory it takes.
const SECOND_LINE_NS: f64 = 0.2;

/// Codes of a row, at most: with its id and slot, 200 bytes.
const CODE_BYTES_MAX: usize = 176;

/// The threshold that the number of codes is chosen for, being what operators mostly set, and the roundings it is lowered by.
const USUAL_THRESHOLD: f64 = 0.85;
const USUAL_SLACK: f64 = 0.02;

/// Pairs of the sample that the choice is made on.
const PAIR_QUERIES: usize = 128;
const PAIR_ROWS: usize = 1024;

impl Basis {
    /// Learns from `rows`, unit vectors of `dim`: the directions that carry most of their energy (principal components
    /// without centring, by subspace iteration), how many codes of level 1 cost least at a threshold of 0.85, and the
    /// code books. The same rows in the same order give the same basis on the same kind of processor.
    ///
    /// Takes some 0.2 to 5 seconds of one processor, by dimension: never in the way of a request.
    ///
    /// Errors: `Unlearnable`, `Dimension`, `NotUnit`.
    pub fn learn<'a>(dim: usize, rows: impl ExactSizeIterator<Item = &'a [f32]>) -> Result<Self, Error> {
        let count = rows.len();
        if !DIMS.contains(&dim) || count < MIN_ROWS {
            return Err(Error::Unlearnable { rows: count, dim, min_rows: MIN_ROWS });
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
        let directions = principal_directions(&sample, dim, DIRECTIONS_MAX.min(dim));
        let coordinates = times_transposed(&sample, &directions, dim);
        let layout = Layout::cheapest(&coordinates, &norms, dim);
        let mut basis = Self::of_directions(&directions[..layout.directions(dim) * dim], dim, layout);
        basis.learn_code_books(&sample, &norms);
        Ok(basis.seal())
    }

    /// A basis of these directions, without code books yet.
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

    fn learn_code_books(&mut self, sample: &[f32], norms: &[f64]) {
        let (kernel, directions, level1) = (Kernel::best(), self.scales.len(), self.level1());
        let mut coordinates = vec![0f32; norms.len() * directions];
        for (row, out) in sample.chunks_exact(self.dim).zip(coordinates.chunks_exact_mut(directions)) {
            self.project(kernel, row, 0, out);
        }
        let column = |j: usize| coordinates.iter().skip(j).step_by(directions);
        // Room at both ends for rows that are not in the sample.
        let ranges: Vec<(f32, f32)> = (0..level1)
            .map(|j| {
                let (low, high) = column(j).fold((f32::MAX, f32::MIN), |(low, high), y| (low.min(*y), high.max(*y)));
                let room = 0.05 * (high - low);
                (low - room, (high - low + 2.0 * room).max(1e-4))
            })
            .collect();
        let widest = ranges.iter().fold(0f32, |widest, (_, width)| widest.max(*width));
        for (j, (low, width)) in ranges.iter().enumerate() {
            // Between one step for all, which the query's rounding prefers, and a step by width, which the rows' does.
            self.steps[j] = (width * widest).sqrt() / f32::from(CODE_MAX);
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
                let code = (((y - self.offsets[j]) / self.steps[j]).round() as u8).min(CODE_MAX);
                row_error += (f64::from(*y) - self.coordinate(j, code)).powi(2);
                row_spread += f64::from(i16::from(code) - i16::from(self.centres[j])).powi(2);
                energy += f64::from(*y).powi(2);
            }
            error = error.max(row_error.sqrt());
            spread = spread.max(row_spread.sqrt());
            residuals.push((norm - energy + self.rest_slack()).max(0.0).sqrt());
        }
        self.level1_error = 1.1 * error as f32 + 1e-6;
        self.spread = 1.1 * spread as f32 + 1.0;
        let (low, high) = residuals.iter().fold((f64::MAX, 0f64), |(low, high), r| (low.min(*r), high.max(*r)));
        let mean = residuals.iter().sum::<f64>() / residuals.len() as f64;
        // Room for rows that are not in the sample.
        let high = (high + 0.25 * (high - low)).min(1.001);
        self.residual_floor = low as f32;
        self.residual_step = ((high - low).max(1e-3) / f64::from(CODE_MAX)) as f32;
        self.residual_mean = ((mean - low) / f64::from(self.residual_step)) as f32;
    }
}

/// An upper bound of the spectral norm of (Gram matrix − identity): its Frobenius norm, the products being exact.
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

/// `wanted` orthonormal rows `[wanted, dim]`, most energy of `sample` `[_, dim]` first.
///
/// Subspace iteration with a Rayleigh-Ritz step at the end (Halko, Martinsson, Tropp 2011, algorithms 4.4 and 5.3).
fn principal_directions(sample: &[f32], dim: usize, wanted: usize) -> Vec<f32> {
    let width = (wanted + SPARE_DIRECTIONS).min(dim);
    let mut rng = fastrand::Rng::with_seed(0x6d6e_656d_6521);
    let mut directions: Vec<f32> = (0..width * dim).map(|_| rng.f32() - 0.5).collect();
    for _ in 0..ROUNDS {
        let coordinates = times_transposed(sample, &directions, dim);
        directions = transposed_times(&coordinates, sample, sample.len() / dim);
        orthonormalise(&mut directions, dim, &mut rng);
    }
    let coordinates = times_transposed(sample, &directions, dim);
    let moments = transposed_times(&coordinates, &coordinates, sample.len() / dim);
    let rotation = eigenvectors(moments.into_iter().map(f64::from).collect(), width);
    let mut rotated = transposed_times(
        // Columns are eigenvectors in rows here: transposed once to fit.
        &transpose(&rotation, width),
        &directions,
        width,
    );
    orthonormalise(&mut rotated, dim, &mut rng);
    rotated.truncate(wanted * dim);
    rotated
}

fn transpose(square: &[f32], width: usize) -> Vec<f32> {
    (0..width * width).map(|at| square[at % width * width + at / width]).collect()
}

/// Gram-Schmidt, each row twice; a row that the ones before it span is replaced by a random one.
fn orthonormalise(rows: &mut [f32], dim: usize, rng: &mut fastrand::Rng) {
    let dot = |a: &[f32], b: &[f32]| <f32 as SpatialSimilarity>::dot(a, b).expect("rows of one length") as f32;
    for at in 0..rows.len() / dim {
        let (before, rest) = rows.split_at_mut(at * dim);
        let row = &mut rest[..dim];
        loop {
            let first_norm = dot(row, row).sqrt();
            if first_norm > f32::MIN_POSITIVE {
                row.iter_mut().for_each(|x| *x /= first_norm);
                for _ in 0..2 {
                    for other in before.chunks_exact(dim) {
                        let along = dot(row, other);
                        row.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
                    }
                }
                let norm = dot(row, row).sqrt();
                if norm > 1e-4 {
                    row.iter_mut().for_each(|x| *x /= norm);
                    for other in before.chunks_exact(dim) {
                        let along = dot(row, other);
                        row.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
                    }
                    let norm = dot(row, row).sqrt();
                    row.iter_mut().for_each(|x| *x /= norm);
                    break;
                }
            }
            row.iter_mut().for_each(|x| *x = rng.f32() - 0.5);
        }
    }
}

/// The eigenvectors of a symmetric matrix `[width, width]`, in rows, largest eigenvalue first: cyclic Jacobi rotations
/// (Golub and Van Loan, Matrix Computations, section 8.5).
fn eigenvectors(mut matrix: Vec<f64>, width: usize) -> Vec<f32> {
    let mut vectors: Vec<f64> = (0..width * width).map(|at| f64::from(u8::from(at / width == at % width))).collect();
    let scale: f64 = matrix.iter().map(|x| x * x).sum::<f64>().sqrt();
    for _ in 0..12 {
        let mut rotated = false;
        for p in 0..width {
            for q in p + 1..width {
                let off = matrix[p * width + q];
                if off.abs() <= 1e-9 * scale {
                    continue;
                }
                rotated = true;
                let theta = (matrix[q * width + q] - matrix[p * width + p]) / (2.0 * off);
                let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = tangent * cosine;
                for k in 0..width {
                    let (a, b) = (matrix[k * width + p], matrix[k * width + q]);
                    matrix[k * width + p] = cosine * a - sine * b;
                    matrix[k * width + q] = sine * a + cosine * b;
                }
                rotate_rows(&mut matrix, width, p, q, cosine, sine);
                rotate_rows(&mut vectors, width, p, q, cosine, sine);
            }
        }
        if !rotated {
            break;
        }
    }
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|a, b| matrix[b * width + b].total_cmp(&matrix[a * width + a]));
    order.into_iter().flat_map(|row| vectors[row * width..][..width].iter().map(|x| *x as f32)).collect()
}

fn rotate_rows(matrix: &mut [f64], width: usize, p: usize, q: usize, cosine: f64, sine: f64) {
    let (head, tail) = matrix.split_at_mut(q * width);
    for (a, b) in head[p * width..][..width].iter_mut().zip(&mut tail[..width]) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
}

/// How many bytes a row has in each level.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Layout {
    groups: usize,
    lines: usize,
}

impl Layout {
    fn level1(self) -> usize {
        4 * self.groups - 1
    }

    fn directions(self, dim: usize) -> usize {
        (self.level1() + self.lines * LINE_BYTES - NORMS_BYTES).min(dim)
    }

    fn bytes(self) -> usize {
        4 * self.groups + self.lines * LINE_BYTES
    }

    /// The layout that costs least: more coordinates take more bytes, and let fewer rows through.
    ///
    /// Measured on pairs of the sample, `coordinates` being `[norms.len(), directions]`.
    fn cheapest(coordinates: &[f32], norms: &[f64], dim: usize) -> Self {
        let reaching = reaching_after(coordinates, norms);
        let share = |directions: usize| reaching[directions.min(reaching.len()) - 1];
        let cost = |layout: &Self| {
            let (groups, lines) = (layout.groups as f64, layout.lines as f64);
            4.0 * groups * STREAM_NS_PER_BYTE
                + share(layout.level1()) * LINE_NS * lines.sqrt()
                + share(layout.directions(dim)) * ROW_NS
                + (lines - 1.0) * SECOND_LINE_NS
        };
        GROUPS
            .flat_map(|groups| (1..=2).map(move |lines| Self { groups, lines }))
            .filter(|layout| layout.level1() < dim && layout.bytes() <= CODE_BYTES_MAX)
            .min_by(|a, b| cost(a).total_cmp(&cost(b)))
            .unwrap_or(Self { groups: *GROUPS.start(), lines: 1 })
    }
}

/// The share of pairs of rows whose bound after so many directions, less one, reaches the usual threshold.
fn reaching_after(coordinates: &[f32], norms: &[f64]) -> Vec<f64> {
    let rows = norms.len();
    let directions = coordinates.len() / rows;
    let row = |at: usize| &coordinates[at * directions..][..directions];
    let rests: Vec<f32> = (0..rows)
        .flat_map(|at| {
            let mut left = norms[at];
            let after = row(at).iter().map(move |y| {
                left -= f64::from(*y).powi(2);
                left.max(0.0).sqrt() as f32
            });
            after.collect::<Vec<_>>()
        })
        .collect();
    let limit = (USUAL_THRESHOLD - USUAL_SLACK) as f32;
    let mut reached = vec![0u32; directions];
    let mut pairs = 0u32;
    for query in (0..PAIR_QUERIES.min(rows)).map(|at| at * rows / PAIR_QUERIES.min(rows)) {
        for other in (0..PAIR_ROWS.min(rows)).map(|at| at * rows / PAIR_ROWS.min(rows)).filter(|at| *at != query) {
            pairs += 1;
            let mut product = 0f32;
            let (query_rests, other_rests) = (&rests[query * directions..], &rests[other * directions..]);
            for (j, (p, y)) in row(query).iter().zip(row(other)).enumerate() {
                product += p * y;
                reached[j] += u32::from(product + query_rests[j] * other_rests[j] >= limit);
            }
        }
    }
    reached.into_iter().map(|reached| f64::from(reached) / f64::from(pairs)).collect()
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
    fn the_first_directions_carry_most_energy_and_are_orthonormal() {
        let rows = decaying(600, 128, 5);
        let basis = Basis::learn(128, rows.iter().map(Vec::as_slice)).unwrap();
        assert!(basis.gram_error < 1e-3, "{}", basis.gram_error);
        let mut energy = vec![0f64; basis.scales.len()];
        for row in &rows {
            let mut out = vec![0.0; energy.len()];
            basis.project(Kernel::Portable, row, 0, &mut out);
            energy.iter_mut().zip(out).for_each(|(sum, y)| *sum += f64::from(y).powi(2));
        }
        assert!(energy.is_sorted_by(|a, b| a >= b || (a - b).abs() < 1e-2 * a), "{energy:?}");
        // The principal components carry as much as any four directions; the data's own axes are near them.
        let first: f64 = energy[..4].iter().sum();
        let axes: f64 = rows.iter().flat_map(|row| (0..4).map(|j| f64::from(row[j * 5]).powi(2))).sum();
        assert!(first > 0.999 * axes, "{first} {axes}");
        assert_eq!(basis, Basis::learn(128, rows.iter().map(Vec::as_slice)).unwrap());
    }

    #[test]
    fn rows_on_few_directions_are_learned_from_all_the_same() {
        let rows: Vec<Vec<f32>> =
            (0..MIN_ROWS).map(|at| unit((0..65).map(|j| f32::from(u8::from(j == at % 3))).collect())).collect();
        let basis = Basis::learn(65, rows.iter().map(Vec::as_slice)).unwrap();
        assert!(basis.gram_error < 1e-3);
    }

    #[test]
    fn what_cannot_be_learned_from_is_refused() {
        let rows = decaying(MIN_ROWS, 64, 1);
        let learn = |dim: usize, rows: &[Vec<f32>]| Basis::learn(dim, rows.iter().map(Vec::as_slice));
        assert!(matches!(learn(64, &rows[1..]), Err(Error::Unlearnable { rows: 127, dim: 64, .. })));
        assert!(matches!(learn(63, &rows), Err(Error::Unlearnable { .. })));
        assert!(matches!(learn(65, &rows), Err(Error::Dimension { expected: 65, found: 64 })));
        let mut long = rows.clone();
        long[0][0] += 1.0;
        assert!(matches!(learn(64, &long), Err(Error::NotUnit { .. })));
    }
}
