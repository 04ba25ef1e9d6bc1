//! Requests that `reembed` refuses, and entries that it cannot move.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::normalize::QueryHash;
use mneme_tests::Stack;
use mneme_tests::models::{ALPHA, BETA, GAMMA, Model};
use mneme_tests::stack::Item;
use serde_json::{Value, json};

use super::world::{End, World, with_vector};
use crate::errors::refuses;

async fn refuses_action(stack: &Stack, request: Value, name: &str, status: u16, says: &str) {
    refuses(stack, "reembed", "/v1/reembed", request, name, status, says).await;
}

#[tokio::test]
async fn invalid_requests_are_refused_and_change_nothing() {
    let world = World::start().await;
    let act = |action: &str| json!({ "action": action });
    refuses_action(&world.moving, act("start"), "StoreBackendError", 503, "does not exist").await;
    world.fill().await;
    let counter = world.moving.rows().await[&0].clone();
    world.moving.delete_item(0).await;
    refuses_action(&world.moving, act("status"), "NotFound", 404, "nothing to move").await;
    world.moving.put_item(counter).await;
    let before = world.moving.rows().await;
    for (request, says) in [
        (json!({}), "missing field `action`"),
        (act("swap"), "the text \"swap\" was sent"),
        (json!({"action": "step", "seconds": 0}), "seconds: 0 is not between 1 and 900"),
        (json!({"action": "step", "ids": 0}), "ids: 0 is not a number of ids"),
        (json!({"action": "step", "leave_behind": true}), "leave_behind: only `switch`"),
        (json!({"action": "step", "cursor": 1}), "unknown field `cursor`"),
        (act("step"), "no move to another embedder is under way"),
        (act("switch"), "no move to another embedder is under way"),
        (act("switch_back"), "no move to another embedder is under way"),
    ] {
        refuses_action(&world.moving, request, "InvalidRequest", 400, says).await;
    }
    assert_eq!(world.moving.rows().await, before);
    assert_eq!(world.act("status").await["phase"], "none");

    let none = world.instances(&[]).await;
    refuses_action(&none, act("start"), "InvalidRequest", 400, "there is no embedder to move to").await;
    let same = world.instances(&[("MNEME_EMBEDDER_NEXT", &world.models.spec(ALPHA))]).await;
    refuses_action(&same, act("start"), "InvalidRequest", 400, "there is no embedder to move to").await;
    let unstamped = Stack::builder().variables(&[("MNEME_EMBEDDER_NEXT", &world.models.spec(BETA))]).start().await;
    unstamped.put(json!({"query": "q", "response": "r", "embedding": [1, 0]})).await;
    refuses_action(&unstamped, act("start"), "InvalidRequest", 400, "not stamped").await;
}

#[tokio::test]
async fn invalid_variables_stop_the_function_at_start() {
    let stack = Stack::builder().variables(&[("MNEME_EMBEDDER_NEXT", "openai:alpha")]).start().await;
    let error = stack.invoke("reembed", json!({"action": "status"})).await.unwrap_err();
    assert_eq!(error.name, "Runtime.ExitError", "{error:?}");
    stack.log_until(|line| line.contains("MNEME_EMBEDDER_NEXT: there is no @http://")).await;
}

#[tokio::test]
async fn second_move_during_a_move_is_refused() {
    let world = World::start().await;
    world.fill().await;
    let first = world.act("start").await;
    let counter = world.moving.counter().await;
    assert_eq!(world.act("start").await, first);
    assert_eq!(world.moving.counter().await, counter);
    let third = world.instances(&[("MNEME_EMBEDDER_NEXT", &world.models.spec(GAMMA))]).await;
    let act = |action: &str| json!({ "action": action });
    refuses_action(&third, act("start"), "EmbedderMismatchError", 409, "is under way").await;
    refuses_action(&world.moving, act("finish"), "EmbedderMismatchError", 409, "is active, and the target").await;
    world.act("step").await;
    world.act("switch").await;
    assert_eq!(world.act("start").await["side"], "target");
    world.moving.invoke("reembed", json!({"action": "finish", "ids": 3})).await.unwrap();
    for action in ["start", "switch_back"] {
        refuses_action(&world.moving, act(action), "EmbedderMismatchError", 409, "being ended").await;
    }
    refuses_action(&world.moving, act("step"), "InvalidRequest", 400, "being ended").await;
    refuses_action(&world.moving, act("abort"), "EmbedderMismatchError", 409, "is active, and the source").await;
    world.act("finish").await;
    world.check(BETA).await;
}

