//! Conversations: context keys, self-contained messages, histories and errors.

use mneme_guard::{
    Conversation, ConversationError, ConversationSignature, SignatureError, Verdict, VetoKind, compare_conversations,
    is_self_contained,
};
use serde_json::json;

type Messages<'m> = &'m [(&'m str, &'m str)];

fn of(messages: Messages<'_>) -> Conversation {
    Conversation::of(messages, None).expect("a valid conversation")
}

fn verdict(a: Messages<'_>, b: Messages<'_>) -> Verdict {
    let (a, b) = (of(a), of(b));
    assert_eq!(a.context_key, b.context_key);
    compare_conversations(&a.signature, &b.signature, 1.0)
}

#[test]
fn is_self_contained_of_whole_questions_is_true_and_of_follow_ups_is_false() {
    for text in [
        "When does the library in Ghent close?",
        "How do I grow tomatoes and basil in clay pots?",
        "Does Lufthansa carry surfboards?",
        "Which documents does a student visa for Japan need?",
    ] {
        assert!(is_self_contained(text), "{text}");
    }
    for text in [
        "cancel it",
        "yes",
        "Yes please!",
        "and for two?",
        "And the return flight?",
        "the second one",
        "How long does that take?",
        "what about Sundays",
        "Send me the form",
        "why?",
        "ok",
        "",
        "?!",
        "How much?",
        "Are there cheaper ones in Ghent near Central Station?",
    ] {
        assert!(!is_self_contained(text), "{text}");
    }
}

#[test]
fn conversation_with_one_user_message_is_self_contained() {
    let conversation = of(&[("system", "You sell bicycles."), ("user", "cancel it")]);
    assert!(conversation.is_self_contained);
    assert_eq!(conversation.exact_text, "cancel it");
}

#[test]
fn compare_with_self_contained_messages_ignores_small_talk_and_plain_questions() {
    let question = "When does the library in Ghent close?";
    let a = [("user", "hi, do you lend films?"), ("assistant", "We do, for a week."), ("user", question)];
    let b = [("user", "Good morning"), ("assistant", "Good morning! How can I help?"), ("user", question)];
    assert!(matches!(verdict(&a, &b), Verdict::Probability(_)));
    assert_eq!(of(&a).exact_text, question);
    assert_eq!(of(&a).context_key, of(&[("user", question)]).context_key);
    // A fact is neither.
    let told = [("user", "I lost my card 4711"), ("assistant", "I blocked it."), ("user", question)];
    assert_ne!(of(&told).context_key, of(&a).context_key);
}

#[test]
fn compare_with_follow_ups_requires_agreeing_histories() {
    let offer = |what: &'static str| [("user", "My kayak has a leak"), ("assistant", what), ("user", "yes please")];
    let context = Verdict::Vetoed(VetoKind::Context);
    assert_eq!(verdict(&offer("Shall I book a repair?"), &offer("Shall I refund the price?")), context);
    assert!(matches!(
        verdict(&offer("Shall I book a repair?"), &offer("Shall I book a repair?")),
        Verdict::Probability(_)
    ));
    // The options are in another order.
    assert_eq!(
        verdict(
            &offer("Would you like a paddle, a helmet or a rope?"),
            &offer("Would you like a rope, a helmet or a paddle?")
        ),
        context
    );
    // The order numbers differ, in a message further back.
    let order = |number: &'static str| {
        [
            ("user", number),
            ("assistant", "I found the order."),
            ("user", "is the weather nice where you are?"),
            ("assistant", "I am a program."),
            ("user", "cancel it"),
        ]
    };
    assert_eq!(verdict(&order("order 48213 please"), &order("order 48231 please")), context);
    let plan = |asked: &'static str, answered: &'static str| -> [(&'static str, &'static str); 3] {
        [("user", asked), ("assistant", answered), ("user", "And for two people?")]
    };
    assert_eq!(
        verdict(
            &plan("What does the family plan cost?", "The family plan is billed by the year."),
            &plan("What does the business plan cost?", "The business plan is billed by the year."),
        ),
        context,
        "a common word replaces another",
    );
    // Only one side has small talk.
    let plain =
        [("user", "Do you rent kayaks?"), ("assistant", "Yes, at 20 euros."), ("user", "how long is that for?")];
    let chatty = [
        ("user", "Good morning, lovely weather! Do you rent kayaks?"),
        ("assistant", "Yes, at 20 euros."),
        ("user", "how long is that for?"),
    ];
    assert!(matches!(verdict(&plain, &chatty), Verdict::Probability(_)));
    assert_ne!(of(&plain).exact_text, of(&chatty).exact_text);
}

