//! A table that the Python library `mneme-cache` 1.0.1 wrote: the functions read it, take its rows over and write to
//! it.
//!
//! `tests/python/exchange.py` tests the exchange in both directions with the running library.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use mneme_tests::stack::Item;
use mneme_tests::{Stack, vector};
use serde_json::{Value, json};

/// An attribute in the form of the fixture: `{"N": "1"}`, with binary values in base64.
fn attribute(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    let text = || value.as_str().unwrap().to_owned();
    match kind.as_str() {
        "N" => AttributeValue::N(text()),
        "S" => AttributeValue::S(text()),
        "B" => {
            use base64::Engine as _;
            AttributeValue::B(Blob::new(base64::engine::general_purpose::STANDARD.decode(text()).unwrap()))
        }
        "M" => AttributeValue::M(item(value)),
        other => panic!("{other}"),
    }
}

fn item(value: &Value) -> Item {
    value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

const VARIABLES: [(&str, &str); 3] = [
    ("MNEME_EMBEDDER_FINGERPRINT", "fixture-embedder-v1"),
    ("MNEME_EMBEDDER_DIM", "8"),
    ("MNEME_GSI_PROJECTION", "ALL"),
];

async fn python_table() -> Stack {
    let stack = Stack::builder().variables(&VARIABLES).start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    for line in include_str!("../fixtures/python_table.jsonl").lines() {
        stack.put_item(item(&serde_json::from_str(line).unwrap())).await;
    }
    stack
}

#[tokio::test]
async fn entries_of_the_python_library_are_found_by_every_operation() {
    let stack = python_table().await;
    // A cold instance finds an exact match in the index.
    let exact = stack.lookup(json!({"query": " STRASSE\u{1c}und Weg "})).await;
    assert_eq!((&exact["layer"], &exact["id"], &exact["response"]), (&json!("exact"), &json!(1), &json!("Antwort")));
    let semantic = json!({"query": "new words", "embedding": vector(8, 0.1), "namespace": "tenant/1"});
    assert_eq!(stack.lookup(semantic).await["id"], 2);
    assert_eq!(stack.lookup(json!({"query": "expired question"})).await["outcome"], "miss");
    let (_, entry) = stack.get("/v1/entries/2").await;
    assert_eq!((&entry["confidence_score"], &entry["metadata"]), (&json!(1.0), &json!({"model": "m", "n": 1.5})));
    assert_eq!(stack.get("/v1/namespaces/tenant%2F1/quota").await.1["max_entries"], 50);
    assert_eq!(stack.get("/v1/meta/schema").await.1["value"], "x");
    assert_eq!(stack.get("/v1/health").await.0, 200);
}

#[tokio::test]
async fn entries_of_the_python_library_can_be_replaced_and_removed() {
    let stack = python_table().await;
    let (next_id, version) = stack.counter().await;
    let again = json!({"query": "straße UND weg", "response": "neu", "embedding": vector(8, 0.0)});
    let reply = stack.invoke("put", again).await.unwrap();
    assert_eq!(reply, json!({"id": 1, "created": false}), "the same vector keeps the id");
    let moved =
        json!({"query": "Second Question", "response": "new", "embedding": vector(8, 1.5), "namespace": "tenant/1"});
    assert_eq!(stack.invoke("put", moved).await.unwrap(), json!({"id": next_id, "created": false}));
    stack.invoke("delete", json!({"id": 1})).await.unwrap();
    assert_eq!(stack.counter().await, (next_id + 1, version + 3));
    assert_eq!(stack.lookup(json!({"query": "strasse und weg"})).await["outcome"], "miss");
    let reply = stack.invoke("vacuum", json!({})).await.unwrap();
    assert_eq!((&reply["expired"], &reply["duplicates"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn put_without_vector_in_a_shared_table_stores_zeros() {
    let stack = python_table().await;
    let id = stack.put(json!({"query": "exact only", "response": "A"})).await;
    let row = &stack.rows().await[&i128::from(id)];
    assert_eq!(row["embedding"].as_b().unwrap().as_ref(), [0u8; 32]);
    let question = json!({"query": "exact ONLY", "embedding": vector(8, 2.0)});
    assert_eq!(stack.lookup(question).await["layer"], "exact");
}
