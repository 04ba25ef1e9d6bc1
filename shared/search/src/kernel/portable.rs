//! Plain loops that the compiler vectorises. They are the reference for the other kernels, and arm64 runs them.

use super::block::{BLOCK_ROWS, Hits};
use crate::memory::LINE_BYTES;

/// Independent partial sums of a projection.
pub(super) const LANES: usize = 16;

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
    let (whole, rest) = vector.as_chunks::<LANES>();
    for (out, row) in out.iter_mut().zip(matrix.chunks_exact(vector.len().max(1))) {
        let (lines, tail) = row.as_chunks::<LANES>();
        let mut lanes = [0f32; LANES];
        for (line, floats) in lines.iter().zip(whole) {
            for ((lane, weight), float) in lanes.iter_mut().zip(line).zip(floats) {
                *lane += f32::from(*weight) * float;
            }
        }
        *out = sum_lanes(lanes, tail, rest);
    }
}

/// Adds the products after the last whole line, fewer than [`LANES`], and then adds the lanes pairwise.
pub(super) fn sum_lanes(mut lanes: [f32; LANES], weights: &[i16], floats: &[f32]) -> f32 {
    for ((lane, weight), float) in lanes.iter_mut().zip(weights).zip(floats) {
        *lane += f32::from(*weight) * float;
    }
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}
