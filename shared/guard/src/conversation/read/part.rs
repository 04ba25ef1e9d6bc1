//! Reading the parts of a content, and the results of tools.

use serde_json::{Map, Value};

use super::item::{ARGUMENTS, canonical, media_item, object_item};
use super::{Reader, any_field, field, kind_of, unreadable};
use crate::conversation::messages::ConversationError;
use crate::conversation::speaker::Speaker;
use crate::conversation::turn::Turn;

/// What a part of a content is.
enum Part<'v> {
    Text(&'v Value),
    /// A list of parts in place of a part.
    Parts(&'v Value),
    Call(&'v Map<String, Value>),
    Result(&'v Map<String, Value>),
    /// Reasoning, or a mark for a provider's cache.
    Ignored,
    Other,
}

impl<'v> Part<'v> {
    fn of(part: &'v Map<String, Value>) -> Self {
        let object = |names: &[&str]| any_field(part, names).and_then(Value::as_object);
        let Some(Value::String(kind)) = field(part, "type") else {
            // Bedrock Converse and Gemini: the key says what the part is.
            return if part.get("thought") == Some(&Value::Bool(true)) {
                Self::Ignored
            } else if let Some(text) = field(part, "text") {
                Self::Text(text)
            } else if let Some(call) = object(&["toolUse", "functionCall", "function_call"]) {
                Self::Call(call)
            } else if let Some(result) = object(&["toolResult", "functionResponse", "function_response"]) {
                Self::Result(result)
            } else if let Some(text) = object(&["guardContent"]).and_then(|guard| guard.get("text")?.get("text")) {
                Self::Text(text)
            } else if let Some(parts) = object(&["citationsContent"]).and_then(|cited| cited.get("content")) {
                Self::Parts(parts)
            } else if ["cachePoint", "reasoningContent"].iter().any(|name| part.contains_key(*name)) {
                Self::Ignored
            } else {
                Self::Other
            };
        };
        // The AI SDK of Vercel writes `tool-call` where others write `tool_call`.
        match kind.replace('-', "_").as_str() {
            "text" | "input_text" | "output_text" => {
                let text = part.get("text").unwrap_or(&Value::Null);
                // OpenAI Assistants has `{"text": {"value": …}}`.
                Self::Text(text.get("value").unwrap_or(text))
            }
            "refusal" => Self::Text(part.get("refusal").unwrap_or(&Value::Null)),
            "thinking" | "redacted_thinking" | "reasoning" | "reasoning_text" | "redacted_reasoning" | "step_start" => {
                Self::Ignored
            }
            "tool_use" | "server_tool_use" | "mcp_tool_use" | "tool_call" | "function_call" => Self::Call(part),
            kind if kind.ends_with("tool_result") || kind == "function_call_output" => Self::Result(part),
            _ => Self::Other,
        }
    }
}

/// True if a content consists of results of tools, as in the messages of Bedrock Converse, Gemini and Vercel's AI SDK.
pub(super) fn has_results(content: &Value) -> bool {
    let is_result = |part: &Value| part.as_object().is_some_and(|part| matches!(Part::of(part), Part::Result(_)));
    content.as_array().is_some_and(|parts| parts.iter().any(is_result)) || is_result(content)
}

/// True if a result says that the tool failed.
fn is_failure(result: &Map<String, Value>) -> bool {
    let is_true = |name: &str| result.get(name) == Some(&Value::Bool(true));
    is_true("is_error") || is_true("isError") || result.get("status").is_some_and(|status| status == "error")
}

impl Reader {
    /// Adds a part of a content of `speaker`.
    pub(super) fn part(&mut self, speaker: Speaker, part: &Value, path: &str) -> Result<(), ConversationError> {
        let object = match part {
            Value::String(text) => {
                self.say(speaker, text);
                return Ok(());
            }
            Value::Object(object) if !object.is_empty() => object,
            Value::Object(_) => return Err(unreadable(path, "the part is empty")),
            other => {
                return Err(unreadable(path, format!("a part is an object or a text, and this is {}", kind_of(other))));
            }
        };
        match Part::of(object) {
            Part::Text(Value::String(text)) => self.say(speaker, text),
            Part::Text(other) => {
                return Err(unreadable(path, format!("the text of the part is {}", kind_of(other))));
            }
            Part::Parts(Value::Array(parts)) => {
                for part in parts {
                    self.part(speaker, part, path)?;
                }
            }
            Part::Call(call) => {
                let id = any_field(call, &["id", "toolUseId", "call_id", "toolCallId"]);
                let name = any_field(call, &["name", "toolName"]);
                return self.call(speaker, id, name, any_field(call, ARGUMENTS), path);
            }
            Part::Result(result) => {
                let content = any_field(result, &["content", "response", "output", "result"]);
                return self.result(result, content, path);
            }
            Part::Ignored => {}
            Part::Parts(_) | Part::Other => self.add(speaker, object_item(object, path)?),
        }
        Ok(())
    }

    /// Adds the result of a tool. `result`: the object that says which call it answers, and whether the tool failed.
    pub(super) fn result(
        &mut self,
        result: &Map<String, Value>,
        content: Option<&Value>,
        path: &str,
    ) -> Result<(), ConversationError> {
        let id = any_field(result, &["tool_call_id", "tool_use_id", "toolUseId", "call_id", "toolCallId", "id"]);
        let name = any_field(result, &["name", "toolName", "tool_name"]);
        let call = self.calls.answered_by(id.and_then(Value::as_str), name.and_then(Value::as_str));
        let mut turn = Turn { speaker: Speaker::Tool, text: None, items: Vec::new(), call };
        if is_failure(result) {
            turn.items.push("failed".to_owned());
        }
        let mut texts = Vec::new();
        match content {
            None => {}
            Some(Value::Array(parts)) => {
                for (at, part) in parts.iter().enumerate() {
                    read_result(part, &mut texts, &mut turn.items, &format!("{path}[{at}]"))?;
                }
            }
            Some(content) => read_result(content, &mut texts, &mut turn.items, path)?,
        }
        turn.text = Some(texts.join("\n"));
        self.turns.push(turn);
        Ok(())
    }
}

/// Reads a result or a part of one: a text, JSON, or media.
fn read_result(
    content: &Value,
    texts: &mut Vec<String>,
    items: &mut Vec<String>,
    path: &str,
) -> Result<(), ConversationError> {
    let object = match content {
        Value::String(text) => {
            texts.push(text.clone());
            return Ok(());
        }
        Value::Object(object) => object,
        other => {
            texts.push(canonical(other, path)?);
            return Ok(());
        }
    };
    // Bedrock Converse has `{"json": …}`, and Vercel's AI SDK `{"type": "json", "value": …}`.
    let kind = field(object, "type").and_then(Value::as_str).unwrap_or_default();
    let json = match (object.get("json"), object.get("value")) {
        (Some(json), _) if object.len() == 1 => Some(json),
        (_, Some(value)) if ["text", "json", "error-text", "error-json", "content"].contains(&kind) => Some(value),
        _ => None,
    };
    match (json, Part::of(object)) {
        (Some(Value::String(text)), _) => texts.push(text.clone()),
        (Some(Value::Array(parts)), _) if kind == "content" => {
            for part in parts {
                read_result(part, texts, items, path)?;
            }
        }
        (Some(json), _) => texts.push(canonical(json, path)?),
        (None, Part::Text(Value::String(text))) => texts.push(text.clone()),
        (None, Part::Text(other)) if !kind.is_empty() => {
            return Err(unreadable(path, format!("the text of the part is {}", kind_of(other))));
        }
        // An object that is no part of a known form is the result itself, as in Gemini's `response`.
        (None, Part::Other) if kind.is_empty() && !is_media(object) => texts.push(canonical(content, path)?),
        (None, Part::Ignored) => {}
        (None, _) => items.push(media_item(content, path)?),
    }
    Ok(())
}

/// True for a part of Bedrock Converse or Gemini that holds a picture, a file or a recording.
fn is_media(part: &Map<String, Value>) -> bool {
    const KEYS: [&str; 8] =
        ["image", "document", "video", "audio", "inlineData", "inline_data", "fileData", "file_data"];
    part.values().filter(|value| !value.is_null()).count() == 1
        && KEYS.iter().any(|key| part.get(*key).is_some_and(Value::is_object))
}
