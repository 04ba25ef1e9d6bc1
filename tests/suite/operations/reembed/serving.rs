//! Lookups and writes during a move.

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::embedding::Embedding;
use mneme_tests::Stack;
use mneme_tests::models::{ALPHA, BETA, Model};
use serde_json::{Value, json};

use super::world::{End, World, is_repeated, with_vector};

/// The variables of an instance that serves only `model`.
fn only(model: Model) -> [(&'static str, String); 2] {
    [("MNEME_EMBEDDER_FINGERPRINT", model.fingerprint()), ("MNEME_EMBEDDER_DIM", model.dim.to_string())]
}

async fn instances_of(world: &World, model: Model) -> Stack {
    let variables = only(model);
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world.instances(&variables).await
}

/// Adds entries, replaces entries with the same and with another vector, and removes some.
async fn change(world: &World, model: Model, round: usize) {
    world.put(model, json!({"query": format!("When is round {round} over"), "response": "Soon."})).await;
    let again = "Where do I find my last invoice";
    world.put(model, json!({"query": again, "response": format!("In folder {round}.")})).await;
    // The exact layer ignores case. A model that reads case would return another vector.
    world.put(model, json!({"query": again.to_uppercase(), "response": format!("In FOLDER {round}.")})).await;
    world
        .put(model, json!({"query": format!("Who is number {round}"), "response": "Nobody.", "namespace": "temporary"}))
        .await;
    if round >= 2 {
        world.invoke("delete", json!({"query": format!("When is round {} over", round - 2)})).await;
    }
    if round % 2 == 1 {
        world.invoke("clear", json!({"namespace": "temporary"})).await;
    }
}

#[tokio::test]
async fn entries_changed_during_a_move_are_served() {
    let world = World::start().await;
    world.fill().await;
    let mut round = 0;
    let mut changed = async |model| {
        change(&world, model, round).await;
        world.check(model).await;
        round += 1;
    };
    world.act("start").await;
    changed(ALPHA).await;
    for _ in 0..4 {
        world.moving.invoke("reembed", json!({"action": "step", "ids": 8})).await.unwrap();
        changed(ALPHA).await;
    }
    world.act("step").await;
    changed(ALPHA).await;
    // The switch handles the entries that were added since the last step.
    world.act("switch").await;
    changed(BETA).await;
    world.act("switch_back").await;
    changed(ALPHA).await;
    world.act("switch").await;
    changed(BETA).await;
    loop {
        let reply = world.moving.invoke("reembed", json!({"action": "finish", "ids": 8})).await.unwrap();
        changed(BETA).await;
        if reply["complete"] == true {
            break;
        }
        assert_eq!(reply["phase"], "removing");
    }
    world.assert_ended(End::Finished).await;
    changed(BETA).await;
}

#[tokio::test]
async fn put_in_place_during_a_move_keeps_both_vectors() {
    let world = World::start().await;
    let entry = |response: &str| json!({"query": "Where is it", "response": response});
    let id = world.put(ALPHA, entry("Here.")).await;
    world.act("start").await;
    world.act("step").await;
    assert_eq!(world.put(ALPHA, entry("There.")).await, id);
    let vector = |model: Model| Embedding::normalized(model.vector("Where is it")).unwrap().to_bytes();
    let row = &world.entries().await[&i128::from(id)];
    assert_eq!(row["embedding"].as_b().unwrap().as_ref(), vector(ALPHA));
    assert_eq!(row["embedding_next"].as_b().unwrap().as_ref(), vector(BETA));
    assert_eq!(row["response"].as_s().unwrap(), "There.");
    world.act("switch").await;
    assert_eq!(world.put(BETA, entry("Nowhere.")).await, id);
    world.check(BETA).await;
    world.act("switch_back").await;
    world.check(ALPHA).await;
}

#[tokio::test]
async fn instance_with_one_embedder_serves_throughout_a_move() {
    let world = World::start().await;
    world.fill().await;
    let early = instances_of(&world, BETA).await;
    let question = with_vector(BETA, &json!({"query": "please Where do I find my last parcel now"}));
    let error = early.invoke("lookup", question.clone()).await.unwrap_err();
    assert_eq!(error.name, "EmbedderMismatchError");

    world.act("start").await;
    let source = instances_of(&world, ALPHA).await;
    world.check_of(&source, ALPHA).await;
    // Nothing has been moved, so only exact matches are found.
    assert_eq!(early.lookup(question.clone()).await["reason"], "no_entry");
    let same = json!({"query": "Where do I find my last parcel"});
    assert_eq!(early.lookup(with_vector(BETA, &same)).await["layer"], "exact");

    world.moving.invoke("reembed", json!({"action": "step", "ids": 12})).await.unwrap();
    let answer = early.lookup(question.clone()).await;
    assert!(answer["outcome"] == "hit" || answer["similarity"].is_null(), "{answer}");
    world.check_of(&source, ALPHA).await;
    world.act("step").await;
    // A new instance sees all vectors.
    world.check_of(&instances_of(&world, BETA).await, BETA).await;

    // After the switch, instances that loaded earlier see all vectors, too.
    world.act("switch").await;
    world.check_of(&early, BETA).await;
    world.check_of(&source, ALPHA).await;

    // An entry has only its writer's vector until a step adds the other one.
    let stored = json!({"query": "Which bird sings at night", "response": "The nightingale."});
    source.put(with_vector(ALPHA, &stored)).await;
    let alike = json!({"query": "please Which bird sings at night"});
    assert_eq!(source.lookup(with_vector(ALPHA, &alike)).await["layer"], "semantic");
    assert_eq!(early.lookup(with_vector(BETA, &alike)).await["outcome"], "miss");
    assert_eq!(early.lookup(with_vector(BETA, &json!({"query": "which bird SINGS at night"}))).await["layer"], "exact");
    world.act("step").await;
    for (stack, model) in [(&source, ALPHA), (&early, BETA), (&world.moving, BETA)] {
        assert_eq!(stack.lookup(with_vector(model, &alike)).await["layer"], "semantic", "{}", model.name);
    }

    world.act("finish").await;
    let error = source.invoke("lookup", with_vector(ALPHA, &alike)).await.unwrap_err();
    assert_eq!(error.name, "EmbedderMismatchError");
    let error = source.invoke("put", with_vector(ALPHA, &stored)).await.unwrap_err();
    assert_eq!(error.name, "EmbedderMismatchError");
    assert_eq!(early.lookup(with_vector(BETA, &alike)).await["layer"], "semantic");
}

#[tokio::test]
async fn entries_with_only_the_retired_vector_get_the_other_one_at_the_end() {
    let world = World::start().await;
    world.fill().await;
    world.act("start").await;
    let stored = json!({"query": "Which bird sings at night", "response": "The nightingale."});
    let alike = json!({"query": "please Which bird sings at night"});
    let target = instances_of(&world, BETA).await;
    target.put(with_vector(BETA, &stored)).await;
    assert_eq!(world.moving.lookup(with_vector(ALPHA, &alike)).await["outcome"], "miss");
    world.act("abort").await;
    assert_eq!(world.moving.lookup(with_vector(ALPHA, &alike)).await["layer"], "semantic");
    world.assert_ended(End::Aborted).await;

    world.act("start").await;
    world.act("step").await;
    world.act("switch").await;
    let source = instances_of(&world, ALPHA).await;
    let late = json!({"query": "Which bird sings in the morning", "response": "The lark."});
    source.put(with_vector(ALPHA, &late)).await;
    world.act("finish").await;
    let alike = json!({"query": "please Which bird sings in the morning"});
    assert_eq!(world.moving.lookup(with_vector(BETA, &alike)).await["response"], "The lark.");
    world.assert_ended(End::Finished).await;
}

#[tokio::test]
async fn put_interleaved_with_a_step_keeps_the_added_vector() {
    let world = World::start().await;
    let entry = |response: &str| json!({"query": "Where is it", "response": response});
    let id = world.put(ALPHA, entry("Here.")).await;
    // The put is held before `start`, then between `start` and `step`.
    for started in [false, true] {
        if started {
            world.act("abort").await;
            world.act("start").await;
        }
        let held = world.moving.proxy.hold_nth("TransactWriteItems", 0);
        let response = format!("There, {started}.");
        let put = world.moving.invoke("put", with_vector(ALPHA, &entry(&response)));
        let moved = async {
            let release = held.arrived().await;
            let reembed = world.instances(&[("MNEME_EMBEDDER_NEXT", &world.models.spec(BETA))]).await;
            for action in ["start", "step"] {
                reembed.invoke("reembed", json!({ "action": action })).await.unwrap();
            }
            release();
        };
        let (reply, ()) = tokio::join!(put, moved);
        assert_eq!(reply.unwrap(), json!({"id": id, "created": false}));
        let row = &world.entries().await[&i128::from(id)];
        assert_eq!(row["response"].as_s().unwrap(), &response);
        assert!(row.contains_key("embedding_next"), "{row:?}");
    }
}

#[tokio::test]
async fn switch_interleaved_with_put_includes_the_entry_or_is_refused() {
    for retries in ["5", "0"] {
        let world = World::with(&[("MNEME_TXN_RETRIES", retries)]).await;
        world.fill().await;
        world.act("start").await;
        world.act("step").await;
        let writer = instances_of(&world, ALPHA).await;
        let held = world.moving.proxy.hold_nth("TransactWriteItems", 0);
        let meanwhile = async {
            let release = held.arrived().await;
            writer
                .put(with_vector(ALPHA, &json!({"query": "Which bird sings at night", "response": "The owl."})))
                .await;
            // A mutation that takes no id does not disturb the switch.
            writer.invoke("touch", json!({"id": 1})).await.unwrap();
            release();
        };
        let (reply, ()) = tokio::join!(world.moving.invoke("reembed", json!({"action": "switch"})), meanwhile);
        if retries == "0" {
            let error = reply.unwrap_err();
            assert_eq!(error.name, "StoreBackendError");
            assert!(error.message.contains("entries came in each time"), "{}", error.message);
            assert_eq!(world.act("status").await["side"], "source");
            world.check(ALPHA).await;
            world.act("switch").await;
        } else {
            assert_eq!(reply.unwrap()["side"], "target");
        }
        let alike = json!({"query": "please Which bird sings at night"});
        assert_eq!(world.moving.lookup(with_vector(BETA, &alike)).await["response"], "The owl.");
    }
}

#[tokio::test]
async fn finish_interleaved_with_put_includes_the_entry() {
    let world = World::start().await;
    world.fill().await;
    world.act("start").await;
    world.act("step").await;
    world.act("switch").await;
    // The first transaction of `finish` marks its beginning, the second one its end.
    let held = world.moving.proxy.hold_nth("TransactWriteItems", 1);
    let writer = instances_of(&world, BETA).await;
    let meanwhile = async {
        let release = held.arrived().await;
        writer.put(with_vector(BETA, &json!({"query": "Which bird sings at night", "response": "The owl."}))).await;
        release();
    };
    let (reply, ()) = tokio::join!(world.moving.invoke("reembed", json!({"action": "finish"})), meanwhile);
    assert_eq!(reply.unwrap()["phase"], "none");
    world.assert_ended(End::Finished).await;
    let alike = json!({"query": "please Which bird sings at night"});
    assert_eq!(world.moving.lookup(with_vector(BETA, &alike)).await["response"], "The owl.");
}

#[tokio::test]
async fn concurrent_writers_during_a_move_lose_no_entry() {
    let world = World::start().await;
    world.fill().await;
    let done = std::cell::Cell::new(false);
    let writer = |name: &'static str| {
        let (world, done) = (&world, &done);
        async move {
            let mut stored = Vec::new();
            for round in 0.. {
                if done.get() {
                    break;
                }
                let query = format!("Question {} by {name}", round % 7);
                let entry = json!({"query": query, "response": format!("{name} {round}")});
                // A concurrent switch changes the dimension of the vectors.
                for model in [ALPHA, BETA, ALPHA, BETA] {
                    match world.moving.invoke("put", with_vector(model, &entry)).await {
                        Ok(_) => {
                            stored.push(entry);
                            break;
                        }
                        Err(error) => assert_eq!(error.name, "EmbedderDimensionError", "{error:?}"),
                    }
                }
            }
            stored
        }
    };
    let mover = async {
        for action in ["start", "step", "switch", "step", "switch_back", "step", "switch", "step", "finish"] {
            let reply = world.act(action).await;
            assert_ne!(reply["phase"], json!(null));
        }
        done.set(true);
    };
    let ((), one, other) = tokio::join!(mover, writer("Ann"), writer("Bob"));
    let last = |stored: Vec<Value>| stored.into_iter().map(|entry| (entry["query"].to_string(), entry));
    for entry in last(one).chain(last(other)).collect::<std::collections::BTreeMap<_, _>>().into_values() {
        let alike = json!({"query": format!("so {}", entry["query"].as_str().unwrap()), "threshold": 0.5});
        let answer = world.moving.lookup(with_vector(BETA, &alike)).await;
        assert_eq!(
            (&answer["layer"], &answer["response"]),
            (&json!("semantic"), &entry["response"]),
            "{alike} {answer}"
        );
        world.put_still(entry).await;
    }
    world.check(BETA).await;
    world.assert_ended(End::Finished).await;
}

