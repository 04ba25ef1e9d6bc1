//! Conversations: which parts are matched exactly, which by meaning, and which must agree.
//!
//! - System and developer messages, a `context` object (model, tools, parameters and anything else that decides the
//!   answer), calls, results of tools and media are matched exactly. Their hash is the [`Conversation::context_key`].
//!   Requests with different context keys are never compared.
//! - The user's last text is matched by meaning. It is the text that is embedded. It may be followed by calls, results
//!   and media.
//! - What was said before must agree with what was said before in the candidate, and the context key says that there is
//!   a history. An exact comparison would fail because people say the same in other words. A comparison by embeddings
//!   would fail because two orders or two plans are similar to an embedding. [`ConversationSignature`] holds the
//!   history, and [`signature::compare_conversations`] compares it.
//! - Small talk is no history. A conversation of small talk and a question is equal to the question alone.
//! - If the last message is self-contained, the history consists of what the user told; see [`facts::facts_for`].
//!   Otherwise the message is a follow-up ("cancel it", "yes"; see [`is_self_contained`]), and everything said before
//!   is its history.
//!
//! | module | contains |
//! | --- | --- |
//! | `speaker`, `turn` | who speaks, and what is said, in one form for all clients |
//! | `read` | messages in the forms of clients, as turns |
//! | `messages` | the checks on what a caller sends, and the errors |
//! | `context_key` | the hash of everything that is matched exactly |
//! | `small_talk` | greetings, thanks and offers of help, and follow-ups after them |
//! | `self_contained` | whether a message needs the messages before it |
//! | `cues` | words that show whether a question depends on what the user said before |
//! | `facts` | what the user told before a self-contained message |
//! | `history` | what was said before the last message, and whether two histories agree |
//! | `signature` | the signature of a conversation: its stored format and its comparison |
//! | `evidence` | what a signature says beside the comparison |

mod context_key;
mod cues;
mod evidence;
mod facts;
mod history;
pub(crate) mod messages;
mod read;
pub(crate) mod self_contained;
pub(crate) mod signature;
mod small_talk;
pub(crate) mod speaker;
mod turn;

use std::borrow::Borrow;

use serde_json::{Map, Value};

use self::context_key::{canonical_json, context_key};
use self::facts::facts_for;
use self::history::History;
use self::messages::{ConversationError, check_count, check_size, question_at, turns_of_texts};
use self::read::canonical_text;
use self::self_contained::is_self_contained;
use self::signature::{ConversationSignature, of_question};
use self::small_talk::{is_small_talk, refers_to_unsaid};
use self::speaker::Speaker;
use self::turn::Turn;

