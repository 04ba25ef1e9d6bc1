//! Leases: one of several callers who miss the same question makes the answer.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use insta::assert_compact_json_snapshot;
use mneme_store::key::{DerivedKind, RowKey};
use mneme_tests::invariants::Snapshot;
use mneme_tests::{Stack, masked, vector};
use reqwest::Method;
use serde_json::{Value, json};

use crate::errors::refuses;
use crate::questions::{QUESTION, REWORDED, order, variant};

fn asked(query: &str) -> Value {
    json!({"query": query, "lease": {"seconds": 300}})
}

fn asked_with(query: &str, angle: f64) -> Value {
    json!({"query": query, "embedding": vector(8, angle), "lease": {"seconds": 300}})
}

async fn granted(stack: &Stack, question: Value) -> String {
    let miss = stack.lookup(question).await;
    assert_eq!(miss["lease"]["state"], "granted", "{miss}");
    miss["lease"]["token"].as_str().unwrap().to_owned()
}

async fn state(stack: &Stack, question: Value) -> Value {
    stack.lookup(question).await["lease"]["state"].clone()
}

/// The items of a kind.
async fn items(stack: &Stack, kind: DerivedKind) -> Vec<BTreeMap<String, AttributeValue>> {
    let rows = stack.rows().await.into_values();
    let is_kind = |row: &BTreeMap<String, AttributeValue>| {
        RowKey::from_attribute(&row["id"]).and_then(RowKey::derived_kind) == Some(kind)
    };
    rows.map(|row| row.into_iter().collect()).filter(is_kind).collect()
}

/// The number of leases that somebody holds.
async fn held(stack: &Stack) -> usize {
    Snapshot::read(stack).await.leases()
}

/// Moves the end of every lease into the past, directly in DynamoDB. A test calls this instead of waiting.
async fn end_all(stack: &Stack) {
    for mut lease in items(stack, DerivedKind::Lease).await {
        for name in ["leased_until", "ttl"] {
            lease.insert(name.to_owned(), AttributeValue::N("1".to_owned()));
        }
        stack.put_item(lease.into_iter().collect()).await;
    }
}

