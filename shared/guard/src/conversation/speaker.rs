//! Speakers: the roles of chat messages.

/// The speaker of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// The role `system` or `developer`. The messages are part of the context key.
    System,
    /// The role `user`.
    User,
    /// The role `assistant`, or `model`.
    Assistant,
    /// The role `tool` or `function`: a tool's result.
    Tool,
}

impl Speaker {
    /// The speaker with this role, in any case: some SDKs write `USER`. `None` for an unknown role.
    pub(super) fn of_role(role: &str) -> Option<Self> {
        Some(match role.to_ascii_lowercase().as_str() {
            "system" | "developer" => Self::System,
            "user" => Self::User,
            "assistant" | "model" => Self::Assistant,
            "tool" | "function" => Self::Tool,
            _ => return None,
        })
    }

    /// The name in [`super::Conversation::exact_text`]. The hash of that text is stored, so the names must never
    /// change.
    pub(super) fn stored_name(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::User => "User",
            Self::Assistant => "Assistant",
            Self::Tool => "Tool",
        }
    }
}
