//! Segments during a move: each contains vectors of one embedder, and those of the target exist before the switch.

use mneme_tests::Stack;
use mneme_tests::models::{ALPHA, BETA, Model};
use mneme_tests::proxy::Call;
use serde_json::{Value, json};

use super::world::{World, act, with_vector};

const SEGMENT: i128 = 9;
const CATALOG: i128 = 7;

async fn derived(stack: &Stack, kind: i128) -> usize {
    stack.rows().await.into_keys().filter(|key| key.checked_neg().is_some_and(|low| low >> 120 == kind)).count()
}

fn query(number: u64) -> String {
    format!("Question {} of {} about {}", number % 13, number % 17, number)
}

async fn store(world: &World, model: Model, numbers: std::ops::Range<u64>) {
    let entry = |number: &u64| with_vector(model, &json!({"query": query(*number), "response": number.to_string()}));
    for some in numbers.collect::<Vec<u64>>().chunks(100) {
        let entries: Vec<Value> = some.iter().map(entry).collect();
        world.moving.invoke("put", json!({"entries": entries})).await.unwrap();
    }
}

/// Checks that `stack` finds each of `numbers` by a rewording, and returns a miss for an unknown question.
async fn assert_found(stack: &Stack, model: Model, numbers: &[u64]) {
    for number in numbers {
        let ask = json!({"query": format!("{} please", query(*number))});
        let answer = stack.lookup(with_vector(model, &ask)).await;
        assert_eq!(
            (&answer["layer"], &answer["response"]),
            (&json!("semantic"), &json!(number.to_string())),
            "{answer}"
        );
    }
    let none = with_vector(model, &json!({"query": "Something else entirely"}));
    assert_eq!(stack.lookup(none).await["reason"], "below_threshold");
}

/// Whether instances have read the rows of the entries, and not only their segments, since the last call.
fn has_read_rows(stack: &Stack) -> bool {
    let keys = |call: &Call| call.request["RequestItems"]["mneme"]["Keys"].as_array().map_or(0, Vec::len);
    stack.proxy.take_calls().iter().map(keys).sum::<usize>() > 2000
}

#[tokio::test]
async fn new_instance_reads_segments_of_the_active_embedder() {
    let world = World::with(&[("MNEME_SIMILARITY_THRESHOLD", "0.85")]).await;
    store(&world, ALPHA, 1..2201).await;
    world.moving.delete_segments().await;
    let vacuum = async || world.moving.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(vacuum().await["ranges_packed"], 2);
    let some = [1, 1024, 1025, 2048, 2049, 2200];

    world.act("start").await;
    world.moving.invoke("reembed", json!({"action": "step", "ids": 1500})).await.unwrap();
    assert_eq!(derived(&world.moving, SEGMENT).await, 2);
    let new = world.instances(&[]).await;
    assert_found(&new, ALPHA, &some).await;
    assert!(!has_read_rows(&new));
    world.act("step").await;
    assert_eq!((derived(&world.moving, SEGMENT).await, derived(&world.moving, CATALOG).await), (4, 2));

    for (action, model, other) in [("switch", BETA, ALPHA), ("switch_back", ALPHA, BETA), ("switch", BETA, ALPHA)] {
        world.act(action).await;
        let next = world.instances(&[]).await;
        assert_found(&next, model, &some).await;
        assert!(!has_read_rows(&next), "{}", model.name);
        assert_found(&new, model, &some).await;
        let foreign = next.invoke("lookup", with_vector(other, &json!({"query": "q"}))).await.unwrap_err();
        assert_eq!(foreign.name, "EmbedderDimensionError");
        // `vacuum` rewrites the segments of neither embedder.
        assert_eq!((&vacuum().await["ranges_packed"], derived(&world.moving, SEGMENT).await), (&json!(0), 4));
    }
    // The put that completes a range writes its segment for the active embedder.
    store(&world, BETA, 2201..3073).await;
    assert_eq!(derived(&world.moving, SEGMENT).await, 5);
    let next = world.instances(&[]).await;
    assert_found(&next, BETA, &[1, 2201, 3072]).await;
    assert!(!has_read_rows(&next));

    world.act("finish").await;
    assert_eq!(derived(&world.moving, CATALOG).await, 1);
    assert_eq!(vacuum().await["derived_removed"], 3, "two segments and a basis");
    assert_eq!(derived(&world.moving, SEGMENT).await, 3);
    let next = world.instances(&[]).await;
    assert_found(&next, BETA, &[1, 1024, 1025, 3072]).await;
    assert!(!has_read_rows(&next));
}

#[tokio::test]
async fn vector_added_after_packing_gets_a_new_id() {
    let world = World::with(&[("MNEME_SIMILARITY_THRESHOLD", "0.85")]).await;
    world.put(ALPHA, json!({"query": "first", "response": "r"})).await;
    world.act("start").await;
    // An instance with only the target stores an entry that the source's segments lack.
    let variables = [("MNEME_EMBEDDER_FINGERPRINT", BETA.fingerprint())];
    let target = world.instances(&[(variables[0].0, &variables[0].1)]).await;
    target.put(with_vector(BETA, &json!({"query": query(7), "response": "7"}))).await;
    store(&world, ALPHA, 8..2200).await;
    world.moving.delete_segments().await;
    assert_eq!(world.moving.invoke("vacuum", json!({})).await.unwrap()["ranges_packed"], 2);
    let without = world.instances(&[("MNEME_EMBEDDER", &world.models.spec(BETA))]).await;
    act(&without, "step").await;
    act(&without, "switch").await;
    assert!(world.entries().await.contains_key(&2));
    world.act("step").await;
    assert!(!world.entries().await.contains_key(&2));
    world.act("switch_back").await;
    let new = world.instances(&[]).await;
    assert_found(&new, ALPHA, &[7, 8, 2199]).await;
    assert!(!has_read_rows(&new));
}
