//! The guard of the semantic layer: vetoes, confidence, and the ways to switch it off.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use insta::assert_compact_json_snapshot;
use mneme_guard::{Signature, Verdict, compare, probability_of_similarity};
use mneme_tests::stack::Item;
use mneme_tests::{Stack, masked, vector};
use serde_json::{Value, json};

use crate::questions::{QUESTION, REWORDED};

async fn put(stack: &Stack, query: &str, angle: f64) -> u64 {
    stack.put(json!({"query": query, "response": query, "embedding": vector(8, angle)})).await
}

fn question(query: &str, angle: f64) -> Value {
    json!({"query": query, "embedding": vector(8, angle)})
}

/// The probability that the guard's crate computes for two texts; panics on a veto.
fn probability(a: &str, b: &str, similarity: f32) -> f64 {
    match compare(&Signature::of(a), &Signature::of(b), similarity) {
        Verdict::Probability(p) => p,
        Verdict::Vetoed(kind) => panic!("vetoed: {kind:?}"),
    }
}

fn assert_near(value: &Value, expected: f64) {
    let value = value.as_f64().expect("a number");
    assert!((value - expected).abs() < 1e-4, "{value} for {expected}");
}

#[tokio::test]
async fn contradicting_candidate_is_vetoed_and_the_next_one_is_served() {
    let stack = Stack::start().await;
    put(&stack, "Track order 48213", 0.0).await;
    let miss = stack.lookup(question("Track order 48231", 0.0)).await;
    assert_compact_json_snapshot!(
        miss,
        @r#"{"best_similarity": 1.0, "outcome": "miss", "reason": "vetoed", "veto": "number"}"#
    );
    assert_eq!(stack.post("/v1/lookup", question("Track order 48231", 0.0)).await, (200, miss));
    let right = put(&stack, "Track my order 48231", 0.1).await;
    let hit = stack.lookup(question("Track order 48231", 0.0)).await;
    assert_eq!((&hit["outcome"], &hit["id"]), (&json!("hit"), &json!(right)));
    // These 40 candidates are nearer than the right one, and too many to be read with the counter.
    for order in 0..40 {
        put(&stack, &format!("Track order 77{order:03}"), 0.01).await;
    }
    assert_eq!(stack.lookup(question("Track order 48231", 0.0)).await["id"], right);
}

#[tokio::test]
async fn candidates_with_other_numbers_are_skipped_without_a_read() {
    let stack = Stack::start().await;
    let entry = |order: u64, angle: f64| {
        let query = format!("Track order {order}");
        json!({"query": query, "response": query, "embedding": vector(8, angle)})
    };
    for some in (50_000..50_500).collect::<Vec<u64>>().chunks(100) {
        let entries: Vec<Value> = some.iter().map(|order| entry(*order, 0.01)).collect();
        stack.invoke("put", json!({"entries": entries})).await.unwrap();
    }
    let right = put(&stack, "Track my order 48231", 0.1).await;
    let asked = question("Track order 48231", 0.0);
    stack.lookup(asked.clone()).await;
    stack.proxy.take_calls();
    let hit = stack.lookup(asked.clone()).await;
    assert_eq!(hit["id"], right, "more candidates are nearer than a lookup reads");
    assert_eq!(stack.proxy.take_operations(), ["BatchGetItem"], "the entry is read with the counter");

    // The veto of the closest candidate is reported.
    let miss = stack.lookup(question("Track order 48232", 0.0)).await;
    assert_eq!((&miss["reason"], &miss["veto"]), (&json!("vetoed"), &json!("number")));
    let calls = stack.proxy.take_operations();
    assert!(calls.len() <= 2, "{calls:?}");

    // With the guard off, by configuration or for the namespace, the closest entry is returned.
    let off = Stack::builder().over_table_of(&stack).without_guard("the guard off is tested").start().await;
    assert_eq!(off.lookup(asked.clone()).await["response"], "Track order 50000");
    let set = json!({"action": "set", "key": "guard:default", "value": "off"});
    stack.invoke("meta", set).await.expect("set");
    assert_eq!(stack.lookup(asked).await["response"], "Track order 50000");
}

#[tokio::test]
async fn veto_is_reported_when_the_closest_entry_has_expired() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    let mut expiring = question("Track order 48213", 0.0);
    (expiring["response"], expiring["ttl_seconds"]) = (json!("A"), json!(60));
    stack.put(expiring).await;
    for order in 0..10 {
        put(&stack, &format!("Track order 77{order:03}"), 0.1).await;
    }
    stack.backdate([1], 60).await;
    let miss = stack.lookup(question("Track order 48231", 0.0)).await;
    assert_eq!((&miss["reason"], &miss["veto"]), (&json!("vetoed"), &json!("number")));
    assert_near(&miss["best_similarity"], 0.1f64.cos());
}