#[tokio::test]
async fn lookup_with_a_lease_after_a_miss_grants_it_to_one_caller() {
    let stack = Stack::start().await;
    let (_, first) = stack.post("/v1/lookup", asked("q")).await;
    let lease = masked(first["lease"].clone(), &["token"]);
    assert_compact_json_snapshot!(lease, @r#"{"seconds": 300, "state": "granted", "token": "[token]"}"#);
    let (_, second) = stack.post("/v1/lookup", asked(" Q ")).await;
    assert_eq!(second["lease"]["state"], "held", "{second}");
    assert!((1..=300).contains(&second["lease"]["seconds"].as_u64().unwrap()), "{second}");
    for other in [json!({"namespace": "other"}), json!({"context": {"model": "m"}}), json!({"query": "another"})] {
        let mut question = asked("q");
        question.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        assert_eq!(state(&stack, question.clone()).await, "granted", "{question}");
    }
    assert_eq!(stack.counter().await, (1, 0), "a lease is no mutation");
}

#[tokio::test]
async fn put_with_the_token_stores_the_answer_and_ends_the_lease() {
    let stack = Stack::start().await;
    let token = granted(&stack, asked("q")).await;
    stack.put(json!({"query": "Q", "response": "A", "lease_token": token})).await;
    assert_eq!(stack.counter().await, (2, 1));
    assert_eq!(held(&stack).await, 0);
    let hit = stack.lookup(asked("q")).await;
    assert_eq!((&hit["response"], &hit["lease"]), (&json!("A"), &json!(null)), "a hit needs no lease");
}

/// The lookup read the table before the put, and asks for the lease after it.
#[tokio::test]
async fn lookup_that_missed_before_the_put_looks_up_again() {
    let stack = Stack::start().await;
    for (namespace, question) in [("a", asked_with(QUESTION, 0.0)), ("b", asked_with(REWORDED, 0.1))] {
        let within = |mut request: Value| {
            request["namespace"] = json!(namespace);
            request
        };
        let token = granted(&stack, within(asked_with(QUESTION, 0.0))).await;
        // The first call of the lookup reads the counter, and the second one the lease.
        let reading = stack.proxy.hold_nth("BatchGetItem", 1);
        let put = async {
            let release = reading.arrived().await;
            let put = json!({"query": QUESTION, "response": "A", "embedding": vector(8, 0.0), "lease_token": token});
            stack.put(within(put)).await;
            release();
        };
        let (miss, ()) = futures::join!(stack.lookup(within(question.clone())), put);
        assert_eq!((&miss["outcome"], &miss["lease"]["state"]), (&json!("miss"), &json!("held")), "{miss}");
        assert_eq!(stack.lookup(within(question)).await["outcome"], "hit");
    }
}

#[tokio::test]
async fn put_with_a_token_of_nobody_stores_the_answer_and_leaves_the_lease() {
    let stack = Stack::start().await;
    granted(&stack, asked("q")).await;
    let before = items(&stack, DerivedKind::Lease).await;
    stack.put(json!({"query": "q", "response": "A", "lease_token": "another"})).await;
    assert_eq!(items(&stack, DerivedKind::Lease).await, before);
    stack.put(json!({"query": "never leased", "response": "A", "lease_token": "another"})).await;
    assert_eq!(stack.entry_ids().await, [1, 2]);
}

/// The first caller took longer than its lease, and a second one has the lease now.
#[tokio::test]
async fn put_with_the_token_of_an_ended_lease_stores_the_answer_and_leaves_the_next_lease() {
    let stack = Stack::start().await;
    let late = granted(&stack, asked("q")).await;
    end_all(&stack).await;
    let token = granted(&stack, asked("q")).await;
    stack.put(json!({"query": "q", "response": "late", "lease_token": late})).await;
    assert_eq!(held(&stack).await, 1);
    stack.put(json!({"query": "q", "response": "A", "lease_token": token})).await;
    assert_eq!(held(&stack).await, 0);
    assert_eq!(stack.lookup(json!({"query": "q"})).await["response"], "A");
}

#[tokio::test]
async fn put_that_stores_nothing_releases_the_lease() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "kept", "response": "A", "embedding": vector(8, 0.0), "confidence_score": 0.1})).await;
    let key = json!({"query": "replayed", "response": "A", "idempotency_key": "k", "confidence_score": 0.1});
    stack.put(key.clone()).await;
    for (query, put) in [
        ("kept", json!({"query": "kept", "response": "B", "if_absent": true})),
        ("replayed", key),
        ("skipped", json!({"query": "skipped", "response": "", "finish_reason": "length"})),
    ] {
        let mut put = put;
        put["lease_token"] = json!(granted(&stack, asked(query)).await);
        assert_eq!(state(&stack, asked(query)).await, "held");
        stack.invoke("put", put).await.unwrap();
        assert_eq!(state(&stack, asked(query)).await, "granted", "{query}");
    }
}

#[tokio::test]
async fn batch_with_tokens_ends_each_lease() {
    let stack = Stack::start().await;
    let batch = json!({"queries": [{"query": "a"}, {"query": "b"}], "lease": {"seconds": 300}});
    let reply = stack.lookup(batch).await;
    let states: Vec<&Value> = (0..2).map(|at| &reply["results"][at]["lease"]["state"]).collect();
    assert_eq!(states, ["granted", "granted"]);
    let token = |at: usize| &reply["results"][at]["lease"]["token"];
    let entries = json!({"entries": [
        {"query": "a", "response": "A", "lease_token": token(0)}, {"query": "b", "response": "", "lease_token": token(1)},
    ]});
    let stored = stack.invoke("put", entries).await.unwrap();
    assert_eq!((&stored["results"][0]["id"], &stored["results"][1]["skipped"]), (&json!(1), &json!("empty")));
    assert_eq!(stack.lookup(json!({"query": "a"})).await["outcome"], "hit");
    assert_eq!(held(&stack).await, 0);
    assert_eq!(state(&stack, asked("b")).await, "granted");
}

