//! What conversations are matched by.

use mneme_guard::{
    Conversation, ConversationError, ConversationSignature, SignatureError, Verdict, VetoKind, compare_conversations,
    stands_alone,
};
use serde_json::json;

type Messages<'m> = &'m [(&'m str, &'m str)];

fn of(messages: Messages<'_>) -> Conversation {
    Conversation::of(messages, None).expect("a valid conversation")
}

fn verdict(a: Messages<'_>, b: Messages<'_>) -> Verdict {
    let (a, b) = (of(a), of(b));
    assert_eq!(a.partition, b.partition);
    compare_conversations(&a.signature, &b.signature, 1.0)
}

#[test]
fn whole_questions_stand_alone_and_the_rest_leans() {
    for text in [
        "When does the library in Ghent close?",
        "How do I grow tomatoes and basil in clay pots?",
        "Does Lufthansa carry surfboards?",
        "Which documents does a student visa for Japan need?",
    ] {
        assert!(stands_alone(text), "{text}");
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
        assert!(!stands_alone(text), "{text}");
    }
}

#[test]
fn a_first_message_always_stands_alone() {
    let conversation = of(&[("system", "You sell bicycles."), ("user", "cancel it")]);
    assert!(conversation.stands_alone);
    assert_eq!(conversation.identity, "cancel it");
}

#[test]
fn a_message_that_stands_alone_meets_whatever_was_said_before() {
    let question = "When does the library in Ghent close?";
    let a = [("user", "hi, do you lend films?"), ("assistant", "We do, for a week."), ("user", question)];
    let b = [("user", "I lost my card 4711"), ("assistant", "I blocked it."), ("user", question)];
    assert!(matches!(verdict(&a, &b), Verdict::Probability(_)));
    assert_eq!(of(&a).identity, question);
    assert_eq!(of(&a).partition, of(&[("user", question)]).partition);
}

#[test]
fn a_message_that_leans_needs_the_same_said_before() {
    let offer = |what: &'static str| [("user", "My kayak has a leak"), ("assistant", what), ("user", "yes please")];
    let context = Verdict::Vetoed(VetoKind::Context);
    assert_eq!(verdict(&offer("Shall I book a repair?"), &offer("Shall I refund the price?")), context);
    assert!(matches!(
        verdict(&offer("Shall I book a repair?"), &offer("Shall I book a repair?")),
        Verdict::Probability(_)
    ));
    // Options in another order.
    assert_eq!(
        verdict(
            &offer("Would you like a paddle, a helmet or a rope?"),
            &offer("Would you like a rope, a helmet or a paddle?")
        ),
        context
    );
    // Another order number long before.
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
        "a common word in another's place",
    );
    // Small talk on one side only.
    let plain =
        [("user", "Do you rent kayaks?"), ("assistant", "Yes, at 20 euros."), ("user", "how long is that for?")];
    let chatty = [
        ("user", "Good morning, lovely weather! Do you rent kayaks?"),
        ("assistant", "Yes, at 20 euros."),
        ("user", "how long is that for?"),
    ];
    assert!(matches!(verdict(&plain, &chatty), Verdict::Probability(_)));
    assert_ne!(of(&plain).identity, of(&chatty).identity);
}

#[test]
fn what_is_exact_parts_the_cache() {
    let user = [("user", "When does the library in Ghent close?")];
    let partition = |messages: Messages<'_>, context: serde_json::Value| {
        Conversation::of(messages, context.as_object()).expect("a valid conversation").partition
    };
    let plain = of(&user).partition;
    assert_eq!(of(&user), Conversation::of_query(user[0].1));
    assert_eq!(plain, None);
    assert_eq!(plain, partition(&user, json!({})));
    assert_ne!(plain, of(&[("system", "Be brief."), user[0]]).partition);
    assert_ne!(
        of(&[("system", "Be"), ("system", "brief."), user[0]]).partition,
        of(&[("system", "Bebrief."), user[0]]).partition
    );
    assert_eq!(partition(&user, json!({"model": "m", "t": 1})), partition(&user, json!({"t": 1.0, "model": "m"})));
    assert_ne!(partition(&user, json!({"model": "m"})), partition(&user, json!({"model": "n"})));
    assert_ne!(partition(&user, json!({"a": [1, 2]})), partition(&user, json!({"a": [2, 1]})));
    let leaning = of(&[("user", "hi"), ("assistant", "hello"), ("user", "cancel it")]);
    assert_ne!(leaning.partition, plain);
}

#[test]
fn bad_conversations_are_named() {
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
fn bytes_of_no_conversation_are_named() {
    assert!(matches!(ConversationSignature::from_bytes(&[]), Err(SignatureError::WrongLength { .. })));
    let bytes = of(&[("user", "hi"), ("assistant", "hello"), ("user", "cancel it")]).signature.to_bytes();
    assert!(ConversationSignature::from_bytes(&bytes).is_ok());
    for end in 1..bytes.len() {
        assert!(ConversationSignature::from_bytes(&bytes[..end]) != ConversationSignature::from_bytes(&bytes));
    }
    assert!(ConversationSignature::from_bytes(&[bytes.clone(), bytes].concat()).is_err());
}

#[test]
fn what_may_lean_leans() {
    let talk = |last: &'static str| of(&[("user", "Hello!"), ("assistant", "What can I do?"), ("user", last)]);
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
        assert!(!talk(last).stands_alone, "{last}");
    }
    for last in ["What is the capital of France?", "How do I reset the password of a Netflix account?"] {
        assert!(talk(last).stands_alone, "{last}");
    }
}

#[test]
fn numbers_that_no_64_bits_hold_are_refused() {
    let with = |context: serde_json::Value| Conversation::of(&[("user", "hi")], context.as_object());
    for number in ["340282366920938463463374607431768211451", "-12345678901234567890123", "1e300"] {
        let context = serde_json::from_str(&format!("{{\"a\": [{{\"user\": {number}}}]}}")).expect("JSON");
        assert_eq!(with(context), Err(ConversationError::NumberTooLarge), "{number}");
    }
    let numbers = json!({"a": [u64::MAX, i64::MIN, 0.5, 9007199254740991.0, -2e10]});
    assert!(with(numbers).is_ok());
}

#[test]
fn where_one_message_ends_is_part_of_what_was_said() {
    let one = of(&[("user", "a assistant 1 b"), ("assistant", "c"), ("user", "cancel it")]);
    let two = of(&[("user", "a"), ("assistant", "b"), ("assistant", "c"), ("user", "cancel it")]);
    let spaced = of(&[("user", "a              "), ("assistant", "b"), ("assistant", "c"), ("user", "cancel it")]);
    let collapsed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    assert_ne!(collapsed(&one.identity), collapsed(&two.identity));
    assert_ne!(collapsed(&one.identity), collapsed(&spaced.identity));
    assert_eq!(collapsed(&two.identity), collapsed(&spaced.identity));
}
