//! Properties of signatures and comparisons that hold for any text and any bytes.

use mneme_guard::{
    Conversation, ConversationSignature, NumberFingerprint, Signature, SignatureError, Verdict, VetoKind, compare,
    compare_conversations, features,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

/// Texts with words of several scripts, numbers, marks and arbitrary characters.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[a-z]{1,12}",
        "[0-9]{1,8}",
        "[A-Z]{2}-[0-9]{4}",
        Just("not".to_owned()),
        Just("\"".to_owned()),
        Just("don't".to_owned()),
        Just("$5,000.50".to_owned()),
        Just("12:30".to_owned()),
        Just("東京で会う".to_owned()),
        Just("أين".to_owned()),
        Just("explain it to a child in French as JSON:".to_owned()),
        Just("this next year today".to_owned()),
        Just("```\n- a\n- b\n".to_owned()),
        Just("translate the following text:".to_owned()),
        Just("+49 30 1234567 (555) 123-4567".to_owned()),
        "\\PC{0,6}",
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
}

/// Texts with few different numbers and identifiers, so that two texts often share some.
fn exact_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[1-3]",
        "[1-2]k",
        "AB-[1-3]",
        "[1-2]kg",
        Just("two".to_owned()),
        Just("\"3\"".to_owned()),
        Just("order".to_owned()),
        Just("2nd".to_owned()),
        Just("12:30".to_owned()),
        Just("May".to_owned()),
        Just("one".to_owned()),
        Just("million".to_owned()),
        Just("hundred and".to_owned()),
        Just("and a half".to_owned()),
        Just("half an hour".to_owned()),
        Just("-3 by".to_owned()),
        Just("x 2".to_owned()),
        Just("24.12.2026".to_owned()),
        Just("version 3.10".to_owned()),
        Just("at least".to_owned()),
        Just("€ per".to_owned()),
        Just("1/2".to_owned()),
        text(),
    ];
    prop::collection::vec(word, 0..8).prop_map(|words| words.join(" "))
}

/// The signature of a follow-up with these texts before it.
fn follow_up(user: &str, assistant: &str, last: &str) -> ConversationSignature {
    let last = format!("yes {last}");
    let conversation = Conversation::of(&[("user", user), ("assistant", assistant), ("user", &last)], None);
    conversation.expect("a valid conversation").signature
}

/// A change to stored bytes.
#[derive(Debug, Clone)]
enum Mutation {
    Replace(prop::sample::Index, u8),
    FlipBit(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Truncate(prop::sample::Index),
    Append(Vec<u8>),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        // An empty list has no index to change.
        if bytes.is_empty() {
            bytes.push(0);
        }
        let len = bytes.len();
        match self {
            Self::Replace(at, byte) => bytes[at.index(len)] = *byte,
            Self::FlipBit(at, bit) => bytes[at.index(len)] ^= 1 << (bit % 8),
            Self::Insert(at, byte) => bytes.insert(at.index(len), *byte),
            Self::Remove(at) => drop(bytes.remove(at.index(len))),
            Self::Truncate(at) => bytes.truncate(at.index(len)),
            Self::Append(more) => bytes.extend_from_slice(more),
        }
    }
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let at = any::<prop::sample::Index>;
    let one = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (at(), any::<u8>()).prop_map(|(at, bit)| Mutation::FlipBit(at, bit)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        at().prop_map(Mutation::Remove),
        at().prop_map(Mutation::Truncate),
        prop::collection::vec(any::<u8>(), 0..16).prop_map(Mutation::Append),
    ];
    prop::collection::vec(one, 1..6)
}

/// Arbitrary bytes with the lengths, versions and token counts of stored signatures, so that most of them reach the
/// parsing of tokens.
fn framed_bytes() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![30 => 0u8..12, 1 => 12u8..16];
    let role = prop_oneof![30 => 0u8..6, 1 => 6u8..16];
    let token = (prop::array::uniform7(any::<u8>()), kind, role, any::<u8>());
    let length_error = prop_oneof![10 => Just(0i16), 1 => Just(-1), 1 => Just(1)];
    let part = (1..=3u8, any::<[u8; 12]>(), prop::collection::vec(token, 0..16), length_error).prop_map(
        |(version, header, tokens, error)| {
            let mut part = vec![version, header[0], header[1], tokens.len() as u8];
            // The number of tokens of the text, and the hash of the dropped ones.
            part.extend_from_slice(&header[2..if version == 3 { 12 } else { 8 }]);
            if version > 1 {
                // The slots that a header byte says: one of time, and one of the form.
                part.extend([0b11, header[2], header[3], header[4], header[5], header[6], header[7]]);
            }
            if version == 3 {
                // A language, and one written form.
                part.extend([header[1], 1, 8, 7, 6, 5, 4, 3, 2, 1]);
            }
            for (hash_and_detail, kind, role, rarity_and_flags) in tokens {
                part.extend(hash_and_detail);
                part.extend([kind | role << 4, rarity_and_flags]);
                if version == 3 && (1..=4).contains(&kind) {
                    part.extend([9, 9, 9, 9]);
                }
            }
            let length = part.len() as i16 + error;
            [length.to_le_bytes().to_vec(), part].concat()
        },
    );
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