#[tokio::test]
async fn released_lease_is_anybodys_and_only_its_token_releases_it() {
    let stack = Stack::start().await;
    let token = granted(&stack, asked("q")).await;
    let release = |token: &str| json!({"query": "Q", "lease_token": token});
    let path = "/v1/lookup/release";
    assert_eq!(stack.post(path, release("another")).await, (200, json!({"released": false})));
    assert_eq!(state(&stack, asked("q")).await, "held");
    assert_eq!(stack.post(path, release(&token)).await, (200, json!({"released": true})));
    assert_eq!(stack.post(path, release(&token)).await, (200, json!({"released": false})));
    let token = granted(&stack, asked("q")).await;
    let mut direct = release(&token);
    direct["action"] = json!("release");
    assert_eq!(stack.lookup(direct).await, json!({"released": true}));
}

#[tokio::test]
async fn ended_lease_is_anybodys() {
    let stack = Stack::start().await;
    let first = granted(&stack, asked_with(QUESTION, 0.0)).await;
    end_all(&stack).await;
    let second = granted(&stack, asked_with(QUESTION, 0.0)).await;
    assert_ne!(first, second);
    let release = json!({"query": QUESTION, "lease_token": first});
    assert_eq!(stack.post("/v1/lookup/release", release).await.1, json!({"released": false}));
}

#[tokio::test]
async fn question_of_equal_meaning_waits_for_the_lease() {
    let stack = Stack::start().await;
    let token = granted(&stack, asked_with(QUESTION, 0.0)).await;
    assert_eq!(state(&stack, asked_with(REWORDED, 0.1)).await, "held");
    let mut elsewhere = asked_with(REWORDED, 0.1);
    elsewhere["namespace"] = json!("other");
    let mut in_context = asked_with(REWORDED, 0.1);
    in_context["context"] = json!({"model": "m"});
    // In this order: too far away, contradicted by the guard, and without a vector.
    let others = [asked_with(REWORDED, 1.0), asked_with(&order(7), 0.0), asked(&variant(1))];
    for other in others.into_iter().chain([elsewhere, in_context]) {
        assert_eq!(state(&stack, other.clone()).await, "granted", "{other}");
    }
    stack.put(json!({"query": QUESTION, "response": "A", "embedding": vector(8, 0.0), "lease_token": token})).await;
    assert_eq!(stack.lookup(asked_with(REWORDED, 0.1)).await["response"], "A");
}

/// The board still names the question. The lease decides.
#[tokio::test]
async fn question_of_equal_meaning_does_not_wait_for_a_lease_that_was_released() {
    let stack = Stack::start().await;
    let token = granted(&stack, asked_with(QUESTION, 0.0)).await;
    let release = json!({"query": QUESTION, "lease_token": token});
    assert_eq!(stack.post("/v1/lookup/release", release).await.1, json!({"released": true}));
    granted(&stack, asked_with(REWORDED, 0.1)).await;
    assert_eq!(state(&stack, asked_with(QUESTION, 0.0)).await, "held");
}

#[tokio::test]
async fn board_has_room_for_sixteen_questions_and_then_for_the_newest() {
    let stack = Stack::start().await;
    for number in 0..40 {
        granted(&stack, asked_with(&order(number), 0.0)).await;
    }
    let boards = items(&stack, DerivedKind::LeaseBoard).await;
    let slots = boards[0].keys().filter(|name| name.starts_with("slot_")).count();
    assert_eq!((boards.len(), slots), (1, 16));
    assert_eq!(state(&stack, asked_with("Track the order 39", 0.0)).await, "held");
}

#[tokio::test]
async fn switch_limits_leases_to_equal_texts_or_gives_none() {
    for (switch, same, reworded) in [("exact", json!("held"), json!("granted")), ("off", json!(null), json!(null))] {
        let stack = Stack::builder().variables(&[("MNEME_LEASES", switch)]).start().await;
        stack.lookup(asked_with(QUESTION, 0.0)).await;
        assert_eq!(state(&stack, asked_with(QUESTION, 0.0)).await, same, "{switch}");
        assert_eq!(state(&stack, asked_with(REWORDED, 0.0)).await, reworded, "{switch}");
        assert!(items(&stack, DerivedKind::LeaseBoard).await.is_empty());
    }
}

#[tokio::test]
async fn miss_without_an_answer_to_come_has_no_lease() {
    let stack = Stack::builder().variables(&[("MNEME_PERSONAL", "refuse")]).start().await;
    let mut bypass = asked("q");
    bypass["bypass"] = json!(true);
    for (question, reason) in [(bypass, "bypass"), (asked("What is my account balance?"), "personal")] {
        let miss = stack.lookup(question).await;
        assert_eq!((&miss["reason"], &miss["lease"]), (&json!(reason), &json!(null)));
    }
}

