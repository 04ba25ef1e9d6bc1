//! The bodies of `InvokeModel`. Source: Amazon Bedrock User Guide, "Amazon Titan Embeddings Text", "Cohere Embed v3",
//! "Cohere Embed v4".

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::error::{EmbedError, unreadable};
use crate::spec::{BedrockSpec, Family};

#[derive(Serialize)]
struct TitanRequest<'a> {
    #[serde(rename = "inputText")]
    input_text: &'a str,
    dimensions: usize,
    normalize: bool,
}

#[derive(Deserialize)]
struct TitanReply {
    embedding: Vec<f32>,
}

#[derive(Serialize)]
struct CohereRequest<'a> {
    texts: &'a [&'a str],
    /// A cache compares questions with questions, and the same one must have the same vector when it is stored and when it
    /// is looked up: so one type for both. `search_query` is the one made for questions; `search_document` is for the
    /// passages that answer them.
    input_type: &'static str,
    /// Of two long questions with the same beginning, cut vectors would be the same, and one would get the other's answer.
    truncate: &'static str,
    embedding_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<usize>,
}

#[derive(Deserialize)]
struct CohereReply {
    embeddings: Vectors,
}

/// Vectors, or vectors by type (`embeddings_floats`, `embeddings_by_type`).
struct Vectors(Vec<Vec<f32>>);

/// The body for `texts`; Titan's takes only the first.
pub(super) fn request(spec: &BedrockSpec, texts: &[&str]) -> Vec<u8> {
    let body = match spec.family {
        Family::TitanV2 => serde_json::to_vec(&TitanRequest {
            input_text: texts.first().copied().unwrap_or_default(),
            dimensions: spec.dim,
            normalize: true,
        }),
        Family::CohereV3 | Family::CohereV4 => serde_json::to_vec(&CohereRequest {
            texts,
            input_type: "search_query",
            truncate: "NONE",
            embedding_types: ["float"],
            output_dimension: (spec.family == Family::CohereV4).then_some(spec.dim),
        }),
    };
    body.expect("strings and numbers")
}

/// The vectors in a reply, in the order of the texts.
///
/// Errors: `Malformed`.
pub(super) fn vectors(family: Family, body: &[u8]) -> Result<Vec<Vec<f32>>, EmbedError> {
    match family {
        Family::TitanV2 => serde_json::from_slice(body).map(|TitanReply { embedding }| vec![embedding]),
        Family::CohereV3 | Family::CohereV4 => {
            serde_json::from_slice(body).map(|CohereReply { embeddings }| embeddings.0)
        }
    }
    .map_err(|error| unreadable(&error))
}

impl<'de> Deserialize<'de> for Vectors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Vectors;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("vectors, or vectors by type")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vectors, A::Error> {
                let mut vectors = Vec::new();
                while let Some(vector) = seq.next_element()? {
                    vectors.push(vector);
                }
                Ok(Vectors(vectors))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vectors, A::Error> {
                let mut vectors = Vec::new();
                while let Some(kind) = map.next_key::<String>()? {
                    match kind.as_str() {
                        "float" => vectors = map.next_value()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Vectors(vectors))
            }
        }

        deserializer.deserialize_any(Either)
    }
}