/// Reads bytes as the signature of a conversation. If that succeeds, writes it again and compares it.
fn read_write_and_compare(bytes: &[u8], other: &ConversationSignature) -> Result<(), TestCaseError> {
    let Ok(signature) = ConversationSignature::from_bytes(bytes) else { return Ok(()) };
    prop_assert_eq!(ConversationSignature::from_bytes(&signature.to_bytes()), Ok(signature.clone()));
    let _ = signature.number_fingerprint();
    for (a, b) in [(&signature, other), (other, &signature), (&signature, &signature)] {
        if let Verdict::Probability(p) = compare_conversations(a, b, 0.9) {
            prop_assert!(p > 0.0 && p < 1.0);
        }
    }
    Ok(())
}

#[test]
fn fingerprints_contradict_only_if_each_side_has_a_number_that_the_other_lacks() {
    let contradict = |a: &str, b: &str| {
        let fingerprint = |text: &str| Signature::of(text).number_fingerprint();
        fingerprint(a).zip(fingerprint(b)).is_some_and(|(a, b)| a.contradicts(b))
    };
    assert!(contradict("Track order 48213", "Where is order 48231?"));
    assert!(contradict("Flights from 3 to 5 pounds", "Flights from 3 to 6 pounds"));
    assert!(contradict("Is the X200 waterproof?", "Is the X300 waterproof?"));
    assert!(!contradict("Track order 48213", "Where is order 48,213?"), "the same number");
    assert!(!contradict("2 adults and 1 child", "1 child and 2 adults"), "another order");
    assert!(
        !contradict("Track order 48213", "Track order 48213 of 2024"),
        "the number of one side is missing on the other"
    );
    assert!(!contradict("Track my order", "Track order 48231"), "one side has no number");
}

proptest! {
    #[test]
    fn signature_bytes_round_trip_and_are_bounded(text in text()) {
        let signature = Signature::of(&text);
        let bytes = signature.to_bytes();
        prop_assert!(bytes.len() <= Signature::MAX_BYTES);
        prop_assert_eq!(Signature::from_bytes(&bytes), Ok(signature));
    }

    #[test]
    fn from_bytes_of_any_bytes_returns_signature_or_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(signature) = Signature::from_bytes(&bytes) {
            prop_assert_eq!(Signature::from_bytes(&signature.to_bytes()), Ok(signature));
        }
    }

    #[test]
    fn from_bytes_of_any_bytes_returns_conversation_signature_or_error(
        bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..4000), framed_bytes()],
    ) {
        read_write_and_compare(&bytes, &follow_up("a kayak", "a paddle or 2 ropes", "please"))?;
    }

    #[test]
    fn from_bytes_of_mutated_bytes_returns_conversation_signature_or_error(
        (a, b, c) in (text(), text(), text()),
        is_follow_up in any::<bool>(),
        mutations in mutations(),
    ) {
        let signature = if is_follow_up { follow_up(&a, &b, &c) } else { Signature::of(&c).into() };
        let mut bytes = signature.to_bytes();
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
        read_write_and_compare(&bytes, &signature)?;
    }

    #[test]
    fn compare_with_signature_of_altered_bytes_returns_verdict(
        text in text(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let signature = Signature::of(&text);
        let mut bytes = signature.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(broken) = Signature::from_bytes(&bytes)
            && let Verdict::Probability(p) = compare(&signature, &broken, 0.9)
        {
            prop_assert!(p > 0.0 && p < 1.0);
        }
    }

    #[test]
    fn questions_with_contradicting_fingerprints_are_vetoed(a in exact_text(), b in exact_text()) {
        let (a, b) = (Signature::of(&a), Signature::of(&b));
        if let (Some(x), Some(y)) = (a.number_fingerprint(), b.number_fingerprint()) {
            prop_assert_eq!(x.contradicts(y), y.contradicts(x));
            prop_assert_eq!(NumberFingerprint::from_bits(x.to_bits()), Some(x));
            if x.contradicts(y) {
                let verdict = compare(&a, &b, 0.99);
                let is_expected = matches!(verdict, Verdict::Vetoed(VetoKind::Number | VetoKind::Identifier));
                prop_assert!(is_expected, "{verdict:?}");
            }
        }
    }

    #[test]
    fn comparison_does_not_depend_on_order(a in text(), b in text(), similarity in -1.0f32..=1.0) {
        let (a, b) = (Signature::of(&a), Signature::of(&b));
        for (x, y) in features(&a, &b, similarity).values().iter().zip(features(&b, &a, similarity).values()) {
            prop_assert!((x - y).abs() < 1e-9);
        }
        let (there, back) = (compare(&a, &b, similarity), compare(&b, &a, similarity));
        match (there, back) {
            (Verdict::Probability(x), Verdict::Probability(y)) => prop_assert!((x - y).abs() < 1e-9),
            (there, back) => prop_assert_eq!(there, back),
        }
    }

    #[test]
    fn compare_with_itself_is_not_vetoed(text in text()) {
        let signature = Signature::of(&text);
        prop_assert!(matches!(compare(&signature, &signature, 1.0), Verdict::Probability(_)));
    }

    #[test]
    fn features_of_any_texts_are_finite(a in text(), b in text(), similarity in -1.0f32..=1.0) {
        let features = features(&Signature::of(&a), &Signature::of(&b), similarity);
        prop_assert!(features.values().iter().all(|value| value.is_finite()));
    }

    #[test]
    fn conversation_signature_bytes_round_trip_and_are_bounded(a in text(), b in text(), c in text()) {
        let signature = follow_up(&a, &b, &c);
        let bytes = signature.to_bytes();
        prop_assert!(bytes.len() <= ConversationSignature::MAX_BYTES);
        prop_assert_eq!(ConversationSignature::from_bytes(&bytes), Ok(signature));
    }
}

