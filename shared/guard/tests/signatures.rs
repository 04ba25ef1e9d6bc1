//! The signature's promises, for any text and any bytes.

use mneme_guard::{
    Conversation, ConversationSignature, ExactDigest, Signature, SignatureError, Verdict, VetoKind, compare, features,
};
use proptest::prelude::*;

/// Texts as people and attackers write them: words of several scripts, digits, quotation marks, anything.
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
        "\\PC{0,6}",
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
}

/// Texts with few different numbers and identifiers, so that two often share some.
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
        text(),
    ];
    prop::collection::vec(word, 0..8).prop_map(|words| words.join(" "))
}

#[test]
fn a_digest_tells_numbers_apart_and_nothing_else() {
    let contradict = |a: &str, b: &str| {
        let digest = |text: &str| Signature::of(text).exact_digest();
        digest(a).zip(digest(b)).is_some_and(|(a, b)| a.contradicts(b))
    };
    assert!(contradict("Track order 48213", "Where is order 48231?"));
    assert!(contradict("Flights from 3 to 5 pounds", "Flights from 3 to 6 pounds"));
    assert!(contradict("Is the X200 waterproof?", "Is the X300 waterproof?"));
    assert!(!contradict("Track order 48213", "Where is order 48,213?"), "the same number");
    assert!(!contradict("2 adults and 1 child", "1 child and 2 adults"), "whatever the order");
    assert!(!contradict("Track order 48213", "Track order 48213 of 2024"), "one may only say more");
    assert!(!contradict("Track my order", "Track order 48231"), "none at all");
}

proptest! {
    #[test]
    fn bytes_round_trip_and_are_bounded(text in text()) {
        let signature = Signature::of(&text);
        let bytes = signature.to_bytes();
        prop_assert!(bytes.len() <= Signature::MAX_BYTES);
        prop_assert_eq!(Signature::from_bytes(&bytes), Ok(signature));
    }

    #[test]
    fn any_bytes_are_a_signature_or_a_named_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(signature) = Signature::from_bytes(&bytes) {
            prop_assert_eq!(Signature::from_bytes(&signature.to_bytes()), Ok(signature));
        }
        let _ = ConversationSignature::from_bytes(&bytes);
    }

    #[test]
    fn broken_bytes_never_break_the_comparison(text in text(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
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
    fn digests_that_contradict_each_other_are_of_questions_that_do(a in exact_text(), b in exact_text()) {
        let (a, b) = (Signature::of(&a), Signature::of(&b));
        if let (Some(x), Some(y)) = (a.exact_digest(), b.exact_digest()) {
            prop_assert_eq!(x.contradicts(y), y.contradicts(x));
            prop_assert_eq!(ExactDigest::from_bits(x.to_bits()), Some(x));
            if x.contradicts(y) {
                let verdict = compare(&a, &b, 0.99);
                prop_assert!(matches!(verdict, Verdict::Vetoed(VetoKind::Number | VetoKind::Identifier)), "{verdict:?}");
            }
        }
    }

    #[test]
    fn the_order_of_the_two_does_not_matter(a in text(), b in text(), similarity in -1.0f32..=1.0) {
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
    fn a_text_never_contradicts_itself(text in text()) {
        let signature = Signature::of(&text);
        prop_assert!(matches!(compare(&signature, &signature, 1.0), Verdict::Probability(_)));
    }

    #[test]
    fn features_are_finite(a in text(), b in text(), similarity in -1.0f32..=1.0) {
        let features = features(&Signature::of(&a), &Signature::of(&b), similarity);
        prop_assert!(features.values().iter().all(|value| value.is_finite()));
    }

    #[test]
    fn conversations_round_trip(a in text(), b in text(), c in text()) {
        let last = format!("yes {c}");
        let conversation = Conversation::of(&[("user", &a), ("assistant", &b), ("user", &last)], None);
        let signature = conversation.expect("a valid conversation").signature;
        let bytes = signature.to_bytes();
        prop_assert!(bytes.len() <= ConversationSignature::MAX_BYTES);
        prop_assert_eq!(ConversationSignature::from_bytes(&bytes), Ok(signature));
    }
}

#[test]
fn another_version_is_named() {
    let mut bytes = Signature::of("What is tea?").to_bytes();
    bytes[0] = 9;
    assert_eq!(Signature::from_bytes(&bytes), Err(SignatureError::UnknownVersion { found: 9 }));
    assert_eq!(Signature::from_bytes(&[9]), Err(SignatureError::UnknownVersion { found: 9 }));
    assert!(matches!(Signature::from_bytes(&[]), Err(SignatureError::WrongLength { found: 0, .. })));
    let whole = Signature::of("What is tea?").to_bytes();
    assert!(matches!(Signature::from_bytes(&whole[..whole.len() - 1]), Err(SignatureError::WrongLength { .. })));
}

#[test]
fn a_token_of_no_known_kind_is_named() {
    let mut bytes = Signature::of("tea").to_bytes();
    let kind = bytes.len() - 2;
    bytes[kind] = 0x0f;
    assert_eq!(Signature::from_bytes(&bytes), Err(SignatureError::BadToken { at: 0 }));
}

#[test]
fn long_texts_keep_what_decides_and_tell_their_numbers_apart() {
    let filler = "the weather was fine and we talked about the garden for a long while. ".repeat(100);
    let texts = [format!("{filler} Order 48213. {filler}"), format!("{filler} Order 48231. {filler}")];
    let [a, b] = texts.map(|text| Signature::of(&text));
    assert_eq!(a.to_bytes().len(), Signature::MAX_BYTES);
    assert!(matches!(compare(&a, &b, 0.99), Verdict::Vetoed(_)));
    // More numbers than a signature holds: the digest of the dropped ones tells them apart.
    let numbers = |last: u32| (0..400).chain([last]).map(|n| format!("{n} ")).collect::<String>();
    let (a, b) = (Signature::of(&numbers(1000)), Signature::of(&numbers(1001)));
    assert!(matches!(compare(&a, &b, 0.99), Verdict::Vetoed(_)));
    assert!(matches!(compare(&a, &Signature::of(&numbers(1000)), 0.99), Verdict::Probability(_)));
}

#[test]
fn hostile_texts_of_32_kb_are_read_and_compared() {
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
