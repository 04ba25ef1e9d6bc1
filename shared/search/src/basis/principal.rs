//! Principal directions of a sample.

use simsimd::SpatialSimilarity;

use crate::product::{times_transposed, transposed_times};

/// Directions that are iterated in addition to those wanted, so that the last wanted ones converge too.
const SPARE_DIRECTIONS: usize = 8;

/// Rounds of the subspace iteration.
const ROUNDS: usize = 6;

/// Returns `wanted` orthonormal rows, `[wanted, dim]`. The first one carries most of the energy of `sample`, `[_,
/// dim]`.
///
/// The method is subspace iteration with a Rayleigh-Ritz step at the end (Halko, Martinsson, Tropp 2011, algorithms 4.4
/// and 5.3).
pub(super) fn principal_directions(sample: &[f32], dim: usize, wanted: usize) -> Vec<f32> {
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
        // `rotation` has the eigenvectors in rows, and the product takes them in columns.
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

/// Gram-Schmidt orthonormalisation. Each row is projected three times, because rounding leaves a part of what one
/// projection removes. A row that depends linearly on the rows before it is replaced by a random one.
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

/// The eigenvectors of a symmetric matrix `[width, width]`, in rows, largest eigenvalue first. The method is cyclic
/// Jacobi rotation (Golub and Van Loan, Matrix Computations, section 8.5).
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