#[tokio::test]
async fn confidence_is_the_probability_times_the_entry_score() {
    let stack = Stack::start().await;
    put(&stack, QUESTION, 0.0).await;
    let hit = stack.lookup(question(REWORDED, 0.2)).await;
    let similarity = hit["similarity"].as_f64().expect("a hit") as f32;
    assert_near(&hit["similarity"], 0.2f64.cos());
    assert_near(&hit["confidence"], probability(REWORDED, QUESTION, similarity));
    // Only the embedding of this question is similar.
    let miss = stack.lookup(question("Which bakeries in Ghent are open on Sundays?", 0.5)).await;
    assert_eq!((&miss["reason"], miss.get("veto")), (&json!("low_confidence"), None));
    let mut entry = question(QUESTION, 0.0);
    (entry["response"], entry["confidence_score"]) = (json!("A."), json!(0.9));
    stack.put(entry).await;
    let hit = stack.lookup(question(REWORDED, 0.2)).await;
    assert_near(&hit["confidence"], 0.9 * probability(REWORDED, QUESTION, similarity));
}

#[tokio::test]
async fn guard_is_on_by_default_and_can_be_switched_off() {
    let serves = async |stack: &Stack, fields: &[(&str, &str)]| {
        let mut asked = question("Track order 48231", 0.0);
        fields.iter().for_each(|(name, value)| asked[*name] = json!(value));
        stack.lookup(asked).await["outcome"] == "hit"
    };
    let store = async |stack: &Stack| {
        for namespace in ["default", "open", "closed"] {
            let mut entry = question("Track order 48213", 0.0);
            (entry["response"], entry["namespace"]) = (json!("A."), json!(namespace));
            stack.put(entry).await;
        }
        for (namespace, value) in [("open", "off"), ("closed", "on")] {
            let set = json!({"action": "set", "key": format!("guard:{namespace}"), "value": value});
            stack.invoke("meta", set).await.expect("set");
        }
    };
    // An empty variable counts as unset.
    let by_default = Stack::builder().variables(&[("MNEME_GUARD", "")]).start().await;
    store(&by_default).await;
    assert!(!serves(&by_default, &[]).await);
    assert!(serves(&by_default, &[("namespace", "open")]).await);
    assert!(!serves(&by_default, &[("namespace", "open"), ("guard", "on")]).await);
    let mut asked = question("Track order 48231", 0.0);
    asked["guard"] = json!("off");
    let error = by_default.invoke("lookup", asked).await.unwrap_err();
    assert_eq!(error.name, "InvalidRequest");
    assert!(error.message.contains("MNEME_GUARD_PER_REQUEST"), "{}", error.message);

    let per_request = Stack::builder()
        .over_table_of(&by_default)
        .variables(&[("MNEME_GUARD", "on"), ("MNEME_GUARD_PER_REQUEST", "true")])
        .start()
        .await;
    assert!(serves(&per_request, &[("guard", "off")]).await);
    assert!(!serves(&per_request, &[]).await);
    let off = Stack::builder().over_table_of(&by_default).without_guard("the guard off is tested").start().await;
    assert!(serves(&off, &[]).await);
    assert!(!serves(&off, &[("namespace", "closed")]).await);
    assert!(!serves(&off, &[("guard", "on")]).await);

    for value in ["", "ON", "yes"] {
        let set = json!({"action": "set", "key": "guard:open", "value": value});
        let error = by_default.invoke("meta", set).await.unwrap_err();
        assert!(error.name == "InvalidRequest" && error.message.contains("on or off"), "{}", error.message);
    }
}

/// The row of entry 1 without the attributes `names`.
async fn without(stack: &Stack, names: &[&str]) -> Item {
    let mut row = stack.rows().await.remove(&1).expect("the row");
    names.iter().for_each(|name| drop(row.remove(*name).expect("an attribute")));
    row
}

