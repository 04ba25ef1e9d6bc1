//! The bodies of `POST <base URL>/embeddings`. Source: OpenAI API reference, "Create embeddings".

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{EmbedError, unreadable};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [&'a str],
    /// `base64`, which takes a quarter of the bytes of numbers as text. A server that does not know it answers with
    /// numbers.
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Floats,
}

/// A vector, which comes as numbers or as base64 of little-endian float32.
struct Floats(Vec<f32>);

pub(super) fn request(model: &str, dimensions: Option<usize>, input: &[&str]) -> Bytes {
    let request = Request { model, input, encoding_format: "base64", dimensions };
    serde_json::to_vec(&request).expect("strings and numbers").into()
}

/// Reads the vectors of a reply, in the order of their indices.
///
/// Errors: `Malformed`.
pub(super) fn vectors(body: &[u8]) -> Result<Vec<Vec<f32>>, EmbedError> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; answer.data.len()];
    for Item { index, embedding } in answer.data {
        match vectors.get_mut(index) {
            Some(place @ None) => *place = Some(embedding.0),
            _ => {
                return Err(EmbedError::malformed(format!(
                    "the embedder's reply has the index {index} twice or too high"
                )));
            }
        }
    }
    Ok(vectors.into_iter().flatten().collect())
}

impl<'de> Deserialize<'de> for Floats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumbersOrBase64;

        impl<'de> Visitor<'de> for NumbersOrBase64 {
            type Value = Floats;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("numbers, or base64 of float32")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Floats, E> {
                let bytes = BASE64.decode(text).map_err(|_| E::custom("not base64"))?;
                let (chunks, rest) = bytes.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(E::custom("not a whole number of float32"));
                }
                Ok(Floats(chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Floats, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(Floats(values))
            }
        }

        deserializer.deserialize_any(NumbersOrBase64)
    }
}

/// What the log gets of an error's body: `type` and `code`, if they look like names. The message is left out, since it
/// may repeat the text or the key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Option<String>,
    pub(super) code: Option<String>,
}

impl Fault {
    /// Reads the names in `body`. A body of another form has none.
    pub(super) fn of(body: &[u8]) -> Self {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return Self::default() };
        let error = body.get("error").unwrap_or(&body);
        let name = |field| {
            let text = match error.get(field)? {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            let is_name =
                text.len() <= 64 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            is_name.then_some(text)
        };
        Self { kind: name("type"), code: name("code") }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = "none";
        write!(f, "type {}, code {}", self.kind.as_deref().unwrap_or(none), self.code.as_deref().unwrap_or(none))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn vectors_as_numbers_or_base64_are_equal(values in prop::collection::vec(any::<f32>().prop_filter("finite", |v| v.is_finite()), 1..20)) {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            for embedding in [serde_json::json!(values), serde_json::json!(BASE64.encode(bytes))] {
                let body = serde_json::json!({ "data": [{ "index": 0, "embedding": embedding }] }).to_string();
                prop_assert_eq!(vectors(body.as_bytes()).unwrap(), vec![values.clone()]);
            }
        }
    }

    #[test]
    fn request_has_dimensions_only_if_configured() {
        let body = |dim| serde_json::from_slice::<Value>(&request("m", dim, &["a"])).unwrap();
        assert_eq!(body(None), serde_json::json!({ "model": "m", "input": ["a"], "encoding_format": "base64" }));
        assert_eq!(body(Some(8))["dimensions"], 8);
    }

    #[test]
    fn fault_with_names_and_message_keeps_only_names() {
        let body = br#"{"error":{"message":"Incorrect API key: sk-s","type":"invalid_request_error","code":"invalid_api_key"}}"#;
        assert_eq!(Fault::of(body).to_string(), "type invalid_request_error, code invalid_api_key");
        let vllm = br#"{"object":"error","message":"too long","type":"BadRequestError","code":400}"#;
        assert_eq!(Fault::of(vllm).to_string(), "type none, code 400");
        for body in [&b"<html>"[..], b"[]", b"{}", br#"{"error":"no"}"#, br#"{"error":{"code":"What a day"}}"#] {
            assert_eq!(Fault::of(body), Fault::default());
        }
    }
}
