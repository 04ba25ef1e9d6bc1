//! `lookup` with several queries: one answer per query, in order, from shared reads.

use std::time::Duration;

use mneme_model::embedding::encode_base64;
use mneme_tests::proxy::Call;
use mneme_tests::{Stack, vector};
use serde_json::{Value, json};

use crate::questions::{order, order_reworded};

fn entry(number: u64) -> Value {
    let namespace = if number.is_multiple_of(2) { "even" } else { "default" };
    json!({
        "query": order(number), "response": format!("r{number}"), "namespace": namespace,
        "embedding": vector(8, number as f64 / 30.0),
    })
}

/// Questions with every outcome: exact hits, semantic hits and misses.
fn questions() -> Vec<Value> {
    let near =
        |number: u64| json!({"query": order_reworded(number), "embedding": vector(8, number as f64 / 30.0 + 0.001)});
    vec![
        json!({"query": "TRACK order 1"}),
        near(3),
        json!({"query": order(2)}),
        json!({"query": order(2), "namespace": "even"}),
        json!({
            "query": order_reworded(4), "namespace": "even", "embedding": vector(8, 4.0 / 30.0), "threshold": 0.9999,
        }),
        json!({"query": "x", "embedding": vector(8, 3.0)}),
        json!({"query": "x", "namespace": "empty", "embedding": vector(8, 0.0)}),
        json!({"query": order(1), "bypass": true}),
        json!({"query": "x"}),
        near(3),
    ]
}

async fn ask(stack: &Stack, queries: Vec<Value>) -> Vec<Value> {
    let mut reply = stack.invoke("lookup", json!({"queries": queries})).await.unwrap();
    serde_json::from_value(reply["results"].take()).unwrap()
}

/// The reading operations since the last call. Instances write counts (`UpdateItem`) in the background.
fn reads(stack: &Stack) -> Vec<String> {
    stack.proxy.take_operations().into_iter().filter(|operation| operation != "UpdateItem").collect()
}

fn without_age(mut answer: Value) -> Value {
    answer.as_object_mut().unwrap().remove("age_seconds");
    answer
}

#[tokio::test]
async fn lookup_batch_returns_the_answers_of_single_lookups() {
    let stack = Stack::start().await;
    stack.invoke("put", json!({"entries": (1..=40).map(entry).collect::<Vec<_>>()})).await.unwrap();
    let mut alone = Vec::new();
    for question in questions() {
        alone.push(without_age(stack.lookup(question).await));
    }
    let cold = Stack::builder().over_table_of(&stack).start().await;
    for stack in [&stack, &cold, &cold] {
        let together: Vec<Value> = ask(stack, questions()).await.into_iter().map(without_age).collect();
        assert_eq!(together, alone);
    }
    let (status, reply) = stack.post("/v1/lookup", json!({"queries": questions()})).await;
    assert_eq!((status, reply["results"].as_array().unwrap().len()), (200, questions().len()));
    assert_eq!(ask(&stack, Vec::new()).await, Vec::<Value>::new());
}

#[tokio::test]
async fn lookup_batch_on_a_warm_instance_reads_once() {
    let stack = Stack::start().await;
    stack.invoke("put", json!({"entries": (1..=40).map(entry).collect::<Vec<_>>()})).await.unwrap();
    ask(&stack, questions()).await;
    reads(&stack);
    ask(&stack, questions()).await;
    assert_eq!(reads(&stack), ["BatchGetItem"]);
    let exact: Vec<Value> =
        (1..=40).map(|number| json!({"query": order(number), "namespace": entry(number)["namespace"]})).collect();
    let cold = Stack::builder().over_table_of(&stack).start().await;
    ask(&cold, Vec::new()).await;
    reads(&cold);
    assert!(ask(&cold, exact).await.iter().all(|answer| answer["layer"] == "exact"));
    // The first call reads the counter and the pointers, the second one the rows.
    assert_eq!(reads(&cold), ["BatchGetItem", "BatchGetItem"]);
}