#[tokio::test]
async fn row_without_signature_is_judged_by_its_query_or_similarity() {
    let stack = Stack::start().await;
    put(&stack, QUESTION, 0.0).await;
    // The age depends on the speed of the machine.
    let ask = async || masked(stack.lookup(question(REWORDED, 0.2)).await, &["age_seconds"]);
    let first = ask().await;
    stack.put_item(without(&stack, &["signature"]).await).await;
    assert_eq!(ask().await, first);
    let mut row = without(&stack, &[]).await;
    row.insert("signature".to_owned(), AttributeValue::B(Blob::new([250, 1, 2])));
    stack.put_item(row).await;
    assert_eq!(ask().await, first);
    // The Python library writes rows without both attributes.
    stack.put_item(without(&stack, &["signature", "query"]).await).await;
    let expected = probability_of_similarity(0.2f64.cos() as f32);
    let found = stack.lookup(question(REWORDED, 0.2)).await;
    assert_eq!(found["outcome"] == "hit", expected >= 0.7, "{found}");
    let near = stack.lookup(question(REWORDED, 0.0)).await;
    assert_near(&near["confidence"], probability_of_similarity(1.0));
}

#[tokio::test]
async fn signature_without_stored_query_contains_only_hashes() {
    let stack = Stack::builder().variables(&[("MNEME_STORE_QUERY", "false")]).start().await;
    put(&stack, "Track order 48213", 0.0).await;
    let row = stack.rows().await.remove(&1).expect("the row");
    let signature = row["signature"].as_b().expect("bytes").as_ref();
    assert!(!row.contains_key("query") && !signature.windows(5).any(|part| part == b"48213"));
    assert_eq!(stack.lookup(question("Track order 48231", 0.0)).await["veto"], "number");
    let off = Stack::builder()
        .variables(&[("MNEME_STORE_QUERY", "false")])
        .without_guard("the guard off is tested")
        .start()
        .await;
    put(&off, "Track order 48213", 0.0).await;
    assert!(!off.rows().await[&1].contains_key("signature"));
}

/// The two fields of a miss that say why.
fn reason(miss: &Value) -> (&Value, &Value) {
    (&miss["reason"], &miss["veto"])
}

#[tokio::test]
async fn exact_entry_that_differs_in_what_normalisation_drops_is_vetoed_and_a_put_replaces_it() {
    for store_query in ["true", "false"] {
        let stack = Stack::builder().variables(&[("MNEME_STORE_QUERY", store_query)]).start().await;
        for (stored, asked, detail) in [
            ("What does grep -v do?", "What does grep -V do?", "case"),
            ("What is 10 MB/s in GB?", "What is 10 Mb/s in GB?", "case"),
            ("Why?\nif a:\n    b()\n    c()", "Why?\nif a:\n    b()\nc()", "space"),
        ] {
            let first = stack.put(json!({"query": stored, "response": stored})).await;
            let miss = stack.lookup(json!({"query": asked})).await;
            assert_eq!(reason(&miss), (&json!("vetoed"), &json!(detail)), "{asked}: {miss}");
            assert_eq!(stack.lookup(json!({"query": stored})).await["id"], first);
            // Both have one entry key, so the later answer takes the place of the earlier one.
            let (_, put) = stack.post("/v1/entries", json!({"query": asked, "response": asked})).await;
            assert_eq!(put["created"], false, "{put}");
            assert_eq!(stack.lookup(json!({"query": asked})).await["response"], asked);
            let miss = stack.lookup(json!({"query": stored})).await;
            assert_eq!(reason(&miss), (&json!("vetoed"), &json!(detail)), "{stored}: {miss}");
        }
        // Neither with a vector nor by the semantic layer.
        put(&stack, "Rename myVar", 0.0).await;
        assert_eq!(stack.lookup(question("Rename MyVar", 0.0)).await["veto"], "case");
        put(&stack, "Select users with age > 30", 2.0).await;
        assert_eq!(stack.lookup(question("Select users with age < 30", 2.0)).await["veto"], "mark");
        // The case and the white space of prose do not decide.
        put(&stack, "How do I reset my password?", 1.0).await;
        for asked in ["HOW DO I RESET MY PASSWORD?", "  how do I  reset\n my password?"] {
            assert_eq!(stack.lookup(json!({"query": asked})).await["layer"], "exact", "{asked}");
        }
    }
    let off = Stack::builder().without_guard("the guard off is tested").start().await;
    off.put(json!({"query": "What does grep -v do?", "response": "A"})).await;
    assert_eq!(off.lookup(json!({"query": "What does grep -V do?"})).await["outcome"], "hit");
}

const DOCUMENT: &str = "The mill at the river was built in 1790 and ground corn for four villages. A flood destroyed it in \
    1953, and the people of the valley rebuilt it by hand. Today it is a museum that shows how flour was made.";

