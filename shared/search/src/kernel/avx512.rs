//! AVX-512 VNNI: `dpbusd` multiplies 64 codes by 64 weights and adds them in fours.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{BLOCK_ROWS, Hits, portable};
use crate::memory::LINE_BYTES;

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

/// See [`super::Kernel::scan`], which has checked the lengths.
pub(super) fn scan(codes: &[u8], weights: &[i8], threshold: i32, first_slot: u32, hits: &mut Hits) {
    assert!(is_available());
    // Built for each number of groups, so that the weights stay in registers.
    macro_rules! built_for {
        ($($groups:literal)*) => {
            match weights.len() / 4 {
                // SAFETY: the features are there.
                $($groups => unsafe { scan_with::<$groups>(codes, weights, threshold, first_slot, hits) },)*
                groups => unreachable!("{groups} groups"),
            }
        };
    }
    built_for!(2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,popcnt")]
fn scan_with<const GROUPS: usize>(codes: &[u8], weights: &[i8], threshold: i32, first_slot: u32, hits: &mut Hits) {
    let weights = weights.as_chunks::<4>().0;
    let weights: [__m512i; GROUPS] =
        std::array::from_fn(|group| _mm512_set1_epi32(i32::from_ne_bytes(weights[group].map(|weight| weight as u8))));
    let threshold = _mm512_set1_epi32(threshold);
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (block, slot) in codes.chunks_exact(GROUPS * LINE_BYTES).zip((first_slot..).step_by(BLOCK_ROWS)) {
        // Two sums, so that they wait for each other half as long.
        let mut sums = [_mm512_setzero_si512(); 2];
        for group in 0..GROUPS {
            let line = block[group * LINE_BYTES..].as_ptr();
            // SAFETY: the line lies in the block; unaligned load. A prefetch may name any address.
            let codes = unsafe {
                _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(super::PREFETCH_BYTES).cast());
                _mm512_loadu_si512(line.cast())
            };
            sums[group % 2] = _mm512_dpbusd_epi32(sums[group % 2], codes, weights[group]);
        }
        let scores = _mm512_add_epi32(sums[0], sums[1]);
        let reached = _mm512_cmpge_epi32_mask(scores, threshold);
        // Without a branch, which would be mispredicted where one block in two has a hit.
        let slots = _mm512_maskz_compress_epi32(reached, _mm512_add_epi32(_mm512_set1_epi32(slot as i32), lanes));
        let scores = _mm512_maskz_compress_epi32(reached, scores);
        let (to_slots, to_scores) =
            (&mut hits.slots[hits.len..][..BLOCK_ROWS], &mut hits.scores[hits.len..][..BLOCK_ROWS]);
        // SAFETY: both slices are a vector long; unaligned stores.
        unsafe {
            _mm512_storeu_si512(to_slots.as_mut_ptr().cast(), slots);
            _mm512_storeu_si512(to_scores.as_mut_ptr().cast(), scores);
        }
        hits.len += reached.count_ones() as usize;
    }
}

/// See [`super::Kernel::project`].
pub(super) fn project(matrix: &[i16], vector: &[f32], out: &mut [f32]) {
    assert!(is_available());
    // SAFETY: the features are there.
    unsafe { project_with(matrix, vector, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
fn project_with(matrix: &[i16], vector: &[f32], out: &mut [f32]) {
    portable::project_with(matrix, vector, out, f32::mul_add);
}
