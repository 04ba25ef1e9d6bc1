//! Reading messages as clients send them.
//!
//! A message is recognised by its own fields, so a list may mix the forms:
//!
//! | client | form |
//! | --- | --- |
//! | OpenAI Chat Completions | `role`, `content`, `tool_calls`, `function_call`, `refusal`, `audio` |
//! | OpenAI Responses | items with a `type`: `message`, `function_call`, `function_call_output`, `reasoning`, … |
//! | Anthropic Messages | `role`, `content` as blocks with a `type` |
//! | Bedrock Converse | `role`, `content` as blocks without a `type`: the key says what a block is |
//! | Gemini | `role` (`user`, `model`), `parts` without a `type` |
//! | LangChain | `type` (`human`, `ai`, `system`, `tool`), `content`, `tool_calls`; the same as stored by `dumpd` or `messages_to_dict` |
//!
//! Sources: <https://platform.openai.com/docs/api-reference>, <https://docs.anthropic.com/en/api/messages>,
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html>,
//! <https://ai.google.dev/api/caching#Content>.
//!
//! | module | reads |
//! | --- | --- |
//! | this one | messages and items |
//! | `part` | the parts of a content, and results |
//! | `calls` | which call a result belongs to |
//! | `item` | canonical forms of calls, results and media |

mod calls;
mod item;
mod part;

use std::borrow::Borrow;

use serde_json::{Map, Value};

use self::calls::Calls;
pub(super) use self::item::canonical_text;
use self::item::{call_item, media_item, object_item};
use super::messages::ConversationError;
use super::speaker::Speaker;
use super::turn::Turn;

/// The turns of `messages`, oldest first. Errors: [`ConversationError::UnknownRole`], and
/// [`ConversationError::Unreadable`] with the place of what cannot be understood.
pub(super) fn turns<M: Borrow<Value>>(messages: &[M]) -> Result<Vec<Turn>, ConversationError> {
    let mut reader = Reader::default();
    for (at, message) in messages.iter().enumerate() {
        reader.message(at, message.borrow())?;
    }
    Ok(reader.finish())
}

/// The error for what cannot be understood at `path`.
fn unreadable(path: &str, reason: impl Into<String>) -> ConversationError {
    ConversationError::Unreadable { path: path.to_owned(), reason: reason.into() }
}

/// What a JSON value is, for an error: "a number".
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A field that is present and not null. Clients pass replies back with fields that are null.
fn field<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// The first of several fields that is present and not null. SDKs write a name in `camelCase` or in `snake_case`.
fn any_field<'v>(object: &'v Map<String, Value>, names: &[&str]) -> Option<&'v Value> {
    names.iter().find_map(|name| field(object, name))
}

/// The speaker of a message of LangChain, which has a `type` in place of a role.
fn speaker_of_type(kind: &str) -> Option<Speaker> {
    Some(match kind {
        "human" => Speaker::User,
        "ai" => Speaker::Assistant,
        "system" => Speaker::System,
        "tool" => Speaker::Tool,
        _ => return None,
    })
}

/// The message within `message`, if LangChain stored it: `{"lc": 1, "id": […, "HumanMessage"], "kwargs": {…}}` by `dumpd`,
/// or `{"type": "human", "data": {…}}` by `messages_to_dict`. The type is put into the message, which may lack it.
fn stored_by_langchain(message: &Map<String, Value>) -> Option<Map<String, Value>> {
    let (Value::Object(inner), kind) = (match (field(message, "kwargs"), field(message, "data")) {
        (Some(inner), _) if message.contains_key("lc") => {
            let class = field(message, "id")?.as_array()?.last()?.as_str()?;
            (inner, class.trim_end_matches("Chunk").strip_suffix("Message")?.to_lowercase())
        }
        (_, Some(inner)) if !message.contains_key("role") => (inner, field(message, "type")?.as_str()?.to_owned()),
        _ => return None,
    }) else {
        return None;
    };
    speaker_of_type(&kind)?;
    let mut inner = inner.clone();
    inner.insert("type".to_owned(), kind.into());
    Some(inner)
}

#[derive(Default)]
struct Reader {
    turns: Vec<Turn>,
    /// The index of the first turn of the message that is being read.
    message_start: usize,
    calls: Calls,
}

