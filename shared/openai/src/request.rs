//! What of a request is compared with earlier ones.

use serde_json::{Map, Value};
use strum::IntoStaticStr;
use thiserror::Error;

/// The parameters that cannot change the answer. All others are compared exactly, also those that are not known here.
///
/// Parameters whose names start with [`IGNORED_PREFIX`] belong to the list, too.
pub const IGNORED: [&str; 7] =
    ["stream", "stream_options", "user", "metadata", "safety_identifier", "service_tier", "store"];

/// The start of the names of further parameters that cannot change the answer: they steer the service's own cache of
/// prompts.
pub const IGNORED_PREFIX: &str = "prompt_cache_";

/// A request as far as the cache reads it. The service gets the caller's own bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The value of `messages`.
    pub messages: Value,
    /// Every compared parameter but `messages`. A parameter that is null is left out, as if it was not sent.
    pub parameters: Map<String, Value>,
    /// The form of the reply.
    pub form: ReplyForm,
    /// Why the request is neither looked up nor stored; `None` if it is.
    pub bypass: Option<Bypass>,
}

/// The form in which the caller wants the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyForm {
    /// One JSON object.
    Json,
    /// Server-sent events.
    Stream {
        /// Whether one more event reports the usage: `stream_options.include_usage`.
        include_usage: bool,
    },
}

/// Why a request is neither looked up nor stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Bypass {
    /// It asks for several choices: `n`.
    SeveralChoices,
    /// It asks for the probabilities of tokens: `logprobs`, `top_logprobs`.
    Logprobs,
    /// It asks for speech: `audio`, `modalities`.
    Audio,
}

/// The body is not a JSON object with the list `messages`, so only the service can say what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the body is not a JSON object with a list `messages`")]
pub struct UnreadableRequest;

impl ChatRequest {
    /// Reads the body of a request. Errors: [`UnreadableRequest`].
    pub fn read(body: &[u8]) -> Result<Self, UnreadableRequest> {
        let mut fields: Map<String, Value> = serde_json::from_slice(body).map_err(|_| UnreadableRequest)?;
        let messages = fields.remove("messages").filter(Value::is_array).ok_or(UnreadableRequest)?;
        let form = form(&fields);
        let bypass = bypass(&fields);
        fields.retain(|name, value| is_compared(name) && !value.is_null());
        Ok(Self { messages, parameters: fields, form, bypass })
    }

    /// The model that the request names. Empty if it names none.
    pub fn model(&self) -> &str {
        self.parameters.get("model").and_then(Value::as_str).unwrap_or_default()
    }
}

fn is_compared(name: &str) -> bool {
    !IGNORED.contains(&name) && !name.starts_with(IGNORED_PREFIX)
}

fn form(fields: &Map<String, Value>) -> ReplyForm {
    if fields.get("stream") != Some(&Value::Bool(true)) {
        return ReplyForm::Json;
    }
    let include_usage = fields.get("stream_options").and_then(|options| options.get("include_usage"));
    ReplyForm::Stream { include_usage: include_usage == Some(&Value::Bool(true)) }
}

fn bypass(fields: &Map<String, Value>) -> Option<Bypass> {
    let given = |name: &str| fields.get(name).filter(|value| !matches!(value, Value::Null | Value::Bool(false)));
    if given("n").is_some_and(|n| n.as_f64() != Some(1.0)) {
        return Some(Bypass::SeveralChoices);
    }
    if given("logprobs").is_some() || given("top_logprobs").is_some() {
        return Some(Bypass::Logprobs);
    }
    let speaks = |modalities: &Value| modalities.as_array().is_none_or(|list| list.iter().any(|kind| kind != "text"));
    (given("audio").is_some() || given("modalities").is_some_and(speaks)).then_some(Bypass::Audio)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> ChatRequest {
        ChatRequest::read(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn read_leaves_out_ignored_and_null_parameters_and_keeps_unknown_ones() {
        let request = read(json!({
            "model": "m", "messages": [], "temperature": 0.5, "brand_new": {"a": 1}, "seed": null, "stream": false,
            "stream_options": null, "user": "u", "metadata": {"a": "b"}, "safety_identifier": "s",
            "prompt_cache_key": "k", "prompt_cache_retention": "24h", "service_tier": "flex", "store": true,
        }));
        let expected = json!({"model": "m", "temperature": 0.5, "brand_new": {"a": 1}});
        assert_eq!(Value::Object(request.parameters), expected);
        assert_eq!((request.form, request.bypass), (ReplyForm::Json, None));
    }

    #[test]
    fn read_with_stream_options_knows_the_form() {
        let form = |body: Value| read(body).form;
        assert_eq!(form(json!({"messages": [], "stream": true})), ReplyForm::Stream { include_usage: false });
        let with_usage = json!({"messages": [], "stream": true, "stream_options": {"include_usage": true}});
        assert_eq!(form(with_usage), ReplyForm::Stream { include_usage: true });
        let without_stream = json!({"messages": [], "stream_options": {"include_usage": true}});
        assert_eq!(form(without_stream), ReplyForm::Json);
    }

    #[test]
    fn read_with_what_a_stored_answer_lacks_is_a_bypass() {
        let bypass = |field: &str, value: Value| read(json!({"messages": [], field: value})).bypass;
        for (field, value, expected) in [
            ("n", json!(2), Some(Bypass::SeveralChoices)),
            ("n", json!(1), None),
            ("n", json!(1.0), None),
            ("logprobs", json!(true), Some(Bypass::Logprobs)),
            ("logprobs", json!(false), None),
            ("top_logprobs", json!(3), Some(Bypass::Logprobs)),
            ("audio", json!({"voice": "alloy"}), Some(Bypass::Audio)),
            ("modalities", json!(["text", "audio"]), Some(Bypass::Audio)),
            ("modalities", json!(["text"]), None),
            ("modalities", json!("speech"), Some(Bypass::Audio)),
        ] {
            assert_eq!(bypass(field, value.clone()), expected, "{field}: {value}");
        }
    }

    #[test]
    fn read_of_another_body_is_unreadable() {
        for body in ["", "[]", "{}", r#"{"messages": "hi"}"#, r#"{"messages": null}"#, "{\"messages\": ["] {
            assert_eq!(ChatRequest::read(body.as_bytes()), Err(UnreadableRequest), "{body}");
        }
    }
}
