//! Packed segments: new instances of `lookup` read them instead of rows, and answers stay the same.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use mneme_tests::proxy::Call;
use mneme_tests::stack::{Item, StackBuilder};
use mneme_tests::{Fault, Stack};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::questions::{order, order_reworded};

/// The dimension of the vectors; it is large enough for quantised codes.
const DIM: usize = 64;

/// The ids of the derived items of kind `kind`.
async fn derived(stack: &Stack, kind: i128) -> Vec<i128> {
    stack.rows().await.into_keys().filter(|key| key.checked_neg().is_some_and(|low| low >> 120 == kind)).collect()
}

const CATALOG: i128 = 7;
const BASIS: i128 = 8;
const SEGMENT: i128 = 9;

/// A vector for `number`. Every hundredth number has a vector near one common point.
fn vector(number: u64) -> Vec<f32> {
    let mut rng = fastrand::Rng::with_seed(number);
    let near = number % 100 == 50;
    (0..DIM).map(|at| rng.f32() - 0.5 + if near { 4.0 * ((at % 7) as f32 - 3.0) } else { 0.0 }).collect()
}

/// Stores `entry(number)` for each of `numbers`.
async fn put_all(stack: &Stack, numbers: std::ops::Range<u64>, entry: impl Fn(u64) -> Value) {
    for some in numbers.collect::<Vec<u64>>().chunks(100) {
        let entries: Vec<Value> = some.iter().map(|number| entry(*number)).collect();
        stack.invoke("put", json!({"entries": entries})).await.unwrap();
    }
}

#[tokio::test]
async fn lookup_in_segments_with_other_number_returns_the_entry_with_the_asked_number() {
    let stack = patient().start().await;
    let vector = |number: u64| {
        let mut rng = fastrand::Rng::with_seed(number);
        (0..DIM).map(|at| (at % 7) as f32 - 3.0 + 0.1 * rng.f32()).collect::<Vec<f32>>()
    };
    let entry = |number: u64| json!({"query": order(number), "response": order(number), "embedding": vector(number)});
    put_all(&stack, 1..2100, entry).await;
    stack.delete_segments().await;
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(reply["ranges_packed"], 2, "{reply}");
    let new = Stack::builder().over_table_of(&stack).start().await;
    for number in [3, 1500, 2090] {
        let asked = json!({"query": order_reworded(number), "embedding": vector(7000 + number)});
        let hit = new.lookup(asked).await;
        assert_eq!(hit["response"], order(number), "{hit}");
    }
}

#[tokio::test]
async fn vacuum_with_many_long_namespace_names_packs_them() {
    let stack = patient().start().await;
    let namespace = |number: u64| format!("{number}{}", "n".repeat(1500));
    let entry = |number: u64| {
        json!({
            "query": order(number), "response": number.to_string(), "namespace": namespace(number),
            "embedding": vector(number),
        })
    };
    put_all(&stack, 1..2100, entry).await;
    stack.delete_segments().await;
    assert_eq!(stack.invoke("vacuum", json!({})).await.unwrap()["ranges_packed"], 2);
    let new = Stack::builder().over_table_of(&stack).start().await;
    for number in [3, 1500, 2090] {
        let asked =
            json!({"query": order_reworded(number), "namespace": namespace(number), "embedding": vector(number)});
        assert_eq!(new.lookup(asked).await["response"], number.to_string());
    }
    assert!(!has_read_rows(&new));
}

/// The context of `number`: every fifth number has one.
fn context(number: u64) -> Value {
    if number.is_multiple_of(5) { json!({"model": "m"}) } else { json!({}) }
}

/// Stores entries for `numbers`: every third one in the namespace `other`, every fifth one with a context.
async fn store(stack: &Stack, numbers: std::ops::Range<u64>) {
    let entry = |number: u64| {
        let namespace = if number.is_multiple_of(3) { "other" } else { "default" };
        json!({
            "query": order(number), "response": number.to_string(), "namespace": namespace,
            "embedding": vector(number), "context": context(number),
        })
    };
    put_all(stack, numbers, entry).await;
}

/// Answers to questions near stored ones, in both namespaces, with the stored context and with another one.
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
        let question = json!({
            "query": order_reworded(number), "namespace": namespace, "context": context, "embedding": near,
            "threshold": 0.99,
        });
        let mut answer = stack.lookup(question).await;
        // A hit's similarity is exact. A miss is decided by codes, which give no exact similarity.
        if answer["outcome"] == "miss" {
            answer["best_similarity"].take();
        }
        answer.as_object_mut().unwrap().remove("age_seconds");
        answers.push(answer);
    }
    answers
}

