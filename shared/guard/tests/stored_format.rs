//! The stored format: tables hold signatures, context keys and hashes that earlier versions wrote, so they must not
//! change.

use mneme_guard::{Conversation, ConversationSignature};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A line of `stored/conversations.jsonl`: a conversation and what version 1 of the format stores of it.
#[derive(Deserialize)]
struct Stored {
    messages: Vec<(String, String)>,
    context: Option<Map<String, Value>>,
    /// Hexadecimal.
    context_key: Option<String>,
    exact_text: String,
    fingerprint: Option<u32>,
    /// Hexadecimal.
    signature: String,
}

fn stored() -> Vec<Stored> {
    let lines = include_str!("stored/conversations.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).expect("a stored conversation")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
}

#[test]
fn conversation_of_stored_messages_equals_stored_form() {
    for case in stored() {
        let messages: Vec<(&str, &str)> = case.messages.iter().map(|(role, text)| (&**role, &**text)).collect();
        let found = Conversation::of(&messages, case.context.as_ref()).expect("a valid conversation");
        assert_eq!(hex(&found.signature.to_bytes()), case.signature, "{messages:?}");
        assert_eq!(found.context_key.map(|key| hex(&key)), case.context_key, "{messages:?}");
        assert_eq!(found.exact_text, case.exact_text, "{messages:?}");
        let fingerprint = found.signature.number_fingerprint();
        assert_eq!(fingerprint.map(|fingerprint| fingerprint.to_bits()), case.fingerprint, "{messages:?}");
    }
}

#[test]
fn from_bytes_of_stored_signature_returns_signature_with_same_bytes() {
    for case in stored() {
        let signature = ConversationSignature::from_bytes(&bytes(&case.signature)).expect("a stored signature");
        assert_eq!(hex(&signature.to_bytes()), case.signature);
    }
}
