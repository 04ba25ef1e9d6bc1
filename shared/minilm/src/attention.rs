//! Multi-head attention (Vaswani et al. 2017), each text's tokens looking at its own.

use rten_simd::{Isa, SimdOp};
use rten_vecmath::Softmax;

use crate::product::{PANEL, Place, Tiles};

/// Heads, and values of each, which fill a panel.
pub(crate) const HEADS: usize = 12;
const HEAD: usize = PANEL;
/// Values of a token.
const WIDTH: usize = HEADS * HEAD;

/// Memory that it needs, to be used again.
#[derive(Debug, Default)]
pub(crate) struct Attention {
    tiles: Tiles,
    keys: Vec<f32>,
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
        let Self { head, parts, seen, attention: Attention { tiles, keys, scores } } = self;
        let tokens = parts.len() / (3 * WIDTH);
        let part = |part: usize| {
            let start = part * WIDTH + head * HEAD;
            parts.chunks_exact(3 * WIDTH).map(move |parts| &parts[start..start + HEAD])
        };
        let [queries, values] = [part(0), part(2)];

        // The keys' panels: a value of a key a row, a token a column.
        let padded = tokens.next_multiple_of(PANEL);
        keys.clear();
        keys.resize(padded * HEAD, 0.0);
        for (token, key) in part(1).enumerate() {
            let panel = &mut keys[token / PANEL * PANEL * HEAD..];
            for (row, value) in panel.chunks_exact_mut(PANEL).zip(key) {
                row[token % PANEL] = *value;
            }
        }

        scores.resize(tokens * padded, 0.0);
        tiles.pack(isa, tokens, HEAD, (HEAD as f32).sqrt().recip(), queries);
        for (at, panel) in keys.chunks_exact(PANEL * HEAD).enumerate() {
            let out = &mut scores[at * PANEL..];
            tiles.product(isa, panel.chunks_exact(PANEL), &[0.0; PANEL], out, padded, Place::Replaced);
        }
        for scores in scores.chunks_exact_mut(padded) {
            Softmax::new_mut(&mut scores[..tokens]).eval(isa);
        }

        tiles.pack(isa, tokens, tokens, 1.0, scores.chunks_exact(padded));
        tiles.product(isa, values, &[0.0; PANEL], &mut seen[head * HEAD..], WIDTH, Place::Replaced);
    }
}
