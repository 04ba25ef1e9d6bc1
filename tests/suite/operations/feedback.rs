//! `feedback`: what callers say of answers, and what lookups make of it.

use mneme_model::pair_verdicts::MAX_BARS;
use mneme_tests::invariants::{self, Snapshot};
use mneme_tests::{Stack, vector};
use reqwest::Method;
use serde_json::{Value, json};

use crate::questions::{QUESTION, REWORDED};

/// A question that the guard does not accept as [`QUESTION`].
const OTHER: &str = "Which bakeries in Ghent are open on Sundays?";

fn asked(query: &str, angle: f64) -> Value {
    json!({"query": query, "embedding": vector(8, angle)})
}

async fn put(stack: &Stack, query: &str, angle: f64) -> u64 {
    stack.put(json!({"query": query, "response": query, "embedding": vector(8, angle)})).await
}

/// Says whether the entry `id` is right for `query`, and returns the effect.
async fn judge(stack: &Stack, query: &str, id: u64, right: bool) -> Value {
    let (status, reply) = stack.post("/v1/feedback", json!({"query": query, "id": id, "right": right})).await;
    assert_eq!((status, &reply["id"], &reply["right"]), (200, &json!(id), &json!(right)), "{reply}");
    reply["effect"].clone()
}

/// The id of the entry that answers and the layer that found it, or the reason of a miss.
async fn outcome(stack: &Stack, question: Value) -> (Value, Value) {
    let mut found = stack.lookup(question).await;
    match found["outcome"] == "hit" {
        true => (found["id"].take(), found["layer"].take()),
        false => (Value::Null, found["reason"].take()),
    }
}

fn hit(id: u64, layer: &str) -> (Value, Value) {
    (json!(id), json!(layer))
}

fn miss(reason: &str) -> (Value, Value) {
    (Value::Null, json!(reason))
}

async fn vacuum(stack: &Stack) -> Value {
    stack.invoke("vacuum", json!({})).await.expect("a pass")
}

/// The number of rows that hold verdicts.
async fn judged_rows(stack: &Stack) -> usize {
    let rows = stack.rows().await;
    rows.values().filter(|row| row.contains_key("bars") || row.contains_key("alias")).count()
}

#[tokio::test]
async fn entry_judged_wrong_is_not_served_for_that_question_and_answers_its_own() {
    let stack = Stack::start().await;
    let id = put(&stack, QUESTION, 0.0).await;
    assert_eq!(outcome(&stack, asked(REWORDED, 0.1)).await, hit(id, "semantic"));
    let before = stack.counter().await;
    assert_eq!(judge(&stack, REWORDED, id, false).await, "barred");
    assert_eq!(stack.counter().await, (before.0, before.1 + 1), "a verdict is one mutation");

    let cold = Stack::builder().over_table_of(&stack).start().await;
    for stack in [&stack, &cold] {
        assert_eq!(outcome(stack, asked(REWORDED, 0.1)).await, miss("barred"));
        assert_eq!(outcome(stack, asked(QUESTION, 0.0)).await, hit(id, "exact"));
        let third = "How long will a refund to my card take?";
        assert_eq!(outcome(stack, asked(third, 0.1)).await, hit(id, "semantic"), "another question is not barred");
        let elsewhere = json!({"query": REWORDED, "embedding": vector(8, 0.1), "context": {"model": "m"}});
        assert_eq!(outcome(stack, elsewhere).await, miss("no_entry"));
    }
    // The next entry answers in its place.
    let next = put(&stack, "How long does a refund take to my card?", 0.3).await;
    assert_eq!(outcome(&stack, asked(REWORDED, 0.1)).await, hit(next, "semantic"));
    invariants::check(&stack).await;
}

#[tokio::test]
async fn explanation_shows_the_barred_entry() {
    let stack = Stack::start().await;
    let id = put(&stack, QUESTION, 0.0).await;
    let next = put(&stack, "How long does a refund take to my card?", 0.3).await;
    judge(&stack, REWORDED, id, false).await;
    let mut question = asked(REWORDED, 0.1);
    question["explain"] = json!(true);
    let found = stack.lookup(question).await;
    let candidates = &found["explanation"]["candidates"];
    assert_eq!((&candidates[0]["id"], &candidates[0]["reason"]), (&json!(id), &json!("barred")), "{found}");
    assert_eq!((&candidates[1]["id"], &candidates[1]["served"]), (&json!(next), &json!(true)), "{found}");
}

