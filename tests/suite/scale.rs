//! The scale of an embedder: learned at the first put, used by every lookup, kept for both embedders of a move.

use mneme_tests::Stack;
use mneme_tests::embedder::{Behavior, EmbeddingService, RELATED, UNRELATED};
use serde_json::{Value, json};

const QUESTION: &str = "How do I rename a shared folder?";
const UNRELATED_QUESTION: &str = "Which museums open on Mondays?";

/// A stack whose embedder has only high similarities.
async fn over_narrow_embedder() -> (EmbeddingService, Stack) {
    let service = EmbeddingService::start().await;
    service.set(Behavior::EmbedNarrowly);
    let stack = Stack::builder().variables(&[("MNEME_EMBEDDER", service.embedder().as_str())]).start().await;
    (service, stack)
}

/// The stored scale of the active embedder.
async fn scale(stack: &Stack) -> Option<Vec<u8>> {
    Some(stack.rows().await[&0].get("embedder_scale")?.as_b().unwrap().as_ref().to_vec())
}

fn close(value: &Value, expected: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - expected).abs() < 1e-4)
}

#[tokio::test]
async fn lookup_with_an_embedder_of_high_similarities_compares_them_on_the_learned_scale() {
    let (service, stack) = over_narrow_embedder().await;
    let id = stack.put(json!({"query": QUESTION, "response": "R"})).await;
    assert_eq!(scale(&stack).await.unwrap().len(), 27);
    let miss = stack.lookup(json!({"query": UNRELATED_QUESTION})).await;
    assert_eq!(miss["reason"], "below_threshold", "{miss}");
    assert!(close(&miss["best_similarity"], UNRELATED), "{miss}");
    let hit = stack.lookup(json!({"query": format!("{QUESTION}.")})).await;
    assert_eq!((&hit["layer"], &hit["id"]), (&json!("semantic"), &json!(id)), "{hit}");
    assert!(close(&hit["similarity"], RELATED), "{hit}");
    let scaled = hit["scaled_similarity"].as_f64().unwrap();
    assert!((0.85..RELATED).contains(&scaled), "{hit}");
    let hit = stack.lookup(json!({"query": QUESTION})).await;
    assert_eq!(hit.get("scaled_similarity"), None, "the exact layer compares no similarity: {hit}");

    // The threshold of a request is on the same scale.
    let raised = json!({"query": format!("{QUESTION}."), "threshold": scaled + 0.01});
    assert_eq!(stack.lookup(raised).await["reason"], "below_threshold");

    service.take_received();
    stack.put(json!({"query": "What is a leap year?", "response": "R"})).await;
    assert_eq!(service.take_received().len(), 1, "the scale is learned once");
}

#[tokio::test]
async fn put_with_an_embedder_that_tells_no_topics_apart_stores_a_scale_that_changes_nothing() {
    let service = EmbeddingService::start().await;
    let stack = Stack::builder().variables(&[("MNEME_EMBEDDER", service.embedder().as_str())]).start().await;
    stack.put(json!({"query": QUESTION, "response": "R"})).await;
    assert_eq!(scale(&stack).await.unwrap().len(), 1);
}

#[tokio::test]
async fn put_without_a_text_to_embed_and_put_that_cannot_be_embedded_learn_no_scale() {
    let (service, stack) = over_narrow_embedder().await;
    service.set(Behavior::Reply(500, "{}".to_owned()));
    let (status, _) = stack.post("/v1/entries", json!({"query": QUESTION, "response": "R"})).await;
    assert_eq!(status, 503);
    let plain = Stack::start().await;
    plain.put(json!({"query": QUESTION, "response": "R", "embedding": mneme_tests::vector(8, 0.1)})).await;
    assert_eq!(scale(&plain).await, None);
}

#[tokio::test]
async fn move_learns_the_scale_of_its_second_embedder_and_a_switch_exchanges_the_scales() {
    let service = EmbeddingService::start().await;
    service.set(Behavior::EmbedNarrowly);
    let next = format!("openai:next@{}/v1", service.url);
    let variables = [("MNEME_EMBEDDER", service.embedder()), ("MNEME_EMBEDDER_NEXT", next)];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let stack = Stack::builder().variables(&variables).start().await;
    stack.put(json!({"query": QUESTION, "response": "R"})).await;
    // The second embedder tells no topics apart, so its scale is stored without knots.
    service.set(Behavior::Embed(8));
    let lengths = async || {
        let counter = stack.rows().await.remove(&0).unwrap();
        ["embedder_scale", "reembed_scale"].map(|name| Some(counter.get(name)?.as_b().unwrap().as_ref().len()))
    };
    for (action, expected) in [
        ("start", [Some(27), None]),
        ("step", [Some(27), Some(1)]),
        ("switch", [Some(1), Some(27)]),
        ("switch_back", [Some(27), Some(1)]),
        ("abort", [Some(27), None]),
    ] {
        stack.invoke("reembed", json!({"action": action})).await.unwrap();
        assert_eq!(lengths().await, expected, "{action}");
    }
}
