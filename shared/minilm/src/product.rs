//! Matrix products of float32 rows with columns in panels, on the vector registers that the processor has.
//!
//! The weights stay in half precision in memory, because most of the time for a short text is spent on streaming them,
//! and half precision takes half the time of float32. Each weight is widened exactly when it is used. The scheme is
//! that of Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008). Its outer blocking is
//! left out, because a panel of weights fits into the second-level cache.

use rten_simd::ops::{BitOps as _, Extend as _, NumOps as _};
use rten_simd::{Isa, SimdOp, f16};

/// Columns of a panel. It is a multiple of the length of two vectors on every supported processor.
pub(crate) const PANEL: usize = 32;

/// The type of a panel's values.
pub(crate) trait Value: Copy {
    /// Loads two vectors of float32 from the beginning of `values`.
    fn widen<I: Isa>(isa: I, values: &[Self]) -> [I::F32; 2];
}

impl Value for f32 {
    #[inline(always)]
    fn widen<I: Isa>(isa: I, values: &[Self]) -> [I::F32; 2] {
        isa.f32().load_many::<2>(values)
    }
}

impl Value for f16 {
    #[inline(always)]
    fn widen<I: Isa>(isa: I, values: &[Self]) -> [I::F32; 2] {
        let ops = isa.f16();
        let values = ops.load(values);
        [ops.extend_low(values), ops.extend_high(values)]
    }
}

/// What a product does with the previous content of its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accumulate {
    /// The product replaces the content.
    Replace,
    /// The product is added to the content.
    Add,
}

/// Rows of a tile, at most. Each row has two vectors of sums. With two vectors of the panel and one of a row they
/// nearly fill the 16 registers of AVX2.
const ROWS: usize = 6;

/// Computes the product of rows with a panel, `[depth, PANEL]`, plus `bias`.
///
/// A row is the first `depth` values of each `stride` values of `rows`. Its product is written to the first [`PANEL`]
/// values of the same row of `out`, whose rows are `out_stride` apart. There is at least one row. `ahead`: the next
/// panel, which is prefetched meanwhile.
#[inline(always)]
pub(crate) fn product<I: Isa, V: Value>(
    isa: I,
    (rows, stride): (&[f32], usize),
    panel: &[[V; PANEL]],
    bias: &[f32; PANEL],
    (out, out_stride): (&mut [f32], usize),
    accumulate: Accumulate,
    ahead: &[[f16; PANEL]],
) {
    let tiles = tiles(rows.len().div_ceil(stride));
    let height = rows.len().div_ceil(stride).div_ceil(tiles);
    let mut ahead = ahead.chunks(ahead.len().div_ceil(tiles).max(1));
    for (rows, out) in rows.chunks(height * stride).zip(out.chunks_mut(height * out_stride)) {
        for line in ahead.next().unwrap_or_default() {
            isa.f16().prefetch(line.as_ptr());
        }
        let (rows, out) = ((rows, stride), (out, out_stride));
        match rows.0.len().div_ceil(stride) {
            1 => product_of_tile::<I, V, 1>(isa, rows, panel, bias, out, accumulate),
            2 => product_of_tile::<I, V, 2>(isa, rows, panel, bias, out, accumulate),
            3 => product_of_tile::<I, V, 3>(isa, rows, panel, bias, out, accumulate),
            4 => product_of_tile::<I, V, 4>(isa, rows, panel, bias, out, accumulate),
            5 => product_of_tile::<I, V, 5>(isa, rows, panel, bias, out, accumulate),
            _ => product_of_tile::<I, V, ROWS>(isa, rows, panel, bias, out, accumulate),
        }
    }
}

/// The number of tiles of at most [`ROWS`] rows into which `rows` rows are divided, at least one. The caller gives the
/// tiles about the same height, because a low tile takes almost the time of a high one.
fn tiles(rows: usize) -> usize {
    rows.div_ceil(ROWS).max(1)
}

/// Computes the product of a tile of `R` rows with a panel.
#[inline(always)]
fn product_of_tile<I: Isa, V: Value, const R: usize>(
    isa: I,
    (rows, stride): (&[f32], usize),
    panel: &[[V; PANEL]],
    bias: &[f32; PANEL],
    (out, out_stride): (&mut [f32], usize),
    accumulate: Accumulate,
) {
    let ops = isa.f32();
    let rows: [&[f32]; R] = std::array::from_fn(|row| &rows[row * stride..][..panel.len()]);
    for at in (0..PANEL).step_by(2 * ops.len()) {
        let mut sums = [ops.load_many::<2>(&bias[at..]); R];
        for (depth, across) in panel.iter().enumerate() {
            let [low, high] = V::widen(isa, &across[at..]);
            for (sums, row) in sums.iter_mut().zip(&rows) {
                let left = ops.splat(row[depth]);
                *sums = [ops.mul_add(left, low, sums[0]), ops.mul_add(left, high, sums[1])];
            }
        }
        for (row, [mut low, mut high]) in sums.into_iter().enumerate() {
            let out = &mut out[row * out_stride + at..];
            if accumulate == Accumulate::Add {
                let [before_low, before_high] = ops.load_many::<2>(out);
                (low, high) = (ops.add(before_low, low), ops.add(before_high, high));
            }
            ops.store(low, out);
            ops.store(high, &mut out[ops.len()..]);
        }
    }
}

/// A linear layer, with its weights in panels of [`PANEL`] outputs.
pub(crate) struct Linear {
    inputs: usize,
    /// `[outputs / PANEL][inputs]`.
    panels: Vec<[f16; PANEL]>,
    bias: Vec<f32>,
}

