//! `stats` of a range of time: lookups by hour and by day, and what hits saved.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;
use mneme_model::namespace::Namespace;
use mneme_store::key::RowKey;
use mneme_tests::stack::Item;
use mneme_tests::{Stack, vector};
use serde_json::{Value, json};

/// Midnight of 3 January 2026, UTC.
const MIDNIGHT: i64 = 1_767_398_400;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// The hour stats that instances would have written for the hour that starts at `start`.
fn hour(namespace: &str, start: i64, counts: &[(&str, i64)]) -> Item {
    let n = |value: i64| AttributeValue::N(value.to_string());
    let namespace = (!namespace.is_empty()).then(|| Namespace::try_from(namespace.to_owned()).unwrap());
    let mut item = Item::from([
        ("id".to_owned(), RowKey::hour_stats(namespace.as_ref(), start / HOUR).attribute()),
        ("hour".to_owned(), n(start / HOUR)),
        ("ttl".to_owned(), n(start + 401 * DAY)),
    ]);
    item.extend(counts.iter().map(|(name, count)| ((*name).to_owned(), n(*count))));
    item
}

async fn series(stack: &Stack, query: &str) -> Value {
    let (status, reply) = stack.get(&format!("/v1/stats?{query}")).await;
    assert_eq!(status, 200, "{reply}");
    reply
}

fn starts(reply: &Value) -> Vec<i64> {
    reply["periods"].as_array().unwrap().iter().map(|period| period["start"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn stats_of_a_range_count_hits_and_what_they_saved_by_price_of_the_model() {
    let stack = Stack::builder().variables(&[("MNEME_PRICES", "gpt-x=2.5/10")]).start().await;
    let put = |query: &str, usage: Value| json!({"query": query, "response": "r", "namespace": "a", "usage": usage});
    let usage = json!({"prompt_tokens": 1000, "completion_tokens": 200, "model": "gpt-x", "latency_ms": 1500});
    stack.put(put("priced", usage.clone())).await;
    stack.put(put("unpriced", json!({"prompt_tokens": 10, "model": "other"}))).await;
    stack.put(put("unknown", Value::Null)).await;
    for query in ["priced", "priced", "unpriced", "unknown", "absent"] {
        stack.lookup(json!({"query": query, "namespace": "a"})).await;
    }
    stack.lookup(json!({"query": "q", "namespace": "never put to"})).await;
    stack.server.recycle("lookup").await;
    assert_eq!(stack.get("/v1/entries/1").await.1["usage"], usage);
    let reply = series(&stack, "namespace=a&by=day").await;
    let expected = json!({
        "hits": 4, "hits_exact": 4, "hits_semantic": 0, "misses": 1, "misses_by_reason": {"no_embedding": 1},
        "hit_rate": 0.8,
        "saved": {
            "hits_with_usage": 3, "hits_with_cost": 2, "prompt_tokens": 2010, "completion_tokens": 400,
            "seconds": 3.0, "cost": 0.009,
        },
    });
    assert_eq!((&reply["total"], &reply["namespace"], &reply["by"]), (&expected, &json!("a"), &json!("day")));
    // The whole cache also counts namespaces without entries.
    let all = series(&stack, "by=hour").await;
    assert_eq!((&all["total"]["hits"], &all["total"]["misses"]), (&json!(4), &json!(2)));
    assert_eq!(series(&stack, "namespace=never%20put%20to&by=hour").await["periods"], json!([]));
}

#[tokio::test]
async fn stats_by_hour_and_by_day_group_the_hours_of_the_range() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "r", "embedding": vector(4, 0.0)})).await;
    for (start, hits) in [(MIDNIGHT - HOUR, 1), (MIDNIGHT, 2), (MIDNIGHT + 5 * HOUR, 4), (MIDNIGHT + DAY, 8)] {
        stack.put_item(hour("default", start, &[("hits_exact", hits), ("misses_vetoed", 1)])).await;
    }
    let range = |from: i64, to: i64| format!("namespace=default&from={from}&to={to}");
    let reply = series(&stack, &range(MIDNIGHT + 60, MIDNIGHT + 5 * HOUR + 1)).await;
    assert_eq!(starts(&reply), [MIDNIGHT, MIDNIGHT + 5 * HOUR]);
    assert_eq!((&reply["from"], &reply["to"]), (&json!(MIDNIGHT), &json!(MIDNIGHT + 6 * HOUR)));
    assert_eq!((&reply["total"]["hits"], &reply["total"]["misses_by_reason"]), (&json!(6), &json!({"vetoed": 2})));
    let reply = series(&stack, &(range(MIDNIGHT - 1, MIDNIGHT + DAY) + "&by=day")).await;
    assert_eq!(starts(&reply), [MIDNIGHT - DAY, MIDNIGHT]);
    assert_eq!((&reply["periods"][0]["hits"], &reply["periods"][1]["hits"]), (&json!(1), &json!(6)));
    let reply = series(&stack, &(range(MIDNIGHT, MIDNIGHT + 400 * DAY) + "&by=day")).await;
    assert_eq!((starts(&reply).len(), &reply["total"]["hits"]), (2, &json!(14)));
}

