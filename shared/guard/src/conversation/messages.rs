//! Messages: the checks on what a caller sends.

use serde_json::{Map, Value};
use thiserror::Error;

use super::context_key::{canonical_json, has_inexact_number};
use super::speaker::Speaker;
use super::turn::Turn;

/// The maximum number of messages.
pub(super) const MAX_MESSAGES: usize = 512;
/// The maximum size of all messages and the context together, in bytes.
pub(super) const MAX_BYTES: usize = 256 * 1024;

/// Messages or a context that are not a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConversationError {
    /// There is no message.
    #[error("messages: the list is empty")]
    Empty,
    /// There are more messages than [`super::Conversation::MAX_MESSAGES`].
    #[error("messages: there are {found} messages, and {MAX_MESSAGES} are allowed")]
    TooMany {
        /// The number of messages.
        found: usize,
    },
    /// There is more text than [`super::Conversation::MAX_BYTES`].
    #[error("messages and context: they have {found} bytes, and {MAX_BYTES} are allowed")]
    TooLong {
        /// The size in bytes.
        found: usize,
    },
    /// A message has an unknown role.
    #[error("messages[{at}].role: there is no role {role:?}")]
    UnknownRole {
        /// The message's index, from 0.
        at: usize,
        /// The role, cut to 32 characters.
        role: String,
    },
    /// A message cannot be understood.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The place: `messages[2].content[0]`.
        path: String,
        /// What was found there.
        reason: String,
    },
    /// The last message is neither the user's nor a tool's.
    #[error("messages: the last message has the role {role:?}; it must be the user's or a tool's result")]
    LastNotUser {
        /// The speaker of the last message: `system` or `assistant`.
        role: String,
    },
    /// The last message has no text, or no message of the user has one.
    #[error("the question, or the user's last message, is empty")]
    LastEmpty,
    /// A number in the context is not a 64-bit integer, and is so large that float64 does not distinguish it from its
    /// neighbours.
    #[error("context: a number has more digits than a 64-bit number holds")]
    NumberTooLarge,
}

impl ConversationError {
    pub(super) fn unknown_role(at: usize, role: &str) -> Self {
        Self::UnknownRole { at, role: role.chars().take(32).collect() }
    }

    /// The action that corrects the error, for the caller.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Empty | Self::LastEmpty => "send at least the user's message, with the text that is to be answered",
            Self::TooMany { .. } => "leave out the oldest messages",
            Self::TooLong { .. } => "shorten the context or the system message, or leave out the oldest messages",
            Self::NumberTooLarge => "send it as a text",
            Self::UnknownRole { .. } => "use system, developer, user, assistant, model, tool or function",
            Self::Unreadable { .. } => {
                "send each message as OpenAI, Anthropic, Bedrock Converse or Gemini have it, for example \
                 {\"role\": \"user\", \"content\": \"a text, or a list of parts\"}"
            }
            Self::LastNotUser { .. } => "end the list with the user's message, or with the result of a tool",
        }
    }
}

/// The turns of `messages`: `(role, content)` each, oldest first. Errors: [`ConversationError::UnknownRole`].
pub(super) fn turns_of_texts(messages: &[(&str, &str)]) -> Result<Vec<Turn>, ConversationError> {
    let turns = messages.iter().enumerate().map(|(at, (role, content))| match Speaker::of_role(role) {
        Some(speaker) => Ok(Turn::of_text(speaker, *content)),
        None => Err(ConversationError::unknown_role(at, role)),
    });
    turns.collect()
}

/// Checks the size of a conversation. Errors: [`ConversationError::TooMany`], [`ConversationError::TooLong`] and
/// [`ConversationError::NumberTooLarge`].
pub(super) fn check_size(
    messages: usize,
    turns: &[Turn],
    context: Option<&Map<String, Value>>,
) -> Result<(), ConversationError> {
    check_count(messages)?;
    if context.is_some_and(|context| context.values().any(has_inexact_number)) {
        return Err(ConversationError::NumberTooLarge);
    }
    let context_bytes = context.map_or(0, |context| canonical_json(context).len());
    let said_bytes = |turn: &Turn| turn.text().len() + turn.items.iter().map(String::len).sum::<usize>();
    let found = turns.iter().map(said_bytes).sum::<usize>() + context_bytes;
    if found > MAX_BYTES { Err(ConversationError::TooLong { found }) } else { Ok(()) }
}

/// Checks the number of messages. Errors: [`ConversationError::TooMany`].
pub(super) fn check_count(messages: usize) -> Result<(), ConversationError> {
    if messages > MAX_MESSAGES { Err(ConversationError::TooMany { found: messages }) } else { Ok(()) }
}

/// The index of the turn that asks: the user's last text. After it come only media, calls and results. Errors:
/// [`ConversationError`] if the last turn is neither the user's nor a tool's, or if the user said nothing.
pub(super) fn question_at(turns: &[Turn]) -> Result<usize, ConversationError> {
    let last = turns.last().ok_or(ConversationError::Empty)?;
    match last.speaker {
        Speaker::User if last.has_text() || !last.items.is_empty() => {}
        Speaker::User => return Err(ConversationError::LastEmpty),
        Speaker::Tool => {}
        Speaker::System | Speaker::Assistant => {
            return Err(ConversationError::LastNotUser { role: last.speaker.stored_name().to_lowercase() });
        }
    }
    let asks = |turn: &Turn| turn.speaker == Speaker::User && turn.has_text();
    turns.iter().rposition(asks).ok_or(ConversationError::LastEmpty)
}
