//! `calibrate`: figures equal to counted ones, the guard of lookups, and named errors.

mod command;

use std::path::Path;

use mneme_guard::{Signature, Verdict, compare};
use mneme_model::embedding::encode_base64;
use mneme_tests::Stack;
use reqwest::Method;
use serde_json::{Value, json};

use crate::errors::refuses;

/// A labelled pair in the reference computation.
#[derive(Clone, Copy)]
struct Known {
    similarity: f32,
    /// `None` if the guard vetoes the pair.
    confidence: Option<f64>,
    same: bool,
}

/// The pairs of one half: those of each label go to the halves alternately.
fn half(pairs: &[Known], wanted: usize) -> Vec<Known> {
    let mut turns = [0, 0];
    let is_wanted = |pair: &&Known| {
        let turn = &mut turns[usize::from(pair.same)];
        *turn += 1;
        (*turn - 1) % 2 == wanted
    };
    pairs.iter().filter(is_wanted).copied().collect()
}

/// Precision, recall, share of wrong hits and F1 of a threshold, by counting.
fn yields(pairs: &[Known], cutoff: f64, threshold: f32) -> [f64; 4] {
    let count = |same: bool, served: bool| {
        let is_served = |pair: &Known| pair.similarity >= threshold && pair.confidence.is_some_and(|p| p >= cutoff);
        pairs.iter().filter(|pair| pair.same == same && (!served || is_served(pair))).count() as f64
    };
    let (hits, wrong) = (count(true, true), count(false, true));
    let precision = if hits + wrong == 0.0 { 1.0 } else { hits / (hits + wrong) };
    let f1 = 2.0 * hits / (hits + wrong + count(true, false));
    [precision, hits / count(true, false), wrong / count(false, false), f1]
}

fn figures(shown: &Value) -> [f64; 4] {
    ["precision", "recall", "wrong", "f1"].map(|name| shown[name].as_f64().unwrap())
}

fn assert_near(found: [f64; 4], expected: [f64; 4], what: &str) {
    let near = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-9);
    assert!(near, "{what}: {found:?} where {expected:?} was counted");
}

/// Compares every figure of the reply with a count, and the threshold with the best of all thresholds.
fn check(reply: &Value, pairs: &[Known], cutoff: f64, max_wrong: Option<f64>) {
    let (fitting, kept) = (half(pairs, 0), half(pairs, 1));
    let value = |threshold: f32| match (max_wrong, yields(&fitting, cutoff, threshold)) {
        (None, [_, _, _, f1]) => f1,
        (Some(most), [_, recall, wrong, _]) => {
            if wrong <= most {
                recall
            } else {
                0.0
            }
        }
    };
    let best = fitting.iter().map(|pair| (value(pair.similarity), pair.similarity));
    let (most, highest) = best.fold((0.0, None), |(most, at): (f64, Option<f32>), (value, threshold)| {
        let is_better = value > most || value == most && at.is_some_and(|at| threshold > at);
        if is_better { (value, Some(threshold)) } else { (most, at) }
    });
    let threshold = reply["threshold"].as_f64().map(|threshold| threshold as f32);
    match (threshold, highest) {
        (Some(found), Some(expected)) => {
            assert!((value(found) - most).abs() < 1e-9, "{found} is worth {}, {expected} {most}", value(found));
        }
        (found, expected) => assert_eq!(found, expected),
    }
    let at = threshold.unwrap_or(f32::INFINITY);
    assert_near(figures(&reply["fitted"]), yields(&fitting, cutoff, at), "fitted");
    assert_near(figures(&reply["held_back"]), yields(&kept, cutoff, at), "held back");

    let mut steps: Vec<f32> =
        kept.iter().filter(|pair| pair.confidence.is_some_and(|p| p >= cutoff)).map(|pair| pair.similarity).collect();
    steps.sort_by(|a, b| b.total_cmp(a));
    steps.dedup();
    let curve = reply["curve"].as_array().unwrap();
    assert_eq!(curve.len(), steps.len());
    for (point, step) in curve.iter().zip(steps) {
        assert_eq!(point["threshold"].as_f64().unwrap() as f32, step);
        assert_near(figures(point), yields(&kept, cutoff, step), "the curve");
    }
}

