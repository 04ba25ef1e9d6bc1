//! Multi-head attention (Vaswani et al. 2017), each text's tokens looking at its own.

use rten_simd::{Isa, SimdOp};
use rten_vecmath::Softmax;

use crate::product::{PANEL, Place, product};

/// Heads, and values of each, which fill a panel.
pub(crate) const HEADS: usize = 12;
const HEAD: usize = PANEL;
/// Values of a token.
const WIDTH: usize = HEADS * HEAD;

/// Memory that it needs, to be used again.
#[derive(Debug, Default)]
pub(crate) struct Attention {
    keys: Vec<[f32; PANEL]>,
    values: Vec<[f32; PANEL]>,
    scores: Vec<f32>,
}

impl Attention {
    /// What the tokens of one text see. `parts`, `[tokens, 3 × WIDTH]`: each token's queries, keys and values; `seen`:
    /// `[tokens, WIDTH]`.
    pub(crate) fn of_text(&mut self, parts: &[f32], seen: &mut [f32]) {
        for head in 0..HEADS {
            Head { head, parts, seen, attention: self }.dispatch();
        }
    }
}

struct Head<'a> {
    head: usize,
    parts: &'a [f32],
    seen: &'a mut [f32],
    attention: &'a mut Attention,
}

impl SimdOp for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { head, parts, seen, attention: Attention { keys, values, scores } } = self;
        let tokens = parts.len() / (3 * WIDTH);
        let [queries_at, keys_at, values_at] = [0, 1, 2].map(|part| part * WIDTH + head * HEAD);

        // The keys' panels: a value of a key a row, a token a column, beyond the last token anything.
        let panels = tokens.div_ceil(PANEL);
        let scale = (HEAD as f32).sqrt().recip();
        keys.resize(panels * HEAD, [0.0; PANEL]);
        values.resize(tokens, [0.0; PANEL]);
        for ((token, parts), values) in parts.chunks_exact(3 * WIDTH).enumerate().zip(&mut *values) {
            values.copy_from_slice(&parts[values_at..values_at + HEAD]);
            let panel = &mut keys[token / PANEL * HEAD..];
            for (across, value) in panel.iter_mut().zip(&parts[keys_at..keys_at + HEAD]) {
                across[token % PANEL] = value * scale;
            }
        }

        let padded = panels * PANEL;
        scores.resize(tokens * padded, 0.0);
        for (at, panel) in keys.chunks_exact(HEAD).enumerate() {
            let (queries, out) = ((&parts[queries_at..], 3 * WIDTH), (&mut scores[at * PANEL..], padded));
            product(isa, queries, panel, &[0.0; PANEL], out, Place::Replaced, &[]);
        }
        for scores in scores.chunks_exact_mut(padded) {
            Softmax::new_mut(&mut scores[..tokens]).eval(isa);
        }
        let out = (&mut seen[head * HEAD..], WIDTH);
        product(isa, (scores, padded), values, &[0.0; PANEL], out, Place::Replaced, &[]);
    }
}