/// A stack whose functions have more time than any machine needs here: a `vacuum` must not end before all is packed.
fn patient() -> StackBuilder<'static> {
    Stack::builder().timeout(Duration::from_secs(300))
}

/// A stack with the entries `1..=entries`. Only the first test of this process stores them through the functions; the
/// others copy the rows, which is much quicker.
async fn stored(entries: u64) -> Stack {
    static ROWS: Mutex<BTreeMap<u64, Vec<Item>>> = Mutex::const_new(BTreeMap::new());
    let stack = patient().start().await;
    let known = ROWS.lock().await.get(&entries).cloned();
    if let Some(rows) = known {
        stack.invoke("provision", json!({})).await.unwrap();
        stack.put_items(rows).await;
    } else {
        store(&stack, 1..entries + 1).await;
        stack.delete_segments().await;
        ROWS.lock().await.insert(entries, stack.rows().await.into_values().collect());
    }
    stack
}

/// Whether instances have read the rows of the entries, and not only their segments, since the last call.
fn has_read_rows(stack: &Stack) -> bool {
    keys_read(stack) > 2500
}

#[tokio::test]
async fn new_instance_reads_segments_and_returns_the_same_answers() {
    let stack = stored(3100).await;
    stack.proxy.take_operations();
    let expected = answers(&stack).await;
    assert!(has_read_rows(&stack));
    assert!(expected[..5].iter().all(|answer| answer["layer"] == "semantic"), "{expected:?}");
    assert_eq!(expected[5]["reason"], "no_entry");
    assert!(expected[6..10].iter().all(|answer| answer["reason"] == "below_threshold"), "{expected:?}");

    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!((&reply["ranges_packed"], &reply["basis_learned"]), (&json!(3), &json!(true)), "{reply}");
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!((&reply["ranges_packed"], &reply["basis_learned"]), (&json!(0), &json!(false)), "{reply}");

    let new = Stack::builder().over_table_of(&stack).start().await;
    assert_eq!(answers(&new).await, expected);
    assert!(!has_read_rows(&new));
    // The new instance sees later puts and deletes like any other instance.
    stack.invoke("delete", json!({"query": order(10), "context": context(10)})).await.unwrap();
    store(&stack, 3101..3102).await;
    assert_eq!(answers(&new).await, answers(&stack).await);
    assert_ne!(answers(&new).await[0], expected[0]);
}

#[tokio::test]
async fn missing_or_truncated_segment_changes_no_answer() {
    let stack = stored(3100).await;
    let expected = answers(&stack).await;
    stack.invoke("vacuum", json!({})).await.unwrap();
    let segments = derived(&stack, SEGMENT).await;
    assert_eq!(segments.len(), 3);

    let mut torn = stack.rows().await[&segments[0]].clone();
    let codes = torn["codes"].as_b().unwrap().as_ref().to_vec();
    torn.insert("codes".to_owned(), AttributeValue::B(Blob::new(&codes[..codes.len() - 9])));
    stack.put_item(torn).await;
    stack.delete_item(segments[1]).await;
    let new = Stack::builder().over_table_of(&stack).start().await;
    assert_eq!(answers(&new).await, expected);
    assert!(!has_read_rows(&new));

    for kind in [BASIS, CATALOG] {
        for key in derived(&stack, kind).await {
            stack.delete_item(key).await;
        }
        let new = Stack::builder().over_table_of(&stack).start().await;
        assert_eq!(answers(&new).await, expected);
        assert!(has_read_rows(&new));
    }
    // A vacuum writes new segments, and the next one removes the old ones.
    assert_eq!(stack.invoke("vacuum", json!({})).await.unwrap()["ranges_packed"], 3);
    assert_eq!(stack.invoke("vacuum", json!({})).await.unwrap()["derived_removed"], 2);
    assert_eq!(derived(&stack, SEGMENT).await.len(), 3);
}

#[tokio::test]
async fn put_that_completes_a_range_writes_its_segment() {
    let stack = stored(2100).await;
    stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(derived(&stack, SEGMENT).await.len(), 2);
    store(&stack, 2101..3072).await;
    assert_eq!(derived(&stack, SEGMENT).await.len(), 2);
    store(&stack, 3072..3073).await;
    assert_eq!(derived(&stack, SEGMENT).await.len(), 3);
    // The first lookup of a new instance reads the segment that the put wrote.
    let new = Stack::builder().over_table_of(&stack).start().await;
    assert_eq!(answers(&new).await[3]["id"], 3000);
    assert!(!has_read_rows(&new));
}

