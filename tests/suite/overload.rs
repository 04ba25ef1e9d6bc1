//! A table without capacity: work waits and keeps its progress, and a lookup ends within its budget.

use std::time::Duration;

use futures::future::join_all;
use mneme_tests::proxy::Call;
use mneme_tests::{CounterState, Stack, vector};
use serde_json::{Value, json};

/// With 768 dimensions, an entry takes one read unit.
const DIM: usize = 768;
const BUDGET: Duration = Duration::from_secs(5);

fn entry(query: &str, angle: f64) -> Value {
    json!({"query": query, "response": format!("answer to {query}"), "embedding": vector(DIM, angle)})
}

/// A stack with that many entries. The nearest one to the angle 0 is `the nearest`.
async fn stored(entries: usize) -> Stack {
    let stack = Stack::start().await;
    let mut all: Vec<Value> = (1..entries).map(|n| entry(&format!("entry {n}"), 2.0)).collect();
    all.push(entry("the nearest", 0.0));
    for some in all.chunks(100) {
        stack.invoke("put", json!({"entries": some})).await.unwrap();
    }
    stack
}

/// New instances over the table of `stack`, with a short budget for lookups.
async fn hasty(stack: &Stack, variables: &[(&str, &str)]) -> Stack {
    let guard = "these questions have no words in common";
    let budget = BUDGET.as_millis().to_string();
    let builder = Stack::builder().over_table_of(stack).without_guard(guard).max_instances(8);
    builder.variables(&[("MNEME_LOOKUP_BUDGET_MS", &budget)]).variables(variables).start().await
}

fn near(query: &str) -> Value {
    json!({"query": query, "embedding": vector(DIM, 0.1)})
}

fn read_units(calls: &[Call]) -> f64 {
    let units = |call: &Call| match &call.capacity {
        Value::Array(all) => all.iter().filter_map(|one| one["CapacityUnits"].as_f64()).sum(),
        one => one["CapacityUnits"].as_f64().unwrap_or(0.0),
    };
    calls.iter().filter(|call| call.operation.contains("Get") || call.operation == "Scan").map(units).sum()
}

/// Asks until the semantic layer answers. Every reply before that is the miss `not_loaded`.
async fn ask_until_loaded(stack: &Stack) -> Value {
    loop {
        let answer = stack.lookup(near("something else")).await;
        if answer["outcome"] == "hit" {
            return answer;
        }
        // The load may have used up the capacity for the first read of a lookup.
        assert!(["not_loaded", "unavailable"].map(Value::from).contains(&answer["reason"]), "{answer}");
    }
}

#[tokio::test]
async fn cold_instances_with_little_capacity_are_loaded_and_read_no_row_twice() {
    const ENTRIES: usize = 400;
    let stack = stored(ENTRIES).await;
    for instances in [1, 4] {
        let cold = hasty(&stack, &[]).await;
        cold.proxy.limit_reads(40.0, 20.0);
        let answers = join_all((0..instances).map(|_| ask_until_loaded(&cold))).await;
        assert!(answers.iter().all(|answer| answer["response"] == "answer to the nearest"), "{answers:?}");
        // Half a unit for each row and instance, and a few units for each lookup.
        let calls = cold.proxy.take_calls();
        let rows = |call: &Call| call.request["RequestItems"]["mneme"]["ConsistentRead"] == json!(false);
        let loads: Vec<Call> = calls.into_iter().filter(rows).collect();
        let started = cold.server.instances("lookup");
        let (units, load) = (read_units(&loads), ENTRIES as f64 / 2.0 * started as f64);
        assert!(units <= load * 1.1, "{units} units for {started} loads of {}", ENTRIES / 2);
    }
}

#[tokio::test]
async fn vacuum_with_little_capacity_continues_by_its_cursor() {
    let stack = stored(400).await;
    let slow = Stack::builder().over_table_of(&stack).timeout(Duration::from_secs(8)).start().await;
    slow.proxy.limit_reads(200.0, 10.0);
    let mut request = json!({});
    let mut examined = 0;
    for call in 1.. {
        assert!(call < 20, "the vacuum makes no progress");
        let reply = slow.invoke("vacuum", request).await.unwrap();
        examined += reply["examined"].as_u64().unwrap();
        if reply["cursor"].is_null() {
            break;
        }
        request = json!({"cursor": reply["cursor"]});
    }
    assert!(examined >= 400, "{examined}");
}

#[tokio::test]
async fn scheduled_vacuum_with_little_capacity_keeps_its_place() {
    let stack = stored(400).await;
    let slow = Stack::builder().over_table_of(&stack).timeout(Duration::from_secs(8)).start().await;
    slow.proxy.limit_reads(200.0, 10.0);
    let mut cursors = Vec::new();
    while let Some(cursor) = slow.invoke("vacuum", json!({"resume": true})).await.unwrap()["cursor"].as_str() {
        cursors.push(cursor.to_owned());
        assert!(cursors.len() < 20, "{cursors:?}");
    }
    let again = slow.invoke("vacuum", json!({"resume": true})).await.unwrap();
    assert!(again["examined"].as_u64() > Some(0), "the next pass starts again: {again}");
}