#[tokio::test]
async fn stats_of_a_claimed_caller_sum_the_namespaces_of_the_claim() {
    let variables = [("MNEME_NAMESPACE_CLAIM", "tenants"), ("MNEME_NAMESPACE_CLAIM_FORM", "list")];
    let stack = Stack::builder().variables(&variables).start().await;
    stack.provision_without_ttl().await;
    let start = now() / HOUR * HOUR;
    for (namespace, hits) in [("a", 1), ("b", 2), ("c", 4), ("", 7)] {
        stack.put_item(hour(namespace, start, &[("hits_exact", hits)])).await;
    }
    let (status, reply) =
        stack.http_as(&json!({"tenants": "a,b"}), reqwest::Method::GET, "/v1/stats?by=hour", None).await;
    assert_eq!((status, &reply["total"]["hits"]), (200, &json!(3)), "{reply}");
    let path = "/v1/stats?by=hour&namespace=c";
    assert_eq!(stack.http_as(&json!({"tenants": "a,b"}), reqwest::Method::GET, path, None).await.0, 403);
}

#[tokio::test]
async fn stats_of_a_bad_range_are_refused() {
    let stack = Stack::start().await;
    for bad in [
        format!("from={MIDNIGHT}&to={MIDNIGHT}"),
        format!("from={}&to={MIDNIGHT}", MIDNIGHT + 1),
        "from=-1".to_owned(),
        format!("from={MIDNIGHT}&to={}", MIDNIGHT + 33 * DAY),
        format!("from={MIDNIGHT}&to={}&by=day", MIDNIGHT + 402 * DAY),
        format!("to={}", i64::MAX),
        format!("from=0&to={}", i64::MAX),
        "by=week".to_owned(),
    ] {
        let (status, problem) = stack.get(&format!("/v1/stats?{bad}")).await;
        assert_eq!(status, 400, "{bad}: {problem}");
    }
}

#[tokio::test]
async fn usage_out_of_bounds_is_refused_by_name() {
    let stack = Stack::start().await;
    for (usage, named) in [
        (json!({"prompt_tokens": 1_000_000_001}), "usage.prompt_tokens"),
        (json!({"latency_ms": 86_400_001}), "usage.latency_ms"),
        (json!({"model": ""}), "usage.model"),
        (json!({"tokens": 1}), "tokens"),
        (json!({"prompt_tokens": -1}), "prompt_tokens"),
    ] {
        let error = stack.invoke("put", json!({"query": "q", "response": "r", "usage": usage})).await.unwrap_err();
        assert_eq!(error.name, "InvalidRequest");
        assert!(error.message.contains(named), "{named}: {error:?}");
    }
}

#[tokio::test]
async fn vacuum_removes_hours_that_are_older_than_400_days() {
    let stack = Stack::start().await;
    stack.provision_without_ttl().await;
    stack.put_item(hour("a", now() - 402 * DAY, &[("hits_exact", 1)])).await;
    stack.put_item(hour("a", now(), &[("hits_exact", 1)])).await;
    assert_eq!(stack.invoke("vacuum", json!({})).await.unwrap()["derived_removed"], 1);
    assert_eq!(stack.rows().await.into_keys().filter(|key| *key < 0).count(), 1);
}