/// The parts of a conversation that matching needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// SHA-256 of everything that is matched exactly. `None` if there is no system message, context, call, result or
    /// medium, and no history.
    pub context_key: Option<[u8; 32]>,
    /// The user's last text, which is embedded.
    pub message: String,
    /// The text that the exact layer hashes: the user's last text if there is no history, or else all texts but those
    /// of the system and those that are matched exactly.
    pub exact_text: String,
    /// True if there is no history: nothing said before the last message decides its answer.
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
            signature: of_question(query).into(),
        }
    }

    /// Reads a conversation of texts. `messages`: `(role, content)` each, oldest first. `context`: a JSON object that is
    /// matched exactly; an empty one equals none. Errors: [`ConversationError`].
    pub fn of(messages: &[(&str, &str)], context: Option<&Map<String, Value>>) -> Result<Self, ConversationError> {
        check_count(messages.len())?;
        Self::of_turns(messages.len(), &turns_of_texts(messages)?, context)
    }

    /// Reads a conversation as a client sends it, oldest message first: in the form of OpenAI Chat Completions or
    /// Responses, Anthropic Messages, Bedrock Converse or Gemini. `context`: as for [`Conversation::of`]. Errors:
    /// [`ConversationError`].
    pub fn of_messages<M: Borrow<Value>>(
        messages: &[M],
        context: Option<&Map<String, Value>>,
    ) -> Result<Self, ConversationError> {
        check_count(messages.len())?;
        Self::of_turns(messages.len(), &read::turns(messages)?, context)
    }

    fn of_turns(
        messages: usize,
        turns: &[Turn],
        context: Option<&Map<String, Value>>,
    ) -> Result<Self, ConversationError> {
        check_size(messages, turns, context)?;
        let at = question_at(turns)?;
        let question = turns[at].text();
        let results_are_items = turns[at + 1..].iter().any(is_tool) || turns.iter().any(|turn| !turn.items.is_empty());
        let items = items(turns, at, results_are_items);
        let said: Vec<Turn> = turns[..=at]
            .iter()
            .filter(|turn| turn.speaker != Speaker::System && turn.text.is_some())
            .filter(|turn| !(results_are_items && is_tool(turn)))
            .cloned()
            .collect();
        let history = history_of(&said[..said.len() - 1], question);
        let is_self_contained = history.is_none();
        let system =
            turns.iter().filter(|turn| turn.speaker == Speaker::System).filter_map(|turn| turn.text.as_deref());
        let context = context.filter(|object| !object.is_empty()).map(canonical_json);
        let is_plain = is_self_contained && context.is_none() && system.clone().next().is_none() && items.is_empty();
        Ok(Self {
            context_key: (!is_plain).then(|| context_key(is_self_contained, system, context.as_deref(), &items)),
            message: question.to_owned(),
            exact_text: if is_self_contained { question.to_owned() } else { transcript(&said) },
            is_self_contained,
            signature: ConversationSignature { last: of_question(question), history },
        })
    }
}

/// The history that must agree, or `None` if nothing said in `before` decides the answer to `question`.
fn history_of(before: &[Turn], question: &str) -> Option<History> {
    if before.is_empty() {
        return None;
    }
    if before.iter().all(|turn| !is_tool(turn) && is_small_talk(turn.speaker, turn.text())) {
        let needs_history = !is_self_contained(question) && refers_to_unsaid(question);
        return needs_history.then(|| History::of_follow_up(before));
    }
    if !is_self_contained(question) {
        return Some(History::of_follow_up(before));
    }
    let of_user = before.iter().filter(|turn| turn.speaker == Speaker::User);
    let facts: Vec<String> = of_user.map(|turn| facts_for(turn.text(), question)).collect();
    let facts = facts.into_iter().filter(|fact| !fact.is_empty()).collect::<Vec<_>>().join("\n");
    let is_told = !facts.is_empty() || before.iter().any(is_tool);
    is_told.then(|| History::of_facts(&facts, before))
}

fn is_tool(turn: &Turn) -> bool {
    turn.speaker == Speaker::Tool
}

/// What is matched exactly beside texts: the calls, the media and, if `results_are_items`, the results of tools, in
/// their order. A mark separates what precedes the question at the index `at` from the rest.
fn items(turns: &[Turn], at: usize, results_are_items: bool) -> Vec<String> {
    let mut items = Vec::new();
    let mut question = None;
    for (index, turn) in turns.iter().enumerate() {
        if index == at {
            question = Some(items.len());
        }
        if results_are_items && is_tool(turn) {
            let call = turn.call.map_or_else(|| "-".to_owned(), |call| call.to_string());
            items.push(format!("result {call} {}", canonical_text(turn.text())));
        }
        items.extend(turn.items.iter().map(|item| format!("{} {item}", turn.speaker.stored_name())));
    }
    match question {
        Some(place) if !items.is_empty() => items.insert(place, "question".to_owned()),
        _ => {}
    }
    items
}

/// All messages but those of the system, each with its speaker and length before it and with white space collapsed.
/// Different conversations have different texts. Entries store a hash of this text, so it must never change.
fn transcript(said: &[Turn]) -> String {
    let line = |turn: &Turn| {
        let content = turn.text().split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{} {} {content}\n", turn.speaker.stored_name(), content.len())
    };
    said.iter().map(line).collect()
}
