//! The two loops that touch every byte: level 1 over blocks of codes, and the projection of a vector on the basis.
//!
//! A block is 16 rows × `groups` groups × 4 codes, `[group][row][4]`, a group being one cache line: what AVX-512 VNNI's
//! `dpbusd`, AVX2's `maddubs` and a plain loop all read straight through. Codes are 0 to 127, so that two products of a
//! code and an i8 weight fit the i16 in which `maddubs` saturates (127 × 127 × 2 = 32,258).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use crate::memory::LINE_BYTES;

/// Rows of a block.
pub(crate) const BLOCK_ROWS: usize = 16;

/// Groups of four coordinates (the last coordinate being the residual norm) that the kernels are built for.
pub(crate) const GROUPS: std::ops::RangeInclusive<usize> = 2..=16;

/// How many rows one call of a kernel looks at, at most.
pub(crate) const BATCH_ROWS: usize = 1024;

/// How far ahead of the reading the next lines are asked for: the hardware's own streams stop at each 4 KB page.
#[cfg(target_arch = "x86_64")]
const PREFETCH_BYTES: usize = 4096;

/// Which instructions the loops use. All give the same integers, and the same answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// What the compiler makes of plain loops: every architecture.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    /// Every kernel this machine can run, slowest first.
    pub fn available() -> Vec<Self> {
        let mut kernels = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if avx2::is_available() {
                kernels.push(Self::Avx2);
            }
            if avx512::is_available() {
                kernels.push(Self::Avx512);
            }
        }
        kernels
    }

    /// The fastest kernel this machine can run.
    pub fn best() -> Self {
        *Self::available().last().unwrap_or(&Self::Portable)
    }

    /// Appends to `hits` each row of `codes` whose integer score is at least `threshold`, in order.
    ///
    /// `codes`: whole blocks, at most [`BATCH_ROWS`] rows. `weights`: `4 * groups` of them. The first row is
    /// `first_slot`. `hits` has room for [`BATCH_ROWS`] more, having been cleared.
    ///
    /// # Panics
    ///
    /// When the lengths are not as said.
    pub(crate) fn scan(self, codes: &[u8], weights: &[i8], threshold: i32, first_slot: u32, hits: &mut Hits) {
        let groups = weights.len() / 4;
        assert!(weights.len().is_multiple_of(4) && GROUPS.contains(&groups), "a weight for each code");
        assert!(codes.len().is_multiple_of(groups * LINE_BYTES), "whole blocks");
        assert!(codes.len() / (4 * groups) <= BATCH_ROWS && hits.len == 0, "room for every row");
        match self {
            Self::Portable => portable::scan(codes, weights, threshold, first_slot, hits),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::scan(codes, weights, threshold, first_slot, hits),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::scan(codes, weights, threshold, first_slot, hits),
        }
    }

    /// Sets `out[i]` to the float32 dot product of `vector` and row `i` of `matrix`, `[out.len(), vector.len()]`.
    ///
    /// Every sum is a tree of depth at most `vector.len() / 16 + 6`.
    ///
    /// # Panics
    ///
    /// When the lengths are not as said.
    pub(crate) fn project(self, matrix: &[i16], vector: &[f32], out: &mut [f32]) {
        assert_eq!(matrix.len(), vector.len() * out.len(), "a matrix of the vector's dimension");
        match self {
            Self::Portable => portable::project(matrix, vector, out),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::project(matrix, vector, out),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::project(matrix, vector, out),
        }
    }
}

/// The rows that a scan could not rule out, with their integer scores.
#[derive(Debug)]
pub(crate) struct Hits {
    slots: [u32; BATCH_ROWS + BLOCK_ROWS],
    scores: [i32; BATCH_ROWS + BLOCK_ROWS],
    len: usize,
}