impl Linear {
    /// Builds a layer. `weights`: `[outputs, inputs]`. `bias`: `[outputs]`, a multiple of [`PANEL`].
    pub(crate) fn new(weights: &[f16], bias: Vec<f32>) -> Self {
        assert!(bias.len().is_multiple_of(PANEL) && weights.len().is_multiple_of(bias.len()), "whole panels");
        let inputs = weights.len() / bias.len();
        let mut panels = vec![[f16::default(); PANEL]; weights.len() / PANEL];
        for (rows, panel) in weights.chunks_exact(PANEL * inputs).zip(panels.chunks_exact_mut(inputs)) {
            for (at, row) in rows.chunks_exact(inputs).enumerate() {
                for (across, value) in panel.iter_mut().zip(row) {
                    across[at] = *value;
                }
            }
        }
        Self { inputs, panels, bias }
    }

    /// Values that the layer computes for each row.
    pub(crate) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Applies the layer to `rows`, `[_, inputs]`, at least one. `out`: `[_, outputs]`. The content of `scratch` does
    /// not matter.
    pub(crate) fn apply(&self, rows: &[f32], out: &mut [f32], accumulate: Accumulate, scratch: &mut Vec<[f32; PANEL]>) {
        Apply { linear: self, rows, out, accumulate, scratch }.dispatch();
    }
}

struct Apply<'a> {
    linear: &'a Linear,
    rows: &'a [f32],
    out: &'a mut [f32],
    accumulate: Accumulate,
    scratch: &'a mut Vec<[f32; PANEL]>,
}

/// From this many tiles on, each weight is widened only once for all tiles.
const TILES_WORTH_WIDENING: usize = 3;

/// Rows of a panel that are widened at once. They take 24 KB, which stay in the first-level cache.
const WIDENED: usize = 192;

impl SimdOp for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { linear, rows, out, accumulate, scratch } = self;
        let (inputs, outputs) = (linear.inputs, linear.bias.len());
        let widens = tiles(rows.len() / inputs) >= TILES_WORTH_WIDENING;
        let block_rows = if widens { WIDENED.min(inputs) } else { inputs };
        let mut blocks = linear.panels.chunks(inputs).flat_map(|panel| panel.chunks(block_rows)).peekable();
        for (at, bias) in linear.bias.as_chunks().0.iter().enumerate() {
            let out = &mut out[at * PANEL..];
            for first in (0..inputs).step_by(block_rows) {
                let Some(panel) = blocks.next() else { return };
                let ahead = blocks.peek().copied().unwrap_or_default();
                let (bias, accumulate) = if first == 0 { (bias, accumulate) } else { (&[0.0; PANEL], Accumulate::Add) };
                let (rows, out) = ((&rows[first..], inputs), (&mut *out, outputs));
                if widens {
                    product(isa, rows, widen(isa, panel, scratch), bias, out, accumulate, ahead);
                } else {
                    product(isa, rows, panel, bias, out, accumulate, ahead);
                }
            }
        }
    }
}

/// Converts `panel` to float32 in `scratch`.
#[inline(always)]
fn widen<'a, I: Isa>(isa: I, panel: &[[f16; PANEL]], scratch: &'a mut Vec<[f32; PANEL]>) -> &'a [[f32; PANEL]] {
    let ops = isa.f32();
    scratch.resize(panel.len(), [0.0; PANEL]);
    for (from, to) in panel.iter().zip(&mut *scratch) {
        for at in (0..PANEL).step_by(2 * ops.len()) {
            let [low, high] = f16::widen(isa, &from[at..]);
            ops.store(low, &mut to[at..]);
            ops.store(high, &mut to[at + ops.len()..]);
        }
    }
    scratch
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values of half precision that are small enough for exact float32 sums.
    fn value(seed: usize) -> f32 {
        ((seed * 37 + 11) % 33) as f32 / 8.0 - 2.0
    }

    /// The product by its definition: `out[r][o] = bias[o] + Σ rows[r][i] weights[o][i]`.
    fn plain(rows: &[f32], weights: &[f32], bias: &[f32], inputs: usize) -> Vec<f32> {
        let outputs = |row: &[f32]| {
            let dot = |weights: &[f32]| weights.iter().zip(row).map(|(a, b)| a * b).sum::<f32>();
            weights.chunks_exact(inputs).zip(bias).map(|(weights, bias)| dot(weights) + bias).collect::<Vec<_>>()
        };
        rows.chunks_exact(inputs).flat_map(outputs).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn apply_with_any_shape_equals_the_definition(
            count in 1usize..40,
            inputs in prop::sample::select(vec![1, 2, 31, WIDENED - 1, WIDENED, WIDENED + 1, 2 * WIDENED, 450]),
            panels in 1usize..4,
            accumulate in prop::sample::select(vec![Accumulate::Replace, Accumulate::Add]),
            seed in 0usize..1000,
        ) {
            let values = |count: usize, seed: usize| (0..count).map(|at| value(at * 7 + seed)).collect::<Vec<_>>();
            let outputs = panels * PANEL;
            let (rows, weights) = (values(count * inputs, seed), values(outputs * inputs, seed + 1));
            let (bias, before) = (values(outputs, seed + 2), values(count * outputs, seed + 3));
            let halves: Vec<f16> = weights.iter().map(|weight| f16::from_f32(*weight)).collect();

            let mut expected = plain(&rows, &weights, &bias, inputs);
            if accumulate == Accumulate::Add {
                expected.iter_mut().zip(&before).for_each(|(sum, before)| *sum += before);
            }
            let mut out = before;
            // The previous content of the scratch buffer must not matter.
            let mut scratch = vec![[f32::NAN; PANEL]; seed % 300];
            Linear::new(&halves, bias).apply(&rows, &mut out, accumulate, &mut scratch);
            prop_assert_eq!(out, expected);
        }
    }
}
