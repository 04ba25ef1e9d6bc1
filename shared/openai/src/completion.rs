//! A finished answer of a model.

use serde_json::{Map, Value, json};
use strum::IntoStaticStr;

/// The member of an entry's metadata that holds what the entry's response does not.
pub const METADATA: &str = "chat";

/// The members of a reply, beside the choices and the usage, that are given back on a hit.
pub(crate) const KEPT: [&str; 2] = ["system_fingerprint", "service_tier"];

/// A finished answer: one choice that the model ended by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The name of the model, as the service gave it.
    pub model: String,
    /// What the model answered.
    pub content: Content,
    /// Further members of the message, such as `reasoning_content` or `annotations`.
    pub message: Map<String, Value>,
    /// The number of tokens, as the service reported it. `None` if it did not: a stream reports it on demand only.
    pub usage: Option<Value>,
    /// The members `system_fingerprint` and `service_tier` of the reply.
    pub kept: Map<String, Value>,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A text that has at least one visible character.
    Text(String),
    /// Calls of tools, without a text.
    ToolCalls(Vec<Value>),
}

/// Why an answer is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum NotStored {
    /// It is not an answer of the Chat Completions API, or it has something that a replay would lose.
    Unreadable,
    /// It reports an error.
    Error,
    /// It has no choice, or several.
    Choices,
    /// The model did not end it by itself: `length`, `content_filter`.
    Unfinished,
    /// The model refused to answer.
    Refusal,
    /// It calls tools, and the configuration stores no calls.
    ToolCalls,
    /// It has no visible text.
    Empty,
    /// It has the probabilities of tokens.
    Logprobs,
    /// It has speech.
    Audio,
    /// The stream ended before `[DONE]`.
    Incomplete,
}

impl NotStored {
    /// The word for a log or a header: `tool-calls`.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl Content {
    /// The finish reason that the service gave.
    pub fn finish_reason(&self) -> &'static str {
        match self {
            Self::Text(_) => "stop",
            Self::ToolCalls(_) => "tool_calls",
        }
    }

    /// The content of a message that ended with `finish_reason`. Errors: [`NotStored`].
    pub(crate) fn of_message(
        text: Option<String>,
        tool_calls: Vec<Value>,
        finish_reason: Option<&str>,
    ) -> Result<Self, NotStored> {
        let text = text.filter(|text| !text.trim().is_empty());
        match (finish_reason, text, tool_calls) {
            // Some services end a message with calls by `stop`.
            (Some("stop" | "tool_calls"), None, calls) if !calls.is_empty() => Ok(Self::ToolCalls(calls)),
            (Some("stop" | "tool_calls"), Some(_), calls) if !calls.is_empty() => Err(NotStored::ToolCalls),
            (Some("stop"), Some(text), _) => Ok(Self::Text(text)),
            (Some("stop"), None, _) => Err(NotStored::Empty),
            (Some(_), ..) => Err(NotStored::Unfinished),
            (None, ..) => Err(NotStored::Incomplete),
        }
    }
}

impl Completion {
    /// The answer in the JSON body of a reply. Errors: [`NotStored`].
    pub fn from_json(body: &[u8]) -> Result<Self, NotStored> {
        let mut reply: Map<String, Value> = serde_json::from_slice(body).map_err(|_| NotStored::Unreadable)?;
        if present(&reply, "error").is_some() {
            return Err(NotStored::Error);
        }
        let Some(Value::Array(choices)) = reply.remove("choices") else { return Err(NotStored::Unreadable) };
        let [Value::Object(choice)] = choices.as_slice() else { return Err(NotStored::Choices) };
        if present(choice, "logprobs").is_some() {
            return Err(NotStored::Logprobs);
        }
        let Some(Value::Object(message)) = choice.get("message") else { return Err(NotStored::Unreadable) };
        let mut message = message.clone();
        message.retain(|name, value| name != "role" && !value.is_null());
        check_message(&message)?;
        let text = match message.remove("content") {
            None => None,
            Some(Value::String(text)) => Some(text),
            Some(_) => return Err(NotStored::Unreadable),
        };
        let tool_calls = match message.remove("tool_calls") {
            None => Vec::new(),
            Some(Value::Array(calls)) => calls,
            Some(_) => return Err(NotStored::Unreadable),
        };
        let content = Content::of_message(text, tool_calls, choice.get("finish_reason").and_then(Value::as_str))?;
        Ok(Self {
            model: model_of(&reply),
            content,
            message,
            usage: present(&reply, "usage").cloned(),
            kept: kept(&reply),
        })
    }

