//! Packed segments: what a new instance of `lookup` reads, and that they change no answer.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use mneme_tests::Stack;
use serde_json::{Value, json};

/// Of the vectors, enough for codes.
const DIM: usize = 64;

/// The derived items of kind `kind`.
async fn derived(stack: &Stack, kind: i128) -> Vec<i128> {
    stack.rows().await.into_keys().filter(|key| key.checked_neg().is_some_and(|low| low >> 120 == kind)).collect()
}

const CATALOG: i128 = 7;
const BASIS: i128 = 8;
const SEGMENT: i128 = 9;

/// A vector for `number`: every hundredth is near the same one.
fn vector(number: u64) -> Vec<f32> {
    let mut rng = fastrand::Rng::with_seed(number);
    let near = number % 100 == 50;
    (0..DIM).map(|at| rng.f32() - 0.5 + if near { 4.0 * ((at % 7) as f32 - 3.0) } else { 0.0 }).collect()
}

#[tokio::test]
async fn segments_tell_numbers_apart() {
    let stack = Stack::with(&[("MNEME_GUARD", "on")]).await;
    let vector = |number: u64| {
        let mut rng = fastrand::Rng::with_seed(number);
        (0..DIM).map(|at| (at % 7) as f32 - 3.0 + 0.1 * rng.f32()).collect::<Vec<f32>>()
    };
    let entry = |number: u64| {
        let query = format!("Track order {number}");
        json!({"query": query, "response": query, "embedding": vector(number)})
    };
    for some in (1..2100).collect::<Vec<u64>>().chunks(100) {
        let entries: Vec<Value> = some.iter().map(|number| entry(*number)).collect();
        stack.invoke("put", json!({"entries": entries})).await.unwrap();
    }
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(reply["ranges_packed"], 2, "{reply}");
    let new = Stack::beside(&stack, &[("MNEME_GUARD", "on")]).await;
    for number in [3, 1500, 2090] {
        let asked = json!({"query": format!("Where is order {number}?"), "embedding": vector(7000 + number)});
        let hit = new.lookup(asked).await;
        assert_eq!(hit["response"], format!("Track order {number}"), "{hit}");
    }
}

/// What parts the cache for every fifth number.
fn context(number: u64) -> Value {
    if number.is_multiple_of(5) { json!({"model": "m"}) } else { json!({}) }
}

/// Stores entries for `numbers`, every third of them for the namespace `other`, every fifth with a context.
async fn store(stack: &Stack, numbers: std::ops::Range<u64>) {
    let entry = |number: u64| {
        let namespace = if number.is_multiple_of(3) { "other" } else { "default" };
        json!({
            "query": number.to_string(), "response": number.to_string(), "namespace": namespace,
            "embedding": vector(number), "context": context(number),
        })
    };
    for some in numbers.collect::<Vec<u64>>().chunks(100) {
        let entries: Vec<Value> = some.iter().map(|number| entry(*number)).collect();
        stack.invoke("put", json!({"entries": entries})).await.unwrap();
    }
}

/// Answers to questions near the stored ones, in both namespaces, with the context that they were stored with, and with another.
async fn answers(stack: &Stack) -> Vec<Value> {
    let mut answers = Vec::new();
    let numbers =
        [("default", 10u64), ("other", 30), ("default", 2050), ("other", 3000), ("default", 11), ("none", 10)];
    let elsewhere = numbers.iter().map(|(namespace, number)| (*namespace, *number, context(number + 1)));
    for (namespace, number, context) in
        numbers.iter().map(|(namespace, number)| (*namespace, *number, context(*number))).chain(elsewhere)
    {
        let mut near = vector(number);
        near[0] += 0.01;
        let question = json!({"query": format!("like {number}"), "namespace": namespace, "context": context, "embedding": near, "threshold": 0.99});
        let mut answer = stack.lookup(question).await;
        // What is near enough is told exactly, and what is not, by codes, not at all.
        if answer["outcome"] == "miss" {
            answer["best_similarity"].take();
        }
        answer.as_object_mut().unwrap().remove("age_seconds");
        answers.push(answer);
    }
    answers
}

fn scans(stack: &Stack) -> usize {
    stack.proxy.take_operations().iter().filter(|operation| *operation == "Scan").count()
}

