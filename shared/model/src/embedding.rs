//! Embeddings: unit vectors of float32. Callers send them as JSON or base64, and rows hold their bytes.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

/// The largest distance from 1 that the norm of a stored vector may have without being normalised again.
const NORM_TOLERANCE: f64 = 1e-4;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A vector of unit L2 norm. It has at least one component, and every component is finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// Scales `values` to unit norm. The error says why that is not possible.
    pub fn normalized(values: Vec<f32>) -> Result<Self, String> {
        if values.is_empty() {
            return Err("an embedding has at least one number".to_owned());
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(format!("number {at} of the embedding is {}", values[at]));
        }
        let norm = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        if norm == 0.0 {
            return Err("the embedding is the zero vector, which has no direction".to_owned());
        }
        Ok(Self(values.into_iter().map(|v| (f64::from(v) / norm) as f32).collect()))
    }

    /// Reads a vector from the bytes of a row: little-endian float32. It is kept bit for bit if its norm is 1 within
    /// 1e-4, and is normalised otherwise. `None` if the bytes are not whole numbers, or the vector is empty, zero or
    /// not finite.
    pub fn from_row(bytes: &[u8]) -> Option<Self> {
        let values = floats(bytes)?;
        let squares = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        if !values.is_empty() && (squares.sqrt() - 1.0).abs() <= NORM_TOLERANCE {
            return Some(Self(values));
        }
        Self::normalized(values).ok()
    }

    /// The components as little-endian float32, as a row holds them.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    /// The number of components.
    pub fn dim(&self) -> usize {
        self.0.len()
    }

    /// The components.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }
}

/// Reads little-endian float32 values. `None` if the number of bytes is not a multiple of four.
fn floats(bytes: &[u8]) -> Option<Vec<f32>> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
}

/// Encodes the bytes of a vector as base64 (RFC 4648, with padding), the form of an entry's `embedding` in replies.
pub fn encode_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Reads a JSON array of numbers, or base64 of little-endian float32 with or without padding.
impl<'de> Deserialize<'de> for Embedding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Wire;

        impl<'de> Visitor<'de> for Wire {
            type Value = Embedding;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of numbers, or base64 of little-endian float32")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Embedding, E> {
                let bytes =
                    BASE64.decode(text).map_err(|error| E::custom(format!("the embedding is not base64: {error}")))?;
                let values = floats(&bytes).ok_or_else(|| {
                    E::custom(format!(
                        "the embedding's base64 holds {} bytes, which is not a whole number of float32",
                        bytes.len()
                    ))
                })?;
                Embedding::normalized(values).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Embedding, A::Error> {
                let mut values = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(8192));
                while let Some(value) = seq.next_element::<f64>()? {
                    values.push(value as f32);
                }
                Embedding::normalized(values).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(Wire)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(json: &str) -> Result<Embedding, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn deserialize_array_and_base64_of_same_vector_are_equal() {
        let array = parse("[3, 4.0]").unwrap();
        let bytes: Vec<u8> = [3f32, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let text = encode_base64(&bytes);
        assert_eq!(parse(&format!("{text:?}")).unwrap(), array);
        assert_eq!(parse(&format!("{:?}", text.trim_end_matches('='))).unwrap(), array);
        assert_eq!(array.as_slice(), [0.6, 0.8]);
    }

    #[test]
    fn deserialize_invalid_vector_says_why() {
        let nan = encode_base64(&f32::NAN.to_le_bytes());
        for (json, says) in [
            ("[]".to_owned(), "at least one"),
            ("[0, 0.0, -0.0]".to_owned(), "zero vector"),
            ("[1e39]".to_owned(), "number 0 of the embedding is inf"),
            ("[1, \"a\"]".to_owned(), "invalid type"),
            (format!("{nan:?}"), "number 0 of the embedding is NaN"),
            ("\"AAAA\"".to_owned(), "holds 3 bytes"),
            ("\"%\"".to_owned(), "not base64"),
            ("7".to_owned(), "an array of numbers"),
        ] {
            let error = parse(&json).unwrap_err();
            assert!(error.contains(says), "{json}: {error}");
        }
    }

    proptest! {
        #[test]
        fn from_row_of_to_bytes_is_same_embedding(values in prop::collection::vec(-1e3f32..1e3, 1..64)) {
            prop_assume!(values.iter().any(|v| v.abs() > 1e-3));
            let embedding = Embedding::normalized(values).unwrap();
            let norm = embedding.as_slice().iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            prop_assert!((norm - 1.0).abs() < 1e-6);
            prop_assert_eq!(Embedding::from_row(&embedding.to_bytes()), Some(embedding));
        }
    }
}
