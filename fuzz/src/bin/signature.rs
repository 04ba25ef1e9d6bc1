//! Signatures: arbitrary bytes are refused or read, what was read survives its bytes, and any two signatures compare.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mneme_fuzz::edited;
use mneme_guard::{Conversation, ConversationSignature, compare_conversations};

/// A conversation whose last message needs the messages before it, so that its signature has all four parts.
static VALID: LazyLock<ConversationSignature> = LazyLock::new(|| {
    let messages = [
        ("user", "Where is my order 4711 for \"Anna Schmidt\"?"),
        ("assistant", "It was sent on 3 May 2024 and costs 20 EUR. Shall I cancel it?"),
        ("user", "no, not that one"),
    ];
    Conversation::of(&messages, None).expect("a user's message is last").signature
});

fn check(bytes: &[u8]) {
    let Ok(signature) = ConversationSignature::from_bytes(bytes) else { return };
    let written = signature.to_bytes();
    assert!(written.len() <= ConversationSignature::MAX_BYTES);
    assert_eq!(ConversationSignature::from_bytes(&written).as_ref(), Ok(&signature));
    for (one, other) in [(&signature, &*VALID), (&*VALID, &signature), (&signature, &signature)] {
        compare_conversations(one, other, 0.9);
    }
}

fuzz_target!(|data: &[u8]| {
    check(data);
    check(&edited(&VALID.to_bytes(), data));
});
