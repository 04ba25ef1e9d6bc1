//! Conversations: what of them is matched exactly, what by meaning, and what must agree.
//!
//! Exact: the system and developer messages, and a `context` object (model, tools, parameters: whatever else decides the answer).
//! Their hash is the [`Conversation::partition`], and requests of different partitions never meet. By meaning: the last
//! message of the user, which is what is embedded. When it [`stands_alone`] that is all; when it leans on what came before it
//! ("cancel it", "yes"), the partition says so, and what came before must agree with the candidate's: the
//! [`ConversationSignature`] holds it, and [`crate::compare_conversations`] sets it side by side. Not exactly, for people say the
//! same in other words and with other small talk; not by similarity, for two orders or two plans are alike to an embedding.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::before::{Before, ConversationSignature};
use crate::language::Language;
use crate::signature::Signature;
use crate::token::{Kind, plain_tokens};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// `system`, `developer`: part of the partition.
    System,
    /// `user`.
    User,
    /// `assistant`.
    Assistant,
    /// `tool`, `function`: what a tool answered.
    Tool,
}

impl Speaker {
    fn of(role: &str) -> Option<Self> {
        Some(match role {
            "system" | "developer" => Self::System,
            "user" => Self::User,
            "assistant" => Self::Assistant,
            "tool" | "function" => Self::Tool,
            _ => return None,
        })
    }
}

/// Why messages make no conversation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConversationError {
    /// No message at all.
    #[error("messages: the list is empty")]
    Empty,
    /// More messages than [`Conversation::MAX_MESSAGES`].
    #[error("messages: {found} messages, and {} are allowed", Conversation::MAX_MESSAGES)]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// More text than [`Conversation::MAX_BYTES`].
    #[error("messages and context: {found} bytes, and {} are allowed", Conversation::MAX_BYTES)]
    TooLong {
        /// How many bytes there are.
        found: usize,
    },
    /// A role that is none of the known ones.
    #[error("messages[{at}].role: there is no role {role:?}")]
    UnknownRole {
        /// The message's place, from 0.
        at: usize,
        /// The role, cut to 32 characters.
        role: String,
    },
    /// The last message is not the user's.
    #[error("messages: the last one is of {role:?}, and only the user's can be answered")]
    LastNotUser {
        /// Its role.
        role: String,
    },
    /// The last message has no text.
    #[error("the question, or the user's last message, is empty")]
    LastEmpty,
    /// A number in the context is neither a 64-bit integer nor one that a float64 tells from its neighbours.
    #[error("context: a number has more digits than can be told apart")]
    NumberTooLarge,
}

impl ConversationError {
    /// What to do about it.
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

/// What a conversation is matched by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// SHA-256 of what is matched exactly; `None` where there is nothing: no system message, no context, and a last message that
    /// stands alone. Two requests with different partitions never meet.
    pub partition: Option<[u8; 32]>,
    /// The last message: what is embedded.
    pub message: String,
    /// What the exact layer hashes: the last message when it stands alone, else all that was said.
    pub identity: String,
    /// Whether the last message is understood without the others.
    pub stands_alone: bool,
    /// What decides the answer.
    pub signature: ConversationSignature,
}

impl Conversation {
    /// The most messages taken.
    pub const MAX_MESSAGES: usize = 512;
    /// The most bytes of messages and context taken.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// The conversation of one message of the user, whatever it says.
    pub fn of_query(query: &str) -> Self {
        Self {
            partition: None,
            message: query.to_owned(),
            identity: query.to_owned(),
            stands_alone: true,
            signature: Signature::of(query).into(),
        }
    }

    /// Reads the messages, `(role, content)` each, oldest first, and the context. Errors: [`ConversationError`].
    pub fn of(messages: &[(&str, &str)], context: Option<&Map<String, Value>>) -> Result<Self, ConversationError> {
        let spoken = checked(messages, context)?;
        let Some((_, last)) = spoken.last() else { return Err(ConversationError::Empty) };
        let stands_alone = spoken.iter().all(|(speaker, _)| *speaker != Speaker::Assistant) && turns(&spoken) == 1
            || stands_alone(last);
        let system = spoken.iter().filter(|(speaker, _)| *speaker == Speaker::System).map(|(_, content)| *content);
        // An absent context and an empty one decide the same.
        let context = context.filter(|object| !object.is_empty()).map(canonical);
        let is_plain = stands_alone && context.is_none() && system.clone().next().is_none();
        Ok(Self {
            partition: (!is_plain).then(|| digest(stands_alone, system, context.as_deref())),
            message: (*last).to_owned(),
            identity: if stands_alone { (*last).to_owned() } else { identity(&spoken) },
            stands_alone,
            signature: ConversationSignature {
                last: Signature::of(last),
                before: (!stands_alone).then(|| Before::of(&spoken[..spoken.len() - 1])),
            },
        })
    }
}

/// The hash of what is matched exactly.
fn digest<'m>(stands_alone: bool, system: impl Iterator<Item = &'m str>, context: Option<&'m str>) -> [u8; 32] {
    let parts = std::iter::once(if stands_alone { "alone" } else { "leaning" }).chain(system);
    let mut hash = Sha256::new();
    // Each part with its length before it, so that no two lists of parts read the same.
    for part in parts.chain(std::iter::once("context")).chain(context) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// Parses the roles and checks the bounds.