    /// The response and the metadata of the entry that stores the answer.
    pub fn to_entry(&self) -> (String, Map<String, Value>) {
        let mut chat = Map::new();
        let mut add = |name: &str, value: Value| chat.insert(name.to_owned(), value);
        add("model", self.model.as_str().into());
        add("finish_reason", self.content.finish_reason().into());
        if let Some(usage) = &self.usage {
            add("usage", usage.clone());
        }
        if !self.message.is_empty() {
            add("message", self.message.clone().into());
        }
        if !self.kept.is_empty() {
            add("reply", self.kept.clone().into());
        }
        let response = match &self.content {
            Content::Text(text) => text.clone(),
            Content::ToolCalls(calls) => Value::from(calls.clone()).to_string(),
        };
        (response, Map::from_iter([(METADATA.to_owned(), Value::Object(chat))]))
    }

    /// The answer of an entry. An entry that a put stored has no metadata of a chat: it is a text of the model that the
    /// request names.
    ///
    /// `None` if the entry holds calls of tools that cannot be read.
    pub fn from_entry(response: String, metadata: &Map<String, Value>, requested_model: &str) -> Option<Self> {
        let chat = metadata.get(METADATA);
        let member = |name: &str| chat.and_then(|chat| chat.get(name));
        let object = |name: &str| member(name).and_then(Value::as_object).cloned().unwrap_or_default();
        let content = match member("finish_reason").and_then(Value::as_str) {
            Some("tool_calls") => Content::ToolCalls(serde_json::from_str(&response).ok()?),
            _ => Content::Text(response),
        };
        let model = member("model").and_then(Value::as_str).unwrap_or(requested_model).to_owned();
        Some(Self {
            model,
            content,
            message: object("message"),
            usage: member("usage").cloned(),
            kept: object("reply"),
        })
    }

    /// The number of tokens that a hit saves: `usage.total_tokens`.
    pub fn total_tokens(&self) -> Option<u64> {
        self.usage.as_ref()?.get("total_tokens")?.as_u64()
    }

    /// The answer as the message of a reply.
    pub(crate) fn to_message(&self) -> Value {
        let mut message =
            Map::from_iter([("role".to_owned(), json!("assistant")), ("refusal".to_owned(), Value::Null)]);
        match &self.content {
            Content::Text(text) => message.insert("content".to_owned(), text.as_str().into()),
            Content::ToolCalls(calls) => {
                message.insert("content".to_owned(), Value::Null);
                message.insert("tool_calls".to_owned(), calls.clone().into())
            }
        };
        message.extend(self.message.clone());
        message.into()
    }
}