#[tokio::test]
async fn switch_with_many_ids_left_is_refused() {
    let world = World::start().await;
    world.fill().await;
    let entries = |from: usize| -> Vec<Value> {
        (from..from + 600).map(|number| json!({"query": number.to_string(), "response": "r"})).collect()
    };
    for from in [0, 600] {
        world.moving.invoke("put", json!({"entries": entries(from)})).await.unwrap();
    }
    world.act("start").await;
    let act = json!({"action": "switch"});
    refuses_action(&world.moving, act.clone(), "InvalidRequest", 400, "1224 ids are left").await;
    world.moving.invoke("reembed", json!({"action": "step", "ids": 300})).await.unwrap();
    let reply = world.moving.invoke("reembed", act).await.unwrap();
    assert_eq!(reply["side"], "target");
    world.check(BETA).await;
}

#[tokio::test]
async fn embedder_failure_during_a_move_loses_nothing() {
    let world = World::start().await;
    world.fill().await;
    world.act("start").await;
    let step = json!({"action": "step", "ids": 9});
    world.moving.invoke("reembed", step.clone()).await.unwrap();
    world.models.fail([401]);
    refuses_once(&world.moving, step.clone(), "EmbedderError", "refused the API key").await;
    world.models.set_longer_vectors(true);
    refuses_once(&world.moving, step.clone(), "EmbedderDimensionError", "").await;
    // A new instance has no vector to compare with.
    let new = world.moving_instances(&[]).await;
    refuses_once(&new, step.clone(), "EmbedderDimensionError", "97 numbers, and 96 are configured").await;
    world.models.set_longer_vectors(false);
    assert_eq!(world.act("status").await["done"], 9);
    world.check(ALPHA).await;
    world.act("step").await;
    world.act("switch").await;
    world.check(BETA).await;

    // A move to an unknown model is refused.
    let world = World::start().await;
    world.fill().await;
    world.models.fail([404]);
    refuses_once(&world.moving, json!({"action": "start"}), "EmbedderError", "").await;
    assert_eq!(world.act("status").await["phase"], "none");
}

async fn refuses_once(stack: &Stack, request: Value, name: &str, says: &str) {
    let error = stack.invoke("reembed", request).await.unwrap_err();
    assert_eq!(error.name, name, "{error:?}");
    assert!(error.message.contains(says) && error.message.contains("Remediation: "), "{}", error.message);
}

#[tokio::test]
async fn embedder_that_refuses_every_text_marks_no_entry_as_refused() {
    let world = World::start().await;
    world.fill().await;
    world.act("start").await;
    let new = world.moving_instances(&[]).await;
    world.models.fail([400; 100]);
    refuses_once(&new, json!({"action": "step"}), "EmbedderError", "refuses every text").await;
    assert_eq!(world.act("status").await["done"], 0);
    // After the failure, no entry is marked.
    world.models.clear_failures();
    assert_eq!(world.act("step").await["entries"]["refused"], 0);
}