#[tokio::test]
async fn entry_judged_right_is_found_by_the_exact_layer() {
    let stack = Stack::start().await;
    let id = put(&stack, QUESTION, 0.0).await;
    assert_eq!(outcome(&stack, asked(OTHER, 1.5)).await, miss("below_threshold"));
    assert_eq!(judge(&stack, OTHER, id, true).await, "aliased");
    let cold = Stack::builder().over_table_of(&stack).start().await;
    for stack in [&stack, &cold] {
        assert_eq!(outcome(stack, asked(OTHER, 1.5)).await, hit(id, "exact"));
        assert_eq!(outcome(stack, json!({"query": OTHER})).await, hit(id, "exact"), "without a vector");
    }
    let found = stack.lookup(json!({"query": OTHER, "embedding": vector(8, 1.5), "explain": true})).await;
    let first = &found["explanation"]["candidates"][0];
    assert_eq!((&first["layer"], &first["query"], &first["served"]), (&json!("exact"), &json!(QUESTION), &json!(true)));
    // A required tag, the age and the confidence of the entry count as in any other hit.
    let tagged = json!({"query": OTHER, "tags": ["legal"]});
    assert_eq!(outcome(&stack, tagged).await, miss("missing_tag"));
    assert_eq!(outcome(&stack, json!({"query": OTHER, "bypass": true})).await, miss("bypass"));
    invariants::check(&stack).await;
}

#[tokio::test]
async fn alias_is_compared_by_the_written_form_that_was_confirmed() {
    let stack = Stack::start().await;
    let id = put(&stack, "Invert a match of grep", 0.0).await;
    assert_eq!(judge(&stack, "What does grep -v do?", id, true).await, "aliased");
    assert_eq!(outcome(&stack, json!({"query": "what does grep -v do?"})).await, hit(id, "exact"));
    assert_eq!(outcome(&stack, json!({"query": "What does grep -V do?"})).await, miss("vetoed"));
    assert_eq!(judge(&stack, "What does grep -V do?", id, true).await, "aliased");
    assert_eq!(outcome(&stack, json!({"query": "What does grep -V do?"})).await, hit(id, "exact"));
}

#[tokio::test]
async fn last_verdict_on_a_pair_counts_and_a_repeated_one_writes_nothing() {
    let stack = Stack::start().await;
    let id = put(&stack, QUESTION, 0.0).await;
    let question = || asked(REWORDED, 0.1);
    for (right, effect, expected) in
        [(false, "barred", miss("barred")), (true, "aliased", hit(id, "exact")), (false, "barred", miss("barred"))]
    {
        assert_eq!(judge(&stack, REWORDED, id, right).await, effect);
        assert_eq!(outcome(&stack, question()).await, expected);
        let before = stack.counter().await;
        assert_eq!(judge(&stack, REWORDED, id, right).await, effect);
        assert_eq!(stack.counter().await, before);
    }
}

#[tokio::test]
async fn question_with_an_entry_of_its_own_gets_no_alias_and_keeps_its_bars() {
    let stack = Stack::start().await;
    let id = put(&stack, QUESTION, 0.0).await;
    judge(&stack, REWORDED, id, true).await;
    let own = put(&stack, REWORDED, 0.1).await;
    assert_eq!(outcome(&stack, asked(REWORDED, 0.1)).await, hit(own, "exact"), "a put ends the alias");
    assert_eq!(judge(&stack, REWORDED, id, false).await, "barred");
    assert_eq!(judge(&stack, REWORDED, id, true).await, "none", "the bar is lifted");
    assert_eq!(judged_rows(&stack).await, 0);
    judge(&stack, REWORDED, id, false).await;
    assert_eq!(judge(&stack, REWORDED, own, true).await, "none", "its own entry is right");
    assert_eq!(outcome(&stack, asked(REWORDED, 0.1)).await, hit(own, "exact"));
    invariants::check(&stack).await;

    // The bar outlives the question's own entry, however that ends.
    stack.invoke("delete", json!({"id": own})).await.expect("deleted");
    assert_eq!(outcome(&stack, asked(REWORDED, 0.1)).await, miss("barred"));
    invariants::check(&stack).await;
    let again = put(&stack, REWORDED, 0.1).await;
    invariants::check(&stack).await;
    stack.backdate([again], 10).await;
    let mut expiring = asked(REWORDED, 0.1);
    (expiring["response"], expiring["ttl_seconds"]) = (json!("R"), json!(60));
    stack.put(expiring).await;
    stack.backdate([again], 100).await;
    vacuum(&stack).await;
    assert_eq!(outcome(&stack, asked(REWORDED, 0.1)).await, miss("barred"));
    invariants::check(&stack).await;
}