#[test]
fn context_key_depends_on_system_messages_context_and_follow_up_only() {
    let user = [("user", "When does the library in Ghent close?")];
    let context_key = |messages: Messages<'_>, context: serde_json::Value| {
        Conversation::of(messages, context.as_object()).expect("a valid conversation").context_key
    };
    let plain = of(&user).context_key;
    assert_eq!(of(&user), Conversation::of_query(user[0].1));
    assert_eq!(plain, None);
    assert_eq!(plain, context_key(&user, json!({})));
    assert_ne!(plain, of(&[("system", "Be brief."), user[0]]).context_key);
    assert_ne!(
        of(&[("system", "Be"), ("system", "brief."), user[0]]).context_key,
        of(&[("system", "Bebrief."), user[0]]).context_key
    );
    assert_eq!(context_key(&user, json!({"model": "m", "t": 1})), context_key(&user, json!({"t": 1.0, "model": "m"})));
    assert_ne!(context_key(&user, json!({"model": "m"})), context_key(&user, json!({"model": "n"})));
    assert_ne!(context_key(&user, json!({"a": [1, 2]})), context_key(&user, json!({"a": [2, 1]})));
    let follow_up = of(&[("user", "hi"), ("assistant", "hello"), ("user", "cancel it")]);
    assert_ne!(follow_up.context_key, plain);
}

#[test]
fn conversation_with_invalid_messages_returns_specific_error() {
    let error = |messages: Messages<'_>| Conversation::of(messages, None).expect_err("an error");
    assert_eq!(error(&[]), ConversationError::Empty);
    assert_eq!(error(&[("robot", "hi")]), ConversationError::UnknownRole { at: 0, role: "robot".to_owned() });
    assert_eq!(
        error(&[("user", "hi"), ("assistant", "hello")]),
        ConversationError::LastNotUser { role: "assistant".to_owned() }
    );
    assert_eq!(error(&[("user", " \n")]), ConversationError::LastEmpty);
    let many = vec![("user", "hi"); Conversation::MAX_MESSAGES + 1];
    assert_eq!(error(&many), ConversationError::TooMany { found: many.len() });
    let long = "x".repeat(Conversation::MAX_BYTES + 1);
    assert_eq!(error(&[("user", &long)]), ConversationError::TooLong { found: long.len() });
    assert!(error(&[]).remedy().contains("send"));
}

#[test]
fn from_bytes_with_truncated_or_repeated_bytes_does_not_return_the_signature() {
    assert!(matches!(ConversationSignature::from_bytes(&[]), Err(SignatureError::WrongLength { .. })));
    let bytes = of(&[("user", "hi"), ("assistant", "hello"), ("user", "cancel it")]).signature.to_bytes();
    assert!(ConversationSignature::from_bytes(&bytes).is_ok());
    for end in 1..bytes.len() {
        assert!(ConversationSignature::from_bytes(&bytes[..end]) != ConversationSignature::from_bytes(&bytes));
    }
    assert!(ConversationSignature::from_bytes(&[bytes.clone(), bytes].concat()).is_err());
}

#[test]
fn conversation_with_doubtful_last_message_is_follow_up() {
    let talk = |last: &'static str| {
        of(&[("user", "Does the kayak have a leak?"), ("assistant", "Two options help."), ("user", last)])
    };
    for last in [
        "Können Sie das bitte für mich stornieren?",
        "Annulez la commande s'il vous plaît",
        "¿Puede cancelar ese pedido para mí por favor?",
        "キャンセルしてください",
        "Please cancel my order and refund my card",
        "Repeat your answer in Spanish",
        "Rewrite your last answer more formally and shorter",
        "Now explain step two in greater detail",
        "Which option is cheaper overall including taxes?",
    ] {
        assert!(!talk(last).is_self_contained, "{last}");
        assert!(!is_self_contained(last), "{last}");
    }
    for last in ["What is the capital of France?", "How do I reset the password of a Netflix account?"] {
        assert!(talk(last).is_self_contained && is_self_contained(last), "{last}");
    }
}

#[test]
fn conversation_with_inexact_number_in_context_returns_error() {
    let with = |context: serde_json::Value| Conversation::of(&[("user", "hi")], context.as_object());
    for number in ["340282366920938463463374607431768211451", "-12345678901234567890123", "1e300"] {
        let context = serde_json::from_str(&format!("{{\"a\": [{{\"user\": {number}}}]}}")).expect("JSON");
        assert_eq!(with(context), Err(ConversationError::NumberTooLarge), "{number}");
    }
    let numbers = json!({"a": [u64::MAX, i64::MIN, 0.5, 9007199254740991.0, -2e10]});
    assert!(with(numbers).is_ok());
}

#[test]
fn exact_text_of_different_message_boundaries_differs() {
    let one = of(&[("user", "a assistant 1 b"), ("assistant", "c"), ("user", "cancel it")]);
    let two = of(&[("user", "a"), ("assistant", "b"), ("assistant", "c"), ("user", "cancel it")]);
    let spaced = of(&[("user", "a              "), ("assistant", "b"), ("assistant", "c"), ("user", "cancel it")]);
    let collapsed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    assert_ne!(collapsed(&one.exact_text), collapsed(&two.exact_text));
    assert_ne!(collapsed(&one.exact_text), collapsed(&spaced.exact_text));
    assert_eq!(collapsed(&two.exact_text), collapsed(&spaced.exact_text));
}