impl Reader {
    fn finish(self) -> Vec<Turn> {
        let mut turns = self.turns;
        for turn in &mut turns {
            // A client writes no content beside a call as null, as an empty text, or not at all.
            if !turn.items.is_empty() && !turn.has_text() {
                turn.text = None;
            }
        }
        // The order in which the results of parallel calls arrive does not matter.
        for results in turns.chunk_by_mut(|a, b| a.speaker == Speaker::Tool && b.speaker == Speaker::Tool) {
            results.sort_by_key(|turn| turn.call.unwrap_or(usize::MAX));
        }
        turns
    }

    /// The turn of `speaker` in this message. It begins one if the message's last turn is another speaker's.
    fn turn(&mut self, speaker: Speaker) -> &mut Turn {
        let continues = self.turns.len() > self.message_start
            && speaker != Speaker::Tool
            && self.turns.last().is_some_and(|turn| turn.speaker == speaker);
        if !continues {
            self.turns.push(Turn { speaker, text: None, items: Vec::new(), call: None });
        }
        let last = self.turns.len() - 1;
        &mut self.turns[last]
    }

    /// Adds a text. Texts of one message are joined by a line break.
    fn say(&mut self, speaker: Speaker, text: &str) {
        let turn = self.turn(speaker);
        match &mut turn.text {
            Some(said) => {
                said.push('\n');
                said.push_str(text);
            }
            None => turn.text = Some(text.to_owned()),
        }
    }

    /// Adds what is matched exactly.
    fn add(&mut self, speaker: Speaker, item: String) {
        self.turn(speaker).items.push(item);
    }

    /// Adds a call of a tool. `id` links a result to the call.
    fn call(
        &mut self,
        speaker: Speaker,
        id: Option<&Value>,
        name: Option<&Value>,
        arguments: Option<&Value>,
        path: &str,
    ) -> Result<(), ConversationError> {
        let name = match name {
            Some(Value::String(name)) => name,
            Some(other) => return Err(unreadable(path, format!("the name of the call is {}", kind_of(other)))),
            None => return Err(unreadable(path, "the call has no name")),
        };
        let item = call_item(name, arguments, path)?;
        self.calls.begin(id.and_then(Value::as_str), name);
        self.add(speaker, item);
        Ok(())
    }

    fn message(&mut self, at: usize, message: &Value) -> Result<(), ConversationError> {
        self.message_start = self.turns.len();
        let path = format!("messages[{at}]");
        let Value::Object(message) = message else {
            let reason =
                format!("a message is an object with a `role` and a `content`, and this is {}", kind_of(message));
            return Err(unreadable(&path, reason));
        };
        let stored = stored_by_langchain(message);
        let message = stored.as_ref().unwrap_or(message);
        let speaker = match (field(message, "role"), field(message, "type")) {
            (Some(Value::String(role)), _) => {
                Speaker::of_role(role).ok_or_else(|| ConversationError::unknown_role(at, role))?
            }
            (Some(role), _) => {
                return Err(unreadable(
                    &format!("{path}.role"),
                    format!("a role is a text, and this is {}", kind_of(role)),
                ));
            }
            (None, Some(Value::String(kind))) if kind != "message" => match speaker_of_type(kind) {
                Some(speaker) if message.contains_key("content") => speaker,
                _ => return self.item(kind, message, &path),
            },
            // Gemini: a content without a role is the user's.
            (None, _) if message.contains_key("parts") => Speaker::User,
            (None, _) => return Err(unreadable(&path, "the message has no `role`")),
        };
        let has_content = ["content", "parts", "tool_calls", "function_call", "images"]
            .iter()
            .any(|name| message.contains_key(*name));
        if !has_content && speaker != Speaker::Assistant {
            return Err(unreadable(&path, "the message has no `content`"));
        }
        self.content(speaker, message, &path)?;
        self.extras(speaker, message, &path)?;
        if self.turns.len() == self.message_start {
            self.say(speaker, "");
        }
        Ok(())
    }

