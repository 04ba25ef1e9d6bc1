//! Requests without vectors during a move: the functions embed them.

use std::collections::HashSet;

use mneme_model::embedding::Embedding;
use mneme_tests::models::{ALPHA, BETA, Model};
use mneme_tests::stack::Item;
use serde_json::json;

use super::world::World;

/// The models whose vectors a row contains: that of `embedding`, then that of `embedding_next`.
fn models_of(row: &Item) -> Vec<&'static str> {
    let query = row["query"].as_s().unwrap();
    let made_by = |vector: &[u8]| {
        let is_it = |model: &&Model| Embedding::normalized(model.vector(query)).unwrap().to_bytes() == vector;
        [ALPHA, BETA].iter().find(is_it).map(|model| model.name)
    };
    let vectors = ["embedding", "embedding_next"].into_iter().filter_map(|name| row.get(name));
    vectors.map(|vector| made_by(vector.as_b().unwrap().as_ref()).expect("a vector of the row's query")).collect()
}

/// The models that embedded a text since the last call.
fn embedding_models(world: &World) -> HashSet<String> {
    world.models.take_embedded().into_iter().map(|(model, _)| model).collect()
}

#[tokio::test]
async fn queries_use_the_active_embedder_and_entries_use_both() {
    let world = World::start().await;
    let mut round = 0;
    let mut store = async || {
        round += 1;
        let query = format!("Who opens the {round} gate");
        let id = world.put_text(json!({"query": query, "response": format!("Porter {round}.")})).await;
        models_of(&world.entries().await[&i128::from(id)])
    };
    world.fill().await;
    world.check_texts(ALPHA).await;
    assert_eq!(store().await, ["alpha"]);
    assert_eq!(
        embedding_models(&world),
        HashSet::from(["alpha".to_owned()]),
        "before the move the next embedder is not used"
    );

    world.act("start").await;
    assert_eq!(store().await, ["alpha", "beta"]);
    world.check_texts(ALPHA).await;
    world.moving.invoke("reembed", json!({"action": "step", "ids": 9})).await.unwrap();
    assert_eq!(store().await, ["alpha", "beta"]);
    world.check_texts(ALPHA).await;
    world.act("step").await;
    for (action, model) in [("switch", BETA), ("switch_back", ALPHA), ("switch", BETA)] {
        world.act(action).await;
        embedding_models(&world);
        world.check_texts(model).await;
        let by = embedding_models(&world);
        assert!(!by.contains(if model == ALPHA { "beta" } else { "alpha" }), "{by:?} after {action}");
        assert_eq!(store().await, ["alpha", "beta"], "{action}");
        world.check_texts(model).await;
    }
    world.moving.invoke("reembed", json!({"action": "finish", "ids": 9})).await.unwrap();
    assert_eq!(store().await, ["beta"], "the old embedder is not used any more");
    world.check_texts(BETA).await;
    world.act("finish").await;
    embedding_models(&world);
    assert_eq!(store().await, ["beta"]);
    world.check_texts(BETA).await;
    assert!(!embedding_models(&world).contains("alpha"));
}

#[tokio::test]
async fn switch_between_two_reads_of_a_lookup_embeds_the_query_again() {
    let world = World::start().await;
    world.fill().await;
    let deleted = "Which bird sings at night";
    world.put_text(json!({"query": deleted, "response": "The nightingale."})).await;
    world.act("start").await;
    world.act("step").await;
    let question = json!({"query": format!("please {deleted}"), "threshold": 0.8});
    assert_eq!(world.moving.lookup(question.clone()).await["layer"], "semantic");

    // The candidate was deleted, so the lookup reads again. The cache is switched in between.
    let others = world.instances(&[]).await;
    others.invoke("delete", json!({ "query": deleted })).await.unwrap();
    embedding_models(&world);
    let question = json!({"query": format!("please {deleted} now"), "threshold": 0.7});
    // The reads are the counter, the candidates, and the counter again.
    let held = world.moving.proxy.hold_nth("BatchGetItem", 2);
    let meanwhile = async {
        let release = held.arrived().await;
        let switching = others.invoke("reembed", json!({"action": "switch"}));
        let reply = switching.await.unwrap();
        assert_eq!(reply["side"], "target");
        release();
    };
    let (answer, ()) = tokio::join!(world.moving.lookup(question), meanwhile);
    assert_eq!(answer["reason"], "below_threshold", "{answer}");
    assert_eq!(embedding_models(&world), HashSet::from(["alpha".to_owned(), "beta".to_owned()]));
}

#[tokio::test]
async fn put_with_failing_next_embedder_stores_the_active_vector() {
    let world = World::small().await;
    world.act("start").await;
    world.models.refuse_by(BETA, "Who opens the gate");
    let stored = json!({"query": "Who opens the gate", "response": "The porter."});
    let id = world.put_text(stored).await;
    assert_eq!(models_of(&world.entries().await[&i128::from(id)]), ["alpha"]);
    let reply = world.act("step").await;
    assert_eq!(reply["entries"]["refused"], 1);

    world.models.refuse_by(ALPHA, "Who shuts the gate");
    let entry = json!({"query": "Who shuts the gate", "response": "The porter."});
    let error = world.moving.invoke("put", entry).await.unwrap_err();
    assert_eq!(error.name, "InvalidRequest", "a text that the active embedder refuses is refused");
}
