//! The network of the model: BERT (Devlin et al. 2018) with six layers, and the mean of its outputs for a text's
//! tokens.

use std::ops::Range;

use rten_simd::{SimdOp as _, SimdUnaryOp as _, f16};
use rten_vecmath::{Gelu, Normalize, NormalizeOptions, Sum, SumSquareSub};

use crate::attention::{Attention, HEADS};
use crate::product::{Accumulate, Linear, PANEL};
use crate::weights::{Unfit, Weights};

/// The dimension of a token and of a text's vector: `hidden_size` of the model's `config.json`.
pub const DIM: usize = HEADS * PANEL;
/// `num_hidden_layers`.
const LAYERS: usize = 6;
/// `intermediate_size`.
const FFN_DIM: usize = 1536;
/// `max_position_embeddings`.
const MAX_POSITIONS: usize = 512;
/// `type_vocab_size`.
const TOKEN_TYPES: usize = 2;
/// `layer_norm_eps`.
const EPSILON: f32 = 1e-12;

/// The network with its weights.
pub(crate) struct Encoder {
    /// `[words, DIM]`, one row per entry of the vocabulary.
    words: Vec<f16>,
    /// `[MAX_POSITIONS, DIM]`, each with the embedding of token type 0 added, which all tokens of a single text have.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

struct Layer {
    /// Queries, keys and values in one product.
    qkv: Linear,
    attn_out: Linear,
    attn_norm: Norm,
    ffn_up: Linear,
    ffn_down: Linear,
    ffn_norm: Norm,
}

/// Layer normalisation (Ba et al. 2016).
struct Norm {
    scale: Vec<f32>,
    bias: Vec<f32>,
}

impl Encoder {
    /// Builds the network for a vocabulary of `words` entries.
    ///
    /// Errors: a tensor is missing, or has another shape or type.
    pub(crate) fn new(mut weights: Weights, words: usize) -> Result<Self, Unfit> {
        let mut positions = weights.matrix("embeddings.position_embeddings.weight", [MAX_POSITIONS, DIM])?;
        let token_types = weights.matrix("embeddings.token_type_embeddings.weight", [TOKEN_TYPES, DIM])?;
        let positions = positions.chunks_exact_mut(DIM).flat_map(|position| {
            position
                .iter()
                .zip(&token_types)
                .map(|(position, token_type)| position.to_f32() + token_type.to_f32())
                .collect::<Vec<_>>()
        });
        Ok(Self {
            positions: positions.collect(),
            words: weights.matrix("embeddings.word_embeddings.weight", [words, DIM])?,
            norm: Norm::new(&mut weights, "embeddings.LayerNorm")?,
            layers: (0..LAYERS).map(|layer| Layer::new(&mut weights, layer)).collect::<Result<_, _>>()?,
        })
    }

    /// Returns one vector of unit length per text. `texts`: the numbers of the word pieces of each text, 1 to
    /// [`MAX_PIECES`](crate::tokenizer::MAX_PIECES). There is at least one text.
    pub(crate) fn vectors(&self, texts: &[Vec<u32>], scratch: &mut Scratch) -> Vec<Vec<f32>> {
        let mut spans: Vec<Range<usize>> = Vec::with_capacity(texts.len());
        let mut tokens = Vec::new();
        for text in texts {
            let start = tokens.len();
            tokens.extend(text.iter().zip(self.positions.chunks_exact(DIM)).flat_map(|(word, position)| {
                let word = &self.words[*word as usize * DIM..][..DIM];
                word.iter().zip(position).map(|(word, position)| word.to_f32() + position)
            }));
            spans.push(start..tokens.len());
        }
        self.norm.apply(&mut tokens);
        for layer in &self.layers {
            layer.apply(&mut tokens, &spans, scratch);
        }
        spans.into_iter().map(|span| unit_mean(&tokens[span])).collect()
    }
}

/// Buffers that all layers share. Their content before a call does not matter.
#[derive(Default)]
pub(crate) struct Scratch {
    qkv: Vec<f32>,
    attn_out: Vec<f32>,
    ffn_up: Vec<f32>,
    widened: Vec<[f32; PANEL]>,
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
            qkv: linear(weights, &parts, DIM, DIM)?,
            attn_out: linear(weights, &["attention.output.dense"], DIM, DIM)?,
            attn_norm: Norm::new(weights, &name("attention.output.LayerNorm"))?,
            ffn_up: linear(weights, &["intermediate.dense"], DIM, FFN_DIM)?,
            ffn_down: linear(weights, &["output.dense"], FFN_DIM, DIM)?,
            ffn_norm: Norm::new(weights, &name("output.LayerNorm"))?,
        })
    }

    /// Applies the layer in place. `tokens`: `[_, DIM]`. `spans`: the range of `tokens` that each text takes.
    fn apply(&self, tokens: &mut [f32], spans: &[Range<usize>], scratch: &mut Scratch) {
        let Scratch { qkv, attn_out, ffn_up, widened, attention } = scratch;
        let count = tokens.len() / DIM;
        qkv.resize(count * self.qkv.outputs(), 0.0);
        self.qkv.apply(tokens, qkv, Accumulate::Replace, widened);
        attn_out.resize(tokens.len(), 0.0);
        for span in spans {
            attention.apply(&qkv[3 * span.start..3 * span.end], &mut attn_out[span.clone()]);
        }
        self.attn_out.apply(attn_out, tokens, Accumulate::Add, widened);
        self.attn_norm.apply(tokens);

        ffn_up.resize(count * FFN_DIM, 0.0);
        self.ffn_up.apply(tokens, ffn_up, Accumulate::Replace, widened);
        Gelu {}.map_mut(ffn_up);
        self.ffn_down.apply(ffn_up, tokens, Accumulate::Add, widened);
        self.ffn_norm.apply(tokens);
    }
}

