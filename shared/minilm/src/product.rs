//! Matrix products: rows of float32 by columns in panels, on the vector registers that the processor has.
//!
//! The weights stay in half precision in memory. A short text's time goes into streaming them, which takes half as long as
//! from float32; each is widened as it is used, exactly. The scheme is that of Goto and van de Geijn, "Anatomy of
//! High-Performance Matrix Multiplication" (2008), without its outer blocking: a panel of weights fits into the second-level cache.

use rten_simd::ops::{BitOps as _, Extend as _, NumOps as _};
use rten_simd::{Isa, SimdOp, f16};

/// Columns of a panel: a multiple of what two vectors of any supported processor hold.
pub(crate) const PANEL: usize = 32;

/// A value that a panel may hold.
pub(crate) trait Value: Copy {
    /// Two vectors of float32 from the beginning of `values`.
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

/// What becomes of what stands in the place of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The product replaces it.
    Replaced,
    /// The product is added to it.
    Added,
}

/// The left factor, packed: rows in tiles, so many that their sums fit into the registers, and within a tile column by
/// column.
#[derive(Debug, Default)]
pub(crate) struct Tiles {
    /// Columns of the factor, which are the rows of the right one.
    depth: usize,
    /// Rows of each tile, but for the last.
    rows: usize,
    values: Vec<f32>,
}

impl Tiles {
    /// Packs `count` rows of `depth` values each, times `scale`.
    #[inline(always)]
    pub(crate) fn pack<'a, I: Isa>(
        &mut self,
        isa: I,
        count: usize,
        depth: usize,
        scale: f32,
        rows: impl Iterator<Item = &'a [f32]>,
    ) {
        // Two vectors of sums a row, two of the right factor and one of the left: 16 registers hold 6 rows, 32 hold 12.
        let most = if isa.f32().len() == 8 { 6 } else { 12 };
        self.depth = depth;
        // Tiles of about the same height: a low one widens as many weights, for fewer rows.
        self.rows = count.div_ceil(count.div_ceil(most).max(1)).max(1);
        self.values.clear();
        self.values.resize(count * depth, 0.0);
        let mut rows = rows.take(count);
        for tile in self.values.chunks_mut(self.rows * depth) {
            let height = tile.len() / depth;
            for (at, row) in rows.by_ref().take(height).enumerate() {
                for (column, value) in tile.chunks_exact_mut(height).zip(row) {
                    column[at] = value * scale;
                }
            }
        }
    }

    /// How many tiles there are.
    fn len(&self) -> usize {
        self.values.len().div_ceil(self.rows * self.depth)
    }

    /// The product with one panel, whose rows are the first [`PANEL`] values of each of `panel`, and `bias`; in `out`,
    /// whose rows are `stride` values apart.
    #[inline(always)]
    pub(crate) fn product<'a, I: Isa, V: Value + 'a>(
        &self,
        isa: I,
        panel: impl Iterator<Item = &'a [V]> + Clone,
        bias: &[f32; PANEL],
        out: &mut [f32],
        stride: usize,
        place: Place,
    ) {
        for (tile, out) in self.values.chunks(self.rows * self.depth).zip(out.chunks_mut(self.rows * stride)) {
            let panel = panel.clone();
            match tile.len() / self.depth {
                1 => product_of_tile::<I, V, 1>(isa, tile, panel, bias, out, stride, place),
                2 => product_of_tile::<I, V, 2>(isa, tile, panel, bias, out, stride, place),
                3 => product_of_tile::<I, V, 3>(isa, tile, panel, bias, out, stride, place),
                4 => product_of_tile::<I, V, 4>(isa, tile, panel, bias, out, stride, place),
                5 => product_of_tile::<I, V, 5>(isa, tile, panel, bias, out, stride, place),
                6 => product_of_tile::<I, V, 6>(isa, tile, panel, bias, out, stride, place),
                7 => product_of_tile::<I, V, 7>(isa, tile, panel, bias, out, stride, place),
                8 => product_of_tile::<I, V, 8>(isa, tile, panel, bias, out, stride, place),
                9 => product_of_tile::<I, V, 9>(isa, tile, panel, bias, out, stride, place),
                10 => product_of_tile::<I, V, 10>(isa, tile, panel, bias, out, stride, place),
                11 => product_of_tile::<I, V, 11>(isa, tile, panel, bias, out, stride, place),
                _ => product_of_tile::<I, V, 12>(isa, tile, panel, bias, out, stride, place),
            }
        }
    }
}

