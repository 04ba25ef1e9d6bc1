//! A labelled pair in a request.

use std::fmt;

use mneme_model::embedding::Embedding;
use mneme_model::long_text::Unread;
use mneme_model::question::Message;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// Two questions, and whether one answer serves both.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// One question.
    pub a: Side,
    /// The other.
    pub b: Side,
    /// Whether the answer to one is right for the other.
    pub same: bool,
    /// The cosine similarity of the two embeddings, if these are not sent.
    pub similarity: Option<f64>,
}

/// One question of a pair: a text, or an object with the fields of a lookup's question.
#[derive(Debug)]
pub struct Side(pub(crate) SideFields);

/// The fields of a question that a lookup compares. The question has no text without `query` and `messages`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SideFields {
    pub(crate) query: Option<String>,
    pub(crate) messages: Option<Vec<Message>>,
    pub(crate) context: Option<Map<String, Value>>,
    pub(crate) embedding: Option<Embedding>,
    /// What the embedder did not read of the text, if the function embedded it.
    #[serde(skip)]
    pub(crate) unread: Option<Unread>,
    /// Whether the function's embedder cannot read the text.
    #[serde(skip)]
    pub(crate) is_not_embeddable: bool,
}

impl<'de> Deserialize<'de> for Side {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Wire;

        impl<'de> Visitor<'de> for Wire {
            type Value = Side;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or an object with `query` or `messages`, `context` and `embedding`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Side, E> {
                Ok(Side(SideFields { query: Some(text.to_owned()), ..SideFields::default() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Side, A::Error> {
                SideFields::deserialize(MapAccessDeserializer::new(map)).map(Side)
            }
        }

        deserializer.deserialize_any(Wire)
    }
}
