//! Messages: the checks on what a caller sends.

use serde_json::{Map, Value};
use thiserror::Error;

use super::context_key::{canonical_json, has_inexact_number};
use super::speaker::Speaker;

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
    /// The last message is not the user's.
    #[error("messages: the last message has the role {role:?}; it must be the user's")]
    LastNotUser {
        /// The role of the last message.
        role: String,
    },
    /// The last message has no text.
    #[error("the question, or the user's last message, is empty")]
    LastEmpty,
    /// A number in the context is not a 64-bit integer, and is so large that float64 does not distinguish it from its
    /// neighbours.
    #[error("context: a number has more digits than a 64-bit number holds")]
    NumberTooLarge,
}

impl ConversationError {
    /// The action that corrects the error, for the caller.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Empty | Self::LastEmpty => "send at least the user's message, with the text that is to be answered",
            Self::TooMany { .. } => "leave out the oldest messages",
            Self::TooLong { .. } => "shorten the context or the system message, or leave out the oldest messages",
            Self::NumberTooLarge => "send it as a text",
            Self::UnknownRole { .. } => "use system, developer, user, assistant, tool or function",
            Self::LastNotUser { .. } => "end the list with the user's message",
        }
    }
}

/// The messages with their speakers. `messages`: `(role, content)` each, oldest first. Errors: [`ConversationError`].
pub(super) fn checked<'m>(
    messages: &[(&str, &'m str)],
    context: Option<&Map<String, Value>>,
) -> Result<Vec<(Speaker, &'m str)>, ConversationError> {
    if messages.len() > MAX_MESSAGES {
        return Err(ConversationError::TooMany { found: messages.len() });
    }
    if context.is_some_and(|context| context.values().any(has_inexact_number)) {
        return Err(ConversationError::NumberTooLarge);
    }
    let context_bytes = context.map_or(0, |context| canonical_json(context).len());
    let found = messages.iter().map(|(_, content)| content.len()).sum::<usize>() + context_bytes;
    if found > MAX_BYTES {
        return Err(ConversationError::TooLong { found });
    }
    let spoken = messages.iter().enumerate().map(|(at, (role, content))| match Speaker::of_role(role) {
        Some(speaker) => Ok((speaker, *content)),
        None => Err(ConversationError::UnknownRole { at, role: role.chars().take(32).collect() }),
    });
    let spoken: Vec<(Speaker, &str)> = spoken.collect::<Result<_, _>>()?;
    match (spoken.last(), messages.last()) {
        (Some((Speaker::User, content)), _) if content.trim().is_empty() => Err(ConversationError::LastEmpty),
        (Some((Speaker::User, _)), _) => Ok(spoken),
        (_, Some((role, _))) => Err(ConversationError::LastNotUser { role: (*role).to_owned() }),
        _ => Err(ConversationError::Empty),
    }
}
