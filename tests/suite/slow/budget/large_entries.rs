//! What large answers of others, and of one's own, cost: at most twice what the request costs among small entries, besides
//! the answer that is served.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::embedder::EmbedderGeneration;
use mneme_store::key::RowKey;
use mneme_tests::stack::Item;
use mneme_tests::{Stack, vector};
use reqwest::Method;
use serde_json::{Value, json};

use super::{DIM, cost, question};
use crate::questions::{QUESTION, REWORDED, variant};

const CLAIM: &[(&str, &str)] = &[("MNEME_NAMESPACE_CLAIM", "space")];

/// The time that each call takes. Calls that are sent together overlap then.
const PAUSE: Duration = Duration::from_millis(20);

fn entry(namespace: &str, query: &str, bytes: usize, angle: f64) -> Value {
    json!({"query": query, "namespace": namespace, "response": "r".repeat(bytes), "embedding": vector(DIM, angle)})
}

/// Stores `count` entries, as many in a request as fit.
async fn fill(stack: &Stack, count: usize, of: impl Fn(usize) -> Value) {
    for some in (0..count).collect::<Vec<_>>().chunks(10) {
        let entries: Vec<Value> = some.iter().map(|number| of(*number)).collect();
        let reply = stack.invoke("put", json!({"entries": entries})).await.unwrap();
        assert!(reply["results"].as_array().unwrap().iter().all(|result| result["created"] == true), "{reply}");
    }
}

/// The read units of `work`.
async fn read_units(stack: &Stack, work: impl AsyncFn(&Stack)) -> f64 {
    cost(stack, PAUSE, work(stack)).await.read
}

#[tokio::test]
async fn hit_near_320_large_answers_reads_one_of_them() {
    let measure = async |bytes: usize| {
        let stack = Stack::start().await;
        fill(&stack, 320, |number| entry("default", &variant(number + 1), bytes, 0.2)).await;
        stack.put(entry("default", QUESTION, bytes, 0.2)).await;
        stack.lookup(question("none", 1.5)).await;
        read_units(&stack, async |stack| {
            let hit = stack.lookup(question(REWORDED, 0.2)).await;
            assert_eq!(hit["layer"], "semantic", "{:.200}", hit.to_string());
        })
        .await
    };
    let (small, large) = futures::join!(measure(500), measure(300_000));
    // The answer that is served, strongly consistent.
    let served = (300_000.0_f64 / 4096.0).ceil() + 1.0;
    assert!(large <= 2.0 * small + served, "{large} units among large entries, {small} among small ones");
}

#[tokio::test]
async fn catching_up_with_large_answers_of_others_reads_their_rows_only() {
    let measure = async |bytes: usize| {
        let stack = Stack::start().await;
        stack.put(entry("ours", "q", 500, 0.1)).await;
        let ask = json!({"query": "another", "namespace": "ours", "embedding": vector(DIM, 0.9)});
        stack.lookup(ask.clone()).await;
        fill(&stack, 20, |number| entry("theirs", &number.to_string(), bytes, 0.1)).await;
        read_units(&stack, async |stack| drop(stack.lookup(ask.clone()).await)).await
    };
    let (small, large) = futures::join!(measure(500), measure(390_000));
    assert!(large <= 2.0 * small, "{large} units beside large entries, {small} beside small ones");
}

#[tokio::test]
async fn listing_of_a_caller_without_entries_among_900_large_ones_costs_as_in_an_empty_table() {
    let measure = async |count: usize| {
        let stack = Stack::builder().variables(CLAIM).start().await;
        stack.invoke("provision", json!({})).await.unwrap();
        fill(&stack, count, |number| entry("theirs", &number.to_string(), 100_000, 0.1)).await;
        read_units(&stack, async |stack| {
            let claims = json!({"space": "mine"});
            let (status, page) = stack.http_as(&claims, Method::GET, "/v1/entries?limit=1", None).await;
            assert_eq!((status, &page["entries"]), (200, &json!([])), "{page}");
        })
        .await
    };
    let (empty, among) = futures::join!(measure(0), measure(900));
    assert!(among <= 2.0 * empty, "{among} units among large entries, {empty} in an empty table");
}

#[tokio::test]
async fn lookup_in_an_unknown_namespace_reads_none_of_1000_segments() {
    let measure = async |ranges: u64| {
        let stack = Stack::start().await;
        stack.put(entry("theirs", "q", 500, 0.1)).await;
        let n = |number: u64| AttributeValue::N(number.to_string());
        let manifest = [
            ("id", RowKey::manifest(EmbedderGeneration::default()).attribute()),
            ("generation", n(1)),
            ("basis_parts", n(1)),
            ("ranges", n(ranges)),
        ];
        let mut counter = stack.rows().await[&0].clone();
        if ranges > 0 {
            stack.put_item(Item::from(manifest.map(|(name, value)| (name.to_owned(), value)))).await;
            counter.insert("next_id".to_owned(), n(ranges * 1024 + 1));
            stack.put_item(counter).await;
        }
        stack.invoke("get", json!({"id": 1})).await.unwrap();
        read_units(&stack, async |stack| {
            let ask = json!({"query": "q", "namespace": "nobody's", "embedding": vector(DIM, 0.1)});
            assert_eq!(stack.lookup(ask).await["reason"], "no_entry");
        })
        .await
    };
    let (few, many) = futures::join!(measure(0), measure(1000));
    assert!(many <= 2.0 * few, "{many} units over 1,000 segments, {few} over none");
}