impl Norm {
    fn new(weights: &mut Weights, name: &str) -> Result<Self, Unfit> {
        let mut vector = |part: &str| weights.vector(&format!("{name}.{part}"), DIM);
        Ok(Self { scale: vector("weight")?, bias: vector("bias")? })
    }

    /// Normalises each of `tokens`, `[_, DIM]`, in place.
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

/// The mean of a text's tokens, scaled to unit length: the model's modules `1_Pooling` and `2_Normalize`.
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const WORDS: usize = 20;

    /// Name, shape and values.
    type Named = (String, Vec<usize>, Vec<f32>);

    /// Tensors with the model's names and shapes and small random values. The scales of normalisations are around one.
    fn tensors() -> Vec<Named> {
        let mut shapes = vec![
            ("embeddings.word_embeddings.weight".to_owned(), vec![WORDS, DIM]),
            ("embeddings.position_embeddings.weight".to_owned(), vec![MAX_POSITIONS, DIM]),
            ("embeddings.token_type_embeddings.weight".to_owned(), vec![TOKEN_TYPES, DIM]),
        ];
        let mut norms = vec!["embeddings.LayerNorm".to_owned()];
        for layer in 0..LAYERS {
            let at = format!("encoder.layer.{layer}");
            norms.extend([format!("{at}.attention.output.LayerNorm"), format!("{at}.output.LayerNorm")]);
            for (part, outputs, inputs) in [
                ("attention.self.query", DIM, DIM),
                ("attention.self.key", DIM, DIM),
                ("attention.self.value", DIM, DIM),
                ("attention.output.dense", DIM, DIM),
                ("intermediate.dense", FFN_DIM, DIM),
                ("output.dense", DIM, FFN_DIM),
            ] {
                shapes.push((format!("{at}.{part}.weight"), vec![outputs, inputs]));
                shapes.push((format!("{at}.{part}.bias"), vec![outputs]));
            }
        }
        shapes.extend(
            norms.iter().flat_map(|norm| [(format!("{norm}.weight"), vec![DIM]), (format!("{norm}.bias"), vec![DIM])]),
        );
        let mut state = 1u32;
        let mut draw = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let filled = shapes.into_iter().map(|(name, shape)| {
            let around = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
            let values = (0..shape.iter().product()).map(|_| around + 0.2 * draw()).collect();
            (name, shape, values)
        });
        filled.collect()
    }

    fn encoder() -> Encoder {
        Encoder::new(Weights::of(tensors()), WORDS).unwrap_or_else(|Unfit(fact)| panic!("{fact}"))
    }

