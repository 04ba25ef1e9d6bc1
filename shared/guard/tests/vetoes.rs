//! Examples of each kind of veto.

use mneme_guard::{Signature, Verdict, VetoKind, compare, probability_of_similarity};

fn verdict(a: &str, b: &str) -> Verdict {
    compare(&Signature::of(a), &Signature::of(b), 0.95)
}

#[track_caller]
fn vetoes(kind: VetoKind, pairs: &[(&str, &str)]) {
    for (a, b) in pairs {
        assert_eq!(verdict(a, b), Verdict::Vetoed(kind), "{a:?} | {b:?}");
        assert_eq!(verdict(b, a), Verdict::Vetoed(kind), "{b:?} | {a:?}");
    }
}

#[track_caller]
fn allows(pairs: &[(&str, &str)]) {
    for (a, b) in pairs {
        assert!(matches!(verdict(a, b), Verdict::Probability(_)), "{a:?} | {b:?}: {:?}", verdict(a, b));
    }
}

#[test]
fn different_numbers_or_units_are_vetoed() {
    vetoes(
        VetoKind::Number,
        &[
            ("Where is parcel 48213?", "Where is parcel 48231?"),
            ("Cook the rice for ten minutes", "Cook the rice for 12 minutes"),
            ("Give me 5 kg of flour", "Give me 5 lb of flour"),
            ("Pay $20", "Pay €20"),
            ("متى يصل الطلب ٤٨٢١٣؟", "متى يصل الطلب ٤٨٢٣١؟"),
            ("注文48213を追跡", "注文48231を追跡"),
            ("ऑर्डर ४८२१३ कहाँ है", "ऑर्डर ४८२३१ कहाँ है"),
            ("Где заказ 17?", "Где заказ 71?"),
        ],
    );
    allows(&[
        ("Pay $50 now", "Pay 50 dollars now"),
        ("I need five chairs", "I need 5 chairs"),
        ("A loan of 1,000,000", "A loan of 1000000"),
        ("Give me 5kg of flour", "Give me 5 kilos of flour"),
        ("Parcel ٤٨٢١٣", "Parcel 48213"),
        ("Learn to swim in 10 days", "Learn to swim"),
    ]);
}

#[test]
fn different_identifiers_are_vetoed() {
    vetoes(
        VetoKind::Identifier,
        &[
            ("Track parcel AB-1234", "Track parcel AB-1243"),
            ("Is the A320 faster?", "Is the A380 faster?"),
            ("Write to ann@example.com", "Write to bob@example.com"),
            ("Open https://example.com/a?x=1", "Open https://example.com/b?x=1"),
            ("What changed in v1.2.3?", "What changed in v1.2.4?"),
        ],
    );
    allows(&[("Track parcel AB-1234", "where is ab-1234")]);
}

#[test]
fn different_dates_or_times_are_vetoed() {
    vetoes(
        VetoKind::Date,
        &[
            ("Are you open on Monday?", "Are you open on Tuesday?"),
            ("Trains in March", "Trains in April"),
            ("A table at 18:30", "A table at 19:30"),
            ("A table at 6pm", "A table at 7 pm"),
            ("The weather today", "The weather tomorrow"),
        ],
    );
    allows(&[("A meeting at 3 pm", "A meeting at 15:00"), ("Trains on Monday in March", "Trains in March")]);
}

#[test]
fn different_quotations_are_vetoed() {
    vetoes(
        VetoKind::Quote,
        &[("What does \"idle\" mean?", "What does “busy” mean?"), ("Translate «дом»", "Translate «кот»")],
    );
    allows(&[
        ("What does \"idle\" mean?", "What does “idle” mean?"),
        ("What does \"idle\" mean?", "What does idle mean?"),
    ]);
}

#[test]
fn negation_on_one_side_is_vetoed() {
    vetoes(
        VetoKind::Negation,
        &[
            ("Which dogs are allowed here?", "Which dogs aren't allowed here?"),
            ("Recipes with eggs", "Recipes without eggs"),
            ("Is this mushroom edible?", "Is this mushroom inedible?"),
            ("Is the pool heated?", "Is the pool unheated?"),
            ("Will you phone me?", "Won't you phone me?"),
        ],
    );
    // Two negations cancel each other. "Or not" and "why not" negate nothing.
    allows(&[
        ("Is it not safe?", "Is it unsafe?"),
        ("Is tea healthy or not?", "Is tea healthy?"),
        ("The uncle's income", "The uncle's income?"),
    ]);
}

#[test]
fn opposites_are_vetoed() {
    vetoes(
        VetoKind::Opposite,
        &[
            ("Is the museum open on Monday?", "Is the museum closed on Monday?"),
            ("How do I enable dark mode?", "How do I disable dark mode?"),
            ("Take it before meals", "Take it after meals"),
            ("What is the minimum age?", "What is the maximum age?"),
            ("How do I turn on the alarm?", "How do I turn off the alarm?"),
        ],
    );
}

#[test]
fn exchanged_roles_are_vetoed() {
    vetoes(
        VetoKind::Direction,
        &[
            ("Flights from Oslo to Bergen", "Flights from Bergen to Oslo"),
            ("Convert miles to kilometres", "Convert kilometres to miles"),
            ("Is silver heavier than copper?", "Is copper heavier than silver?"),
        ],
    );
    allows(&[("The difference between tea and coffee", "The difference between coffee and tea")]);
}

#[test]
fn probability_of_rewording_is_higher_than_of_other_topic() {
    // The similarity is the same for all pairs, so that only the words make a difference.
    let p = |a: &str, b: &str| match compare(&Signature::of(a), &Signature::of(b), 0.88) {
        Verdict::Probability(p) => p,
        vetoed @ Verdict::Vetoed(_) => panic!("{vetoed:?}: {a:?} | {b:?}"),
    };
    let rewording = p("How do I reset the router?", "How can I reset the router please");
    let misspelt = p("How do I reset the router?", "How do I reset the ruoter?");
    let other = p("How do I reset the router?", "How do I reset the thermostat?");
    assert!(rewording > 0.7, "{rewording}");
    assert!(misspelt > other, "{misspelt} {other}");
    assert!(other < 0.7, "{other}");
}

#[test]
fn probability_without_common_words_is_at_most_that_of_similarity() {
    let (a, b) = ("How long does a refund to my card take?", "Which bakeries in Ghent are open on Sundays?");
    for similarity in [0.5, 0.7, 0.86, 0.95, 1.0f32] {
        let Verdict::Probability(p) = compare(&Signature::of(a), &Signature::of(b), similarity) else {
            panic!("a veto")
        };
        assert!(p <= probability_of_similarity(similarity), "{p} at {similarity}");
    }
    let steps: Vec<f64> = (0..=100).map(|step| probability_of_similarity(step as f32 / 100.0)).collect();
    assert!(steps.is_sorted() && steps[0] > 0.0 && steps[100] < 1.0, "{steps:?}");
}
