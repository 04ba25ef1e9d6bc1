//! AVX-512 VNNI: `dpbusd` multiplies 64 codes by 64 weights and adds them in fours.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::block::{BLOCK_ROWS, Hits};
use super::portable::{self, LANES};
use crate::memory::LINE_BYTES;

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

/// See [`super::Kernel::scan`], which checks the lengths.
pub(super) fn scan(codes: &[u8], weights: &[i8], threshold: i32, first_slot: u32, hits: &mut Hits) {
    assert!(is_available());
    // The loop is compiled for each number of groups, so that the weights stay in registers.
    macro_rules! built_for {
        ($($groups:literal)*) => {
            match weights.len() / 4 {
                // SAFETY: the processor has the features.
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
        // Two sums halve the time that each addition waits for the one before it.
        let mut sums = [_mm512_setzero_si512(); 2];
        for group in 0..GROUPS {
            let line = block[group * LINE_BYTES..].as_ptr();
            // SAFETY: the line lies in the block, and the load may be unaligned. A prefetch may name any address.
            let codes = unsafe {
                _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(super::block::PREFETCH_BYTES).cast());
                _mm512_loadu_si512(line.cast())
            };
            sums[group % 2] = _mm512_dpbusd_epi32(sums[group % 2], codes, weights[group]);
        }
        let scores = _mm512_add_epi32(sums[0], sums[1]);
        let reached = _mm512_cmpge_epi32_mask(scores, threshold);
        // There is no branch, because it would often be mispredicted if every other block has a hit.
        let slots = _mm512_maskz_compress_epi32(reached, _mm512_add_epi32(_mm512_set1_epi32(slot as i32), lanes));
        let scores = _mm512_maskz_compress_epi32(reached, scores);
        let (to_slots, to_scores) =
            (&mut hits.slots[hits.len..][..BLOCK_ROWS], &mut hits.scores[hits.len..][..BLOCK_ROWS]);
        // SAFETY: both slices are one vector long, and the stores may be unaligned.
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
    // SAFETY: the processor has the features.
    unsafe { project_with(matrix, vector, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dots<const N: usize>(rows: &[i16], vector: &[f32]) -> [f32; N] {
    let (whole, rest) = vector.as_chunks::<LANES>();
    let rows: [&[i16]; N] = std::array::from_fn(|row| &rows[row * vector.len()..][..vector.len()]);
    let mut sums = [_mm512_setzero_ps(); N];
    for (at, floats) in whole.iter().enumerate() {
        // SAFETY: there are 16 floats, and the load may be unaligned.
        let floats = unsafe { _mm512_loadu_ps(floats.as_ptr()) };
        for (sum, row) in sums.iter_mut().zip(rows) {
            let weights = &row[at * LANES..][..LANES];
            // SAFETY: there are 16 weights, and the load may be unaligned.
            let weights = unsafe { _mm256_loadu_si256(weights.as_ptr().cast()) };
            *sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(weights)), floats, *sum);
        }
    }
    let mut dots = [0f32; N];
    for ((dot, sum), row) in dots.iter_mut().zip(sums).zip(rows) {
        let mut lanes = [0f32; LANES];
        // SAFETY: there are 16 floats, and the store may be unaligned.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), sum) };
        *dot = portable::sum_lanes(lanes, &row[whole.len() * LANES..], rest);
    }
    dots
}
