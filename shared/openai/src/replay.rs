//! A stored answer as a JSON body or as server-sent events.

use serde_json::{Map, Value, json};

use crate::completion::{Completion, Content};

/// The number of words in one event.
const WORDS_PER_EVENT: usize = 8;

/// What is new in each reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The reply's id, which no other reply has.
    pub id: String,
    /// The time of the reply in epoch seconds.
    pub created: i64,
}

impl Stamp {
    /// What every object of a reply has, with the name of its type.
    fn object(&self, kind: &str, completion: &Completion) -> Map<String, Value> {
        let Value::Object(mut object) =
            json!({ "id": self.id, "object": kind, "created": self.created, "model": completion.model })
        else {
            unreachable!("the literal is an object")
        };
        object.extend(completion.kept.clone());
        object
    }
}

/// The answer as the JSON body of a reply. It has the usage that the service reported, if it reported one.
pub fn json(completion: &Completion, stamp: &Stamp) -> Value {
    let mut reply = stamp.object("chat.completion", completion);
    let (message, finish_reason) = (completion.to_message(), completion.content.finish_reason());
    let choice = json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason });
    reply.insert("choices".to_owned(), json!([choice]));
    if let Some(usage) = &completion.usage {
        reply.insert("usage".to_owned(), usage.clone());
    }
    reply.into()
}

/// The answer as the events of a whole stream: the role, the content, the finish reason, `[DONE]`.
///
/// `include_usage`: whether one more event has the usage. It is left out if the service reported none.
pub fn events(completion: &Completion, stamp: &Stamp, include_usage: bool) -> String {
    let usage = completion.usage.as_ref().filter(|_| include_usage);
    let event = |choices: Value, usage_here: &Value| {
        let mut event = stamp.object("chat.completion.chunk", completion);
        event.insert("choices".to_owned(), choices);
        if usage.is_some() {
            event.insert("usage".to_owned(), usage_here.clone());
        }
        format!("data: {}\n\n", Value::from(event))
    };
    let choice = |delta: Value, finish_reason: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason });
        event(json!([choice]), &Value::Null)
    };
    let mut events = String::new();
    let mut first = json!({ "role": "assistant", "refusal": null });
    first["content"] = if matches!(completion.content, Content::Text(_)) { json!("") } else { Value::Null };
    events.push_str(&choice(first, None));
    for (name, value) in &completion.message {
        events.push_str(&choice(json!({ name: value }), None));
    }
    match &completion.content {
        Content::Text(text) => {
            for part in word_groups(text) {
                events.push_str(&choice(json!({ "content": part }), None));
            }
        }
        Content::ToolCalls(calls) => {
            for (index, call) in calls.iter().enumerate() {
                let mut call = call.clone();
                call["index"] = index.into();
                events.push_str(&choice(json!({ "tool_calls": [call] }), None));
            }
        }
    }
    events.push_str(&choice(json!({}), Some(completion.content.finish_reason())));
    if let Some(usage) = usage {
        events.push_str(&event(json!([]), usage));
    }
    events.push_str("data: [DONE]\n\n");
    events
}

/// The text in parts of some words each, with the white space that follows them.
fn word_groups(text: &str) -> Vec<&str> {
    let words: Vec<&str> = text.split_inclusive(char::is_whitespace).collect();
    let mut groups = Vec::new();
    let mut begin = 0;
    for group in words.chunks(WORDS_PER_EVENT) {
        let end = begin + group.iter().map(|word| word.len()).sum::<usize>();
        groups.push(&text[begin..end]);
        begin = end;
    }
    groups
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::stream;

    fn stamp() -> Stamp {
        Stamp { id: "chatcmpl-new".to_owned(), created: 9 }
    }

    fn completion(content: Content, usage: Option<Value>) -> Completion {
        let message = Map::from_iter([("reasoning_content".to_owned(), json!("I think"))]);
        let kept = Map::from_iter([("system_fingerprint".to_owned(), json!("fp_1"))]);
        Completion { model: "m-2026".to_owned(), content, message, usage, kept }
    }

    fn calls() -> Content {
        let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        Content::ToolCalls(vec![call("a"), call("b")])
    }

    #[test]
    fn json_reads_back_as_the_completion() {
        for content in [Content::Text("Hello, you".to_owned()), calls()] {
            let completion = completion(content, Some(json!({"total_tokens": 7})));
            let reply = json(&completion, &stamp());
            assert_eq!((&reply["id"], &reply["created"]), (&json!("chatcmpl-new"), &json!(9)));
            assert_eq!(Completion::from_json(reply.to_string().as_bytes()), Ok(completion));
        }
    }

    #[test]
    fn events_read_back_as_the_completion() {
        for content in [Content::Text("one two three four five six seven eight nine".to_owned()), calls()] {
            let completion = completion(content, Some(json!({"total_tokens": 7})));
            let events = events(&completion, &stamp(), true);
            assert_eq!(stream::read(&[Bytes::from(events.clone())]), Ok(completion));
            let data: Vec<&str> = events.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
            let (last, parsed) = data.split_last().unwrap();
            let parsed: Vec<Value> = parsed.iter().map(|data| serde_json::from_str(data).unwrap()).collect();
            assert_eq!(*last, "[DONE]");
            assert!(parsed.iter().all(|event| event["id"] == "chatcmpl-new"));
            let (last, before) = parsed.split_last().unwrap();
            assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &json!({"total_tokens": 7})));
            assert!(before.iter().all(|event| event.get("usage") == Some(&Value::Null)));
        }
    }

    #[test]
    fn events_without_a_wish_for_usage_have_none() {
        let completion = completion(Content::Text("a".to_owned()), Some(json!({"total_tokens": 7})));
        assert!(!events(&completion, &stamp(), false).contains("usage"));
    }

    #[test]
    fn events_of_an_answer_without_usage_have_none() {
        let completion = completion(Content::Text("a".to_owned()), None);
        assert!(!events(&completion, &stamp(), true).contains("usage"));
        assert_eq!(json(&completion, &stamp()).get("usage"), None);
    }

    proptest! {
        #[test]
        fn word_groups_are_the_whole_text(text in "\\PC{0,200}|(\\w+[ \n\u{3000}]{1,3}){0,40}") {
            prop_assert_eq!(word_groups(&text).concat(), text);
        }
    }
}