/// The reply over HTTP, which must equal the direct one.
async fn calibrate(stack: &Stack, request: &Value) -> Value {
    let (status, reply) = stack.post("/v1/calibrate", request.clone()).await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(stack.invoke("calibrate", request.clone()).await.unwrap(), reply);
    reply
}

/// Pairs with overlapping, repeated similarities that float32 represents exactly. Pairs with one answer are more
/// similar.
fn overlapping(seed: u64, count: usize) -> Vec<Known> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let one = |_| {
        let same = rng.bool();
        let similarity = (rng.u8(20..52) + if same { 12 } else { 0 }) as f32 / 64.0;
        Known { similarity, confidence: Some(similarity.into()), same }
    };
    (0..count).map(one).collect()
}

fn by_similarity(pairs: &[Known]) -> Vec<Value> {
    let one = |pair: &Known| json!({"a": {}, "b": {}, "same": pair.same, "similarity": pair.similarity});
    pairs.iter().map(one).collect()
}

#[tokio::test]
async fn calibrate_figures_equal_counted_figures() {
    let stack = Stack::start().await;
    for seed in 0..4 {
        let pairs = overlapping(seed, 120);
        for (target, max_wrong) in [
            (json!("f1"), None),
            (json!({"max_wrong": 0.05}), Some(0.05)),
            (json!({"max_wrong": 0}), Some(0.0)),
            (json!({"max_wrong": 1}), Some(1.0)),
        ] {
            for cutoff in [0.0, 0.6] {
                let request =
                    json!({"pairs": by_similarity(&pairs), "target": target, "guard": "off", "cutoff": cutoff});
                let reply = calibrate(&stack, &request).await;
                check(&reply, &pairs, cutoff, max_wrong);
                let same = pairs.iter().filter(|pair| pair.same).count();
                assert_eq!(reply["pairs"], json!({"same": same, "different": 120 - same}));
                assert_eq!((&reply["guard"], &reply["cutoff"]), (&json!("off"), &json!(cutoff)));
                assert_eq!(reply["vetoed"], json!({}));
            }
        }
    }
    assert!(stack.proxy.take_operations().is_empty(), "the table is not read");
}

#[tokio::test]
async fn calibrate_with_embeddings_computes_similarities() {
    let stack = Stack::start().await;
    let pairs = overlapping(6, 60);
    let embedded: Vec<Value> = pairs
        .iter()
        .map(|pair| {
            let b = [pair.similarity, (1.0 - pair.similarity.powi(2)).sqrt()];
            let b = encode_base64(&b.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
            // One vector is not of unit length, and the other one is in base64.
            json!({"a": {"embedding": [3, 0]}, "b": {"embedding": b}, "same": pair.same})
        })
        .collect();
    let by_embedding = calibrate(&stack, &json!({"pairs": embedded, "guard": "off"})).await;
    let expected = calibrate(&stack, &json!({"pairs": by_similarity(&pairs), "guard": "off"})).await;
    for part in ["fitted", "held_back", "pairs"] {
        assert_eq!(by_embedding[part], expected[part]);
    }
    let thresholds = |reply: &Value| -> Vec<f64> {
        let points = reply["curve"].as_array().unwrap().iter().chain([reply]);
        points.map(|point| point["threshold"].as_f64().unwrap()).collect()
    };
    let (found, expected) = (thresholds(&by_embedding), thresholds(&expected));
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expected:?}");
}