    /// The vector of one text by the definitions, in float64.
    fn plain(text: &[u32]) -> Vec<f64> {
        let rounded = |(name, shape, values): Named| {
            let half = |value: &f32| f16::from_f32(*value).to_f32();
            let values = values.iter().map(|value| f64::from(if shape.len() == 2 { half(value) } else { *value }));
            (name, values.collect::<Vec<_>>())
        };
        let tensors: HashMap<_, _> = tensors().into_iter().map(rounded).collect();
        let of = |name: &str| tensors[name].as_slice();
        let norm = |token: &mut [f64], name: &str| {
            let mean = token.iter().sum::<f64>() / DIM as f64;
            let variance = token.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / DIM as f64;
            let (scale, bias) = (of(&format!("{name}.weight")), of(&format!("{name}.bias")));
            for ((value, scale), bias) in token.iter_mut().zip(scale).zip(bias) {
                *value = (*value - mean) / (variance + f64::from(EPSILON)).sqrt() * scale + bias;
            }
        };
        let linear = |token: &[f64], name: &str| -> Vec<f64> {
            let rows = of(&format!("{name}.weight")).chunks_exact(token.len()).zip(of(&format!("{name}.bias")));
            rows.map(|(row, bias)| row.iter().zip(token).map(|(w, x)| w * x).sum::<f64>() + bias).collect()
        };
        let row =
            |name: &str, at: usize| of(&format!("embeddings.{name}_embeddings.weight"))[at * DIM..][..DIM].to_vec();
        let sum = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(a, b)| a + b).collect::<Vec<_>>();
        let embed = |(position, word): (usize, &u32)| {
            let mut token = sum(&sum(&row("word", *word as usize), &row("position", position)), &row("token_type", 0));
            norm(&mut token, "embeddings.LayerNorm");
            token
        };
        let mut tokens: Vec<Vec<f64>> = text.iter().enumerate().map(embed).collect();
        for layer in 0..LAYERS {
            let at = |part: &str| format!("encoder.layer.{layer}.{part}");
            let part = |part: &str| tokens.iter().map(|token| linear(token, &at(part))).collect::<Vec<_>>();
            let (queries, keys, values) =
                (part("attention.self.query"), part("attention.self.key"), part("attention.self.value"));
            for (token, query) in tokens.iter_mut().zip(&queries) {
                let mut attn_out = vec![0.0; DIM];
                for head in (0..DIM).step_by(PANEL) {
                    let span = head..head + PANEL;
                    let score = |key: &Vec<f64>| {
                        let dot = query[span.clone()].iter().zip(&key[span.clone()]).map(|(q, k)| q * k).sum::<f64>();
                        (dot / (PANEL as f64).sqrt()).exp()
                    };
                    let scores: Vec<f64> = keys.iter().map(score).collect();
                    for (value, score) in values.iter().zip(&scores) {
                        for at in span.clone() {
                            attn_out[at] += score / scores.iter().sum::<f64>() * value[at];
                        }
                    }
                }
                *token = sum(token, &linear(&attn_out, &at("attention.output.dense")));
                norm(token, &at("attention.output.LayerNorm"));
                let ffn_up = linear(token, &at("intermediate.dense")).into_iter().map(gelu).collect::<Vec<_>>();
                *token = sum(token, &linear(&ffn_up, &at("output.dense")));
                norm(token, &at("output.LayerNorm"));
            }
        }
        let mean = tokens.iter().fold(vec![0.0; DIM], |all, token| sum(&all, token));
        let length = mean.iter().map(|value| value * value).sum::<f64>().sqrt();
        mean.iter().map(|value| value / length).collect()
    }

    /// x Φ(x), with the distribution function computed by its series (Abramowitz and Stegun 26.2.11).
    fn gelu(x: f64) -> f64 {
        let mut term = x;
        let mut series = x;
        for n in 1..200 {
            term *= x * x / f64::from(2 * n + 1);
            series += term;
        }
        x * (0.5 + series * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt())
    }

    #[test]
    fn vectors_of_texts_alone_and_together_equal_the_definition() {
        let encoder = encoder();
        let texts: Vec<Vec<u32>> =
            [1, 2, 7, 14].map(|length| (0..length).map(|at| (at * 7 + length) % 20).collect()).into();
        let mut scratch = Scratch::default();
        let together = encoder.vectors(&texts, &mut scratch);
        for (text, vector) in texts.iter().zip(&together) {
            let [alone] = encoder.vectors(std::slice::from_ref(text), &mut scratch).try_into().unwrap();
            for ((value, alone), expected) in vector.iter().zip(alone).zip(plain(text)) {
                assert!((f64::from(*value) - expected).abs() < 2e-6, "{}: {value}, not {expected}", text.len());
                assert!((value - alone).abs() < 1e-6, "{}: {value}, alone {alone}", text.len());
            }
        }
    }

    #[test]
    fn new_with_missing_or_wrongly_shaped_tensor_returns_an_error_that_names_it() {
        let refused = |change: &dyn Fn(&mut Vec<Named>)| {
            let mut tensors = tensors();
            change(&mut tensors);
            Encoder::new(Weights::of(tensors), WORDS).err().map(|Unfit(fact)| fact)
        };
        let last = "encoder.layer.5.output.LayerNorm.bias";
        let missing = refused(&|tensors| tensors.retain(|(name, ..)| name != last));
        assert_eq!(missing, Some(format!("it has no {last}")));
        let first = "embeddings.word_embeddings.weight is F16 [19, 384], not F16 [20, 384]";
        assert_eq!(refused(&|tensors| tensors[0].1[0] -= 1).as_deref(), Some(first));
        assert_eq!(refused(&|_| ()), None);
    }
}
