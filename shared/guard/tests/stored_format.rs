//! The stored format: tables hold signatures, context keys and hashes that earlier versions wrote, so they must not
//! change.

use mneme_guard::{Conversation, ConversationSignature, Verdict, compare_conversations};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A line of `stored/version_*.jsonl`: a conversation and what that version of the format stores of it.
#[derive(Clone, Deserialize)]
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

const VERSION_1: &str = include_str!("stored/version_1.jsonl");
/// Parts of the texts that version 1 reads otherwise: a version, a negation that negates nothing, and documents.
const NEWLY_READ: [&str; 4] = ["v1.2.3", "Isn't it", "the weather was fine", "0 1 2 3"];
const VERSION_2: &str = include_str!("stored/version_2.jsonl");

fn stored(list: &str) -> Vec<Stored> {
    list.lines().map(|line| serde_json::from_str(line).expect("a stored conversation")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
}

fn conversation(case: &Stored) -> Conversation {
    let messages: Vec<(&str, &str)> = case.messages.iter().map(|(role, text)| (&**role, &**text)).collect();
    Conversation::of(&messages, case.context.as_ref()).expect("a valid conversation")
}

#[test]
fn conversation_of_stored_messages_equals_stored_form() {
    for case in stored(VERSION_2) {
        let found = conversation(&case);
        assert_eq!(hex(&found.signature.to_bytes()), case.signature, "{:?}", case.messages);
        let fingerprint = found.signature.number_fingerprint();
        assert_eq!(fingerprint.map(|fingerprint| fingerprint.to_bits()), case.fingerprint, "{:?}", case.messages);
    }
}

#[test]
fn context_key_and_exact_text_of_stored_messages_equal_those_of_every_version() {
    for case in [stored(VERSION_1), stored(VERSION_2)].concat() {
        let found = conversation(&case);
        assert_eq!(found.context_key.map(|key| hex(&key)), case.context_key, "{:?}", case.messages);
        assert_eq!(found.exact_text, case.exact_text, "{:?}", case.messages);
    }
}

#[test]
fn from_bytes_of_stored_signature_returns_signature_with_same_bytes() {
    for case in [stored(VERSION_1), stored(VERSION_2)].concat() {
        let signature = ConversationSignature::from_bytes(&bytes(&case.signature)).expect("a stored signature");
        assert_eq!(hex(&signature.to_bytes()), case.signature);
    }
}

#[test]
fn stored_signature_of_version_1_has_no_fingerprint_and_matches_its_own_question() {
    for case in stored(VERSION_1) {
        let signature = ConversationSignature::from_bytes(&bytes(&case.signature)).expect("a stored signature");
        assert_eq!(signature.number_fingerprint(), None);
        let verdict = compare_conversations(&conversation(&case).signature, &signature, 1.0);
        let needs_new_numbers = case.messages.iter().any(|(_, text)| NEWLY_READ.iter().any(|new| text.contains(new)));
        assert!(needs_new_numbers || matches!(verdict, Verdict::Probability(_)), "{:?}: {verdict:?}", case.messages);
    }
}
