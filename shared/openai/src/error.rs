//! Errors in the form that OpenAI's clients read.

use serde_json::{Value, json};

/// The body of a reply with an error: `{"error": {"message", "type", "param", "code"}}`.
///
/// `kind`: the class that OpenAI gives the error, such as `invalid_request_error`. `code`: the name of the error.
pub fn body(message: &str, kind: &str, code: &str) -> Value {
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}

/// An error as the last event of a stream. OpenAI's clients raise it when they read it.
pub fn event(message: &str, kind: &str, code: &str) -> String {
    format!("data: {}\n\n", body(message, kind, code))
}