fn checked<'m>(
    messages: &[(&str, &'m str)],
    context: Option<&Map<String, Value>>,
) -> Result<Vec<(Speaker, &'m str)>, ConversationError> {
    if messages.len() > Conversation::MAX_MESSAGES {
        return Err(ConversationError::TooMany { found: messages.len() });
    }
    if context.is_some_and(|context| context.values().any(has_large_number)) {
        return Err(ConversationError::NumberTooLarge);
    }
    let context_bytes = context.map_or(0, |context| canonical(context).len());
    let found = messages.iter().map(|(_, content)| content.len()).sum::<usize>() + context_bytes;
    if found > Conversation::MAX_BYTES {
        return Err(ConversationError::TooLong { found });
    }
    let speakers = messages.iter().enumerate().map(|(at, (role, content))| match Speaker::of(role) {
        Some(speaker) => Ok((speaker, *content)),
        None => Err(ConversationError::UnknownRole { at, role: role.chars().take(32).collect() }),
    });
    let spoken: Vec<(Speaker, &str)> = speakers.collect::<Result<_, _>>()?;
    match (spoken.last(), messages.last()) {
        (Some((Speaker::User, content)), _) if content.trim().is_empty() => Err(ConversationError::LastEmpty),
        (Some((Speaker::User, _)), _) => Ok(spoken),
        (_, Some((role, _))) => Err(ConversationError::LastNotUser { role: (*role).to_owned() }),
        _ => Err(ConversationError::Empty),
    }
}

fn turns(spoken: &[(Speaker, &str)]) -> usize {
    spoken.iter().filter(|(speaker, _)| *speaker != Speaker::System).count()
}

/// Whether there is a whole number that 64 bits do not hold, or one so large that another is the same as float64.
fn has_large_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            !number.is_i64() && !number.is_u64() && number.as_f64().is_none_or(|value| value.abs() >= 2f64.powi(53))
        }
        Value::Array(items) => items.iter().any(has_large_number),
        Value::Object(object) => object.values().any(has_large_number),
        _ => false,
    }
}

/// All that was said, white space collapsed, each message with its speaker and its length before it: two conversations have one
/// text only when they are one.
fn identity(spoken: &[(Speaker, &str)]) -> String {
    let said = spoken.iter().filter(|(speaker, _)| *speaker != Speaker::System);
    let line = |(speaker, content): &(Speaker, &str)| {
        let content = content.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{speaker:?} {} {content}\n", content.len())
    };
    said.map(line).collect()
}

/// JSON with sorted keys and no white space: two objects that say the same have one text.
fn canonical(object: &Map<String, Value>) -> String {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::Object(object) => {
                let mut keys: Vec<&String> = object.keys().collect();
                keys.sort();
                out.push('{');
                for key in keys {
                    out.push_str(&Value::from(key.as_str()).to_string());
                    out.push(':');
                    write(&object[key], out);
                    out.push(',');
                }
                out.push('}');
            }
            Value::Array(items) => {
                out.push('[');
                for item in items {
                    write(item, out);
                    out.push(',');
                }
                out.push(']');
            }
            // 1 and 1.0 are one number.
            Value::Number(number) => match number.as_f64() {
                Some(value) if number.as_i64().is_none() && number.as_u64().is_none() && value.fract() == 0.0 => {
                    out.push_str(&(value as i64).to_string());
                }
                _ => out.push_str(&number.to_string()),
            },
            plain => out.push_str(&plain.to_string()),
        }
    }
    let mut out = String::new();
    write(&Value::Object(object.clone()), &mut out);
    out
}

/// One word in so many is a function word of the language, at least, in a text that is taken for one of that language.
const LISTED_SHARE: usize = 5;

/// Whether a message can be understood without what was said before it.
///
/// It must be a whole question or request: two words of topic at least, one of them a name or an exact thing, or four of them. It must
/// not point back (`it`, `that one`), go on with something (`and for two?`, `yes`), or speak of a thing as known without saying
/// which (`the link`). Wrongly taken for leaning, a message loses a hit; wrongly taken for standing alone, it serves a wrong
/// answer: in doubt it leans, and so does every text in a language without lists. What needs no word to lean ("How much is delivery?"
/// after talk of one shop or another) is not told.
pub fn stands_alone(text: &str) -> bool {
    let words = plain_tokens(text);
    let language = Language::of(words.iter().map(|(word, _)| word.as_str()));
    let leans = |kind: &str, word: &str| language.leans(kind, word);
    // Of a text in another language nothing is known that could tell.
    if words.iter().filter(|(word, _)| language.lists(word)).count() * LISTED_SHARE < words.len() {
        return false;
    }
    if words.first().is_none_or(|(word, _)| leans("opener", word)) || words.iter().any(|(word, _)| leans("back", word))
    {
        return false;
    }
    // "the link" leans; "the opening hours of the Leeds branch" does not.
    let unsaid = words.iter().enumerate().any(|(at, (word, _))| {
        leans("definite", word)
            && !words[at + 1..]
                .iter()
                .any(|(later, token)| leans("which", later) || token.is_name || token.kind.is_exact())
    });
    let topic = words.iter().filter(|(_, token)| token.kind.is_content()).count();
    let is_named =
        words.iter().any(|(_, token)| token.is_name || matches!(token.kind, Kind::Identifier | Kind::Number));
    !unsaid && topic >= if is_named { 2 } else { 4 }
}