#[tokio::test]
async fn stale_instance_catches_up_from_segments() {
    let stack = stored(2100).await;
    stack.invoke("vacuum", json!({})).await.unwrap();
    let new = Stack::builder().over_table_of(&stack).start().await;
    answers(&new).await;
    store(&stack, 2101..4101).await;
    new.proxy.take_calls();
    let expected = answers(&stack).await;
    assert_eq!(answers(&new).await, expected);
    let read = keys_read(&new);
    assert!(read < 1200, "{read} keys, of 2000 entries");
}

/// The response to a question near the entry of `number`.
async fn answer(stack: &Stack, number: u64) -> Value {
    let mut near = vector(number);
    near[0] += 0.01;
    let namespace = if number.is_multiple_of(3) { "other" } else { "default" };
    let question = json!({
        "query": order_reworded(number), "namespace": namespace, "context": context(number), "embedding": near,
        "threshold": 0.99,
    });
    stack.lookup(question).await["response"].take()
}

/// The number of keys that the stack's instances have read.
fn keys_read(stack: &Stack) -> usize {
    let keys = |call: &Call| call.request["RequestItems"]["mneme"]["Keys"].as_array().map_or(0, Vec::len);
    stack.proxy.take_calls().iter().map(keys).sum()
}

#[tokio::test]
async fn vacuum_after_deletions_rewrites_and_removes_segments() {
    let stack = patient().start().await;
    store(&stack, 1..4101).await;
    stack.delete_segments().await;
    assert_eq!(stack.invoke("vacuum", json!({})).await.unwrap()["ranges_packed"], 4);
    let segments = derived(&stack, SEGMENT).await;
    // The first range loses all entries, the second nearly all, the third a few; the fourth loses its segment.
    let is_deleted = |id: u64| id <= 1024 || (id <= 2048 && id % 10 != 1) || (id <= 3072 && id % 10 == 2);
    stack.delete_items((1..=3072).filter(|id| is_deleted(*id)).map(i128::from)).await;
    // The segment with the highest generation and number has the lowest id.
    stack.delete_item(*segments.first().unwrap()).await;
    let vacuum = async || stack.invoke("vacuum", json!({})).await.unwrap();
    // The first segment is removed, the second one rewritten, and the fourth one written again.
    assert_eq!(vacuum().await["ranges_thinned"], 3);
    assert_eq!(vacuum().await["ranges_thinned"], 0);
    assert_eq!(derived(&stack, SEGMENT).await, segments[..3]);
    let entries =
        |rows: &BTreeMap<i128, Item>, key: i128| rows[&key]["entries"].as_n().unwrap().parse::<usize>().unwrap();
    let rows = stack.rows().await;
    assert_eq!([0, 1, 2].map(|at| entries(&rows, segments[at])), [1024, 1024, 102]);

    let new = Stack::builder().over_table_of(&stack).start().await;
    for number in [10, 1101, 1102, 2051, 2052, 3100, 4000] {
        let expected = if is_deleted(number) { Value::Null } else { json!(number.to_string()) };
        assert_eq!(answer(&new, number).await, expected, "{number}");
    }
    let operations = new.proxy.take_calls();
    let asked: Vec<_> =
        operations.iter().map(|call| call.request["RequestItems"]["mneme"]["Keys"].to_string()).collect();
    assert!(!asked.iter().any(|keys| keys.contains(&format!("\"{}\"", segments[3]))), "the first segment was read");

    // After a new basis is trained, ranges with entries get segments, and empty ranges get none.
    for key in derived(&stack, BASIS).await {
        stack.delete_item(key).await;
    }
    let reply = vacuum().await;
    assert_eq!((&reply["ranges_packed"], &reply["basis_learned"]), (&json!(3), &json!(true)), "{reply}");
    vacuum().await;
    assert_eq!(derived(&stack, SEGMENT).await.len(), 3);
    let new = Stack::builder().over_table_of(&stack).start().await;
    for number in [1101, 2051, 3100, 4000] {
        assert_eq!(answer(&new, number).await, number.to_string());
    }
    // An entry that returns under an old id, as from a backup, is packed again.
    let mut back = rows[&3100].clone();
    back.insert("id".to_owned(), AttributeValue::N("10".to_owned()));
    stack.delete_item(3100).await;
    stack.put_item(back).await;
    assert_eq!(vacuum().await["ranges_thinned"], 1);
    let new = Stack::builder().over_table_of(&stack).start().await;
    assert_eq!(answer(&new, 3100).await, "3100");
}

