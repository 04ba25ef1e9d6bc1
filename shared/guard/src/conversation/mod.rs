//! Conversations: which parts are matched exactly, which by meaning, and which must agree.
//!
//! - System and developer messages, and a `context` object (model, tools, parameters and anything else that decides
//!   the answer), are matched exactly. Their hash is the [`Conversation::context_key`]. Requests with different context
//!   keys are never compared.
//! - The user's last message is matched by meaning. It is the text that is embedded.
//! - If the last message is a follow-up ("cancel it", "yes"; see [`is_self_contained`]), the messages before it must
//!   agree with those of the candidate, and the context key says that the message is a follow-up. An exact comparison
//!   would fail because people say the same in other words and with other small talk. A comparison by embeddings would
//!   fail because two orders or two plans are similar to an embedding. [`ConversationSignature`] holds these messages,
//!   and [`signature::compare_conversations`] compares them.
//!
//! | module | contains |
//! | --- | --- |
//! | `speaker`, `messages` | the roles, and the checks on what a caller sends |
//! | `context_key` | the hash of everything that is matched exactly |
//! | `self_contained` | whether a message needs the messages before it |
//! | `history` | the messages before a follow-up, and whether two histories agree |
//! | `signature` | the signature of a conversation: its stored format and its comparison |

mod context_key;
mod history;
pub(crate) mod messages;
pub(crate) mod self_contained;
pub(crate) mod signature;
pub(crate) mod speaker;

use serde_json::{Map, Value};

use self::context_key::{canonical_json, context_key};
use self::history::History;
use self::messages::{ConversationError, checked};
use self::self_contained::is_self_contained;
use self::signature::ConversationSignature;
use self::speaker::Speaker;
use crate::signature::Signature;

/// The parts of a conversation that matching needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// SHA-256 of everything that is matched exactly. `None` if there is no system message and no context, and the last
    /// message is self-contained.
    pub context_key: Option<[u8; 32]>,
    /// The last message, which is embedded.
    pub message: String,
    /// The text that the exact layer hashes: the last message if it is self-contained, or else all messages but those
    /// of the system.
    pub exact_text: String,
    /// True if the last message can be understood without the others.
    pub is_self_contained: bool,
    /// The part that decides the answer.
    pub signature: ConversationSignature,
}

impl Conversation {
    /// The maximum number of messages.
    pub const MAX_MESSAGES: usize = messages::MAX_MESSAGES;
    /// The maximum size of all messages and the context together, in bytes.
    pub const MAX_BYTES: usize = messages::MAX_BYTES;

    /// The conversation that consists of one message of the user. It is treated as self-contained.
    pub fn of_query(query: &str) -> Self {
        Self {
            context_key: None,
            message: query.to_owned(),
            exact_text: query.to_owned(),
            is_self_contained: true,
            signature: Signature::of(query).into(),
        }
    }

    /// Reads a conversation. `messages`: `(role, content)` each, oldest first. `context`: a JSON object that is matched
    /// exactly; an empty one equals none. Errors: [`ConversationError`].
    pub fn of(messages: &[(&str, &str)], context: Option<&Map<String, Value>>) -> Result<Self, ConversationError> {
        let spoken = checked(messages, context)?;
        let Some(((_, last), before)) = spoken.split_last() else { return Err(ConversationError::Empty) };
        let is_first = before.iter().all(|(speaker, _)| *speaker == Speaker::System);
        let is_self_contained = is_first || is_self_contained(last);
        let system = spoken.iter().filter(|(speaker, _)| *speaker == Speaker::System).map(|(_, content)| *content);
        let context = context.filter(|object| !object.is_empty()).map(canonical_json);
        let is_plain = is_self_contained && context.is_none() && system.clone().next().is_none();
        Ok(Self {
            context_key: (!is_plain).then(|| context_key(is_self_contained, system, context.as_deref())),
            message: (*last).to_owned(),
            exact_text: if is_self_contained { (*last).to_owned() } else { transcript(&spoken) },
            is_self_contained,
            signature: ConversationSignature {
                last: Signature::of(last),
                history: (!is_self_contained).then(|| History::of(before)),
            },
        })
    }
}

/// All messages but those of the system, each with its speaker and length before it and with white space collapsed.
/// Different conversations have different texts. Entries store a hash of this text, so it must never change.
fn transcript(spoken: &[(Speaker, &str)]) -> String {
    let said = spoken.iter().filter(|(speaker, _)| *speaker != Speaker::System);
    let line = |(speaker, content): &(Speaker, &str)| {
        let content = content.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{} {} {content}\n", speaker.stored_name(), content.len())
    };
    said.map(line).collect()
}