#[tokio::test]
async fn verdicts_end_with_their_entries() {
    let stack = Stack::start().await;
    let id = put(&stack, QUESTION, 0.0).await;
    judge(&stack, OTHER, id, true).await;
    judge(&stack, REWORDED, id, false).await;
    assert_eq!(judged_rows(&stack).await, 2);
    vacuum(&stack).await;
    assert_eq!(judged_rows(&stack).await, 2, "the entry lives");
    stack.invoke("delete", json!({"id": id})).await.expect("deleted");
    assert_eq!(outcome(&stack, json!({"query": OTHER})).await, miss("no_embedding"));
    assert_eq!(outcome(&stack, asked(OTHER, 1.5)).await, miss("no_entry"));
    let swept = vacuum(&stack).await;
    assert_eq!((judged_rows(&stack).await, &swept["derived_removed"]), (0, &json!(2)), "{swept}");
    invariants::check(&stack).await;

    // An entry that has expired is gone, too, before any row is removed.
    let mut entry = asked(QUESTION, 0.0);
    (entry["response"], entry["ttl_seconds"]) = (json!("R"), json!(60));
    let id = stack.put(entry).await;
    judge(&stack, OTHER, id, true).await;
    stack.backdate([id], 60).await;
    assert_eq!(outcome(&stack, json!({"query": OTHER})).await, miss("no_embedding"));
    vacuum(&stack).await;
    assert_eq!(judged_rows(&stack).await, 0);
    invariants::check(&stack).await;
}

#[tokio::test]
async fn verdicts_follow_an_entry_that_gets_another_id() {
    let stack = Stack::start().await;
    let id = put(&stack, QUESTION, 0.0).await;
    judge(&stack, OTHER, id, true).await;
    judge(&stack, REWORDED, id, false).await;
    let moved = put(&stack, QUESTION, 0.05).await;
    assert_ne!(moved, id, "another vector takes a new id");
    for _ in 0..2 {
        assert_eq!(outcome(&stack, json!({"query": OTHER})).await, hit(moved, "exact"));
        assert_eq!(outcome(&stack, asked(REWORDED, 0.1)).await, miss("barred"));
        // The second time the verdicts have the new id.
        vacuum(&stack).await;
        assert_eq!(judged_rows(&stack).await, 2);
    }
    stack.proxy.take_calls();
    stack.lookup(json!({"query": OTHER})).await;
    assert_eq!(
        stack.proxy.take_operations(),
        ["BatchGetItem", "BatchGetItem"],
        "as for any exact hit without a replica"
    );
}

#[tokio::test]
async fn question_keeps_a_bounded_number_of_bars_in_one_read_unit() {
    let stack = Stack::start().await;
    let entries: Vec<Value> = (0..=MAX_BARS)
        .map(|at| json!({"query": format!("{QUESTION}{}", "?".repeat(at)), "response": "R", "embedding": vector(8, 0.0)}))
        .collect();
    let stored = stack.invoke("put", json!({"entries": entries})).await.expect("stored");
    let ids: Vec<u64> = (0..=MAX_BARS).map(|at| stored["results"][at]["id"].as_u64().expect("an id")).collect();
    let subject = "s".repeat(300);
    for id in &ids {
        let body = json!({"query": REWORDED, "id": id, "right": false});
        let (status, reply) = stack.http_as(&json!({"sub": subject}), Method::POST, "/v1/feedback", Some(body)).await;
        assert_eq!(status, 200, "{reply}");
    }
    let question = asked(REWORDED, 0.1);
    assert_eq!(outcome(&stack, question.clone()).await, hit(ids[0], "semantic"), "the oldest verdict is dropped");
    judge(&stack, REWORDED, ids[0], false).await;
    assert_eq!(outcome(&stack, question).await, hit(ids[1], "semantic"));
    let rows = stack.rows().await;
    let row = rows.values().find(|row| row.contains_key("bars")).expect("a row");
    let bars: Value = serde_json::from_str(row["bars"].as_s().expect("a text")).expect("JSON");
    assert_eq!(bars.as_array().map(Vec::len), Some(MAX_BARS));
    assert_eq!(bars[0]["by"].as_str().map(str::len), Some(256), "it says whose verdict it is");
    assert!(mneme_store::item::item_bytes(row) < 4096);
}