#[tokio::test]
async fn clear_interleaved_with_a_step_removes_the_moved_entry() {
    let world = World::start().await;
    world.fill().await;
    world.act("start").await;
    // The entry lacks the active embedder's vector, and gets a new id with it.
    let target = instances_of(&world, BETA).await;
    let secret = json!({"query": "Which bird sings at night", "response": "The owl.", "namespace": "temporary"});
    let old = target.put(with_vector(BETA, &secret)).await;
    let held = world.moving.proxy.hold_nth("TransactWriteItems", 0);
    let clear = world.moving.invoke("clear", json!({"namespace": "temporary"}));
    let others = world.moving_instances(&[]).await;
    let meanwhile = async {
        let release = held.arrived().await;
        others.invoke("reembed", json!({"action": "step"})).await.unwrap();
        assert!(!world.entries().await.contains_key(&i128::from(old)));
        release();
    };
    let (reply, ()) = tokio::join!(clear, meanwhile);
    assert_eq!(reply.unwrap()["deleted"], 1);
    let left =
        world.entries().await.into_values().filter(|row| row["namespace"].as_s().is_ok_and(|name| name == "temporary"));
    assert_eq!(left.count(), 0);
    world.check(ALPHA).await;
}

#[tokio::test]
async fn instance_with_stale_check_interval_serves_after_finish() {
    let world = World::start().await;
    world.fill().await;
    let trusting = world.moving_instances(&[("MNEME_STALE_CHECK_INTERVAL_MS", "600000")]).await;
    world.act("start").await;
    world.act("step").await;
    let question = json!({"query": "please Where do I find my last parcel now"});
    let before = trusting.lookup(question.clone()).await;
    assert_eq!(before["layer"], "semantic");
    world.act("switch").await;
    world.act("finish").await;
    let after = trusting.lookup(question).await;
    assert_eq!((&after["layer"], &after["response"]), (&before["layer"], &before["response"]));
}