/// A member that is present and not null.
pub(crate) fn present<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// The name of the model in a reply or in an event.
pub(crate) fn model_of(reply: &Map<String, Value>) -> String {
    reply.get("model").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Those of [`KEPT`] that a reply or an event has.
pub(crate) fn kept(reply: &Map<String, Value>) -> Map<String, Value> {
    KEPT.iter().filter_map(|name| Some(((*name).to_owned(), present(reply, name)?.clone()))).collect()
}

/// Checks the members of a message, or of a part of it, of which no answer that is stored has one. Errors:
/// [`NotStored`].
pub(crate) fn check_message(message: &Map<String, Value>) -> Result<(), NotStored> {
    let is_given = |name: &str| present(message, name).is_some_and(|value| value.as_str() != Some(""));
    if is_given("refusal") {
        Err(NotStored::Refusal)
    } else if is_given("audio") {
        Err(NotStored::Audio)
    } else if is_given("function_call") {
        Err(NotStored::ToolCalls)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(message: Value, finish_reason: &str) -> Value {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m-2026",
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
            "system_fingerprint": "fp_1", "service_tier": null,
        })
    }

    fn read(reply: &Value) -> Result<Completion, NotStored> {
        Completion::from_json(reply.to_string().as_bytes())
    }

    fn text(content: &str) -> Value {
        json!({"role": "assistant", "content": content, "refusal": null, "annotations": []})
    }

    #[test]
    fn completion_of_a_finished_text_survives_an_entry() {
        let completion = read(&reply(text("Hello"), "stop")).unwrap();
        assert_eq!((completion.model.as_str(), completion.total_tokens()), ("m-2026", Some(7)));
        let (response, metadata) = completion.to_entry();
        assert_eq!(response, "Hello");
        assert_eq!(Completion::from_entry(response, &metadata, "m"), Some(completion));
    }

    #[test]
    fn completion_of_tool_calls_survives_an_entry() {
        let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
        let completion = read(&reply(message, "tool_calls")).unwrap();
        assert_eq!(completion.content, Content::ToolCalls(vec![call]));
        let (response, metadata) = completion.to_entry();
        assert_eq!(Completion::from_entry(response, &metadata, "m"), Some(completion));
        assert_eq!(Completion::from_entry("cut".to_owned(), &metadata, "m"), None);
    }

    #[test]
    fn entry_of_a_put_is_a_text_of_the_requested_model() {
        let completion = Completion::from_entry("A.".to_owned(), &Map::new(), "m").unwrap();
        assert_eq!((completion.content, completion.model.as_str()), (Content::Text("A.".to_owned()), "m"));
        assert_eq!(completion.usage, None);
    }

    #[test]
    fn answer_that_is_not_finished_or_no_text_is_not_stored() {
        let with = |name: &str, value: Value| {
            let mut message = text("Hello");
            message[name] = value;
            reply(message, "stop")
        };
        let mut two = reply(text("Hello"), "stop");
        let first = two["choices"][0].clone();
        two["choices"].as_array_mut().unwrap().push(first);
        let mut probable = reply(text("Hello"), "stop");
        probable["choices"][0]["logprobs"] = json!({"content": []});
        let mut unended = reply(text("Hello"), "stop");
        unended["choices"][0]["finish_reason"] = Value::Null;
        for (reply, expected) in [
            (reply(text("Hel"), "length"), NotStored::Unfinished),
            (reply(text("Hel"), "content_filter"), NotStored::Unfinished),
            (reply(text(" \n"), "stop"), NotStored::Empty),
            (with("refusal", json!("No.")), NotStored::Refusal),
            (with("audio", json!({"id": "a"})), NotStored::Audio),
            (with("function_call", json!({"name": "f"})), NotStored::ToolCalls),
            (with("tool_calls", json!([{"id": "c"}])), NotStored::ToolCalls),
            (with("tool_calls", json!("c")), NotStored::Unreadable),
            (with("content", json!([{"type": "text"}])), NotStored::Unreadable),
            (two, NotStored::Choices),
            (probable, NotStored::Logprobs),
            (unended, NotStored::Incomplete),
            (json!({"choices": []}), NotStored::Choices),
            (json!({"error": {"message": "no"}, "choices": []}), NotStored::Error),
            (json!({"object": "list"}), NotStored::Unreadable),
            (json!({"choices": [{"index": 0}]}), NotStored::Unreadable),
            (json!([]), NotStored::Unreadable),
        ] {
            assert_eq!(read(&reply), Err(expected), "{reply}");
        }
    }
}