#[tokio::test]
async fn lookup_batch_with_invalid_query_answers_the_others() {
    let stack = Stack::start().await;
    stack.put(entry(1)).await;
    let good = json!({"query": order(1)});
    let long = "x".repeat(40_000);
    for (bad, name) in [
        (json!({}), "InvalidRequest"),
        (json!({"query": 7}), "InvalidRequest"),
        (json!("q1"), "InvalidRequest"),
        (json!({"query": order(1), "threshold": 2}), "InvalidRequest"),
        (json!({"query": order(1), "guard": "off"}), "InvalidRequest"),
        (json!({"query": order(1), "embedding": [1, 2]}), "EmbedderDimensionError"),
        (json!({"query": long}), "EntryTooLarge"),
    ] {
        let results = ask(&stack, vec![good.clone(), bad, good.clone()]).await;
        assert_eq!(results[1]["error"]["type"], format!("urn:mneme:error:{name}"), "{results:?}");
        assert!(results[1]["error"]["remediation"].is_string());
        assert!(results[0]["outcome"] == "hit" && results[2]["outcome"] == "hit", "{results:?}");
    }
    let many = vec![good.clone(); 101];
    for (bad, text) in [
        (json!({"queries": many}), "queries: the batch has 101 items, and 100 are allowed"),
        (json!({"queries": good}), "queries: not a list"),
        (json!({"queries": [good], "query": "q"}), "the field `query` cannot be shared by the items of `queries`"),
    ] {
        let error = stack.invoke("lookup", bad).await.unwrap_err();
        assert!(error.name == "InvalidRequest" && error.message.starts_with(text), "{}", error.message);
    }
}

#[tokio::test]
async fn lookup_batch_with_foreign_namespace_refuses_that_query_alone() {
    let stack = Stack::builder().variables(&[("MNEME_NAMESPACE_CLAIM", "spaces")]).start().await;
    stack.put(entry(1)).await;
    stack.put(entry(2)).await;
    let queries = json!({"queries": [{"query": order(1)}, {"query": order(2), "namespace": "even"}]});
    let claims = json!({"spaces": "even"});
    let (status, reply) = stack.http_as(&claims, reqwest::Method::POST, "/v1/lookup", Some(queries)).await;
    assert_eq!(status, 200);
    assert_eq!(reply["results"][0]["error"]["status"], 403);
    assert_eq!(reply["results"][1]["response"], "r2");
}

#[tokio::test]
async fn lookup_batch_over_the_response_limit_returns_errors_for_the_rest() {
    let stack = Stack::start().await;
    let response = "\"".repeat(380_000);
    for number in 0..4 {
        stack.put(json!({"query": format!("q{number}"), "response": response})).await;
    }
    let question = |number: u64| json!({"query": format!("q{number}")});
    let (status, reply) = stack.post("/v1/lookup", json!({"queries": (0..4).map(question).collect::<Vec<_>>()})).await;
    assert_eq!(status, 200);
    let results = reply["results"].as_array().unwrap();
    assert!(results[..3].iter().all(|result| result["outcome"] == "hit"), "1.5 MB each");
    assert_eq!(results[3]["error"]["type"], "urn:mneme:error:EntryTooLarge");
    assert_eq!(stack.lookup(question(3)).await["outcome"], "hit");
}

#[tokio::test]
async fn lookup_batch_over_the_memory_limit_answers_every_namespace() {
    // Lambda's smallest memory leaves 16 MB for vectors. Each large namespace needs 9 MB.
    // A slow machine takes long to load three large namespaces in one request.
    let stack = Stack::builder().memory_mib(128).timeout(Duration::from_secs(300)).start().await;
    let base64 = |angle: f64| {
        let floats = vector(4096, angle).into_iter().flat_map(|float| (float as f32).to_le_bytes());
        encode_base64(&floats.collect::<Vec<u8>>())
    };
    for (namespace, entries) in [("a", 560), ("b", 560), ("c", 560), ("d", 1), ("e", 1)] {
        let entry = |number: u64| {
            json!({
                "query": order(number), "response": format!("{namespace}{number}"), "namespace": namespace,
                "embedding": base64(number as f64 / 1000.0),
            })
        };
        for numbers in (0..entries).collect::<Vec<u64>>().chunks(110) {
            let entries: Vec<Value> = numbers.iter().map(|number| entry(*number)).collect();
            stack.invoke("put", json!({"entries": entries})).await.unwrap();
        }
    }
    let question = |namespace: &str| {
        json!({
            "query": order_reworded(300), "namespace": namespace, "embedding": base64(0.3), "threshold": 0.99,
        })
    };
    for _ in 0..2 {
        let results = ask(&stack, ["a", "b", "c", "a"].map(question).to_vec()).await;
        let responses: Vec<&Value> = results.iter().map(|result| &result["response"]).collect();
        assert_eq!(responses, ["a300", "b300", "c300", "a300"]);
    }
    // Two small namespaces fit together, so the second pass loads nothing.
    let small = |namespace: &str| json!({"query": order_reworded(0), "namespace": namespace, "embedding": base64(0.0)});
    for is_first in [true, false] {
        stack.proxy.take_calls();
        for namespace in ["d", "e"] {
            assert_eq!(stack.lookup(small(namespace)).await["response"], format!("{namespace}0"));
        }
        let is_load = |call: &Call| call.request["RequestItems"]["mneme"]["ConsistentRead"] == json!(false);
        assert_eq!(stack.proxy.take_calls().iter().any(is_load), is_first);
    }
}
