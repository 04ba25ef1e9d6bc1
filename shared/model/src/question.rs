//! What a caller asks: a query, or a conversation that ends with the user's message.
//!
//! A conversation is matched exactly in what decides its answer whatever its last message says, its system messages and its
//! `context` (the [`ContextKey`]), and by meaning in its last message; see [`mneme_guard::Conversation`].

use std::borrow::Cow;
use std::fmt;

use mneme_guard::{Conversation, ConversationError, ConversationSignature};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::Config;
use crate::context_key::ContextKey;
use crate::error::{Error, ErrorKind};
use crate::limits::check_query_bytes;
use crate::normalize::QueryHash;

/// One message of a conversation, as chat APIs have it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `system`, `developer`, `user`, `assistant`, `tool` or `function`.
    pub role: String,
    /// What was said.
    pub content: Content,
}

/// What was said: a text, or a list of parts, each a text.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "a text, or a list of parts such as {\"type\": \"text\", \"text\": \"…\"}")]
pub enum Content {
    /// A text.
    Text(String),
    /// Parts, one after the other.
    Parts(Vec<Part>),
}

/// A part of a message's content.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    /// A text. Pictures and other parts are refused: two conversations that differ in one are not to meet.
    #[serde(alias = "input_text", alias = "output_text")]
    Text {
        /// The text.
        text: String,
    },
}

impl Content {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => text.into(),
            Self::Parts(parts) => {
                parts.iter().map(|Part::Text { text }| text.as_str()).collect::<Vec<_>>().join("\n").into()
            }
        }
    }
}

/// What is asked, as far as matching needs it.
#[derive(Clone)]
pub struct Question {
    /// The message that is embedded: the query, or the user's last.
    pub message: String,
    /// The exact layer's key.
    pub hash: QueryHash,
    /// `None`: no system message, no context, and a message that needs no other: a plain query.
    pub context_key: Option<ContextKey>,
    /// What decides its answer.
    pub signature: ConversationSignature,
}

impl fmt::Debug for Question {
    /// Without what was asked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Question {
    /// The question that a request's fields make: either `query` or `messages`, and a `context` with either.
    ///
    /// A query is the conversation of one message, so it meets that conversation. Errors: `InvalidRequest`, and
    /// `EntryTooLarge` for a message past `MNEME_MAX_QUERY_BYTES`.
    pub fn of(
        query: Option<&str>,
        messages: Option<&[Message]>,
        context: Option<&Map<String, Value>>,
        config: &Config,
    ) -> Result<Self, Error> {
        let said: Vec<(&str, Cow<'_, str>)> = match (query, messages) {
            (Some(query), None) => vec![("user", query.into())],
            (None, Some(messages)) => {
                messages.iter().map(|message| (message.role.as_str(), message.content.text())).collect()
            }
            (None, None) => {
                return Err(Error::invalid("missing field `query`", "send a `query`, or `messages` in its place"));
            }
            (Some(_), Some(_)) => {
                return Err(Error::invalid("both `query` and `messages` were sent", "send one of the two"));
            }
        };
        if let Some((_, message)) = said.last() {
            check_query_bytes(message, config.max_query_bytes)?;
        }
        let conversation = match (query, context) {
            (Some(query), None) => Conversation::of_query(query),
            _ => {
                let said: Vec<(&str, &str)> = said.iter().map(|(role, content)| (*role, content.as_ref())).collect();
                Conversation::of(&said, context).map_err(refused)?
            }
        };
        let Conversation { context_key, message, exact_text, signature, .. } = conversation;
        if is_blank(&message) {
            return Err(Error::invalid(
                "the question is empty or blank",
                "send a text with at least one visible character",
            ));
        }
        let hash = match &context_key {
            None => QueryHash::of(&exact_text, config.normalize),
            Some(key) => QueryHash::within(key, &exact_text, config.normalize),
        };
        Ok(Self { message, hash, context_key: context_key.map(ContextKey::from), signature })
    }
}

/// Whether a text has no visible character. All such texts mean the same, so none of them can have an answer.
fn is_blank(text: &str) -> bool {
    let is_invisible =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    text.chars().all(is_invisible)
}

fn refused(error: ConversationError) -> Error {
    let kind = match error {
        ConversationError::TooMany { .. } | ConversationError::TooLong { .. } => ErrorKind::EntryTooLarge,
        ConversationError::Empty
        | ConversationError::UnknownRole { .. }
        | ConversationError::LastNotUser { .. }
        | ConversationError::LastEmpty
        | ConversationError::NumberTooLarge => ErrorKind::InvalidRequest,
    };
    Error::new(kind, error.to_string(), error.remedy())
}
