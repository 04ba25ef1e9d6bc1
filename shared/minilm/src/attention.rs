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

#[cfg(test)]
mod tests {
    use super::*;

    /// Attention by the definition, in float64.
    fn plain(parts: &[f32]) -> Vec<f64> {
        let tokens: Vec<&[f32]> = parts.chunks_exact(3 * WIDTH).collect();
        let of = |token: &[f32], part: usize, head: usize| {
            let start = part * WIDTH + head * HEAD;
            token[start..start + HEAD].iter().map(|value| f64::from(*value)).collect::<Vec<_>>()
        };
        let mut seen = vec![0.0; tokens.len() * WIDTH];
        for (at, token) in tokens.iter().enumerate() {
            for head in 0..HEADS {
                let query = of(token, 0, head);
                let score =
                    |key: Vec<f64>| query.iter().zip(&key).map(|(q, k)| q * k).sum::<f64>() / (HEAD as f64).sqrt();
                let weights: Vec<f64> = tokens.iter().map(|token| score(of(token, 1, head)).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for (token, weight) in tokens.iter().zip(&weights) {
                    for (value, seen) in of(token, 2, head).iter().zip(&mut seen[at * WIDTH + head * HEAD..]) {
                        *seen += weight / sum * value;
                    }
                }
            }
        }
        seen
    }

    #[test]
    fn texts_of_any_length_and_in_any_order_see_what_the_definition_says() {
        let mut attention = Attention::default();
        for tokens in [1, 2, 5, 6, 7, 31, 32, 33, 70, 3] {
            let parts: Vec<f32> =
                (0..tokens * 3 * WIDTH).map(|at| ((at * 73 + tokens) % 101) as f32 / 50.0 - 1.0).collect();
            let mut seen = vec![f32::NAN; tokens * WIDTH];
            attention.of_text(&parts, &mut seen);
            for (found, expected) in seen.iter().zip(plain(&parts)) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{tokens} tokens: {found}, not {expected}");
            }
        }
    }
}