    /// The `content` or the `parts` of a message.
    fn content(&mut self, speaker: Speaker, message: &Map<String, Value>, path: &str) -> Result<(), ConversationError> {
        for name in ["content", "parts"] {
            let Some(content) = field(message, name) else { continue };
            let path = format!("{path}.{name}");
            if speaker == Speaker::Tool && !part::has_results(content) {
                self.result(message, Some(content), &path)?;
                continue;
            }
            match content {
                Value::String(text) => self.say(speaker, text),
                Value::Array(parts) => {
                    for (at, part) in parts.iter().enumerate() {
                        self.part(speaker, part, &format!("{path}[{at}]"))?;
                    }
                }
                Value::Object(_) => self.part(speaker, content, &path)?,
                other => {
                    let reason = format!("a content is a text or a list of parts, and this is {}", kind_of(other));
                    return Err(unreadable(&path, reason));
                }
            }
        }
        Ok(())
    }

    /// The fields of a message that hold something said or asked for beside its content.
    fn extras(&mut self, speaker: Speaker, message: &Map<String, Value>, path: &str) -> Result<(), ConversationError> {
        if let Some(Value::String(refusal)) = field(message, "refusal") {
            self.say(speaker, refusal);
        }
        if let Some(audio) = field(message, "audio") {
            match (audio.get("transcript"), self.turns.len() > self.message_start) {
                (Some(Value::String(transcript)), false) => self.say(speaker, transcript),
                (Some(Value::String(_)), true) => {}
                _ => self.add(speaker, media_item(audio, &format!("{path}.audio"))?),
            }
        }
        // Ollama has the pictures of a message in a field of their own.
        if let Some(Value::Array(images)) = field(message, "images") {
            for image in images {
                self.add(speaker, media_item(image, &format!("{path}.images"))?);
            }
        }
        match field(message, "tool_calls") {
            None => {}
            Some(Value::Array(calls)) => {
                for (at, call) in calls.iter().enumerate() {
                    self.tool_call(speaker, call, &format!("{path}.tool_calls[{at}]"))?;
                }
            }
            Some(other) => {
                return Err(unreadable(
                    &format!("{path}.tool_calls"),
                    format!("it is a list of calls, and this is {}", kind_of(other)),
                ));
            }
        }
        match field(message, "function_call") {
            None => Ok(()),
            Some(call) => self.tool_call(speaker, call, &format!("{path}.function_call")),
        }
    }

    /// A call in one of the forms `{"function": {"name", "arguments"}}`, `{"custom": {"name", "input"}}`, and the inner
    /// object alone.
    fn tool_call(&mut self, speaker: Speaker, call: &Value, path: &str) -> Result<(), ConversationError> {
        let Value::Object(outer) = call else {
            return Err(unreadable(path, format!("a call is an object, and this is {}", kind_of(call))));
        };
        let inner = any_field(outer, &["function", "custom"]).and_then(Value::as_object).unwrap_or(outer);
        self.call(speaker, field(outer, "id"), field(inner, "name"), any_field(inner, item::ARGUMENTS), path)
    }

    /// An item of OpenAI Responses that is no message.
    fn item(&mut self, kind: &str, item: &Map<String, Value>, path: &str) -> Result<(), ConversationError> {
        match kind {
            "function_call" | "custom_tool_call" => {
                let arguments = any_field(item, item::ARGUMENTS);
                self.call(Speaker::Assistant, field(item, "call_id"), field(item, "name"), arguments, path)
            }
            "function_call_output" | "custom_tool_call_output" => self.result(item, field(item, "output"), path),
            "reasoning" => Ok(()),
            // The ids of reasoning items begin with `rs_`. What another reference stands for is not known here, so the
            // reference itself is compared.
            "item_reference" => {
                match field(item, "id") {
                    Some(Value::String(id)) if id.starts_with("rs_") => {}
                    Some(Value::String(id)) => self.add(Speaker::Assistant, format!("reference {id}")),
                    _ => return Err(unreadable(path, "the reference has no `id`")),
                }
                Ok(())
            }
            _ => {
                let is_result = kind.ends_with("_output") || kind.ends_with("_response");
                let speaker = if is_result { Speaker::Tool } else { Speaker::Assistant };
                self.add(speaker, object_item(item, path)?);
                Ok(())
            }
        }
    }
}
