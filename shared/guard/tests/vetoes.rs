//! Examples of each kind of veto.

use mneme_guard::{Signature, Verdict, VetoKind, compare, exact_values_agree, probability_of_similarity};

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
fn numbers_with_one_hash_of_32_bits_are_vetoed() {
    vetoes(
        VetoKind::Number,
        &[("Track order 241796", "Track order 791977"), ("Track order 457141", "Track order 966123")],
    );
    assert!(exact_values_agree("Track order 241796", "Where is order 241,796?"));
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
            ("How do I cancel my order?", "How do I un-cancel my order?"),
            ("How do I authorize the device?", "How do I deauthorize the device?"),
            ("Why can I log in?", "Why can't I log in?"),
            ("Open the door", "Don't open the door"),
            ("Can connect to the printer", "Can't connect to the printer"),
        ],
    );
    // Two negations cancel each other. "Or not" and "why not" negate nothing, and so does a negation contracted with
    // the verb that begins a question.
    allows(&[
        ("Will you phone me?", "Won't you phone me?"),
        ("Can't I return the shoes?", "Can I return the shoes?"),
        ("Isn't there a bus to Oslo?", "Is there a bus to Oslo?"),
        ("Aren't refunds free?", "Are refunds free?"),
        ("Don't you have a shop in Ghent?", "Do you have a shop in Ghent?"),
        ("It is open on Monday, isn't it?", "It is open on Monday, is it?"),
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
fn words_of_two_sides_of_a_contrast_set_are_vetoed() {
    vetoes(
        VetoKind::Opposite,
        &[
            ("Is the insurance mandatory?", "Is the insurance optional?"),
            ("Is a visa required for Peru?", "Is a visa recommended for Peru?"),
            ("Are dogs allowed in the park?", "Are dogs prohibited in the park?"),
            ("List all countries including France", "List all countries except France"),
            ("Orders of at least 5 items", "Orders of up to 5 items"),
            ("Can I cancel if I paid?", "Can I cancel unless I paid?"),
            ("How do I install the driver?", "How do I reinstall the driver?"),
            ("How do I make the font larger?", "How do I make the font smaller?"),
            ("Which foods should I eat with gout?", "Which foods should I avoid with gout?"),
            ("Can I withdraw within 14 days?", "Can I withdraw after 14 days?"),
            ("Rules for full-time staff", "Rules for part-time staff"),
            ("How do I upload a file?", "How do I download a file?"),
        ],
    );
    allows(&[
        ("Is the insurance mandatory?", "Is the insurance required?"),
        ("Are dogs allowed in the park?", "Are dogs permitted in the park?"),
        ("Orders of at least 5 items", "Orders of no less than 5 items"),
    ]);
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
    allows(&[
        ("The difference between tea and coffee", "The difference between coffee and tea"),
        ("What's today's weather?", "What is the weather today?"),
    ]);
}

#[test]
fn numbers_in_other_writing_are_compared_by_value() {
    vetoes(
        VetoKind::Number,
        &[
            ("It is -5 °C outside, what should I wear?", "It is 5 °C outside, what should I wear?"),
            ("What happens at −40 degrees?", "What happens at 40 degrees?"),
            ("Is minus 10 too cold for a cat?", "Is 10 too cold for a cat?"),
            ("Can I withdraw 1.000 Euro?", "Can I withdraw 1 Euro?"),
            ("Can I withdraw €1.000?", "Can I withdraw €1?"),
            ("Can I withdraw 2.500 euros?", "Can I withdraw 2.5 euros?"),
            ("How do I install Python 3.1?", "How do I install Python 3.10?"),
            ("Take one tablet before sleep", "Take two tablets before sleep"),
            ("Is the fee 1.5 million?", "Is the fee 1.5 billion?"),
            ("What is 10 MB/s good for?", "What is 10 Mb/s good for?"),
            ("A 50 mW laser", "A 50 MW laser"),
            ("Take it once a day", "Take it twice a day"),
            ("Take half a tablet", "Take 2 tablets"),
            ("my code is four eight two one three", "my code is four eight two three one"),
            ("Call 555-123-4567", "Call 555-123-4576"),
            ("An appointment on 24 December 2026", "An appointment on 25.12.2026"),
            ("Wait 3–5 days", "Wait 3-6 days"),
            ("I need five hundred chairs", "I need five thousand chairs"),
            ("Pay 20 USD", "Pay 20 CAD"),
            ("Pay ¥500", "Pay 500 dollars"),
            ("Drive at 60 km/h", "Drive at 60 mph"),
            ("It was two hundred and fifty metres", "It was two hundred and sixty metres"),
            ("A fever of 39 °C", "A fever of 39 °F"),
            ("Explain tea in 100 words", "Explain tea in 50 words"),
        ],
    );
    vetoes(
        VetoKind::Identifier,
        &[
            ("A monitor with 800 by 600", "A monitor with 600 by 800"),
            ("a 4x6 photo", "a 6x4 photo"),
            ("Call +49 30 1234567", "Call +49 30 1234576"),
        ],
    );
    allows(&[
        ("How do I install Python 3?", "How do I install Python3?"),
        ("What is new in v2.0?", "What is new in version 2.0?"),
        ("What is new in v1.2.3?", "What is new in version 1.2.3?"),
        ("Is the fee 1.5 million?", "Is the fee 1,500,000?"),
        ("Pay ¥500", "Pay 500 yen"),
        ("Pay £20", "Pay 20 pounds"),
        ("Pay 20 EUR", "Pay €20"),
        ("Pay EUR 20", "Pay 20 euros"),
        ("Pay $20", "Pay 20 dollars"),
        ("Pay 20 USD now", "Pay $20 now"),
        ("Can I withdraw 1.000 Euro?", "Can I withdraw 1000 Euro?"),
        ("Can I withdraw 1.234,56 Euro?", "Can I withdraw 1234.56 euros?"),
        ("It costs 1 500 000", "It costs 1,500,000"),
        ("Take one tablet before sleep", "Take 1 tablet before sleep"),
        ("Take two tablets twice a day", "Take 2 tablets 2 times a day"),
        ("I need five hundred chairs", "I need 500 chairs"),
        ("I need two hundred and fifty chairs", "I need 250 chairs"),
        ("I need twenty-five chairs", "I need 25 chairs"),
        ("I have 5 lakh rupees", "I have 5,00,000 rupees"),
        ("my code is four eight two one three", "my code is 48213"),
        ("Call (555) 123-4567", "Call 555-123-4567"),
        ("Call 555 123 4567", "Call 5551234567"),
        ("A monitor with 800 by 600", "A monitor with 800x600"),
        ("A monitor with 800 × 600", "A monitor with 800 x 600"),
        ("Wait 3–5 days", "Wait 3 to 5 days"),
        ("A bag of 5-10kg", "A bag of 5 to 10 kg"),
        ("60 km/h in town", "60 kilometres per hour in town"),
        ("A download of 10 MB", "A download of 10 megabytes"),
        ("A download of 10 mb", "A download of 10 MB"),
        ("It is 20 °C", "It is 20 degrees Celsius"),
        ("It is 20°C", "It is 20 celsius"),
        ("Wait half an hour", "Wait 30 minutes"),
        ("It takes 2 and a half hours", "It takes 2.5 hours"),
        ("Is 3.50 euros enough?", "Is 3.5 euros enough?"),
        ("a rate of 3.50", "a rate of 3.5"),
        ("2 adults and 1 child", "1 child and 2 adults"),
        ("the iphone 15 battery", "the iphone15 battery"),
        ("Is gpt-4 better?", "Is gpt4 better?"),
        ("Learn to swim in 10 days", "Learn to swim"),
        ("How does one become a pilot?", "How do I become a pilot?"),
    ]);
}

#[test]
fn dates_in_every_common_form_are_one_date() {
    vetoes(VetoKind::Date, &[("An appointment on 24 December 2026", "An appointment on 2026-11-24")]);
    allows(&[
        ("An appointment on 24 December 2026", "An appointment on 24.12.2026"),
        ("An appointment on December 24th, 2026", "An appointment on 2026-12-24"),
        ("An appointment on 24/12/2026", "An appointment on the 24th of December 2026"),
        ("An appointment on 12/24/2026", "An appointment on Dec 24, 2026"),
    ]);
}

#[test]
fn question_words_for_the_one_who_acts_and_the_one_acted_on_are_vetoed() {
    vetoes(
        VetoKind::Role,
        &[
            ("Who beat Brazil in the final?", "Who did Brazil beat in the final?"),
            ("Which team beat Brazil?", "Which team did Brazil beat?"),
            ("What causes cancer?", "What does cancer cause?"),
            ("Who loves you?", "Who do you love?"),
            ("Who can beat Brazil?", "Who can Brazil beat?"),
            ("Who has beaten Brazil?", "Who has Brazil beaten?"),
            ("Who has beaten Brazil?", "Who did Brazil beat?"),
            ("Who was beaten by Brazil?", "Who beat Brazil?"),
            ("Who was Brazil beaten by?", "Who did Brazil beat?"),
            ("By whom was Brazil beaten?", "Whom did Brazil beat?"),
            ("How many teams beat Brazil?", "How many teams did Brazil beat?"),
            ("Which company acquired Globex in May?", "Which company did Globex acquire in May?"),
            ("Who sold the car to John?", "Who did John sell the car to?"),
        ],
    );
    allows(&[
        ("Who beat Brazil in the final?", "Who has beaten Brazil in the final?"),
        ("Who did Brazil beat?", "Who was beaten by Brazil?"),
        ("Who beat Brazil?", "Who was Brazil beaten by?"),
        ("Who did Brazil beat?", "Whom has Brazil beaten?"),
        ("What happens to my data?", "What does happen to my data?"),
        ("What did you buy in Rome?", "What have you bought in Rome?"),
    ]);
}

#[test]
fn parts_of_a_question_that_change_places_are_vetoed_unless_joined_as_equals() {
    vetoes(
        VetoKind::Role,
        &[
            ("Did Acme acquire Globex?", "Did Globex acquire Acme?"),
            ("Can cats chase dogs?", "Can dogs chase cats?"),
            ("Was Acme acquired by Globex?", "Did Acme acquire Globex?"),
            ("Does aspirin interact badly because of alcohol?", "Does alcohol interact badly because of aspirin?"),
            ("Was the king killed by the queen?", "Was the queen killed by the king?"),
        ],
    );
    vetoes(
        VetoKind::Direction,
        &[
            ("Who won when Brazil played against Germany?", "Who won when Germany played against Brazil?"),
            ("What are good gifts from my parents?", "What are good gifts to my parents?"),
            ("How do I transfer money from my account?", "How do I transfer money to my account?"),
        ],
    );
    allows(&[
        ("Which is bigger, Mars or Venus?", "Which is bigger, Venus or Mars?"),
        ("Mars versus Venus, which is bigger?", "Venus versus Mars, which is bigger?"),
        ("What is the difference between tea and coffee?", "What is the difference between coffee and tea?"),
        ("What is the distance from Oslo to Bergen?", "What is the distance between Oslo and Bergen?"),
        ("Tea compared to coffee", "Coffee compared to tea"),
        ("Is tea similar to coffee?", "Is coffee similar to tea?"),
        ("Did Acme acquire Globex?", "Was Globex acquired by Acme?"),
        ("How do I reset the password of my account?", "How do I reset my account password?"),
        ("In Python, how do I sort a list?", "How do I sort a list in Python?"),
        ("How do I sort a list?", "How can a list be sorted?"),
        ("What is the capital of France?", "What is France's capital?"),
        ("How do I cancel when I have paid?", "When I have paid, how do I cancel?"),
        ("I live in Oslo, how do I vote?", "How do I vote, I live in Oslo?"),
    ]);
}

#[test]
fn different_spans_of_time_are_vetoed() {
    vetoes(
        VetoKind::Time,
        &[
            ("What is the plan for this year?", "What is the plan for next year?"),
            ("What is on the menu today?", "What is on the menu this week?"),
            ("Who was president last year?", "Who is the current president?"),
            ("What events are there this weekend?", "What events are there next weekend?"),
            ("results of last week", "results of this week"),
            ("Is the shop open now?", "Is the shop open tonight?"),
        ],
    );
    allows(&[
        ("What is on the menu today?", "What is on today's menu?"),
        ("What is the weather now?", "What is the weather right now?"),
        ("What is the latest version of Rust?", "What is the current version of Rust?"),
        ("How do I open a current account?", "How do I open a bank account?"),
        ("What is the plan for next year?", "What's the plan for the coming year?"),
        ("What is the plan for next year?", "What is the plan?"),
    ]);
}

#[test]
fn question_with_relative_time_is_volatile() {
    for text in
        ["What is on the menu today?", "Sales of last month", "The latest version of Rust", "What time is it now?"]
    {
        assert!(Signature::of(text).is_volatile(), "{text}");
    }
    for text in ["How do I open a current account?", "What happened in 1989?", "My last name", "I live in Oslo"] {
        assert!(!Signature::of(text).is_volatile(), "{text}");
    }
}

#[test]
fn different_forms_of_the_answer_are_vetoed() {
    vetoes(
        VetoKind::Form,
        &[
            ("Explain gravity in one sentence", "Explain gravity in a paragraph"),
            ("Explain gravity to a five-year-old", "Explain gravity to a physics student"),
            ("Explain gravity like I'm five", "Explain gravity for an expert"),
            ("Describe rain in French", "Describe rain in German"),
            ("Describe rain in French", "Describe rain"),
            ("Give me the planets as JSON", "Give me the planets as a table"),
            ("Give me the planets as JSON", "Give me the planets"),
            ("Sort a list in Python", "Sort a list in Java"),
            ("Explain DNS briefly", "Explain DNS in detail"),
            ("Summarise the plot in bullet points", "Summarise the plot in one paragraph"),
            ("Act as a pirate and tell me about tea", "Act as a doctor and tell me about tea"),
            ("Write a poem about the sea", "Write an essay about the sea"),
        ],
    );
    allows(&[
        ("Sort a list in Python", "Sort a Python list"),
        ("Explain gravity to a five-year-old", "Explain gravity to a 5 year old"),
        ("Explain gravity like I'm five", "Explain gravity to a five-year-old"),
        ("Give me the planets as JSON", "Give me the planets in JSON format"),
        ("Describe rain in French", "Describe the rain in French please"),
        ("How do I find duplicates in a list?", "How do I find list duplicates?"),
        ("What does hola mean in English?", "What does hola mean?"),
        ("How do I say hello in French?", "What is hello in French?"),
        ("Explain how to apply for a visa", "Explain the visa application"),
        ("You are a helpful assistant. What is tea?", "What is tea?"),
        ("French history in short", "A short French history"),
    ]);
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

/// A document of some length.
const DOCUMENT: &str = "The garden society was founded in 1921 by three teachers who wanted a place for roses. In its first \
    years it had forty members. After the war the land was sold and the society moved to a field near \
    the river. A flood in 1953 destroyed the greenhouse, and the members rebuilt it by hand. The board \
    meets each month and publishes a report.";

#[test]
fn other_material_or_another_question_about_it_is_vetoed() {
    let other = DOCUMENT.replace("forty members", "sixty members");
    let both = |a: &str, b: &str| (format!("{DOCUMENT} {a}"), format!("{DOCUMENT} {b}"));
    let documents = [
        both("Who founded the society?", "What does the cafe sell?"),
        both("Summarise this text.", "Translate this text."),
        both("When did the society move?", "Where did the society move?"),
        (format!("{DOCUMENT}\n\nWhen was the flood?"), format!("{other}\n\nWhen was the flood?")),
        (format!("When was the flood?\n\n{DOCUMENT}"), format!("When was the flood?\n\n{other}")),
        (DOCUMENT.to_owned(), other),
    ];
    let documents: Vec<(&str, &str)> = documents.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    vetoes(VetoKind::Material, &documents);
    vetoes(
        VetoKind::Material,
        &[
            (
                "Translate the following text to German: The garden gate is open.",
                "Translate the following text to German: The garden door is open.",
            ),
            ("Fix this:\n```\nif a:\n  b()\nc()\n```", "Fix this:\n```\nif a:\n  b()\n  c()\n```"),
            ("Sort these:\n- pear\n- apple", "Sort these:\n- pear\n- plum"),
            ("What is wrong here?\n{\"a\": 1,\n \"b\": 2}", "What is wrong here?\n{\"a\": 1,\n \"b\": 3}"),
        ],
    );
}

#[test]
fn same_question_about_same_material_is_not_vetoed() {
    let both = |a: &str, b: &str| (format!("{DOCUMENT} {a}"), format!("{DOCUMENT}\n\n{b}"));
    let documents = [
        both("Who founded the society?", "Who was the society founded by?"),
        both("When was the flood?", "When was the flood?"),
        both("Summarise this text.", "Please summarise the text."),
    ];
    let documents: Vec<(&str, &str)> = documents.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    allows(&documents);
    allows(&[
        (
            "Translate the following text to German: The garden gate is open.",
            "Translate the following text into German: The garden gate is open",
        ),
        ("Fix this code:\n```\na()\n```", "Please fix this code:\n```\na()\n```"),
        ("Hi, I have a problem: my card is lost. What now?", "Hi, I have a problem, my card is lost. What now?"),
    ]);
}

#[test]
fn more_pairs_of_each_kind_are_vetoed() {
    vetoes(
        VetoKind::Number,
        &[
            ("The air is minus five degrees", "The air is five degrees"),
            ("Half a dozen eggs", "A dozen eggs"),
            ("Use 1/2 cup of milk", "Use 1/4 cup of milk"),
            ("Twice a week", "Three times a week"),
            ("v2.1 release notes", "v2.10 release notes"),
            ("Wait −2 seconds", "Wait 2 seconds"),
        ],
    );
    vetoes(VetoKind::Identifier, &[("room 12 by 14 feet", "room 14 by 12 feet")]);
    vetoes(
        VetoKind::Role,
        &[
            ("Can my landlord sue me?", "Can I sue my landlord?"),
            ("Can I call you?", "Can you call me?"),
            ("Does he owe me money?", "Do I owe him money?"),
            ("Will the buyer pay the seller?", "Will the seller pay the buyer?"),
        ],
    );
    vetoes(
        VetoKind::Opposite,
        &[
            ("books by Orwell", "books about Orwell"),
            ("good gifts from my parents", "good gifts for my parents"),
            ("Install the latest version", "Install the previous version"),
            ("Is attendance voluntary?", "Is attendance compulsory?"),
            ("What is the speed limit before the bridge?", "What is the speed limit after the bridge?"),
        ],
    );
    vetoes(
        VetoKind::Form,
        &[
            ("Show the planets in a table", "Show the planets as a list"),
            ("Describe tea in max 3 sentences", "Describe tea in detail"),
            ("Describe tea as a pirate", "Describe tea as a doctor"),
            ("Write to my boss in a formal tone about tea", "Write to my boss in a casual tone about tea"),
        ],
    );
    vetoes(
        VetoKind::Time,
        &[
            ("What is playing this Friday?", "What is playing next Friday?"),
            ("Which films came out this summer?", "Which films came out last summer?"),
        ],
    );
    vetoes(VetoKind::Negation, &[("How do I subscribe to the news?", "How do I de-subscribe to the news?")]);
}

#[test]
fn rewordings_with_numbers_roles_times_and_forms_are_not_vetoed() {
    allows(&[
        ("Half a dozen eggs", "6 eggs"),
        ("Open 9am-5pm", "Open from 9 am to 5 pm"),
        ("Where do pandas live?", "In which places do pandas live today?"),
        ("Use 1/2 cup of milk", "Use half a cup of milk"),
        ("Use 1 1/2 cups of milk", "Use 1.5 cups of milk"),
        ("The air is minus five degrees", "The air is -5 degrees"),
        ("Why is my bill higher this month?", "Why is my bill higher than last month?"),
        ("Can my landlord sue me?", "Could my landlord sue me?"),
        ("How do I call you?", "How can I call you?"),
        ("Can you help me? I lost my card", "I lost my card, can you help me?"),
        ("I can't log in, can you help me?", "Can you help me, I can't log in"),
        ("Do cats or dogs live longer?", "Do dogs or cats live longer?"),
        ("Are Java and Kotlin compatible?", "Are Kotlin and Java compatible?"),
        ("Do I need a visa for Peru?", "Is a visa needed for Peru?"),
        ("Who wrote the book 1984?", "Who is the author of 1984?"),
        ("How many cups are in a litre?", "How many cups in 1 litre?"),
        ("How much is 5 km in miles?", "5 kilometres in miles?"),
        ("What's the time in Tokyo right now?", "What is the current time in Tokyo?"),
        ("Give me a list of planets", "List the planets"),
        ("How do I delete my account?", "I want to delete my account"),
        ("How can I pay by card?", "Can I pay with a card?"),
        ("My flight on 3 May 2025 was cancelled", "My flight on May 3, 2025 was cancelled"),
        ("My flight on 03.05.2025 was cancelled", "My flight on 3 May 2025 was cancelled"),
        ("Is a size of 10.50 m enough?", "Is a size of 10.5 m enough?"),
        ("Upgrade from Node 18 to Node 20", "Upgrade Node 18 to 20"),
        ("Explain TCP to me in simple terms", "Explain TCP in simple words"),
        ("What is the price of bitcoin today?", "What's today's bitcoin price?"),
        ("Meet at 3:30 pm", "Meet at 15:30"),
        ("Is it OK to take 2 pills twice daily?", "Can I take two pills twice a day?"),
        ("What is 20% of 80?", "What's 20 percent of 80?"),
        ("Who does the cooking for the school?", "Who cooks for the school?"),
        ("How do I get from Oslo to Bergen?", "How do I get to Bergen from Oslo?"),
        ("Is parking free for guests?", "Do guests park for free?"),
        ("Which file formats can I upload?", "What formats of files may be uploaded?"),
    ]);
}
