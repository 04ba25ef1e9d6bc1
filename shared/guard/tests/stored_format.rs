//! The stored format: tables hold signatures, context keys and hashes that earlier versions wrote, so they must not
//! change.

use mneme_guard::{Conversation, ConversationSignature, Verdict, VetoKind, compare_conversations};
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

/// Every version, the oldest first. The last is the current one.
const VERSIONS: [&str; 3] = [
    include_str!("stored/version_1.jsonl"),
    include_str!("stored/version_2.jsonl"),
    include_str!("stored/version_3.jsonl"),
];
/// Parts of texts that an earlier version reads otherwise, or whose exact tokens have fewer bits there.
const NEWLY_READ: [&str; 7] = ["Bonjour", "Isn't it", "the weather was fine", "“idle”", "five-year-old", "```", "C++"];

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
    // All differences are shown together.
    let mut changed = Vec::new();
    for case in stored(VERSIONS[2]) {
        let found = conversation(&case);
        let signature = hex(&found.signature.to_bytes());
        if signature != case.signature {
            changed.push((case.signature, signature));
        }
        let fingerprint = found.signature.number_fingerprint();
        assert_eq!(fingerprint.map(|fingerprint| fingerprint.to_bits()), case.fingerprint, "{:?}", case.messages);
    }
    assert_eq!(changed, []);
}

#[test]
fn context_key_and_exact_text_of_stored_messages_equal_those_of_every_version() {
    for case in VERSIONS.into_iter().flat_map(stored) {
        let found = conversation(&case);
        assert_eq!(found.context_key.map(|key| hex(&key)), case.context_key, "{:?}", case.messages);
        assert_eq!(found.exact_text, case.exact_text, "{:?}", case.messages);
    }
}

#[test]
fn from_bytes_of_stored_signature_returns_signature_with_same_bytes() {
    for case in VERSIONS.into_iter().flat_map(stored) {
        let signature = ConversationSignature::from_bytes(&bytes(&case.signature)).expect("a stored signature");
        assert_eq!(hex(&signature.to_bytes()), case.signature);
    }
}

#[test]
fn stored_signature_of_earlier_version_has_no_fingerprint_and_matches_its_own_question_unless_bits_lack() {
    for case in VERSIONS[..2].iter().flat_map(|list| stored(list)) {
        let signature = ConversationSignature::from_bytes(&bytes(&case.signature)).expect("a stored signature");
        assert_eq!(signature.number_fingerprint(), None);
        let own = conversation(&case).signature;
        let verdict = compare_conversations(&own, &signature, 1.0);
        let lacks_bits =
            |text: &str| text.contains(char::is_numeric) || NEWLY_READ.iter().any(|new| text.contains(new));
        let lacks_bits = case.messages.iter().any(|(_, text)| lacks_bits(text));
        assert!(lacks_bits || matches!(verdict, Verdict::Probability(_)), "{:?}: {verdict:?}", case.messages);
        if let [(_, text)] = &case.messages[..] {
            let renewed = signature.renewed(text);
            assert_eq!(renewed, own, "the stored query makes the signature of this version");
        }
    }
}

#[test]
fn stored_signature_of_earlier_version_never_agrees_in_a_number_of_which_it_has_fewer_bits() {
    for case in VERSIONS[..2].iter().flat_map(|list| stored(list)) {
        let [(_, text)] = &case.messages[..] else { continue };
        if text.contains("order AB-1234") || text.contains("注文48213") {
            let signature = ConversationSignature::from_bytes(&bytes(&case.signature)).expect("a stored signature");
            let verdict = compare_conversations(&conversation(&case).signature, &signature, 1.0);
            assert!(matches!(verdict, Verdict::Vetoed(VetoKind::Number | VetoKind::Identifier)), "{verdict:?}");
        }
    }
}
