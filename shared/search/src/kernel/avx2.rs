//! AVX2: `maddubs` multiplies 32 codes by 32 weights and adds them in pairs.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::block::{BLOCK_ROWS, Hits};
use super::portable::{self, LANES};
use crate::memory::LINE_BYTES;

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// See [`super::Kernel::scan`], which checks the lengths.
pub(super) fn scan(codes: &[u8], weights: &[i8], threshold: i32, first_slot: u32, hits: &mut Hits) {
    assert!(is_available());
    // SAFETY: the processor has the features.
    unsafe { scan_with(codes, weights, threshold, first_slot, hits) }
}

#[target_feature(enable = "avx2")]
fn scan_with(codes: &[u8], weights: &[i8], threshold: i32, first_slot: u32, hits: &mut Hits) {
    let weights = weights.as_chunks::<4>().0;
    let ones = _mm256_set1_epi16(1);
    let below = _mm256_set1_epi32(threshold.saturating_sub(1));
    for (block, slot) in codes.chunks_exact(weights.len() * LINE_BYTES).zip((first_slot..).step_by(BLOCK_ROWS)) {
        let (mut low, mut high) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        for (line, weights) in block.as_chunks::<LINE_BYTES>().0.iter().zip(weights) {
            let weights = _mm256_set1_epi32(i32::from_ne_bytes(weights.map(|weight| weight as u8)));
            // SAFETY: a line is two vectors long, and the loads may be unaligned.
            let (first, second) = unsafe {
                let start = line.as_ptr().cast::<__m256i>();
                _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().wrapping_add(super::block::PREFETCH_BYTES).cast());
                (_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1)))
            };
            low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_maddubs_epi16(first, weights), ones));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_maddubs_epi16(second, weights), ones));
        }
        // AVX2 compares only by "greater than", so the threshold is lowered by one. At `i32::MIN` the subtraction
        // saturates, and only the score `i32::MIN`, which cannot occur, would be left out.
        let reached = |scores| _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(scores, below))) as u32;
        let mut reached = reached(low) | reached(high) << 8;
        if reached != 0 {
            let mut scores = [0i32; BLOCK_ROWS];
            // SAFETY: the array is two vectors long, and the stores may be unaligned.
            unsafe {
                let start = scores.as_mut_ptr().cast::<__m256i>();
                _mm256_storeu_si256(start, low);
                _mm256_storeu_si256(start.add(1), high);
            }
            while reached != 0 {
                let lane = reached.trailing_zeros();
                hits.push(slot + lane, scores[lane as usize]);
                reached &= reached - 1;
            }
        }
    }
}

/// See [`super::Kernel::project`].
pub(super) fn project(matrix: &[i16], vector: &[f32], out: &mut [f32]) {
    assert!(is_available());
    // SAFETY: the processor has the features.
    unsafe { project_with(matrix, vector, out) }
}

#[target_feature(enable = "avx2,fma")]
fn project_with(matrix: &[i16], vector: &[f32], out: &mut [f32]) {
    let (fours, rest) = out.as_chunks_mut::<4>();
    let (head, tail) = matrix.split_at(fours.len() * 4 * vector.len());
    for (out, rows) in fours.iter_mut().zip(head.chunks_exact(4 * vector.len().max(1))) {
        *out = dots(rows, vector);
    }
    for (out, row) in rest.iter_mut().zip(tail.chunks_exact(vector.len().max(1))) {
        [*out] = dots(row, vector);
    }
}

/// `N` dot products at once, so that the vector is loaded once for all of them.
#[target_feature(enable = "avx2,fma")]
fn dots<const N: usize>(rows: &[i16], vector: &[f32]) -> [f32; N] {
    let (whole, rest) = vector.as_chunks::<LANES>();
    let rows: [&[i16]; N] = std::array::from_fn(|row| &rows[row * vector.len()..][..vector.len()]);
    let mut sums = [[_mm256_setzero_ps(); 2]; N];
    for (at, floats) in whole.iter().enumerate() {
        // SAFETY: there are 16 floats, and the loads may be unaligned.
        let floats = unsafe { [_mm256_loadu_ps(floats.as_ptr()), _mm256_loadu_ps(floats[8..].as_ptr())] };
        for (sums, row) in sums.iter_mut().zip(rows) {
            let weights = &row[at * LANES..][..LANES];
            // SAFETY: there are 16 weights, and the loads may be unaligned.
            let weights =
                unsafe { [_mm_loadu_si128(weights.as_ptr().cast()), _mm_loadu_si128(weights[8..].as_ptr().cast())] };
            for half in 0..2 {
                let weights = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(weights[half]));
                sums[half] = _mm256_fmadd_ps(weights, floats[half], sums[half]);
            }
        }
    }
    let mut dots = [0f32; N];
    for ((dot, sums), row) in dots.iter_mut().zip(sums).zip(rows) {
        let mut lanes = [0f32; LANES];
        // SAFETY: there are 16 floats, and the stores may be unaligned.
        unsafe {
            _mm256_storeu_ps(lanes.as_mut_ptr(), sums[0]);
            _mm256_storeu_ps(lanes[8..].as_mut_ptr(), sums[1]);
        }
        *dot = portable::sum_lanes(lanes, &row[whole.len() * LANES..], rest);
    }
    dots
}
