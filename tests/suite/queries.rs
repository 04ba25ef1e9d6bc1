//! Batches of questions: each its own answer, in order, and one round of reads for all.

use mneme_model::embedding::encode_base64;
use mneme_tests::{Stack, vector};
use serde_json::{Value, json};

fn entry(number: u64) -> Value {
    let namespace = if number.is_multiple_of(2) { "even" } else { "default" };
    json!({
        "query": format!("q{number}"), "response": format!("r{number}"), "namespace": namespace,
        "embedding": vector(8, number as f64 / 30.0),
    })
}

/// Questions of every outcome: exact, semantic, and misses.
fn questions() -> Vec<Value> {
    let near = |number: u64| json!({"query": "other words", "embedding": vector(8, number as f64 / 30.0 + 0.001)});
    vec![
        json!({"query": "Q1"}),
        near(3),
        json!({"query": "q2"}),
        json!({"query": "q2", "namespace": "even"}),
        json!({"query": "x", "namespace": "even", "embedding": vector(8, 4.0 / 30.0), "threshold": 0.9999}),
        json!({"query": "x", "embedding": vector(8, 3.0)}),
        json!({"query": "x", "namespace": "empty", "embedding": vector(8, 0.0)}),
        json!({"query": "q1", "bypass": true}),
        json!({"query": "x"}),
        near(3),
    ]
}

async fn ask(stack: &Stack, queries: Vec<Value>) -> Vec<Value> {
    let mut reply = stack.invoke("lookup", json!({"queries": queries})).await.unwrap();
    serde_json::from_value(reply["results"].take()).unwrap()
}

/// What was read since the last call; counts of hits are written whenever their time has come.
fn reads(stack: &Stack) -> Vec<String> {
    stack.proxy.take_operations().into_iter().filter(|operation| operation != "UpdateItem").collect()
}

fn without_age(mut answer: Value) -> Value {
    answer.as_object_mut().unwrap().remove("age_seconds");
    answer
}

#[tokio::test]
async fn each_gets_what_it_would_get_alone() {
    let stack = Stack::start().await;
    stack.invoke("put", json!({"entries": (1..=40).map(entry).collect::<Vec<_>>()})).await.unwrap();
    let mut alone = Vec::new();
    for question in questions() {
        alone.push(without_age(stack.lookup(question).await));
    }
    let cold = Stack::beside(&stack, &[]).await;
    for stack in [&stack, &cold, &cold] {
        let together: Vec<Value> = ask(stack, questions()).await.into_iter().map(without_age).collect();
        assert_eq!(together, alone);
    }
    let (status, reply) = stack.post("/v1/lookup", json!({"queries": questions()})).await;
    assert_eq!((status, reply["results"].as_array().unwrap().len()), (200, questions().len()));
    assert_eq!(ask(&stack, Vec::new()).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_warm_instance_reads_once_for_all() {
    let stack = Stack::start().await;
    stack.invoke("put", json!({"entries": (1..=40).map(entry).collect::<Vec<_>>()})).await.unwrap();
    ask(&stack, questions()).await;
    reads(&stack);
    ask(&stack, questions()).await;
    assert_eq!(reads(&stack), ["BatchGetItem"]);
    let exact: Vec<Value> = (1..=40)
        .map(|number| json!({"query": format!("q{number}"), "namespace": entry(number)["namespace"]}))
        .collect();
    let cold = Stack::beside(&stack, &[]).await;
    ask(&cold, Vec::new()).await;
    reads(&cold);
    assert!(ask(&cold, exact).await.iter().all(|answer| answer["layer"] == "exact"));
    // The counter and the pointers, then the rows.
    assert_eq!(reads(&cold), ["BatchGetItem", "BatchGetItem"]);
}

#[tokio::test]
async fn a_bad_question_fails_alone() {
    let stack = Stack::start().await;
    stack.put(entry(1)).await;
    let good = json!({"query": "q1"});
    let long = "x".repeat(40_000);
    for (bad, name) in [
        (json!({}), "InvalidRequest"),
        (json!({"query": 7}), "InvalidRequest"),
        (json!("q1"), "InvalidRequest"),
        (json!({"query": "q1", "threshold": 2}), "InvalidRequest"),
        (json!({"query": "q1", "guard": "off"}), "InvalidRequest"),
        (json!({"query": "q1", "embedding": [1, 2]}), "EmbedderDimensionError"),
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
async fn callers_are_bound_to_their_namespaces_in_each_question() {
    let stack = Stack::with(&[("MNEME_NAMESPACE_CLAIM", "spaces")]).await;
    stack.put(entry(1)).await;
    stack.put(entry(2)).await;
    let queries = json!({"queries": [{"query": "q1"}, {"query": "q2", "namespace": "even"}]});
    let claims = json!({"spaces": ["even"]});
    let (status, reply) = stack.http_as(&claims, reqwest::Method::POST, "/v1/lookup", Some(queries)).await;
    assert_eq!(status, 200);
    assert_eq!(reply["results"][0]["error"]["status"], 403);
    assert_eq!(reply["results"][1]["response"], "r2");
}

#[tokio::test]
async fn answers_that_one_reply_cannot_hold_are_to_be_asked_for_again() {
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
async fn namespaces_that_memory_does_not_hold_together_are_all_answered() {
    // The least memory that Lambda gives: 16 MB for vectors, of which each of the large namespaces takes 12.
    let stack = Stack::small(128).await;
    let base64 = |angle: f64| {
        let floats = vector(4096, angle).into_iter().flat_map(|float| (float as f32).to_le_bytes());
        encode_base64(&floats.collect::<Vec<u8>>())
    };
    for (namespace, entries) in [("a", 700), ("b", 700), ("c", 700), ("d", 1), ("e", 1)] {
        let entry = |number: u64| {
            json!({
                "query": number.to_string(), "response": format!("{namespace}{number}"), "namespace": namespace,
                "embedding": base64(number as f64 / 1000.0),
            })
        };
        for numbers in (0..entries).collect::<Vec<u64>>().chunks(110) {
            let entries: Vec<Value> = numbers.iter().map(|number| entry(*number)).collect();
            stack.invoke("put", json!({"entries": entries})).await.unwrap();
        }
    }
    let question =
        |namespace: &str| json!({"query": "x", "namespace": namespace, "embedding": base64(0.3), "threshold": 0.99});
    for _ in 0..2 {
        let results = ask(&stack, ["a", "b", "c", "a"].map(question).to_vec()).await;
        let responses: Vec<&Value> = results.iter().map(|result| &result["response"]).collect();
        assert_eq!(responses, ["a300", "b300", "c300", "a300"]);
    }
    // Small ones stay beside each other.
    let small = |namespace: &str| json!({"query": "x", "namespace": namespace, "embedding": base64(0.0)});
    for is_first in [true, false] {
        stack.proxy.take_calls();
        for namespace in ["d", "e"] {
            assert_eq!(stack.lookup(small(namespace)).await["response"], format!("{namespace}0"));
        }
        assert_eq!(stack.proxy.take_operations().contains(&"Scan".to_owned()), is_first);
    }
}
