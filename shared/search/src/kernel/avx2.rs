//! AVX2: `maddubs` multiplies 32 codes by 32 weights and adds them in pairs.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{BLOCK_ROWS, Hits, portable};
use crate::memory::LINE_BYTES;

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// See [`super::Kernel::scan`], which has checked the lengths.
pub(super) fn scan(codes: &[u8], weights: &[i8], threshold: i32, first_slot: u32, hits: &mut Hits) {
    assert!(is_available());
    // SAFETY: the features are there.
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
            // SAFETY: a line is two vectors long; unaligned loads.
            let (first, second) = unsafe {
                let start = line.as_ptr().cast::<__m256i>();
                _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().wrapping_add(super::PREFETCH_BYTES).cast());
                (_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1)))
            };
            low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_maddubs_epi16(first, weights), ones));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_maddubs_epi16(second, weights), ones));
        }
        // With the least threshold "more than one less" would leave out a score that cannot occur.
        let reached = |scores| _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(scores, below))) as u32;
        let mut reached = reached(low) | reached(high) << 8;
        if reached != 0 {
            let mut scores = [0i32; BLOCK_ROWS];
            // SAFETY: the array is two vectors long; unaligned stores.
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
    // SAFETY: the features are there.
    unsafe { project_with(matrix, vector, out) }
}

#[target_feature(enable = "avx2,fma")]
fn project_with(matrix: &[i16], vector: &[f32], out: &mut [f32]) {
    portable::project_with(matrix, vector, out, f32::mul_add);
}