/// A caller who cannot put the answer would only make others wait.
#[tokio::test]
async fn caller_who_may_not_put_gets_no_lease() {
    let stack = Stack::builder().variables(&[("MNEME_SCOPE_CLAIM", "scope")]).start().await;
    let ask = async |scope: &str| {
        let claims = json!({"scope": format!("mneme:{scope}")});
        stack.http_as(&claims, Method::POST, "/v1/lookup", Some(asked("q"))).await
    };
    let (status, miss) = ask("read").await;
    assert_eq!((status, &miss["outcome"], &miss["lease"]), (200, &json!("miss"), &json!(null)));
    assert_eq!(ask("write").await.1["lease"]["state"], "granted");
}

#[tokio::test]
async fn invalid_leases_are_refused() {
    let stack = Stack::start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    let lookup = |lease: Value| json!({"query": "q", "lease": lease});
    let long = "t".repeat(129);
    for (request, says) in [
        (lookup(json!({"seconds": 0})), "lease: 0 seconds are not between 1 and 900"),
        (lookup(json!({"seconds": 901})), "lease: 901 seconds"),
        (lookup(json!({"seconds": 1.5})), "seconds"),
        (lookup(json!({})), "seconds"),
        (lookup(json!({"seconds": 3, "token": "t"})), "token"),
        (lookup(json!(30)), "lease"),
        (json!({"query": "q", "action": "renew"}), "action: not an action of `lookup`"),
    ] {
        refuses(&stack, "lookup", "/v1/lookup", request, "InvalidRequest", 400, says).await;
    }
    let put = |token: &str| json!({"query": "q", "response": "A", "lease_token": token});
    for token in ["", &long] {
        refuses(&stack, "put", "/v1/entries", put(token), "InvalidRequest", 400, "lease_token: it has").await;
    }
    for (request, says) in [
        (json!({"query": "q"}), "missing field `lease_token`"),
        (json!({"lease_token": "t"}), "missing field `query`"),
        (json!({"query": "q", "lease_token": long}), "lease_token: it has 129 bytes"),
        (json!({"query": "q", "lease_token": "t", "embedding": [1]}), "embedding"),
    ] {
        let (status, problem) = stack.post("/v1/lookup/release", request).await;
        assert!(status == 400 && problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    assert!(items(&stack, DerivedKind::Lease).await.is_empty());
}

#[tokio::test]
async fn vacuum_removes_ended_leases_and_keeps_the_others() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    granted(&stack, asked_with(QUESTION, 0.0)).await;
    end_all(&stack).await;
    granted(&stack, asked_with(&order(7), 1.0)).await;
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!(reply["derived_removed"], 1, "{reply}");
    assert_eq!(items(&stack, DerivedKind::Lease).await.len(), 1);
    assert_eq!(items(&stack, DerivedKind::LeaseBoard).await.len(), 1);
}

/// Sends `questions` at once and returns how many of them got the lease. Each of the others is told that it is held.
async fn winners(stack: &Stack, questions: impl Iterator<Item = Value>) -> usize {
    let states = join_all(questions.map(|question| state(stack, question))).await;
    assert!(states.iter().all(|state| state == "granted" || state == "held"), "{states:?}");
    states.iter().filter(|state| *state == "granted").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_askers_on_sixteen_instances_have_one_winner_each_time_the_lease_is_free() {
    let stack = Stack::builder().max_instances(16).exclusive().start().await;
    for with_vector in [false, true] {
        let question = || if with_vector { asked_with(QUESTION, 0.0) } else { asked("q") };
        assert_eq!(winners(&stack, (0..50).map(|_| question())).await, 1);
        // The winner was killed, so it neither put nor released anything.
        end_all(&stack).await;
        assert_eq!(winners(&stack, (0..50).map(|_| question())).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_askers_in_other_words_have_one_winner() {
    let stack = Stack::builder().max_instances(16).exclusive().start().await;
    assert_eq!(winners(&stack, (0..50).map(|at| asked_with(&variant(at % 10), f64::from(at as u8) * 0.002))).await, 1);
}