#[tokio::test]
async fn a_new_instance_reads_segments_and_answers_as_one_that_read_all() {
    let stack = Stack::start().await;
    store(&stack, 1..3101).await;
    stack.proxy.take_operations();
    let expected = answers(&stack).await;
    assert!(scans(&stack) > 0);
    assert!(expected[..5].iter().all(|answer| answer["layer"] == "semantic"), "{expected:?}");
    assert_eq!(expected[5]["reason"], "no_entry");
    assert!(expected[6..10].iter().all(|answer| answer["reason"] == "below_threshold"), "{expected:?}");

    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!((&reply["ranges_packed"], &reply["basis_learned"]), (&json!(3), &json!(true)), "{reply}");
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!((&reply["ranges_packed"], &reply["basis_learned"]), (&json!(0), &json!(false)), "{reply}");

    let new = Stack::beside(&stack, &[]).await;
    assert_eq!(answers(&new).await, expected);
    assert_eq!(scans(&new), 0);
    // What was stored, replaced or deleted since, it sees as any other.
    stack.invoke("delete", json!({"query": "10", "context": context(10)})).await.unwrap();
    store(&stack, 3101..3102).await;
    assert_eq!(answers(&new).await, answers(&stack).await);
    assert_ne!(answers(&new).await[0], expected[0]);
}

#[tokio::test]
async fn segments_that_are_missing_or_torn_change_no_answer() {
    let stack = Stack::start().await;
    store(&stack, 1..3101).await;
    let expected = answers(&stack).await;
    stack.invoke("vacuum", json!({})).await.unwrap();
    let segments = derived(&stack, SEGMENT).await;
    assert_eq!(segments.len(), 3);

    let mut torn = stack.rows().await[&segments[0]].clone();
    let codes = torn["codes"].as_b().unwrap().as_ref().to_vec();
    torn.insert("codes".to_owned(), AttributeValue::B(Blob::new(&codes[..codes.len() - 9])));
    stack.put_item(torn).await;
    stack.delete_item(segments[1]).await;
    let new = Stack::beside(&stack, &[]).await;
    assert_eq!(answers(&new).await, expected);
    assert_eq!(scans(&new), 0);

    for kind in [BASIS, CATALOG] {
        for key in derived(&stack, kind).await {
            stack.delete_item(key).await;
        }
        let new = Stack::beside(&stack, &[]).await;
        assert_eq!(answers(&new).await, expected);
        assert!(scans(&new) > 0);
    }
    // A vacuum packs anew, and the next one removes what is left of the old.
    assert_eq!(stack.invoke("vacuum", json!({})).await.unwrap()["ranges_packed"], 3);
    assert_eq!(stack.invoke("vacuum", json!({})).await.unwrap()["derived_removed"], 2);
    assert_eq!(derived(&stack, SEGMENT).await.len(), 3);
}

#[tokio::test]
async fn the_put_that_fills_a_range_packs_it() {
    let stack = Stack::start().await;
    store(&stack, 1..3001).await;
    stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(derived(&stack, SEGMENT).await.len(), 2);
    store(&stack, 3001..3072).await;
    assert_eq!(derived(&stack, SEGMENT).await.len(), 2);
    store(&stack, 3072..3073).await;
    assert_eq!(derived(&stack, SEGMENT).await.len(), 3);
    // The first of a thousand questions finds what the put packed.
    let new = Stack::beside(&stack, &[]).await;
    assert_eq!(answers(&new).await[3]["id"], 3000);
    assert_eq!(scans(&new), 0);
}

#[tokio::test]
async fn an_instance_that_lags_far_behind_catches_up_by_segments() {
    let stack = Stack::start().await;
    store(&stack, 1..2101).await;
    stack.invoke("vacuum", json!({})).await.unwrap();
    let new = Stack::beside(&stack, &[]).await;
    answers(&new).await;
    store(&stack, 2101..4101).await;
    new.proxy.take_calls();
    let expected = answers(&stack).await;
    assert_eq!(answers(&new).await, expected);
    let keys =
        |call: &mneme_tests::proxy::Call| call.request["RequestItems"]["mneme"]["Keys"].as_array().map_or(0, Vec::len);
    let read: usize = new.proxy.take_calls().iter().map(keys).sum();
    assert!(read < 1200, "{read} keys, of 2000 entries");
}