/// Invokes `reembed` with `action` until it is complete. Repeats it if another mover has interfered.
async fn act_among_movers(stack: &Stack, action: &str) {
    for _ in 0..20 {
        match stack.invoke("reembed", json!({ "action": action })).await {
            Ok(reply) if reply["complete"] == true || !is_repeated(action) => return,
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.name, "EmbedderMismatchError", "{error:?}");
                assert!(error.message.contains("during this call"), "{error:?}");
            }
        }
    }
    panic!("`{action}` is not complete after 20 invocations");
}

#[tokio::test]
async fn two_concurrent_movers_complete_one_move() {
    let world = World::start().await;
    world.fill().await;
    let other = world.moving_instances(&[]).await;
    for (action, active) in [
        ("start", ALPHA),
        ("step", ALPHA),
        ("switch", BETA),
        ("switch_back", ALPHA),
        ("abort", ALPHA),
        ("start", ALPHA),
        ("step", ALPHA),
        ("switch", BETA),
        ("step", BETA),
        ("finish", BETA),
    ] {
        tokio::join!(act_among_movers(&world.moving, action), act_among_movers(&other, action));
        world.check(active).await;
    }
    world.assert_ended(End::Finished).await;
}

#[tokio::test]
async fn entry_evicted_during_a_step_stays_deleted() {
    let world = World::start().await;
    world.put(ALPHA, json!({"query": "Where is it", "response": "Here."})).await;
    world.act("start").await;
    // The entry lacks the active embedder's vector, and would get a new id with it.
    let target = instances_of(&world, BETA).await;
    let old = json!({"query": "Which bird sings at night", "response": "The owl."});
    target.put(with_vector(BETA, &old)).await;
    let held = world.moving.proxy.hold_nth("TransactWriteItems", 0);
    let meanwhile = async {
        let release = held.arrived().await;
        let capped = world.moving_instances(&[("MNEME_MAX_ENTRIES", "1")]).await;
        capped.put(json!({"query": "Who is there", "response": "Nobody."})).await;
        assert_eq!(capped.invoke("vacuum", json!({})).await.unwrap()["evicted"], 2);
        release();
    };
    tokio::join!(world.act("step"), meanwhile);
    let queries: Vec<_> = world.entries().await.into_values().map(|row| row["query"].clone()).collect();
    assert_eq!(queries, [AttributeValue::S("Who is there".into())]);
}

#[tokio::test]
async fn idempotency_record_outlives_the_id_it_names() {
    let world = World::start().await;
    world.put(ALPHA, json!({"query": "Where is it", "response": "Here."})).await;
    world.act("start").await;
    let target = instances_of(&world, BETA).await;
    let entry = json!({"query": "Which bird sings at night", "response": "The owl.", "idempotency_key": "k"});
    let first = target.invoke("put", with_vector(BETA, &entry)).await.unwrap();
    world.act("step").await;
    let rows = world.entries().await;
    assert!(!rows.contains_key(&i128::from(first["id"].as_u64().unwrap())), "the step gave it no new id: {rows:?}");
    // The repeated request gets the first reply and stores nothing.
    assert_eq!(target.invoke("put", with_vector(BETA, &entry)).await.unwrap(), first);
    assert_eq!(world.entries().await, rows);
}
