//! A finished answer, from server-sent events.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, stream};
use serde_json::{Map, Value, json};
use sse_stream::SseStream;

use crate::completion::{Completion, Content, NotStored, check_message, kept, model_of, present};

/// The event that ends a stream.
const DONE: &str = "[DONE]";

/// The answer that the `chunks` of a whole stream carry, however it was cut into chunks. Errors: [`NotStored`].
pub fn read(chunks: &[Bytes]) -> Result<Completion, NotStored> {
    let chunks = chunks.iter().filter(|chunk| !chunk.is_empty()).cloned().map(Ok::<_, Infallible>);
    let mut events = SseStream::from_bytes_stream(stream::iter(chunks));
    let mut assembly = Assembly::default();
    // All chunks are here, so the stream never waits.
    while let Some(event) = events.next().now_or_never().flatten() {
        if let Some(data) = event.map_err(|_| NotStored::Unreadable)?.data {
            assembly.add(&data)?;
        }
    }
    assembly.finish()
}

/// The longest end of a stream that [`ends_between_events`] looks at, in bytes: a blank line, and the line end before.
const END_BYTES: usize = 4;

/// Adds `chunk` to the `end` of a stream, of which only the last bytes are kept.
pub fn extend_end(end: &mut Vec<u8>, chunk: &[u8]) {
    end.extend_from_slice(&chunk[chunk.len().saturating_sub(END_BYTES)..]);
    end.drain(..end.len().saturating_sub(END_BYTES));
}

/// Whether a stream with this `end` ends between two events, so that another event may follow.
pub fn ends_between_events(end: &[u8]) -> bool {
    end.is_empty() || [&b"\n\n"[..], b"\r\r", b"\r\n\r\n"].iter().any(|blank| end.ends_with(blank))
}

/// What the events so far carry.
#[derive(Default)]
struct Assembly {
    first: Option<(String, Map<String, Value>)>,
    text: Option<String>,
    message: Map<String, Value>,
    calls: BTreeMap<u64, Value>,
    finish_reason: Option<String>,
    usage: Option<Value>,
    is_done: bool,
}

impl Assembly {
    /// Adds the data of one event. Errors: [`NotStored`].
    fn add(&mut self, data: &str) -> Result<(), NotStored> {
        if self.is_done {
            return Err(NotStored::Unreadable);
        }
        if data.trim() == DONE {
            self.is_done = true;
            return Ok(());
        }
        let event: Map<String, Value> = serde_json::from_str(data).map_err(|_| NotStored::Unreadable)?;
        if present(&event, "error").is_some() {
            return Err(NotStored::Error);
        }
        self.first.get_or_insert_with(|| (model_of(&event), kept(&event)));
        if let Some(usage) = present(&event, "usage") {
            self.usage = Some(usage.clone());
        }
        match event.get("choices").and_then(Value::as_array).map(Vec::as_slice) {
            // The event with the usage has no choice.
            None | Some([]) => Ok(()),
            Some([Value::Object(choice)]) if choice.get("index").is_none_or(|index| index == 0) => {
                self.add_choice(choice)
            }
            Some(_) => Err(NotStored::Choices),
        }
    }

    fn add_choice(&mut self, choice: &Map<String, Value>) -> Result<(), NotStored> {
        if present(choice, "logprobs").is_some() {
            return Err(NotStored::Logprobs);
        }
        if let Some(Value::Object(delta)) = choice.get("delta") {
            check_message(delta)?;
            for (name, value) in delta {
                self.add_member(name, value)?;
            }
        }
        if let Some(reason) = present(choice, "finish_reason") {
            self.finish_reason = Some(reason.as_str().ok_or(NotStored::Unreadable)?.to_owned());
        }
        Ok(())
    }

    /// Adds a member of a delta. Texts continue what came before. Anything else must be whole in one event.
    fn add_member(&mut self, name: &str, value: &Value) -> Result<(), NotStored> {
        match (name, value) {
            ("role" | "refusal", _) | (_, Value::Null) => {}
            ("content", Value::String(part)) => self.text.get_or_insert_default().push_str(part),
            ("tool_calls", Value::Array(parts)) => {
                for part in parts {
                    self.add_call(part).ok_or(NotStored::Unreadable)?;
                }
            }
            ("content" | "tool_calls", _) => return Err(NotStored::Unreadable),
            (_, Value::String(part)) => match self.message.entry(name).or_insert_with(|| json!("")) {
                Value::String(text) => text.push_str(part),
                _ => return Err(NotStored::Unreadable),
            },
            (_, value) => {
                let before = self.message.insert(name.to_owned(), value.clone());
                if before.is_some_and(|before| before != *value) {
                    return Err(NotStored::Unreadable);
                }
            }
        }
        Ok(())
    }

    /// Adds a part of a call. `None` if it is not one.
    fn add_call(&mut self, part: &Value) -> Option<()> {
        let call = self
            .calls
            .entry(part.get("index")?.as_u64()?)
            .or_insert_with(|| json!({ "id": "", "type": "function", "function": { "name": "", "arguments": "" } }));
        if let Some(id) = part.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()) {
            call["id"] = id.into();
        }
        if let Some(kind) = part.get("type").and_then(Value::as_str) {
            call["type"] = kind.into();
        }
        for name in ["name", "arguments"] {
            if let Some(more) = part.get("function").and_then(|function| function.get(name)).and_then(Value::as_str)
                && let Value::String(text) = &mut call["function"][name]
            {
                text.push_str(more);
            }
        }
        Some(())
    }

    fn finish(self) -> Result<Completion, NotStored> {
        let (model, kept) = self.first.filter(|_| self.is_done).ok_or(NotStored::Incomplete)?;
        let calls = self.calls.into_values().collect();
        let content = Content::of_message(self.text, calls, self.finish_reason.as_deref())?;
        Ok(Completion { model, content, message: self.message, usage: self.usage, kept })
    }
}

#[cfg(test)]
mod tests;