impl Hits {
    pub(crate) fn new() -> Self {
        Self { slots: [0; BATCH_ROWS + BLOCK_ROWS], scores: [0; BATCH_ROWS + BLOCK_ROWS], len: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Drops the hits of slots from `slots` on: a last block's lanes without a row.
    pub(crate) fn cut(&mut self, slots: usize) {
        while self.len > 0 && self.slots[self.len - 1] as usize >= slots {
            self.len -= 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, i32)> + '_ {
        self.slots[..self.len].iter().copied().zip(self.scores[..self.len].iter().copied())
    }

    fn push(&mut self, slot: u32, score: i32) {
        self.slots[self.len] = slot;
        self.scores[self.len] = score;
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(codes: &[u8], weights: &[i8], threshold: i32, first_slot: u32) -> Vec<(u32, i32)> {
        let groups = weights.len() / 4;
        let rows = codes.len() / (4 * groups);
        (0..rows)
            .map(|row| {
                let score = (0..4 * groups)
                    .map(|j| {
                        let at = row / 16 * 64 * groups + j / 4 * 64 + row % 16 * 4 + j % 4;
                        i32::from(codes[at]) * i32::from(weights[j])
                    })
                    .sum();
                (first_slot + row as u32, score)
            })
            .filter(|(_, score)| *score >= threshold)
            .collect()
    }

    fn check(codes: &[u8], weights: &[i8], threshold: i32) {
        let expected = plain(codes, weights, threshold, 7);
        for kernel in Kernel::available() {
            let mut hits = Hits::new();
            kernel.scan(codes, weights, threshold, 7, &mut hits);
            assert_eq!(hits.iter().collect::<Vec<_>>(), expected, "{kernel:?}");
        }
    }

    #[test]
    fn kernels_agree_on_extreme_values() {
        for groups in GROUPS {
            for weight in [-127, -1, 0, 1, 127] {
                let weights = vec![weight; 4 * groups];
                for code in [0, 1, 127] {
                    let codes = vec![code; BATCH_ROWS * 4 * groups];
                    let score = i32::from(weight) * i32::from(code) * 4 * groups as i32;
                    for threshold in [i32::MIN, score, score.saturating_add(1), i32::MAX] {
                        check(&codes, &weights, threshold);
                    }
                }
            }
        }
        check(&[], &[1; 8], 0);
    }

    proptest! {
        #[test]
        fn kernels_agree(groups in GROUPS, blocks in 0usize..20, seed in any::<u64>(), quantile in 0.0..1.0f64) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let codes: Vec<u8> = (0..blocks * 64 * groups).map(|_| rng.u8(..128)).collect();
            let weights: Vec<i8> = (0..4 * groups).map(|_| rng.i8(-127..=127)).collect();
            let mut scores: Vec<i32> = plain(&codes, &weights, i32::MIN, 0).into_iter().map(|(_, score)| score).collect();
            scores.sort_unstable();
            let threshold = scores.get((quantile * scores.len() as f64) as usize).copied().unwrap_or(0);
            check(&codes, &weights, threshold);
        }

        #[test]
        fn projections_agree_with_float64(dim in 1usize..300, rows in 0usize..12, seed in any::<u64>()) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let matrix: Vec<i16> = (0..dim * rows).map(|_| rng.i16(..)).collect();
            let vector: Vec<f32> = (0..dim).map(|_| rng.f32() - 0.5).collect();
            for kernel in Kernel::available() {
                let mut out = vec![f32::NAN; rows];
                kernel.project(&matrix, &vector, &mut out);
                for (row, got) in matrix.chunks(dim).zip(&out) {
                    let products = row.iter().zip(&vector).map(|(a, b)| f64::from(*a) * f64::from(*b));
                    let scale: f64 = products.clone().map(f64::abs).sum();
                    let roundings = (dim / 16 + 6) as f64 * f64::from(f32::EPSILON) / 2.0;
                    prop_assert!((f64::from(*got) - products.sum::<f64>()).abs() <= 1.01 * roundings * scale, "{kernel:?}");
                }
            }
        }
    }
}