#[tokio::test]
async fn purge_removes_the_verdicts_of_a_namespace_and_no_others() {
    let stack = Stack::start().await;
    for namespace in ["gone", "kept"] {
        let mut entry = asked(QUESTION, 0.0);
        (entry["response"], entry["namespace"]) = (json!("R"), json!(namespace));
        let id = stack.put(entry).await;
        for (query, right) in [(OTHER, true), (REWORDED, false)] {
            let body = json!({"query": query, "namespace": namespace, "id": id, "right": right});
            assert_eq!(stack.post("/v1/feedback", body).await.0, 200);
        }
    }
    assert_eq!(judged_rows(&stack).await, 4);
    let cleared = stack.invoke("clear", json!({"namespace": "gone", "purge": true})).await.expect("cleared");
    assert_eq!(judged_rows(&stack).await, 2, "{cleared}");
    let rows = stack.rows().await;
    let names = rows.values().filter(|row| row.contains_key("bars") || row.contains_key("alias"));
    assert!(names.into_iter().all(|row| row["name"].as_s().expect("a text") == "kept"));
    let question = json!({"query": OTHER, "namespace": "kept"});
    assert_eq!(outcome(&stack, question).await.1, "exact");
    Snapshot::read(&stack).await.check_pointers();
}

#[tokio::test]
async fn feedback_without_a_live_entry_of_the_namespace_is_refused() {
    let stack = Stack::builder().variables(&[("MNEME_NAMESPACE_CLAIM", "space")]).start().await;
    let mut entry = asked(QUESTION, 0.0);
    (entry["response"], entry["namespace"]) = (json!("R"), json!("mine"));
    let id = stack.put(entry.clone()).await;
    entry["namespace"] = json!("theirs");
    let theirs = stack.put(entry).await;
    let body = |namespace: &str, id: u64| json!({"query": REWORDED, "namespace": namespace, "id": id, "right": false});
    let claims = json!({"sub": "me", "space": "mine"});
    for (body, status, error) in [
        (body("mine", 999), 404, "NotFound"),
        (body("mine", theirs), 404, "NotFound"),
        (body("theirs", theirs), 403, "NamespaceForbidden"),
        (json!({"query": REWORDED, "id": id, "right": false}), 403, "NamespaceForbidden"),
    ] {
        let before = stack.rows().await;
        let (found, problem) = stack.http_as(&claims, Method::POST, "/v1/feedback", Some(body.clone())).await;
        let expected = (status, format!("urn:mneme:error:{error}"));
        assert_eq!((found, problem["type"].as_str().unwrap_or_default().to_owned()), expected, "{body}: {problem}");
        assert_eq!(stack.rows().await, before);
    }
    let (status, _) = stack.http_as(&claims, Method::POST, "/v1/feedback", Some(body("mine", id))).await;
    assert_eq!(status, 200);
    stack.invoke("delete", json!({"id": id})).await.expect("deleted");
    let gone = stack.invoke("feedback", body("mine", id)).await.unwrap_err();
    assert_eq!(gone.name, "NotFound");
}

#[tokio::test]
async fn invalid_feedback_is_refused() {
    let stack = Stack::start().await;
    let id = put(&stack, QUESTION, 0.0).await;
    let with = |change: Value| {
        let mut body = json!({"query": REWORDED, "id": id, "right": true});
        for (field, value) in change.as_object().expect("fields") {
            body[field] = value.clone();
        }
        body
    };
    let messages = json!([{"role": "user", "content": REWORDED}]);
    for (bad, detail) in [
        (json!({"id": id, "right": true}), "missing field `query`"),
        (with(json!({"messages": messages})), "both `query` and `messages`"),
        (json!({"query": REWORDED, "right": true}), "missing field `id`"),
        (json!({"query": REWORDED, "id": id}), "missing field `right`"),
        (with(json!({"id": 0})), "id"),
        (with(json!({"right": "yes"})), "right"),
        (with(json!({"query": " "})), "the question is empty or blank"),
        (with(json!({"confidence": 1})), "confidence"),
        (with(json!({"context": {"model": "m"}})), "id: the entry was stored with another context"),
        (
            with(json!({"query": QUESTION.to_uppercase(), "right": false})),
            "id: the entry was stored for this very question",
        ),
    ] {
        let (status, problem) = stack.post("/v1/feedback", bad.clone()).await;
        assert_eq!((status, &problem["type"]), (400, &json!("urn:mneme:error:InvalidRequest")), "{bad}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{bad}: {problem}");
    }
    let (status, problem) = stack.post("/v1/feedback", with(json!({"query": "q".repeat(40_000)}))).await;
    assert_eq!((status, &problem["type"]), (413, &json!("urn:mneme:error:EntryTooLarge")));
    assert_eq!(stack.counter().await, (2, 1), "nothing was written");
}

