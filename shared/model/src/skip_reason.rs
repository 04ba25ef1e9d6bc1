//! Why a put stores nothing.

use serde::Serialize;
use strum::{EnumString, IntoStaticStr};

/// Why a put stores nothing. It is a result, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SkipReason {
    /// The model did not finish: it reached its limit of tokens, or it called a tool.
    Truncated,
    /// The model, or a filter, declined to answer.
    Refusal,
    /// The response is the report of a failure.
    Error,
    /// The response has no visible character.
    Empty,
    /// A pattern of `MNEME_REFUSE_RESPONSES` fits the response.
    Pattern,
    /// The question is about something of the person who asks, and `MNEME_PERSONAL` is `refuse`.
    Personal,
}

impl SkipReason {
    /// The name in replies.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