/// A row in the form of the Python library.
fn python_row(id: u64, query: &str, model: Model) -> Item {
    let s = |text: &str| AttributeValue::S(text.to_owned());
    let n = |number: u64| AttributeValue::N(number.to_string());
    let vector: Vec<u8> = model.vector(query).iter().flat_map(|value| value.to_le_bytes()).collect();
    Item::from([
        ("id".to_owned(), n(id)),
        ("namespace".to_owned(), s("default")),
        ("query_hash".to_owned(), s(&QueryHash::of(query, true).to_string())),
        ("embedding".to_owned(), AttributeValue::B(Blob::new(vector))),
        ("response".to_owned(), s("python's answer")),
        ("metadata".to_owned(), s("{}")),
        ("confidence_score".to_owned(), n(1)),
        ("created_at".to_owned(), n(1_700_000_000)),
        ("last_accessed_at".to_owned(), n(1_700_000_000)),
        ("access_count".to_owned(), n(0)),
    ])
}

async fn put_as_python(stack: &Stack, query: &str, model: Model) {
    let mut counter = stack.rows().await[&0].clone();
    let number = |name: &str| counter[name].as_n().unwrap().parse::<u64>().unwrap();
    let (id, version) = (number("next_id"), number("version_counter"));
    counter.insert("next_id".to_owned(), AttributeValue::N((id + 1).to_string()));
    counter.insert("version_counter".to_owned(), AttributeValue::N((version + 1).to_string()));
    stack.put_item(python_row(id, query, model)).await;
    stack.put_item(counter).await;
}

#[tokio::test]
async fn entries_that_cannot_be_moved_are_counted_and_found_exactly() {
    for projection in ["KEYS_ONLY", "ALL"] {
        let world = World::with(&[("MNEME_GSI_PROJECTION", projection)]).await;
        world.fill().await;
        put_as_python(&world.moving, "what python asked", ALPHA).await;
        let refused = json!({"query": "What nobody may say", "response": "Psst."});
        world.moving.put(with_vector(ALPHA, &refused)).await;
        world.models.refuse("What nobody may say");
        let large = json!({"query": "What is a long story", "response": "x".repeat(408_900)});
        world.moving.put(with_vector(ALPHA, &large)).await;
        // Only a shared table keeps long answers in their rows, which then lack room.
        let is_shared = projection == "ALL";
        let longest = if is_shared { put_longest(&world.moving, "What is the longest story").await } else { 409_000 };
        if !is_shared {
            let longest = json!({"query": "What is the longest story", "response": "x".repeat(longest)});
            world.moving.put(with_vector(ALPHA, &longest)).await;
        }
        assert!(longest > 408_900, "{longest}");
        let without_embedder = world.instances(&[("MNEME_GSI_PROJECTION", projection)]).await;
        without_embedder.put(json!({"query": "What has no vector", "response": "This."})).await;
        world.act("start").await;
        put_as_python(&world.moving, "what python asked since", ALPHA).await;
        let reply = world.act("step").await;
        let (ready, too_large) = if is_shared { (24, 2) } else { (26, 0) };
        let entries = json!({"ready": ready, "without_query": 2, "refused": 1, "too_large": too_large, "without_vector": 1, "not_embeddable": 0});
        assert_eq!(reply["entries"], entries);
        let near = async |model: Model, query: &str| {
            let ask = json!({"query": format!("oh {query}"), "threshold": 0.7});
            world.moving.lookup(with_vector(model, &ask)).await["outcome"].clone()
        };
        let exact = async |model: Model, query: &str| {
            let answer = world.moving.lookup(with_vector(model, &json!({ "query": query }))).await;
            assert_eq!(answer["layer"], "exact", "{query}");
        };
        let mut moved = vec!["what python asked", "what python asked since", "What nobody may say"];
        moved.extend(is_shared.then_some("What is a long story"));
        for query in &moved {
            assert_eq!(near(ALPHA, query).await, "hit", "{query}");
        }
        world.act("switch").await;
        for query in &moved {
            exact(BETA, query).await;
            assert_eq!(near(BETA, query).await, "miss", "{query}");
        }
        world.check(BETA).await;
        world.act("switch_back").await;
        for query in &moved {
            assert_eq!(near(ALPHA, query).await, "hit", "{query}");
        }
        world.act("switch").await;
        world.act("finish").await;
        moved.push("What has no vector");
        moved.extend(is_shared.then_some("What is the longest story"));
        for query in moved {
            exact(BETA, query).await;
            // Too large for two vectors, the first story fits with one; the longest one does not.
            let expected = if query == "What is a long story" { "hit" } else { "miss" };
            assert_eq!(near(BETA, query).await, expected, "{query}");
        }
        // The Python library cannot open a table with a row that has no vector of the table's dimension.
        for (id, row) in world.entries().await {
            match row.get("embedding") {
                Some(vector) => assert_eq!(vector.as_b().unwrap().as_ref().len(), BETA.dim * 4, "{id}"),
                // A full item has no room for zeros.
                None if row.get("response").is_some_and(|text| text.as_s().is_ok_and(|text| text.len() == longest)) => {
                }
                None => assert_eq!(projection, "KEYS_ONLY", "{id}"),
            }
        }
        // A put with a query makes a row without one movable.
        world.put(BETA, json!({"query": "what python asked", "response": "our answer"})).await;
        assert_eq!(near(BETA, "what python asked").await, "hit");
    }
}

