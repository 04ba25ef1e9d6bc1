//! The model's network: BERT (Devlin et al. 2018) of six layers, and the mean of what it makes of a text's tokens.

use std::ops::Range;

use rten_simd::{SimdOp as _, SimdUnaryOp as _, f16};
use rten_vecmath::{Gelu, Normalize, NormalizeOptions, Sum, SumSquareSub};

use crate::attention::{Attention, HEADS};
use crate::product::{Linear, PANEL, Place};
use crate::weights::{Unfit, Weights};

/// Values of a token and of a text's vector: `hidden_size` of the model's `config.json`.
pub const DIM: usize = HEADS * PANEL;
/// `num_hidden_layers`.
const LAYERS: usize = 6;
/// `intermediate_size`.
const INNER: usize = 1536;
/// `max_position_embeddings`.
const PLACES: usize = 512;
/// `type_vocab_size`.
const KINDS: usize = 2;
/// `layer_norm_eps`.
const EPSILON: f32 = 1e-12;

/// The network with its weights.
pub(crate) struct Encoder {
    /// `[words, DIM]`.
    words: Vec<f16>,
    /// `[PLACES, DIM]`, what a first sentence's tokens have in common added.
    places: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

struct Layer {
    /// Queries, keys and values at once.
    parts: Linear,
    seen: Linear,
    seen_norm: Norm,
    inner: Linear,
    outer: Linear,
    outer_norm: Norm,
}

/// Layer normalisation (Ba et al. 2016).
struct Norm {
    scale: Vec<f32>,
    bias: Vec<f32>,
}

impl Encoder {
    /// The network of these weights, for a vocabulary of `words` entries.
    ///
    /// Errors: the tensor that is missing, or has another shape.
    pub(crate) fn new(mut weights: Weights, words: usize) -> Result<Self, Unfit> {
        let mut places = weights.matrix("embeddings.position_embeddings.weight", [PLACES, DIM])?;
        let kinds = weights.matrix("embeddings.token_type_embeddings.weight", [KINDS, DIM])?;
        let places = places.chunks_exact_mut(DIM).flat_map(|place| {
            place.iter().zip(&kinds).map(|(place, kind)| place.to_f32() + kind.to_f32()).collect::<Vec<_>>()
        });
        Ok(Self {
            places: places.collect(),
            words: weights.matrix("embeddings.word_embeddings.weight", [words, DIM])?,
            norm: Norm::new(&mut weights, "embeddings.LayerNorm")?,
            layers: (0..LAYERS).map(|layer| Layer::new(&mut weights, layer)).collect::<Result<_, _>>()?,
        })
    }

    /// The vectors of texts, given by the numbers of their word pieces, at most [`MAX_PIECES`] each and at least one; each of
    /// unit length.
    pub(crate) fn vectors(&self, texts: &[Vec<u32>], memory: &mut Memory) -> Vec<Vec<f32>> {
        let mut spans: Vec<Range<usize>> = Vec::with_capacity(texts.len());
        let mut tokens = Vec::new();
        for text in texts {
            let start = tokens.len();
            tokens.extend(text.iter().zip(self.places.chunks_exact(DIM)).flat_map(|(word, place)| {
                let word = &self.words[*word as usize * DIM..][..DIM];
                word.iter().zip(place).map(|(word, place)| word.to_f32() + place)
            }));
            spans.push(start..tokens.len());
        }
        self.norm.apply(&mut tokens);
        for layer in &self.layers {
            layer.apply(&mut tokens, &spans, memory);
        }
        spans.into_iter().map(|span| unit_mean(&tokens[span])).collect()
    }
}

/// What the layers need while they work, one after the other; whatever it holds.
#[derive(Default)]
pub(crate) struct Memory {
    parts: Vec<f32>,
    seen: Vec<f32>,
    inner: Vec<f32>,
    room: Vec<[f32; PANEL]>,
    attention: Attention,
}

impl Layer {
    fn new(weights: &mut Weights, layer: usize) -> Result<Self, Unfit> {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let linear = |weights: &mut Weights, parts: &[&str], inputs: usize, outputs: usize| {
            let (mut matrix, mut bias) = (Vec::new(), Vec::new());
            for part in parts {
                matrix.extend(weights.matrix(&name(&format!("{part}.weight")), [outputs, inputs])?);
                bias.extend(weights.vector(&name(&format!("{part}.bias")), outputs)?);
            }
            Ok(Linear::new(&matrix, bias))
        };
        let parts = ["attention.self.query", "attention.self.key", "attention.self.value"];
        Ok(Self {
            parts: linear(weights, &parts, DIM, DIM)?,
            seen: linear(weights, &["attention.output.dense"], DIM, DIM)?,
            seen_norm: Norm::new(weights, &name("attention.output.LayerNorm"))?,
            inner: linear(weights, &["intermediate.dense"], DIM, INNER)?,
            outer: linear(weights, &["output.dense"], INNER, DIM)?,
            outer_norm: Norm::new(weights, &name("output.LayerNorm"))?,
        })
    }

    /// `tokens`: `[_, DIM]`, of texts that take the ranges `spans` of it.
    fn apply(&self, tokens: &mut [f32], spans: &[Range<usize>], memory: &mut Memory) {
        let Memory { parts, seen, inner, room, attention } = memory;
        let count = tokens.len() / DIM;
        parts.resize(count * self.parts.outputs(), 0.0);
        self.parts.apply(tokens, parts, Place::Replaced, room);
        seen.resize(tokens.len(), 0.0);
        for span in spans {
            attention.of_text(&parts[3 * span.start..3 * span.end], &mut seen[span.clone()]);
        }
        self.seen.apply(seen, tokens, Place::Added, room);
        self.seen_norm.apply(tokens);

        inner.resize(count * INNER, 0.0);
        self.inner.apply(tokens, inner, Place::Replaced, room);
        Gelu {}.map_mut(inner);
        self.outer.apply(inner, tokens, Place::Added, room);
        self.outer_norm.apply(tokens);
    }
}

impl Norm {
    fn new(weights: &mut Weights, name: &str) -> Result<Self, Unfit> {
        let mut vector = |part: &str| weights.vector(&format!("{name}.{part}"), DIM);
        Ok(Self { scale: vector("weight")?, bias: vector("bias")? })
    }

    /// To each of `tokens`: `[_, DIM]`.
    fn apply(&self, tokens: &mut [f32]) {
        for token in tokens.chunks_exact_mut(DIM) {
            let mean = Sum::new(token).dispatch() / DIM as f32;
            let variance = SumSquareSub::new(token, mean).dispatch() / DIM as f32;
            let options = NormalizeOptions {
                pre_scale_bias: mean,
                scale: (variance + EPSILON).sqrt().recip(),
                element_scale: Some(&self.scale),
                bias: 0.0,
                element_bias: Some(&self.bias),
            };
            Normalize::new_mut(token, options).dispatch();
        }
    }
}

/// The mean of a text's tokens, of unit length: what the model's `1_Pooling` and `2_Normalize` do.
fn unit_mean(tokens: &[f32]) -> Vec<f32> {
    let mut sum = vec![0.0; DIM];
    for token in tokens.chunks_exact(DIM) {
        for (sum, value) in sum.iter_mut().zip(token) {
            *sum += value;
        }
    }
    let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    sum.iter_mut().for_each(|value| *value /= length);
    sum
}