#[tokio::test]
async fn totals_with_little_capacity_are_complete() {
    let stack = stored(300).await;
    stack.proxy.limit_reads(200.0, 10.0);
    let stats = stack.invoke("stats", json!({})).await.unwrap();
    assert_eq!(stats["entries"], 300, "{stats}");
    let namespaces = stack.invoke("namespaces", json!({})).await.unwrap();
    assert_eq!(namespaces["namespaces"], json!([{"namespace": "default", "entries": 300}]));
}

/// Asserts that no read of a lookup began after its budget, at the proxy's clock. Counts of lookups are written in the
/// background, at any time.
fn assert_within_budget(calls: &[Call]) {
    let reads = || calls.iter().filter(|call| call.operation == "BatchGetItem").map(|call| call.began);
    let begun = reads().min().unwrap();
    let last = reads().max().unwrap();
    assert!(last - begun <= BUDGET, "{:?}", last - begun);
}

#[tokio::test]
async fn lookup_with_item_0_throttled_or_silent_is_a_miss_within_its_budget() {
    let stack = stored(20).await;
    let hasty = hasty(&stack, &[]).await;
    assert_eq!(hasty.lookup(near("something else")).await["outcome"], "hit");
    for state in [CounterState::Throttled, CounterState::Hung, CounterState::Slow(Duration::from_secs(20))] {
        hasty.proxy.take_calls();
        hasty.proxy.set_counter_state(Some(state));
        let answer = hasty.lookup(near("something else")).await;
        assert_eq!((&answer["outcome"], &answer["reason"]), (&json!("miss"), &json!("unavailable")), "{state:?}");
        hasty.proxy.set_counter_state(None);
        hasty.proxy.idle().await;
        assert_within_budget(&hasty.proxy.take_calls());
        assert_eq!(hasty.lookup(near("something else")).await["outcome"], "hit", "after {state:?}");
    }
}

#[tokio::test]
async fn exact_hit_that_came_with_the_first_reply_is_served_without_item_0() {
    let stack = stored(20).await;
    let hasty = hasty(&stack, &[]).await;
    let question = json!({"query": "entry 7", "embedding": vector(DIM, 2.0)});
    assert_eq!(hasty.lookup(near("something else")).await["outcome"], "hit");
    hasty.proxy.take_calls();
    hasty.proxy.set_counter_state(Some(CounterState::Throttled));
    assert_eq!(hasty.lookup(question).await["response"], "answer to entry 7");
    let reads = hasty.proxy.take_calls().into_iter().filter(|call| call.operation == "BatchGetItem").count();
    assert_eq!(reads, 1, "the lookup does not ask for item 0 again");
    hasty.proxy.set_counter_state(None);
}

#[tokio::test]
async fn lookup_may_use_the_last_state_while_item_0_does_not_answer() {
    let stack = stored(20).await;
    let stale = hasty(&stack, &[("MNEME_STALE_IF_ERROR_MS", "60000"), ("MNEME_LOOKUP_BUDGET_MS", "10000")]).await;
    assert_eq!(stale.lookup(near("something else")).await["outcome"], "hit");
    for state in [CounterState::Throttled, CounterState::Hung] {
        stale.proxy.set_counter_state(Some(state));
        let answer = stale.lookup(near("something else")).await;
        assert_eq!(answer["response"], "answer to the nearest", "{state:?}: {answer}");
        stale.proxy.set_counter_state(None);
    }
}

#[tokio::test]
async fn hit_does_not_wait_for_its_access_to_be_written() {
    let stack = Stack::builder().variables(&[("MNEME_ACCESS_RESOLUTION_SECS", "0")]).start().await;
    let id = stack.put(json!({"query": "q", "response": "R"})).await;
    let held = stack.proxy.hold_nth("TransactWriteItems", 0);
    assert_eq!(stack.lookup(json!({"query": "q"})).await["response"], "R");
    let release = held.arrived().await;
    release();
    let is_written = async || stack.invoke("get", json!({"id": id})).await.unwrap()["access_count"] == 1;
    while !is_written().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn lookup_in_a_namespace_without_entries_reads_no_rows() {
    let stack = stored(100).await;
    let new = Stack::builder().over_table_of(&stack).start().await;
    new.lookup(json!({"query": "q"})).await;
    new.proxy.take_calls();
    let question = json!({"query": "q", "namespace": "nobody's", "embedding": vector(DIM, 0.0)});
    assert_eq!(new.lookup(question.clone()).await["reason"], "no_entry");
    let units = read_units(&new.proxy.take_calls());
    assert!(units <= 5.0, "{units} units");
    // The instance sees the first entry of the namespace.
    let mut first = entry("first", 0.0);
    first["namespace"] = json!("nobody's");
    stack.put(first).await;
    assert_eq!(
        new.lookup(json!({"query": "FIRST", "namespace": "nobody's", "embedding": vector(DIM, 1.0)})).await["response"],
        "answer to first"
    );
}