#[tokio::test]
async fn put_over_a_python_row_during_a_move_is_moved() {
    let world = World::start().await;
    world.fill().await;
    put_as_python(&world.moving, "what python asked", ALPHA).await;
    world.act("start").await;
    assert_eq!(world.act("step").await["entries"]["without_query"], 1);
    // With the same vector the entry would keep its id, which the step has already passed.
    world.put(ALPHA, json!({"query": "what python asked", "response": "our answer"})).await;
    world.act("switch").await;
    let ask = json!({"query": "oh what python asked", "threshold": 0.7});
    assert_eq!(world.moving.lookup(with_vector(BETA, &ask)).await["response"], "our answer");
    world.check(BETA).await;
}

#[tokio::test]
async fn leftover_vector_of_an_aborted_move_is_never_used() {
    let world = World::start().await;
    world.fill().await;
    // A delayed step can leave a vector of beta in a row after the move was aborted.
    world.act("start").await;
    world.act("step").await;
    let leftover = world.entries().await[&1].clone();
    world.act("abort").await;
    world.moving.put_item(leftover.clone()).await;
    world.check(ALPHA).await;

    // Gamma's vectors have the dimension of alpha's.
    let specs = (world.models.spec(ALPHA), world.models.spec(GAMMA), world.models.spec(BETA));
    let next: &[(&str, &str)] = &[("MNEME_EMBEDDER", &specs.0), ("MNEME_EMBEDDER_NEXT", &specs.1)];
    let third = world.instances(next).await;
    for action in ["start", "step", "switch"] {
        third.invoke("reembed", json!({ "action": action })).await.unwrap();
    }
    let asked = "please How do I change the password";
    let ask = |model: Model| with_vector(model, &json!({"query": asked, "threshold": 0.8}));
    assert_eq!(third.lookup(ask(GAMMA)).await["response"], "Answer 0.");
    assert_eq!(third.lookup(ask(ALPHA)).await["outcome"], "miss");
    third.invoke("reembed", json!({"action": "finish"})).await.unwrap();
    assert_eq!(third.lookup(ask(GAMMA)).await["response"], "Answer 0.");

    // A second move to beta embeds every entry again.
    let fourth = world.instances(&[("MNEME_EMBEDDER_NEXT", &specs.2)]).await;
    let mut late = world.entries().await[&1].clone();
    late.insert("embedding_next".to_owned(), leftover["embedding_next"].clone());
    late.insert("next_era".to_owned(), leftover["next_era"].clone());
    world.moving.put_item(late).await;
    world.models.take_embedded();
    for action in ["start", "step", "switch", "finish"] {
        fourth.invoke("reembed", json!({ "action": action })).await.unwrap();
    }
    assert_eq!(world.models.take_embedded().len(), world.entries().await.len() + 1);
    let current = world.instances(&[]).await;
    world.check_of(&current, BETA).await;
    world.assert_ended(End::Finished).await;
}

