//! `reembed`: a move to another embedder loses nothing, and lookups answer as those of a cache that does not move.

mod command;
mod refusals;
mod segments;
mod serving;
mod texts;
pub(crate) mod world;

use std::collections::BTreeSet;

use mneme_tests::models::{ALPHA, BETA};
use serde_json::json;

use world::{End, World};

#[tokio::test]
async fn move_with_switch_back_and_forth_answers_as_unmoved_caches() {
    let world = World::start().await;
    world.fill().await;
    world.check(ALPHA).await;

    let reply = world.act("start").await;
    assert_eq!(
        (&reply["phase"], &reply["side"], &reply["complete"]),
        (&json!("adding"), &json!("source"), &json!(false))
    );
    assert_eq!(
        (&reply["active"]["fingerprint"], &reply["other"]["dim"]),
        (&json!(ALPHA.fingerprint()), &json!(BETA.dim))
    );
    assert_eq!((&reply["done"], &reply["cursor"], &reply["seconds_left"]), (&json!(0), &json!(1), &json!(null)));
    world.check(ALPHA).await;

    // Each step handles at most five ids, and its reply shows the rest.
    let mut last = 0;
    loop {
        let reply = world.moving.invoke("reembed", json!({"action": "step", "ids": 5})).await.unwrap();
        let done = reply["done"].as_u64().unwrap();
        assert!(done <= last + 5);
        last = done;
        assert!(reply["ids_per_second"].as_f64().unwrap() > 0.0);
        assert_eq!(reply["cursor"].is_null(), reply["complete"] == true);
        world.check(ALPHA).await;
        if reply["complete"] == true {
            assert_eq!((&reply["seconds_left"], &reply["done"]), (&json!(0.0), &reply["total"]));
            assert_eq!(reply["entries"]["ready"], world.entries().await.len());
            break;
        }
    }
    assert_eq!(world.act("status").await["entries"]["ready"], world.entries().await.len());

    for (action, model) in [("switch", BETA), ("switch_back", ALPHA), ("switch", BETA)] {
        let (_, version) = world.moving.counter().await;
        let reply = world.act(action).await;
        assert_eq!(reply["active"]["fingerprint"], model.fingerprint(), "{reply}");
        world.check(model).await;
        // Repeating the action changes nothing.
        assert_eq!(world.act(action).await["active"]["fingerprint"], model.fingerprint());
        assert_eq!(world.moving.counter().await.1, version + 1);
    }

    let reply = world.act("finish").await;
    assert_eq!((&reply["phase"], &reply["complete"], &reply["other"]), (&json!("none"), &json!(true), &json!(null)));
    world.check(BETA).await;
    world.assert_ended(End::Finished).await;
    // Repeating `finish` changes nothing.
    let before = world.rows_without_counts().await;
    assert_eq!(world.act("finish").await["phase"], "none");
    assert_eq!(world.rows_without_counts().await, before);
}

#[tokio::test]
async fn aborted_move_restores_every_entry() {
    let world = World::start().await;
    world.fill().await;
    let before = world.entries().await;
    world.act("start").await;
    world.moving.invoke("reembed", json!({"action": "step", "ids": 7})).await.unwrap();
    assert_ne!(world.entries().await, before);
    world.act("abort").await;
    assert_eq!(world.entries().await, before);
    world.check(ALPHA).await;
    world.assert_ended(End::Aborted).await;

    // After the switch, `abort` requires `switch_back` first.
    world.act("start").await;
    world.act("step").await;
    world.act("switch").await;
    let error = world.moving.invoke("reembed", json!({"action": "abort"})).await.unwrap_err();
    assert_eq!(error.name, "EmbedderMismatchError");
    assert!(error.message.contains("`switch_back`"), "{}", error.message);
    world.act("switch_back").await;
    world.act("abort").await;
    assert_eq!(world.entries().await, before);
    world.check(ALPHA).await;
}

#[tokio::test]
async fn move_embeds_each_entry_once() {
    let world = World::start().await;
    world.fill().await;
    world.models.take_embedded();
    world.act("start").await;
    for _ in 0..2 {
        world.act("step").await;
    }
    world.act("switch").await;
    world.act("step").await;
    world.act("finish").await;
    let embedded = world.models.take_embedded();
    let texts: BTreeSet<&String> = embedded.iter().map(|(_, text)| text).collect();
    assert_eq!(texts.len(), embedded.len(), "{embedded:?}");
    assert!(embedded.iter().all(|(model, _)| model == BETA.name));
    // One more text tests whether the embedder answers.
    assert_eq!(embedded.len(), world.entries().await.len() + 1);
}
