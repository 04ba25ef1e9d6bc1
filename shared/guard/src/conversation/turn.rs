//! Turns: a conversation in one form, whatever client sent it.

use super::speaker::Speaker;

/// What one speaker said in one message. A message of a client is one turn, or several if it holds tool results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) speaker: Speaker,
    /// What was said. `None` if the message holds no text, but an item.
    pub(super) text: Option<String>,
    /// What is matched exactly, each in a canonical form: the calls of the assistant, and media.
    pub(super) items: Vec<String>,
    /// Of a tool's result: the number of the call that it answers, from 0 in the order of the conversation.
    pub(super) call: Option<usize>,
}

impl Turn {
    /// A turn that consists of a text.
    pub(super) fn of_text(speaker: Speaker, text: impl Into<String>) -> Self {
        Self { speaker, text: Some(text.into()), items: Vec::new(), call: None }
    }

    /// The text, or an empty one.
    pub(super) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// True if the turn has a text that is not blank.
    pub(super) fn has_text(&self) -> bool {
        !self.text().trim().is_empty()
    }
}
