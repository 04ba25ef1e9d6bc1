//! `explain`: what a lookup compared, and what decided.

use mneme_tests::stack::{Stack, vector};
use reqwest::Method;
use serde_json::{Value, json};

use crate::questions::{QUESTION, REWORDED, order, order_reworded, variant};

/// cos(0.3) = 0.955, cos(0.7) = 0.765.
const NEAR: f64 = 0.3;
const FAR: f64 = 0.7;

async fn put(stack: &Stack, query: &str, angle: f64) -> u64 {
    stack.put(json!({"query": query, "response": "A", "embedding": vector(8, angle)})).await
}

async fn explain(stack: &Stack, question: Value) -> Value {
    let mut question = question;
    question["explain"] = json!(true);
    stack.lookup(question).await
}

fn ids(explanation: &Value) -> Vec<u64> {
    let candidates = explanation["candidates"].as_array().expect("candidates");
    candidates.iter().map(|candidate| candidate["id"].as_u64().expect("an id")).collect()
}

#[tokio::test]
async fn hit_names_the_stored_question_if_its_text_is_stored() {
    let stack = Stack::start().await;
    put(&stack, QUESTION, 0.0).await;
    assert_eq!(stack.lookup(json!({"query": QUESTION})).await["query"], QUESTION);
    let semantic = stack.lookup(json!({"query": REWORDED, "embedding": vector(8, 0.1)})).await;
    assert_eq!((&semantic["layer"], &semantic["query"]), (&json!("semantic"), &json!(QUESTION)));

    let hashed = Stack::builder().variables(&[("MNEME_STORE_QUERY", "false")]).start().await;
    put(&hashed, QUESTION, 0.0).await;
    let hit = explain(&hashed, json!({"query": QUESTION})).await;
    assert_eq!((&hit["outcome"], &hit["query"]), (&json!("hit"), &Value::Null));
    assert_eq!(hit["explanation"]["candidates"][0]["query"], Value::Null);
}