fn example() -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../local/calibrate/pairs.jsonl");
    std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn calibrate_uses_the_guard_of_lookups() {
    let stack = Stack::start().await;
    let pairs = example();
    let mut vetoed = 0;
    let known: Vec<Known> = pairs
        .iter()
        .map(|pair| {
            let similarity = pair["similarity"].as_f64().unwrap() as f32;
            let confidence = match (pair["a"].as_str(), pair["b"].as_str()) {
                (Some(a), Some(b)) => match compare(&Signature::of(a), &Signature::of(b), similarity) {
                    Verdict::Probability(probability) => Some(probability),
                    Verdict::Vetoed(_) => None,
                },
                // One pair differs in its history, one in its context.
                _ => None,
            };
            vetoed += usize::from(confidence.is_none());
            Known { similarity, confidence, same: pair["same"].as_bool().unwrap() }
        })
        .collect();
    for (target, max_wrong) in [(json!("f1"), None), (json!({"max_wrong": 0.1}), Some(0.1))] {
        let reply = calibrate(&stack, &json!({"pairs": pairs, "target": target})).await;
        check(&reply, &known, 0.7, max_wrong);
        assert_eq!((&reply["guard"], &reply["cutoff"]), (&json!("on"), &json!(0.7)));
        let kinds = reply["vetoed"].as_object().unwrap();
        let count = |label: &str| kinds.values().map(|labels| labels[label].as_u64().unwrap()).sum::<u64>();
        assert_eq!(count("same") + count("different"), vetoed as u64, "{kinds:?}");
        assert_eq!(kinds["context"], json!({"same": 0, "different": 1}));
        assert_eq!(kinds["partition"], json!({"same": 0, "different": 1}));
        assert!(kinds["number"]["different"].as_u64() > Some(0), "another order number: {kinds:?}");
    }
    // Without the guard, contexts are still separate.
    let reply = calibrate(&stack, &json!({"pairs": pairs, "guard": "off"})).await;
    let one = json!({"same": 0, "different": 1});
    assert_eq!(reply["vetoed"], json!({"context": one, "partition": one}));
}

