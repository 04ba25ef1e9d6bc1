//! The two loops that read every byte: the scan of level 1 over blocks of codes, and the projection of a vector onto
//! the basis.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod block;
mod portable;

pub(crate) use block::{BATCH_ROWS, BLOCK_ROWS, GROUPS, Hits};

use crate::memory::LINE_BYTES;

/// The instructions that the loops use. All kernels compute the same integers and give the same answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Plain loops that the compiler vectorises, for every architecture.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    /// The kernels that this machine can run, slowest first.
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

    /// The fastest kernel that this machine can run.
    pub fn best() -> Self {
        *Self::available().last().unwrap_or(&Self::Portable)
    }

    /// Appends to `hits` each row of `codes` whose integer score is at least `threshold`, in order.
    ///
    /// `codes`: whole blocks, at most [`BATCH_ROWS`] rows. `weights`: `[4 * groups]`. `first_slot`: the slot of the
    /// first row. `hits`: empty.
    ///
    /// # Panics
    ///
    /// Panics if an argument is not as described.
    pub(crate) fn scan(self, codes: &[u8], weights: &[i8], threshold: i32, first_slot: u32, hits: &mut Hits) {
        let groups = weights.len() / 4;
        assert!(weights.len().is_multiple_of(4) && GROUPS.contains(&groups), "one weight per code");
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
    /// Panics if the length of `matrix` is not the product of the other two.
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
    fn scan_with_extreme_values_agrees_with_the_plain_loop() {
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
        fn scan_with_random_values_agrees_with_the_plain_loop(groups in GROUPS, blocks in 0usize..20, seed in any::<u64>(), quantile in 0.0..1.0f64) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let codes: Vec<u8> = (0..blocks * 64 * groups).map(|_| rng.u8(..128)).collect();
            let weights: Vec<i8> = (0..4 * groups).map(|_| rng.i8(-127..=127)).collect();
            let mut scores: Vec<i32> = plain(&codes, &weights, i32::MIN, 0).into_iter().map(|(_, score)| score).collect();
            scores.sort_unstable();
            let threshold = scores.get((quantile * scores.len() as f64) as usize).copied().unwrap_or(0);
            check(&codes, &weights, threshold);
        }

        #[test]
        fn project_with_random_values_is_within_the_rounding_bound(dim in 1usize..300, rows in 0usize..12, seed in any::<u64>()) {
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