#[tokio::test]
async fn explanation_of_exact_hit_names_its_entry_as_served() {
    let stack = Stack::start().await;
    let id = put(&stack, QUESTION, 0.0).await;
    let hit = explain(&stack, json!({"query": format!("  {}", QUESTION.to_uppercase())})).await;
    let explanation = &hit["explanation"];
    assert_eq!(explanation["question"]["text"], QUESTION.to_lowercase());
    assert_eq!(explanation["question"]["context_key"], Value::Null);
    assert_eq!(explanation["question"]["follow_up"], false);
    assert_eq!((&explanation["rules"]["cutoff"], &explanation["rules"]["guard"]), (&json!(0.7), &json!("on")));
    assert_eq!(explanation["complete"], false, "there is no vector to compare: {explanation}");
    let [candidate] = explanation["candidates"].as_array().unwrap().as_slice() else { panic!("{explanation}") };
    assert_eq!((&candidate["id"], &candidate["layer"]), (&json!(id), &json!("exact")));
    assert_eq!((&candidate["served"], &candidate["reason"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn explanation_of_semantic_hit_lists_candidates_most_similar_first_with_what_decided() {
    let stack = Stack::start().await;
    let other = put(&stack, &format!("{}?", order(48_213)), 0.2).await;
    let far = put(&stack, &format!("{}??", order(48_213)), FAR).await;
    let number = put(&stack, &order(48_231), 0.0).await;
    let served = put(&stack, &order(48_213), 0.1).await;
    let question = json!({"query": order_reworded(48_213), "embedding": vector(8, 0.0)});
    let plain = stack.lookup(question.clone()).await;
    let mut hit = explain(&stack, question).await;
    let explanation = hit.as_object_mut().unwrap().remove("explanation").unwrap();
    assert_eq!(hit["id"], plain["id"], "an explanation does not change the outcome");
    assert_eq!(ids(&explanation), [number, served, other, far]);
    assert_eq!(explanation["complete"], true);
    let candidates = explanation["candidates"].as_array().unwrap();
    assert_eq!((&candidates[0]["reason"], &candidates[0]["veto"]), (&json!("vetoed"), &json!("number")));
    assert_eq!((&candidates[0]["probability"], &candidates[0]["served"]), (&json!(0.0), &json!(false)));
    assert_eq!((&candidates[1]["served"], &candidates[1]["reason"]), (&json!(true), &Value::Null));
    assert_eq!(candidates[1]["confidence"], hit["confidence"]);
    assert!(candidates[1]["features"]["similarity"].as_f64().unwrap() > 0.99, "{explanation}");
    assert_eq!((&candidates[2]["served"], &candidates[2]["reason"]), (&json!(false), &Value::Null), "less similar");
    assert_eq!(candidates[3]["reason"], "below_threshold");
}

#[tokio::test]
async fn explanation_of_miss_lists_at_most_ten_nearest_entries() {
    let stack = Stack::start().await;
    for number in 1..=14 {
        put(&stack, &variant(number), FAR + f64::from(number as u32) / 50.0).await;
    }
    let miss = explain(&stack, json!({"query": REWORDED, "embedding": vector(8, 0.0)})).await;
    assert_eq!(miss["reason"], "below_threshold");
    let explanation = &miss["explanation"];
    assert_eq!(ids(explanation), (1..=10).collect::<Vec<u64>>());
    assert_eq!(explanation["candidates"][0]["similarity"], miss["best_similarity"]);
    assert_eq!((&explanation["complete"], &explanation["other_context"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn explanation_of_miss_names_an_equal_question_of_another_context() {
    let stack = Stack::start().await;
    let in_context = |context: &str, angle: f64| json!({"query": QUESTION, "context": {"model": context}, "embedding": vector(8, angle)});
    let store = async |mut entry: Value| {
        entry["response"] = json!("A");
        stack.put(entry).await
    };
    let large = store(in_context("large", 0.0)).await;
    let miss = explain(&stack, in_context("small", 0.0)).await;
    assert_eq!(miss["reason"], "no_entry");
    let other = &miss["explanation"]["other_context"];
    assert_eq!((&other["id"], &other["query"]), (&json!(large), &json!(QUESTION)));
    assert_eq!(other["context_key"].as_str().map(str::len), Some(64));
    assert_ne!(other["context_key"], miss["explanation"]["question"]["context_key"]);

    // A question without context needs no replica to be found.
    let exact_only = Stack::start().await;
    let plain = exact_only.put(json!({"query": QUESTION, "response": "A"})).await;
    let miss = explain(&exact_only, json!({"query": QUESTION, "context": {"model": "small"}})).await;
    let other = &miss["explanation"]["other_context"];
    assert_eq!((&other["id"], &other["context_key"]), (&json!(plain), &Value::Null));

    // The deleted entry is no longer named.
    exact_only.invoke("delete", json!({"id": plain})).await.unwrap();
    let miss = explain(&exact_only, json!({"query": QUESTION, "context": {"model": "small"}})).await;
    assert_eq!(miss["explanation"]["other_context"], Value::Null);
}

#[tokio::test]
async fn explanation_in_batch_belongs_to_the_questions_that_ask_for_it() {
    let stack = Stack::start().await;
    put(&stack, QUESTION, 0.0).await;
    let queries = json!([{"query": QUESTION}, {"query": QUESTION, "explain": false}, {"query": "x", "bypass": true}]);
    let reply = stack.lookup(json!({"queries": queries, "explain": true})).await;
    let explained = |at: usize| reply["results"][at].get("explanation").is_some();
    assert_eq!([explained(0), explained(1), explained(2)], [true, false, false], "{reply}");
}

#[tokio::test]
async fn explanation_of_another_namespace_is_never_part_of_it() {
    let stack = Stack::start().await;
    for name in ["ours", "theirs"] {
        stack.put(json!({"query": QUESTION, "response": name, "namespace": name, "embedding": vector(8, 0.0)})).await;
    }
    let question = json!({"query": REWORDED, "namespace": "ours", "embedding": vector(8, NEAR)});
    assert_eq!(ids(&explain(&stack, question).await["explanation"]), [1]);
    let elsewhere = json!({"query": QUESTION, "namespace": "empty", "context": {"a": 1}, "embedding": vector(8, 0.0)});
    let miss = explain(&stack, elsewhere).await;
    assert_eq!(ids(&miss["explanation"]), [] as [u64; 0]);
    assert_eq!(miss["explanation"]["other_context"], Value::Null);
}

#[tokio::test]
async fn explain_of_a_bound_caller_is_refused_unless_the_configuration_allows_it() {
    let claim = [("MNEME_NAMESPACE_CLAIM", "space")];
    let allowed = [claim[0], ("MNEME_EXPLAIN", "all")];
    for (variables, expected) in [(&claim[..], 400), (&allowed[..], 200)] {
        let stack = Stack::builder().variables(variables).start().await;
        let question = json!({"query": QUESTION, "namespace": "ours", "explain": true});
        let claims = json!({"sub": "me", "space": "ours"});
        let (status, reply) = stack.http_as(&claims, Method::POST, "/v1/lookup", Some(question.clone())).await;
        assert_eq!(status, expected, "{reply}");
        if status == 400 {
            assert_eq!(reply["type"], "urn:mneme:error:InvalidRequest");
            assert!(reply["remediation"].as_str().unwrap().contains("MNEME_EXPLAIN=all"), "{reply}");
        }
        assert!(stack.lookup(question).await.get("explanation").is_some(), "a direct caller is not bound");
    }
}

#[tokio::test]
async fn explanation_while_the_table_is_silent_is_incomplete_and_the_answer_is_served() {
    let stack = Stack::builder().variables(&[("MNEME_LOOKUP_BUDGET_MS", "3000")]).start().await;
    put(&stack, QUESTION, 0.0).await;
    let question = json!({"query": REWORDED, "embedding": vector(8, 0.1)});
    assert_eq!(stack.lookup(question.clone()).await["outcome"], "hit");
    let _held = stack.proxy.hold_nth("BatchGetItem", 1);
    let hit = explain(&stack, question).await;
    assert_eq!((&hit["outcome"], &hit["explanation"]["complete"]), (&json!("hit"), &json!(false)), "{hit}");
}

#[tokio::test]
async fn lookup_without_explain_makes_the_calls_that_it_made_before() {
    let stack = Stack::start().await;
    put(&stack, QUESTION, 0.0).await;
    let question = json!({"query": REWORDED, "embedding": vector(8, 0.1)});
    stack.lookup(question.clone()).await;
    stack.proxy.take_calls();
    stack.lookup(question.clone()).await;
    assert_eq!(stack.proxy.take_operations(), ["BatchGetItem"]);
    explain(&stack, question).await;
    let calls = stack.proxy.take_operations();
    assert!(calls.len() <= 4 && calls.iter().all(|call| call == "BatchGetItem"), "{calls:?}");
}