#[tokio::test]
async fn switch_back_without_the_source_embedder_leaves_new_entries_behind() {
    let world = World::start().await;
    world.fill().await;
    for action in ["start", "step", "switch"] {
        world.act(action).await;
    }
    let target = world.instances(&[("MNEME_EMBEDDER", &world.models.spec(BETA))]).await;
    let back = json!({"action": "switch_back"});
    let stored = json!({"query": "Which bird sings at night", "response": "The owl."});
    target.put(with_vector(BETA, &stored)).await;
    refuses_action(
        &target,
        back.clone(),
        "EmbedderMismatchError",
        409,
        "1 entries lack a vector of \"openai:alpha/1\"",
    )
    .await;
    let anyway = json!({"action": "switch_back", "leave_behind": true});
    assert_eq!(target.invoke("reembed", anyway).await.unwrap()["side"], "source");
    world.check(ALPHA).await;
    let alike = json!({"query": "please Which bird sings at night"});
    assert_eq!(world.moving.lookup(with_vector(ALPHA, &alike)).await["outcome"], "miss");
    assert_eq!(world.moving.lookup(with_vector(ALPHA, &json!({"query": stored["query"]}))).await["layer"], "exact");
    // A step with the source embedder adds the missing vector.
    world.act("step").await;
    assert_eq!(world.moving.lookup(with_vector(ALPHA, &alike)).await["response"], "The owl.");
}

/// Stores the longest response that fits an item with a vector of the source, within 32 bytes. Returns its length.
async fn put_longest(stack: &Stack, query: &str) -> usize {
    for length in (408_000..409_600).rev().step_by(32) {
        let entry = with_vector(ALPHA, &json!({"query": query, "response": "x".repeat(length)}));
        match stack.invoke("put", entry).await {
            Ok(_) => return length,
            Err(error) => assert_eq!(error.name, "EntryTooLarge"),
        }
    }
    panic!("no length fits");
}

#[tokio::test]
async fn entry_too_large_for_two_vectors_is_stored_with_one() {
    // A shared table keeps a long answer in the row.
    let world = World::with(&[("MNEME_GSI_PROJECTION", "ALL")]).await;
    world.fill().await;
    world.act("start").await;
    // Both embedders embed this text.
    let query = "What is a long story";
    world.moving.put(json!({"query": query, "response": "x".repeat(408_900)})).await;
    assert_eq!(world.act("step").await["entries"]["too_large"], 1);
    let asked = json!({"query": format!("oh {query}"), "threshold": 0.7});
    assert_eq!(world.moving.lookup(asked.clone()).await["outcome"], "hit");
    // A shorter response leaves room, and a step adds the vector.
    world.moving.put(with_vector(ALPHA, &json!({"query": query, "response": "Short."}))).await;
    world.act("step").await;
    world.act("switch").await;
    assert_eq!(world.moving.lookup(asked).await["response"], "Short.");
}

#[tokio::test]
async fn entries_left_behind_by_a_switch_are_found_after_a_step() {
    let world = World::start().await;
    world.fill().await;
    world.act("start").await;
    let reply = world.moving.invoke("reembed", json!({"action": "switch", "leave_behind": true})).await.unwrap();
    assert_eq!((&reply["side"], &reply["complete"]), (&json!("target"), &json!(false)));
    world.act("step").await;
    world.check(BETA).await;
    world.act("finish").await;
    world.assert_ended(End::Finished).await;
    // The target is now the cache's embedder.
    let again = json!({"action": "start"});
    refuses_action(&world.moving, again, "InvalidRequest", 400, "there is no embedder to move to").await;
}
