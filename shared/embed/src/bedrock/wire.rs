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
    /// The cache compares questions with questions. A question must have the same vector when it is stored and when
    /// it is looked up, so there is one type for both. `search_query` is the type for questions. `search_document` is
    /// the type for the passages that answer them.
    input_type: &'static str,
    /// `NONE` refuses a text that is too long. If it were truncated, two long questions with the same beginning would
    /// have the same vector, and one would get the answer of the other.
    truncate: &'static str,
    embedding_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<usize>,
}

#[derive(Deserialize)]
struct CohereReply {
    embeddings: Vectors,
}

/// The vectors of a reply, which come as a list (`embeddings_floats`) or by type (`embeddings_by_type`).
struct Vectors(Vec<Vec<f32>>);

/// The body of the request for `texts`. Titan's has one text: the first.
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

/// Reads the vectors of a reply, in the order of the texts.
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
        struct ListOrByType;

        impl<'de> Visitor<'de> for ListOrByType {
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

        deserializer.deserialize_any(ListOrByType)
    }
}