#[tokio::test]
async fn each_kind_of_contradiction_is_vetoed_and_its_rewording_is_served() {
    let stack = Stack::start().await;
    let document = |instruction: &str| format!("{DOCUMENT}\n\n{instruction}");
    let changed = |instruction: &str| document(instruction).replace("1790", "1791");
    for (stored, other, veto, same) in [
        (
            document("When was the mill built?"),
            document("When was the mill destroyed?"),
            "material",
            document("In which year was the mill built?"),
        ),
        (
            document("Summarise the text."),
            changed("Summarise the text."),
            "material",
            document("Please summarise the following text."),
        ),
        (
            "How long do 500 MB take to load?".to_owned(),
            "How long do 500 kB take to load?".to_owned(),
            "number",
            "How long does 500 MB take to load?".to_owned(),
        ),
        (
            "What are the tax rates this year?".to_owned(),
            "What are the tax rates next year?".to_owned(),
            "time",
            "Hi! What are the tax rates this year? Thanks".to_owned(),
        ),
        (
            "Explain photosynthesis in one sentence".to_owned(),
            "Explain photosynthesis in one paragraph".to_owned(),
            "form",
            "Explain photosynthesis in a single sentence".to_owned(),
        ),
        (
            "Did Brazil beat Germany?".to_owned(),
            "Did Germany beat Brazil?".to_owned(),
            "role",
            "did Brazil beat Germany".to_owned(),
        ),
        (
            "Jak mogę włączyć roaming w telefonie?".to_owned(),
            "Jak mogę wyłączyć roaming w telefonie?".to_owned(),
            "opposite",
            "Jak włączyć roaming w telefonie?".to_owned(),
        ),
        (
            "How do I install the app on macOS?".to_owned(),
            "How do I uninstall the app on macOS?".to_owned(),
            "negation",
            "How do I install the app on MacOS?".to_owned(),
        ),
    ] {
        let id = put(&stack, &stored, 0.0).await;
        let miss = stack.lookup(question(&other, 0.0)).await;
        assert_eq!(reason(&miss), (&json!("vetoed"), &json!(veto)), "{other}: {miss}");
        let hit = stack.lookup(question(&same, 0.1)).await;
        assert_eq!((&hit["outcome"], &hit["id"]), (&json!("hit"), &json!(id)), "{same}: {hit}");
        stack.invoke("clear", json!({"namespace": "default"})).await.expect("cleared");
    }
}

#[tokio::test]
async fn answer_in_another_language_is_vetoed_unless_the_setting_allows_it() {
    let (stored, asked) = ("Wie kann ich mein Passwort zurücksetzen?", "How can I reset my password?");
    let stack = Stack::start().await;
    put(&stack, stored, 0.0).await;
    assert_eq!(reason(&stack.lookup(question(asked, 0.0)).await), (&json!("vetoed"), &json!("language")));
    let mixed = Stack::builder().over_table_of(&stack).variables(&[("MNEME_CROSS_LANGUAGE", "true")]).start().await;
    assert_ne!(mixed.lookup(question(asked, 0.0)).await["veto"], "language");
    for (stored, asked, veto) in [
        ("¿Cómo activo el modo oscuro?", "¿Cómo desactivo el modo oscuro?", "negation"),
        ("Как включить тёмную тему?", "Как выключить тёмную тему?", "opposite"),
        ("如何打开蓝牙？", "如何关闭蓝牙？", "opposite"),
    ] {
        put(&stack, stored, 2.0).await;
        assert_eq!(stack.lookup(question(asked, 2.0)).await["veto"], veto, "{asked}");
        stack.invoke("clear", json!({"namespace": "default"})).await.expect("cleared");
    }
}

#[tokio::test]
async fn exact_entry_below_the_confidence_cutoff_is_a_miss() {
    let stack = Stack::start().await;
    let mut entry = json!({"query": QUESTION, "response": "A", "confidence_score": 0.6});
    stack.put(entry.clone()).await;
    let miss = stack.lookup(json!({"query": QUESTION})).await;
    assert_eq!(miss["reason"], "low_confidence", "{miss}");
    entry["confidence_score"] = json!(0.8);
    stack.put(entry).await;
    assert_near(&stack.lookup(json!({"query": QUESTION})).await["confidence"], 0.8);
}

#[tokio::test]
async fn numbers_with_one_hash_of_32_bits_are_different_numbers() {
    for store_query in ["true", "false"] {
        let stack = Stack::builder().variables(&[("MNEME_STORE_QUERY", store_query)]).start().await;
        for (at, (stored, asked)) in
            [(241_796, 791_977), (457_141, 966_123), (168_667, 867_380)].into_iter().enumerate()
        {
            let angle = at as f64;
            put(&stack, &format!("Track order {stored}"), angle).await;
            let miss = stack.lookup(question(&format!("Track order {asked}"), angle)).await;
            assert_eq!(miss["outcome"], "miss", "{asked}: {miss}");
        }
    }
}