/// The product of a tile of `R` rows with a panel.
#[inline(always)]
fn product_of_tile<'a, I: Isa, V: Value + 'a, const R: usize>(
    isa: I,
    tile: &[f32],
    panel: impl Iterator<Item = &'a [V]> + Clone,
    bias: &[f32; PANEL],
    out: &mut [f32],
    stride: usize,
    place: Place,
) {
    let ops = isa.f32();
    for at in (0..PANEL).step_by(2 * ops.len()) {
        let mut sums = [ops.load_many::<2>(&bias[at..]); R];
        for (left, right) in tile.chunks_exact(R).zip(panel.clone()) {
            let [low, high] = V::widen(isa, &right[at..]);
            for (sums, left) in sums.iter_mut().zip(left) {
                let left = ops.splat(*left);
                *sums = [ops.mul_add(left, low, sums[0]), ops.mul_add(left, high, sums[1])];
            }
        }
        for (row, [mut low, mut high]) in sums.into_iter().enumerate() {
            let out = &mut out[row * stride + at..];
            if place == Place::Added {
                let [before_low, before_high] = ops.load_many::<2>(out);
                (low, high) = (ops.add(before_low, low), ops.add(before_high, high));
            }
            ops.store(low, out);
            ops.store(high, &mut out[ops.len()..]);
        }
    }
}

/// A linear layer: weights in panels of [`PANEL`] outputs, and biases.
pub(crate) struct Linear {
    inputs: usize,
    /// `[outputs / PANEL][inputs][PANEL]`.
    panels: Vec<f16>,
    bias: Vec<f32>,
}

impl Linear {
    /// The layer of these weights, `[outputs][inputs]`, and biases, one an output; their number is a multiple of [`PANEL`].
    pub(crate) fn new(weights: &[f16], bias: Vec<f32>) -> Self {
        assert!(bias.len().is_multiple_of(PANEL) && weights.len().is_multiple_of(bias.len()), "whole panels");
        let inputs = weights.len() / bias.len();
        let mut panels = vec![f16::default(); weights.len()];
        let blocks = weights.chunks_exact(PANEL * inputs).zip(panels.chunks_exact_mut(PANEL * inputs));
        for (rows, panel) in blocks {
            for (at, row) in rows.chunks_exact(inputs).enumerate() {
                for (across, value) in panel.chunks_exact_mut(PANEL).zip(row) {
                    across[at] = *value;
                }
            }
        }
        Self { inputs, panels, bias }
    }

    /// How many values it makes of a row.
    pub(crate) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Applies it to rows `[_, inputs]`; `out` is `[_, outputs]`.
    pub(crate) fn apply(&self, rows: &[f32], out: &mut [f32], place: Place, room: &mut Room) {
        Apply { linear: self, rows, out, place, room }.dispatch();
    }
}

/// Memory that products need while they are computed, to be used again.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(crate) tiles: Tiles,
    /// A panel, widened.
    wide: Vec<f32>,
}

struct Apply<'a> {
    linear: &'a Linear,
    rows: &'a [f32],
    out: &'a mut [f32],
    place: Place,
    room: &'a mut Room,
}

/// With so many tiles, a panel is widened once for all of them.
const TILES_WORTH_WIDENING: usize = 4;

impl SimdOp for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { linear, rows, out, place, room: Room { tiles, wide } } = self;
        let (inputs, outputs) = (linear.inputs, linear.outputs());
        tiles.pack(isa, rows.len() / inputs, inputs, 1.0, rows.chunks_exact(inputs));
        let widens = tiles.len() >= TILES_WORTH_WIDENING;
        let panels = linear.panels.chunks_exact(PANEL * inputs).zip(linear.bias.as_chunks::<PANEL>().0);
        for (at, (panel, bias)) in panels.enumerate() {
            let out = &mut out[at * PANEL..];
            if widens {
                widen(isa, panel, wide);
                tiles.product(isa, wide.chunks_exact(PANEL), bias, out, outputs, place);
            } else {
                tiles.product(isa, panel.chunks_exact(PANEL), bias, out, outputs, place);
            }
        }
    }
}

/// `wide` as float32 values of `panel`, whose length is a multiple of [`PANEL`].
#[inline(always)]
fn widen<I: Isa>(isa: I, panel: &[f16], wide: &mut Vec<f32>) {
    let ops = isa.f32();
    wide.resize(panel.len(), 0.0);
    for (from, to) in panel.chunks_exact(2 * ops.len()).zip(wide.chunks_exact_mut(2 * ops.len())) {
        let [low, high] = f16::widen(isa, from);
        ops.store(low, to);
        ops.store(high, &mut to[ops.len()..]);
    }
}
