//! Multi-head self-attention within one text (Vaswani et al. 2017).

use rten_simd::{Isa, SimdOp};
use rten_vecmath::Softmax;

use crate::product::{Accumulate, PANEL, product};

/// The number of heads: `num_attention_heads` of the model's `config.json`.
pub(crate) const HEADS: usize = 12;
/// Values of one head, which are one panel.
const HEAD: usize = PANEL;
/// Values of one token.
const WIDTH: usize = HEADS * HEAD;

/// Buffers that are reused from text to text. Their content before a call does not matter.
#[derive(Debug, Default)]
pub(crate) struct Attention {
    keys: Vec<[f32; PANEL]>,
    values: Vec<[f32; PANEL]>,
    scores: Vec<f32>,
}

impl Attention {
    /// Computes the attention of one text. `qkv`: `[tokens, 3 × WIDTH]`, the queries, keys and values of each token.
    /// `out`: `[tokens, WIDTH]`, overwritten.
    pub(crate) fn apply(&mut self, qkv: &[f32], out: &mut [f32]) {
        for head in 0..HEADS {
            Head { head, qkv, out, attention: self }.dispatch();
        }
    }
}

struct Head<'a> {
    head: usize,
    qkv: &'a [f32],
    out: &'a mut [f32],
    attention: &'a mut Attention,
}

impl SimdOp for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { head, qkv, out, attention: Attention { keys, values, scores } } = self;
        let tokens = qkv.len() / (3 * WIDTH);
        let [queries_at, keys_at, values_at] = [0, 1, 2].map(|part| part * WIDTH + head * HEAD);

        // Panels of keys: one row per value of a key, one column per token. Columns past the last token are arbitrary.
        let panels = tokens.div_ceil(PANEL);
        let scale = (HEAD as f32).sqrt().recip();
        keys.resize(panels * HEAD, [0.0; PANEL]);
        values.resize(tokens, [0.0; PANEL]);
        for ((token, qkv), values) in qkv.chunks_exact(3 * WIDTH).enumerate().zip(&mut *values) {
            values.copy_from_slice(&qkv[values_at..values_at + HEAD]);
            let panel = &mut keys[token / PANEL * HEAD..];
            for (across, value) in panel.iter_mut().zip(&qkv[keys_at..keys_at + HEAD]) {
                across[token % PANEL] = value * scale;
            }
        }

        let padded = panels * PANEL;
        scores.resize(tokens * padded, 0.0);
        for (at, panel) in keys.chunks_exact(HEAD).enumerate() {
            let (queries, out) = ((&qkv[queries_at..], 3 * WIDTH), (&mut scores[at * PANEL..], padded));
            product(isa, queries, panel, &[0.0; PANEL], out, Accumulate::Replace, &[]);
        }
        for scores in scores.chunks_exact_mut(padded) {
            Softmax::new_mut(&mut scores[..tokens]).eval(isa);
        }
        let out = (&mut out[head * HEAD..], WIDTH);
        product(isa, (scores, padded), values, &[0.0; PANEL], out, Accumulate::Replace, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attention by its definition, in float64.
    fn plain(qkv: &[f32]) -> Vec<f64> {
        let tokens: Vec<&[f32]> = qkv.chunks_exact(3 * WIDTH).collect();
        let of = |token: &[f32], part: usize, head: usize| {
            let start = part * WIDTH + head * HEAD;
            token[start..start + HEAD].iter().map(|value| f64::from(*value)).collect::<Vec<_>>()
        };
        let mut out = vec![0.0; tokens.len() * WIDTH];
        for (at, token) in tokens.iter().enumerate() {
            for head in 0..HEADS {
                let query = of(token, 0, head);
                let score =
                    |key: Vec<f64>| query.iter().zip(&key).map(|(q, k)| q * k).sum::<f64>() / (HEAD as f64).sqrt();
                let weights: Vec<f64> = tokens.iter().map(|token| score(of(token, 1, head)).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for (token, weight) in tokens.iter().zip(&weights) {
                    for (value, out) in of(token, 2, head).iter().zip(&mut out[at * WIDTH + head * HEAD..]) {
                        *out += weight / sum * value;
                    }
                }
            }
        }
        out
    }

    #[test]
    fn apply_with_texts_of_any_length_in_any_order_equals_the_definition() {
        let mut attention = Attention::default();
        for tokens in [1, 2, 5, 6, 7, 31, 32, 33, 70, 3] {
            let qkv: Vec<f32> =
                (0..tokens * 3 * WIDTH).map(|at| ((at * 73 + tokens) % 101) as f32 / 50.0 - 1.0).collect();
            let mut out = vec![f32::NAN; tokens * WIDTH];
            attention.apply(&qkv, &mut out);
            for (found, expected) in out.iter().zip(plain(&qkv)) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{tokens} tokens: {found}, not {expected}");
            }
        }
    }
}