#[test]
fn from_bytes_with_other_version_or_length_returns_specific_error() {
    let mut bytes = Signature::of("What is tea?").to_bytes();
    bytes[0] = 9;
    assert_eq!(Signature::from_bytes(&bytes), Err(SignatureError::UnknownVersion { found: 9 }));
    assert_eq!(Signature::from_bytes(&[9]), Err(SignatureError::UnknownVersion { found: 9 }));
    assert!(matches!(Signature::from_bytes(&[]), Err(SignatureError::WrongLength { found: 0, .. })));
    let whole = Signature::of("What is tea?").to_bytes();
    assert!(matches!(Signature::from_bytes(&whole[..whole.len() - 1]), Err(SignatureError::WrongLength { .. })));
}

#[test]
fn from_bytes_with_unknown_token_kind_returns_bad_token() {
    let mut bytes = Signature::of("tea").to_bytes();
    let kind = bytes.len() - 2;
    bytes[kind] = 0x0f;
    assert_eq!(Signature::from_bytes(&bytes), Err(SignatureError::BadToken { at: 0 }));
}

#[test]
fn long_texts_with_different_numbers_are_vetoed() {
    let filler = "the weather was fine and we talked about the garden for a long while. ".repeat(100);
    let form = "Act as a pirate. Explain today to a child, in French, in JSON format and in one sentence. ```x```";
    let texts = [format!("{form} {filler} Order 48213. {filler}"), format!("{form} {filler} Order 48231. {filler}")];
    let [a, b] = texts.map(|text| Signature::of(&text));
    assert!(matches!(compare(&a, &b, 0.99), Verdict::Vetoed(_)));
    // The texts have more numbers than a signature holds. The hash of the dropped ones differs.
    let numbers = |last: u32| (0..400).chain([last]).map(|n| format!("{n} ")).collect::<String>() + "```x```";
    let (a, b) = (Signature::of(&numbers(1000)), Signature::of(&numbers(1001)));
    assert!(matches!(compare(&a, &b, 0.99), Verdict::Vetoed(_)));
    assert!(matches!(compare(&a, &Signature::of(&numbers(1000)), 0.99), Verdict::Probability(_)));
    // With a value in each slot, numbers alone and many flags, the signature has the maximum size.
    let flags = (b'a'..=b'z').map(|letter| format!("-{} ", char::from(letter))).collect::<String>();
    let largest = Signature::of(&format!("{form} {flags} {}", numbers(1000)));
    assert!(largest.to_bytes().len() + 16 >= Signature::MAX_BYTES, "{}", largest.to_bytes().len());
}

#[test]
fn signature_of_repetitive_32_kb_text_is_bounded_and_comparable() {
    let units = [
        "9",
        "\"",
        "a\"",
        "'",
        "1,",
        "1-",
        "a-1",
        "é",
        "東",
        "how to ",
        "not ",
        "://",
        "a.",
        "x@",
        "\u{301}",
        "i want to ",
    ];
    for unit in units {
        let text = unit.repeat(32 * 1024 / unit.len());
        let signature = Signature::of(&text);
        assert!(signature.to_bytes().len() <= Signature::MAX_BYTES);
        assert!(matches!(compare(&signature, &signature, 1.0), Verdict::Probability(_)), "{unit:?}");
    }
}
