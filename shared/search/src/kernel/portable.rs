//! Plain loops that the compiler vectorises: the reference, and what arm64 runs.

use super::{BLOCK_ROWS, Hits};
use crate::memory::LINE_BYTES;

/// Lanes of a partial sum.
const LANES: usize = 16;

/// See [`super::Kernel::scan`].
pub(super) fn scan(codes: &[u8], weights: &[i8], threshold: i32, first_slot: u32, hits: &mut Hits) {
    let block_bytes = weights.len() / 4 * LINE_BYTES;
    for (block, slot) in codes.chunks_exact(block_bytes).zip((first_slot..).step_by(BLOCK_ROWS)) {
        let mut scores = [0i32; BLOCK_ROWS];
        for (line, weights) in block.as_chunks::<LINE_BYTES>().0.iter().zip(weights.as_chunks::<4>().0) {
            let weights = weights.map(i16::from);
            for (score, codes) in scores.iter_mut().zip(line.as_chunks::<4>().0) {
                let codes = codes.map(i16::from);
                let product = |j: usize| i32::from(codes[j]) * i32::from(weights[j]);
                *score += (product(0) + product(1)) + (product(2) + product(3));
            }
        }
        if scores.iter().any(|score| *score >= threshold) {
            for (lane, score) in (0..).zip(scores) {
                if score >= threshold {
                    hits.push(slot + lane, score);
                }
            }
        }
    }
}

/// See [`super::Kernel::project`].
pub(super) fn project(matrix: &[i16], vector: &[f32], out: &mut [f32]) {
    project_with(matrix, vector, out, |a, b, sum| a * b + sum);
}

/// The projection with a multiply-add of the caller's, for builds with other instructions.
#[inline(always)]
pub(super) fn project_with(
    matrix: &[i16],
    vector: &[f32],
    out: &mut [f32],
    multiply_add: impl Fn(f32, f32, f32) -> f32 + Copy,
) {
    let (fours, rest) = out.as_chunks_mut::<4>();
    let (head, tail) = matrix.split_at(fours.len() * 4 * vector.len());
    for (out, rows) in fours.iter_mut().zip(head.chunks_exact(4 * vector.len().max(1))) {
        *out = dots::<4>(rows, vector, multiply_add);
    }
    for (out, row) in rest.iter_mut().zip(tail.chunks_exact(vector.len().max(1))) {
        [*out] = dots::<1>(row, vector, multiply_add);
    }
}

/// `N` dot products at once, so that the vector is loaded once for all.
#[inline(always)]
fn dots<const N: usize>(rows: &[i16], vector: &[f32], multiply_add: impl Fn(f32, f32, f32) -> f32 + Copy) -> [f32; N] {
    let dim = vector.len();
    let (whole, rest) = vector.as_chunks::<LANES>();
    let rows: [&[i16]; N] = std::array::from_fn(|row| &rows[row * dim..][..dim]);
    let lines: [&[[i16; LANES]]; N] = rows.map(|row| row.as_chunks::<LANES>().0);
    let mut sums = [[0f32; LANES]; N];
    for (at, floats) in whole.iter().enumerate() {
        for (sums, line) in sums.iter_mut().zip(lines) {
            let line = &line[at];
            for lane in 0..LANES {
                sums[lane] = multiply_add(f32::from(line[lane]), floats[lane], sums[lane]);
            }
        }
    }
    for (sums, row) in sums.iter_mut().zip(rows) {
        for ((sum, weight), float) in sums.iter_mut().zip(&row[whole.len() * LANES..]).zip(rest) {
            *sum = multiply_add(f32::from(*weight), *float, *sum);
        }
    }
    sums.map(|mut sums| {
        for width in [8, 4, 2, 1] {
            for lane in 0..width {
                sums[lane] += sums[lane + width];
            }
        }
        sums[0]
    })
}
