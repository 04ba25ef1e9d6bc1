//! What a caller asks: a query, or a conversation that ends with the user's message or with the result of a tool.
//!
//! System messages, the `context`, calls, results and media are matched exactly: they make the [`ContextKey`]. The
//! user's last message is matched by meaning. See [`mneme_guard::Conversation`].

use std::fmt;

use mneme_guard::{Conversation, ConversationError, ConversationSignature};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::Config;
use crate::context_key::ContextKey;
use crate::error::{Error, ErrorKind};
use crate::limits::check_query_bytes;
use crate::normalize::QueryHash;

/// One message of a conversation, as a client of a chat API sends it. [`mneme_guard::Conversation::of_messages`] reads
/// it, so that an error can say where in the conversation it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Message(Value);

/// What is asked, as far as matching needs it.
#[derive(Clone)]
pub struct Question {
    /// The text that is embedded: the query, or the user's last message that has a text.
    pub message: String,
    /// The exact layer's key.
    pub hash: QueryHash,
    /// The text that the exact layer's key is the hash of, together with the context key.
    exact_text: String,
    /// `None` for a plain query: no system message, no context, no item that is matched exactly, and a message that
    /// needs no other.
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
        let conversation = match (query, messages) {
            (Some(query), None) => {
                check_query_bytes(query, config.max_query_bytes)?;
                match context {
                    None => Conversation::of_query(query),
                    Some(_) => Conversation::of(&[("user", query)], context).map_err(refused)?,
                }
            }
            (None, Some(messages)) => {
                let messages: Vec<&Value> = messages.iter().map(|Message(value)| value).collect();
                Conversation::of_messages(&messages, context).map_err(refused)?
            }
            (None, None) => {
                return Err(Error::invalid("missing field `query`", "send a `query`, or `messages` in its place"));
            }
            (Some(_), Some(_)) => {
                return Err(Error::invalid("both `query` and `messages` were sent", "send one of the two"));
            }
        };
        check_query_bytes(&conversation.message, config.max_query_bytes)?;
        let Conversation { context_key, message, exact_text, signature, .. } = conversation;
        if is_blank(&message) {
            return Err(Error::invalid(
                "the question is empty or blank",
                "send a text with at least one visible character",
            ));
        }
        let context_key = context_key.map(ContextKey::from);
        let hash = hash_of(&exact_text, context_key, config.normalize);
        Ok(Self { message, hash, exact_text, context_key, signature })
    }

    /// The exact layer's key of the same question with another context key. `normalize`: `MNEME_NORMALIZE`.
    pub fn hash_in(&self, context_key: Option<ContextKey>, normalize: bool) -> QueryHash {
        hash_of(&self.exact_text, context_key, normalize)
    }
}

impl Question {
    /// Makes the comparison with stored questions as `MNEME_CROSS_LANGUAGE` says. A question that is stored keeps its
    /// language, so that the setting may change.
    pub fn for_comparison(mut self, config: &Config) -> Self {
        if config.cross_language {
            self.signature.allow_any_language();
        }
        self
    }
}

fn hash_of(exact_text: &str, context_key: Option<ContextKey>, normalize: bool) -> QueryHash {
    match context_key {
        None => QueryHash::of(exact_text, normalize),
        Some(key) => QueryHash::in_context(key.as_bytes(), exact_text, normalize),
    }
}

/// Whether a text has no visible character. All such texts mean the same, so none of them can have an answer.
pub fn is_blank(text: &str) -> bool {
    let is_invisible =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    text.chars().all(is_invisible)
}

fn refused(error: ConversationError) -> Error {
    let kind = match error {
        ConversationError::TooMany { .. } | ConversationError::TooLong { .. } => ErrorKind::EntryTooLarge,
        ConversationError::Empty
        | ConversationError::UnknownRole { .. }
        | ConversationError::Unreadable { .. }
        | ConversationError::LastNotUser { .. }
        | ConversationError::LastEmpty
        | ConversationError::NumberTooLarge => ErrorKind::InvalidRequest,
    };
    Error::new(kind, error.to_string(), error.remedy())
}
