//! Canonical forms of what is matched exactly: calls, results and media.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::unreadable;
use crate::conversation::context_key::{canonical_value, has_inexact_number};
use crate::conversation::messages::ConversationError;

/// The fields that hold the arguments of a call, in the order of preference.
pub(super) const ARGUMENTS: &[&str] = &["arguments", "input", "args"];

/// The fields of a part or an item that do not decide an answer: its identity, its state, marks for a provider's cache,
/// and what a provider adds to a text.
const IGNORED: &[&str] = &[
    "annotations",
    "cachePoint",
    "cache_control",
    "call_id",
    "citations",
    "id",
    "logprobs",
    "providerMetadata",
    "providerOptions",
    "status",
    "thoughtSignature",
    "thought_signature",
    "toolCallId",
    "toolUseId",
    "tool_call_id",
    "tool_use_id",
];

/// A call by its name and arguments. The arguments are an object, or a text that is JSON. Errors:
/// [`ConversationError::Unreadable`] for a number that float64 does not hold.
pub(super) fn call_item(name: &str, arguments: Option<&Value>, path: &str) -> Result<String, ConversationError> {
    let arguments = match arguments {
        None => "{}".to_owned(),
        Some(Value::String(text)) if text.trim().is_empty() => "{}".to_owned(),
        Some(Value::String(text)) => canonical_text(text),
        Some(value) => canonical(value, path)?,
    };
    Ok(format!("call {} {name} {arguments}", name.len()))
}

/// A picture, a file, a recording, or a part of an unknown kind: the hash of its canonical form without the fields that
/// do not decide an answer. Errors: as [`call_item`].
pub(super) fn media_item(value: &Value, path: &str) -> Result<String, ConversationError> {
    let canonical = match value {
        Value::Object(object) => canonical_object(object, path)?,
        other => canonical(other, path)?,
    };
    Ok(hashed(&canonical))
}

/// [`media_item`] of an object.
pub(super) fn object_item(object: &Map<String, Value>, path: &str) -> Result<String, ConversationError> {
    Ok(hashed(&canonical_object(object, path)?))
}

fn canonical_object(object: &Map<String, Value>, path: &str) -> Result<String, ConversationError> {
    let kept = object.iter().filter(|(name, value)| !IGNORED.contains(&name.as_str()) && !value.is_null());
    canonical(&Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect()), path)
}

/// The canonical form of a value. Errors: as [`call_item`].
pub(super) fn canonical(value: &Value, path: &str) -> Result<String, ConversationError> {
    if has_inexact_number(value) {
        return Err(unreadable(path, "a number has more digits than a 64-bit number holds"));
    }
    Ok(canonical_value(value))
}

fn hashed(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("media {digits}")
}

/// A text with white space collapsed, or in canonical form if it is a JSON object or list without numbers that float64
/// does not hold.
pub(in crate::conversation) fn canonical_text(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) if (value.is_object() || value.is_array()) && !has_inexact_number(&value) => canonical_value(&value),
        _ => text.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}