#[tokio::test]
async fn verdict_on_a_conversation_concerns_the_entry_of_its_context() {
    let stack = Stack::start().await;
    let context = json!({"model": "m"});
    let entry = json!({"query": QUESTION, "context": context, "response": "R", "embedding": vector(8, 0.0)});
    let id = stack.put(entry).await;
    let messages = json!([{"role": "user", "content": REWORDED}]);
    let question = json!({"messages": messages, "context": context, "embedding": vector(8, 0.1)});
    assert_eq!(outcome(&stack, question.clone()).await, hit(id, "semantic"));
    let body = json!({"messages": messages, "context": context, "id": id, "right": false});
    assert_eq!(stack.post("/v1/feedback", body).await.0, 200);
    assert_eq!(outcome(&stack, question).await, miss("barred"));
}

#[tokio::test]
async fn verdicts_of_two_callers_at_once_are_both_kept() {
    let stack = Stack::start().await;
    let first = put(&stack, QUESTION, 0.0).await;
    let second = put(&stack, "How long does a refund take to my card?", 0.3).await;
    let held = stack.proxy.hold_nth("TransactWriteItems", 0);
    let late = judge(&stack, REWORDED, first, false);
    let other = Stack::builder().over_table_of(&stack).start().await;
    let overtaking = async {
        let release = held.arrived().await;
        judge(&other, REWORDED, second, false).await;
        release();
    };
    tokio::join!(late, overtaking);
    assert_eq!(outcome(&stack, asked(REWORDED, 0.1)).await, miss("barred"));
    invariants::check(&stack).await;
}

#[tokio::test]
async fn put_of_the_question_during_its_feedback_keeps_both() {
    let stack = Stack::start().await;
    let id = put(&stack, QUESTION, 0.0).await;
    let held = stack.proxy.hold_nth("TransactWriteItems", 0);
    let late = judge(&stack, REWORDED, id, true);
    let other = Stack::builder().over_table_of(&stack).start().await;
    let overtaking = async {
        let release = held.arrived().await;
        let own = put(&other, REWORDED, 0.1).await;
        release();
        own
    };
    let (effect, own) = tokio::join!(late, overtaking);
    assert_eq!(effect, "none", "the question has an entry of its own by then");
    assert_eq!(outcome(&stack, asked(REWORDED, 0.1)).await, hit(own, "exact"));
    invariants::check(&stack).await;
}

#[tokio::test]
async fn entry_of_the_question_without_a_pointer_is_preferred_to_its_alias() {
    let stack = Stack::start().await;
    let other = put(&stack, QUESTION, 0.0).await;
    let own = put(&stack, OTHER, 3.0).await;
    let rows = stack.rows().await;
    let pointers = rows
        .iter()
        .filter(|(id, row)| **id < 0 && row.get("entry_id").and_then(|id| id.as_n().ok()) == Some(&own.to_string()));
    let pointers: Vec<i128> = pointers.map(|(id, _)| *id).collect();
    assert_eq!(pointers.len(), 1);
    stack.delete_items(pointers).await;
    assert_eq!(judge(&stack, OTHER, other, true).await, "aliased");
    // An instance without a replica, then one with it.
    stack.server.recycle("lookup").await;
    assert_eq!(outcome(&stack, json!({"query": OTHER})).await, hit(own, "exact"));
    assert_eq!(outcome(&stack, asked("Something else", 1.5)).await.0, Value::Null);
    assert_eq!(outcome(&stack, json!({"query": OTHER})).await, hit(own, "exact"));
}

#[tokio::test]
async fn alias_of_a_deleted_entry_costs_a_lookup_two_more_reads() {
    let stack = Stack::start().await;
    let id = put(&stack, QUESTION, 0.0).await;
    put(&stack, "How tall is the tower?", 1.0).await;
    assert_eq!(judge(&stack, OTHER, id, true).await, "aliased");
    assert_eq!(outcome(&stack, asked(OTHER, 3.0)).await, hit(id, "exact"));
    stack.invoke("delete", json!({"id": id})).await.unwrap();
    for _ in 0..2 {
        assert_eq!(outcome(&stack, asked(OTHER, 3.0)).await.0, Value::Null);
    }
    stack.proxy.take_calls();
    assert_eq!(outcome(&stack, asked(OTHER, 3.0)).await.0, Value::Null);
    let operations = stack.proxy.take_operations();
    let reads = operations.iter().filter(|operation| *operation == "BatchGetItem").count();
    assert!(reads <= 3 && !operations.contains(&"Query".to_owned()), "{operations:?}");
}