#[tokio::test]
async fn calibrate_with_equal_texts_serves_them_at_every_threshold() {
    let stack = Stack::start().await;
    let mut pairs = by_similarity(&overlapping(6, 20));
    for pair in &mut pairs {
        *pair = json!({"a": "How do I  RESET it?", "b": "how do i reset it?", "same": pair["same"]});
    }
    let reply = calibrate(&stack, &json!({"pairs": pairs})).await;
    assert_eq!(reply["threshold"], 1.0);
    assert_eq!((&reply["held_back"]["recall"], &reply["held_back"]["wrong"]), (&json!(1.0), &json!(1.0)));
    assert_eq!(reply["curve"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn calibrate_with_unreachable_target_returns_no_threshold() {
    let stack = Stack::start().await;
    let pairs: Vec<Value> =
        (0..40).map(|at| json!({"a": {}, "b": {}, "same": at % 2 == 0, "similarity": 1.000_01})).collect();
    let request = json!({"pairs": pairs, "guard": "off", "target": {"max_wrong": 0.4}});
    let reply = calibrate(&stack, &request).await;
    assert_eq!(reply["threshold"], Value::Null);
    assert_eq!(figures(&reply["held_back"]), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(reply["curve"][0]["threshold"], 1.0, "1.00001 is rounded to 1");
}

#[tokio::test]
async fn calibrate_that_fits_the_cutoff_yields_no_less_on_its_half_and_bounds_the_wrong_hits() {
    let stack = Stack::start().await;
    let pairs = overlapping(6, 60);
    let request = |more: Value| {
        let mut request = json!({"pairs": by_similarity(&pairs), "guard": "off", "target": {"max_wrong": 0.2}});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let given = calibrate(&stack, &request(json!({"cutoff": 0.9}))).await;
    let fitted = calibrate(&stack, &request(json!({"fit_cutoff": true}))).await;
    assert!(fitted["fitted"]["recall"].as_f64() >= given["fitted"]["recall"].as_f64(), "{fitted}\n{given}");
    check(&fitted, &pairs, fitted["cutoff"].as_f64().unwrap(), Some(0.2));
    let bound = fitted["wrong_hits_at_most"].as_f64().unwrap();
    let found = 1.0 - fitted["held_back"]["precision"].as_f64().unwrap();
    assert!(found < bound && bound < 1.0, "{found} {bound}");
}

#[tokio::test]
async fn calibrate_uses_configured_defaults_for_any_caller() {
    let stack = Stack::builder()
        .variables(&[
            ("MNEME_CONFIDENCE_CUTOFF", "0.55"),
            ("MNEME_NAMESPACE_CLAIM", "spaces"),
            ("MNEME_CREATE_TABLE", "false"),
        ])
        .without_guard("the configured default is tested")
        .start()
        .await;
    let pairs = overlapping(6, 40);
    let request = json!({"pairs": by_similarity(&pairs)});
    let reply = calibrate_as(&stack, &json!({"spaces": "a"}), request.clone()).await;
    assert_eq!((&reply["guard"], &reply["cutoff"]), (&json!("off"), &json!(0.55)));
    check(&reply, &pairs, 0.55, None);
    assert_eq!(stack.invoke("calibrate", request).await.unwrap(), reply);
}

async fn calibrate_as(stack: &Stack, claims: &Value, request: Value) -> Value {
    let (status, reply) = stack.http_as(claims, Method::POST, "/v1/calibrate", Some(request)).await;
    assert_eq!(status, 200, "{reply}");
    reply
}

#[tokio::test]
async fn calibrate_with_10000_pairs_fits_the_reply() {
    let stack = Stack::start().await;
    let pair =
        |at: u32| json!({"a": {}, "b": {}, "same": at.is_multiple_of(2), "similarity": f64::from(at) / 10_000.0});
    let mut pairs: Vec<Value> = (0..10_000).map(pair).collect();
    let reply = calibrate(&stack, &json!({"pairs": pairs, "guard": "off", "cutoff": 0})).await;
    assert_eq!(reply["curve"].as_array().unwrap().len(), 5000);
    pairs.push(pair(7));
    let request = json!({"pairs": pairs, "guard": "off"});
    refuses(&stack, "calibrate", "/v1/calibrate", request, "InvalidRequest", 400, "10001 pairs").await;
}

#[tokio::test]
async fn calibrate_vetoes_equal_embeddings_of_texts_without_a_common_word() {
    let stack = Stack::start().await;
    let side = |query: &str| json!({"query": query, "embedding": [1, 0]});
    let mut pairs = by_similarity(&overlapping(7, 60));
    pairs[0] = json!({"a": side("Hello world"), "b": side("How's the weather today?"), "same": false});
    for guard in ["on", "off"] {
        let reply = calibrate(&stack, &json!({"pairs": pairs, "guard": guard})).await;
        assert_eq!(reply["vetoed"], json!({"embedding": {"same": 0, "different": 1}}), "guard {guard}");
    }
}

#[tokio::test]
async fn invalid_calibrate_requests_are_refused_with_named_errors() {
    let stack = Stack::start().await;
    let good = example();
    let with = |field: &str, value: Value| {
        let mut request = json!({"pairs": good});
        request[field] = value;
        request
    };
    let pair = |pair: Value| {
        let mut request = json!({"pairs": good});
        request["pairs"][3] = pair;
        request
    };
    let (text, same) = (json!("What is it?"), true);
    let sides = |a: Value, b: Value| pair(json!({"a": a, "b": b, "same": same}));
    let side = |a: Value| sides(a, json!({"query": "What?", "embedding": [1, 0]}));
    let mut two_lengths =
        sides(json!({"query": "A?", "embedding": [1, 0]}), json!({"query": "B?", "embedding": [1, 0]}));
    two_lengths["pairs"][5] = json!({"a": {"embedding": [1, 0, 0]}, "b": {"embedding": [1, 0, 0]}, "same": same});
    let long = "x".repeat(40_000);
    let labelled = |same: usize| {
        let pairs = good.iter().enumerate().map(|(at, pair)| {
            let mut pair = pair.clone();
            pair["same"] = json!(at < same);
            pair
        });
        json!({"pairs": pairs.collect::<Vec<_>>()})
    };
    for (request, name, status, says) in [
        (json!({}), "InvalidRequest", 400, "missing field `pairs`"),
        (json!({"pairs": {}}), "InvalidRequest", 400, "pairs: a list is expected"),
        (json!({"pairs": []}), "InvalidRequest", 400, "0 pairs are too few"),
        (json!({"pairs": good[..19]}), "InvalidRequest", 400, "19 pairs are too few"),
        (labelled(1), "InvalidRequest", 400, "1 are labelled the same and 59 different"),
        (labelled(59), "InvalidRequest", 400, "59 are labelled the same and 1 different"),
        (with("treshold", json!(1)), "InvalidRequest", 400, "unknown field `treshold`"),
        (with("target", json!("recall")), "InvalidRequest", 400, "target"),
        (with("target", json!({"max_wrong": "few"})), "InvalidRequest", 400, "max_wrong"),
        (with("target", json!({"max_wrong": 1.5})), "InvalidRequest", 400, "target.max_wrong: 1.5"),
        (with("target", json!({"max_wrong": -0.1})), "InvalidRequest", 400, "target.max_wrong: -0.1"),
        (with("guard", json!("maybe")), "InvalidRequest", 400, "guard"),
        (with("guard", json!(true)), "InvalidRequest", 400, "guard"),
        (with("cutoff", json!(1.5)), "InvalidRequest", 400, "cutoff: 1.5"),
        (
            json!({"pairs": good, "cutoff": 0.5, "fit_cutoff": true}),
            "InvalidRequest",
            400,
            "cutoff: `fit_cutoff` chooses it",
        ),
        (with("cutoff", json!("high")), "InvalidRequest", 400, "cutoff: a number is expected"),
        (pair(json!({"a": text, "b": text})), "InvalidRequest", 400, "pairs[3]: missing field `same`"),
        (pair(json!({"a": text, "same": same})), "InvalidRequest", 400, "pairs[3]: missing field `b`"),
        (
            pair(json!({"a": text, "b": text, "same": 1})),
            "InvalidRequest",
            400,
            "pairs[3].same: true or false is expected",
        ),
        (pair(json!({"a": text, "b": text, "same": same, "c": 1})), "InvalidRequest", 400, "unknown field `c`"),
        (
            pair(json!({"a": text, "b": "Other?", "same": same})),
            "InvalidRequest",
            400,
            "pairs[3]: it has neither two embeddings",
        ),
        (
            pair(json!({"a": text, "b": "Other?", "same": same, "similarity": 1.01})),
            "InvalidRequest",
            400,
            "pairs[3].similarity: 1.01",
        ),
        (
            pair(json!({"a": text, "b": {"embedding": [1, 0]}, "same": same, "similarity": 0.5})),
            "InvalidRequest",
            400,
            "pairs[3]: it has both a similarity and an embedding",
        ),
        (side(json!("Which?")), "InvalidRequest", 400, "pairs[3]: one side has an embedding"),
        (side(json!(7)), "InvalidRequest", 400, "pairs[3].a: a text, or an object"),
        (side(json!({"querry": "q"})), "InvalidRequest", 400, "unknown field `querry`"),
        (side(json!({"context": {}})), "InvalidRequest", 400, "pairs[3].a: missing field `query`"),
        (side(json!({"query": "q", "messages": []})), "InvalidRequest", 400, "pairs[3].a: both"),
        (side(json!({"messages": []})), "InvalidRequest", 400, "pairs[3].a: messages: the list is empty"),
        (
            side(json!({"messages": [{"role": "pirate", "content": "Arr"}]})),
            "InvalidRequest",
            400,
            "pairs[3].a: messages[0].role",
        ),
        (side(json!({"query": "q", "embedding": [0, 0]})), "InvalidRequest", 400, "zero vector"),
        (side(json!({"query": "q", "embedding": [1, null]})), "InvalidRequest", 400, "pairs[3].a.embedding[1]"),
        (
            side(json!({"query": "q", "embedding": [1, 0, 0]})),
            "InvalidRequest",
            400,
            "pairs[3].b: the embedding has 2 numbers, and the first one has 3",
        ),
        (two_lengths, "InvalidRequest", 400, "pairs[5].a: the embedding has 3 numbers, and the first one has 2"),
        (side(json!({"query": long, "embedding": [1, 0]})), "EntryTooLarge", 413, "pairs[3].a"),
    ] {
        refuses(&stack, "calibrate", "/v1/calibrate", request, name, status, says).await;
    }
    // JSON has no NaN and no infinity.
    let infinite = json!({"pairs": good}).to_string().replacen("\"similarity\":1.0", "\"similarity\":1e999", 1);
    assert!(infinite.contains("1e999"));
    let (status, _, problem) = stack.http_raw("/v1/calibrate", infinite).await;
    assert_eq!((status, &problem["type"]), (400, &json!("urn:mneme:error:InvalidRequest")), "{problem}");
    assert_eq!(stack.server.instances("calibrate"), 1, "one instance served all requests");
}