#[tokio::test]
async fn put_after_failed_packing_writes_both_segments() {
    let stack = stored(2100).await;
    stack.invoke("vacuum", json!({})).await.unwrap();
    // The put that completes the third range fails to pack it.
    store(&stack, 2101..3072).await;
    stack.proxy.inject_nth("GetItem", 1, Fault::Refused("AccessDeniedException"));
    store(&stack, 3072..3073).await;
    assert_eq!(derived(&stack, SEGMENT).await.len(), 2);
    store(&stack, 3073..4097).await;
    assert_eq!(derived(&stack, SEGMENT).await.len(), 4);
}

#[tokio::test]
async fn deleted_candidates_do_not_hide_a_live_one() {
    let reason = "the guard would skip the deleted candidates without reading them";
    let stack = patient().without_guard(reason).start().await;
    let alike: Vec<f32> = (0..DIM).map(|at| (at % 5) as f32 - 2.0).collect();
    let mut less = alike.clone();
    less[0] += 0.5;
    let entry = |number: u64| {
        let embedding = match number {
            1..=900 => alike.clone(),
            901 => less.clone(),
            _ => vector(number),
        };
        json!({"query": number.to_string(), "response": number.to_string(), "embedding": embedding})
    };
    put_all(&stack, 1..2101, entry).await;
    stack.invoke("vacuum", json!({})).await.unwrap();
    stack.delete_items(1..=900).await;
    let new = Stack::builder().over_table_of(&stack).without_guard(reason).start().await;
    let question = json!({"query": "another", "embedding": alike});
    assert_eq!(new.lookup(question.clone()).await["response"], "901");
    new.proxy.take_calls();
    assert_eq!(new.lookup(question).await["response"], "901");
    assert!(keys_read(&new) < 10, "deleted entries are read once");
}

#[tokio::test]
async fn first_load_that_times_out_is_a_miss_and_leaves_no_partial_index() {
    let stack = stored(2100).await;
    stack.invoke("vacuum", json!({})).await.unwrap();
    let budget = [("MNEME_LOOKUP_BUDGET_MS", "2000")];
    let hasty = Stack::builder().over_table_of(&stack).variables(&budget).start().await;
    // The counter arrives in time; the segments do not.
    hasty.proxy.inject_nth("BatchGetItem", 1, Fault::Late(Duration::from_secs(9)));
    let question =
        json!({"query": order_reworded(10), "embedding": vector(10), "context": context(10), "threshold": 0.99});
    let cut = hasty.lookup(question).await;
    assert_eq!(cut["reason"], "not_loaded", "{cut}");
    let exact = json!({"query": order(10), "embedding": vector(10), "context": context(10)});
    assert_eq!(hasty.lookup(exact).await["layer"], "exact", "the exact layer answers meanwhile");
    hasty.proxy.clear_faults();
    loop {
        match answer(&hasty, 10).await {
            Value::Null => {}
            found => break assert_eq!(found, "10"),
        }
    }
}

#[tokio::test]
async fn import_packs_itself_without_vacuum() {
    let stack = patient().start().await;
    store(&stack, 1..2050).await;
    assert_eq!(derived(&stack, SEGMENT).await.len(), 2);
    store(&stack, 2050..3073).await;
    assert_eq!(derived(&stack, SEGMENT).await.len(), 3);
    let new = Stack::builder().over_table_of(&stack).start().await;
    assert_eq!(answer(&new, 3000).await, "3000");
    assert!(keys_read(&new) < 100, "the segments are read in place of the rows");
}

#[tokio::test]
async fn segments_from_after_a_restored_state_are_not_used() {
    let stack = stored(2100).await;
    let mut counter = stack.rows().await[&0].clone();
    // The table is restored to a state with fewer entries, and its derived items are those of the later state.
    counter.insert("next_id".to_owned(), AttributeValue::N("2001".to_owned()));
    stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(derived(&stack, SEGMENT).await.len(), 2);
    stack.delete_items(2001..=2100).await;
    stack.put_item(counter).await;
    put_all(
        &stack,
        2001..2040,
        |number| json!({"query": format!("later {number}"), "response": "later", "embedding": vector(number + 5000)}),
    )
    .await;
    let ask = async |stack: &Stack| {
        let question = json!({"query": "later words", "embedding": vector(7010), "threshold": 0.99});
        stack.lookup(question).await["response"].take()
    };
    let reason = "the questions differ in their numbers";
    let new = Stack::builder().over_table_of(&stack).without_guard(reason).start().await;
    assert_eq!(ask(&new).await, "later");
    stack.invoke("vacuum", json!({})).await.unwrap();
    let new = Stack::builder().over_table_of(&stack).without_guard(reason).start().await;
    assert_eq!(ask(&new).await, "later");
}
