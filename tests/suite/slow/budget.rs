//! What a request may cost: calls one after another, and capacity units; and that neither grows with the table.
//!
//! The item is the design's: 768 dimensions and a response of 0.5 KB, which is 4 KB. Units, by the DynamoDB Developer
//! Guide ("Read and write operations", "DynamoDB transactions: how it works"): a strong read of 4 KB is 1, an eventual one
//! 0.5; a transactional write is 2 for each KB, and each change of an index entry is 1, or 2 where its sort key changes.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use mneme_tests::proxy::Call;
use mneme_tests::stack::overcounts_transactions;
use mneme_tests::{Stack, vector};
use serde_json::{Value, json};

const DIM: usize = 768;

fn entry(query: &str, angle: f64) -> Value {
    json!({"query": query, "response": "r".repeat(500), "embedding": vector(DIM, angle)})
}

fn entry_in(namespace: &str, query: &str) -> Value {
    let mut entry = entry(query, 3.0);
    entry["namespace"] = json!(namespace);
    entry
}

/// What some work cost.
#[derive(Debug, Clone, PartialEq)]
struct Cost {
    /// The operations that were called, in alphabetical order: those at once come in any.
    operations: Vec<String>,
    /// How many calls came one after another.
    rounds: usize,
    read: f64,
    write: f64,
    /// Whether a call was sent again that was not answered in time, by the SDK or, under its token, a transaction by us, as happens
    /// where a machine halts: that is no request's cost.
    has_repeats: bool,
}

/// How often a measurement that was halted is made anew.
const MOST_HALTS: u32 = 5;

const READS: [&str; 4] = ["GetItem", "BatchGetItem", "Query", "Scan"];

fn units(call: &Call) -> f64 {
    let consumed = match &call.capacity {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    };
    consumed.iter().filter_map(|each| each["CapacityUnits"].as_f64()).sum()
}

/// The most calls of which none began before another had ended.
fn rounds(calls: &[Call]) -> usize {
    let mut by_end: Vec<&Call> = calls.iter().collect();
    by_end.sort_by_key(|call| call.ended);
    let mut last = None;
    by_end
        .iter()
        .filter(|call| last.is_none_or(|last| call.began >= last) && last.replace(call.ended) != Some(call.ended))
        .count()
}

/// Whether it writes counts of lookups, which an instance does in the background for all of them together.
fn is_of_the_recorder(call: &Call) -> bool {
    call.operation == "UpdateItem"
        && call.request["UpdateExpression"].as_str().is_some_and(|text| text.starts_with("SET #name = :name ADD #"))
}

/// The cost of `work`. The pause makes calls that are sent together overlap.
async fn cost(stack: &Stack, pause: Duration, work: impl Future<Output = ()>) -> Cost {
    stack.proxy.take_calls();
    stack.proxy.slow_down(pause);
    work.await;
    stack.proxy.slow_down(Duration::ZERO);
    let mut calls = stack.proxy.take_calls();
    calls.retain(|call| !is_of_the_recorder(call));
    let of = |is_read: bool| {
        calls.iter().filter(|call| READS.contains(&call.operation.as_str()) == is_read).map(units).sum()
    };
    let mut operations: Vec<String> = calls.iter().map(|call| call.operation.clone()).collect();
    operations.sort();
    let write = if overcounts_transactions() { 0.0 } else { of(false) };
    let mut tokens = HashSet::new();
    let mut is_known =
        |call: &Call| call.request["ClientRequestToken"].as_str().is_some_and(|token| !tokens.insert(token.to_owned()));
    let has_repeats = calls.iter().any(|call| call.is_repeat || is_known(call));
    Cost { operations, rounds: rounds(&calls), read: of(true), write, has_repeats }
}

/// What is measured, on a stack and a table of some size.
struct Measured {
    stack: Stack,
    costs: BTreeMap<&'static str, Cost>,
    serial: u32,
}

impl Measured {
    async fn over(variables: &[(&str, &str)], entries: usize) -> Self {
        let stack = Stack::builder().variables(variables).start().await;
        let all: Vec<usize> = (0..entries).collect();
        for some in all.chunks(100) {
            let some: Vec<Value> = some.iter().map(|n| entry_in("crowd", &format!("{n}"))).collect();
            stack.invoke("put", json!({"entries": some})).await.unwrap();
        }
        Self { stack, costs: BTreeMap::new(), serial: 0 }
    }

    /// Measures `work`, after having done it once, and again with more time for calls to overlap, where they seem to come
    /// one after another; what was halted does not count. `prepare` makes what the work of that number needs.
    async fn measure(
        &mut self,
        name: &'static str,
        rounds: usize,
        prepare: impl AsyncFn(&Stack, u32),
        work: impl AsyncFn(&Stack, u32),
    ) {
        let mut halts = 0;
        let mut pauses = [0, 20, 400].into_iter().peekable();
        while let Some(pause) = pauses.peek().copied() {
            self.serial += 1;
            prepare(&self.stack, self.serial).await;
            let cost = cost(&self.stack, Duration::from_millis(pause), work(&self.stack, self.serial)).await;
            if cost.has_repeats && halts < MOST_HALTS {
                halts += 1;
                continue;
            }
            let done = pause > 0 && cost.rounds <= rounds;
            self.costs.insert(name, cost);
            if done {
                break;
            }
            pauses.next();
        }
    }
}

async fn list(stack: &Stack, order: &str) {
    let page = json!({"namespace": "crowd", "order": order, "limit": 10});
    let page = stack.invoke("list", page).await.unwrap();
    assert_eq!(page["entries"].as_array().unwrap().len(), 10);
}

async fn nothing(_: &Stack, _: u32) {}

/// Name, calls one after another, read units, write units.
type Budget = (&'static str, usize, f64, f64);

/// What the design sets.
const DESIGNED: [Budget; 6] = [
    ("lookup: miss", 1, 2.0, 0.0),
    ("lookup: exact hit", 1, 6.0, 0.0),
    ("lookup: semantic hit", 1, 6.0, 0.0),
    ("lookup: cold exact hit", 2, 4.0, 0.0),
    ("put: new", 2, 2.0, 16.0),
    ("delete: by id", 2, 2.0, 16.0),
];

/// What was measured where the design is silent, and why it is so much.
const BOUNDED: [Budget; 14] = [
    // The counter and the pair as for any put, then the pair's row; the row, its move in one index, and the counter.
    ("put: in place", 3, 3.0, 12.0),
    // As before; the new row and the old one's deletion, both with two index entries, the counter and the pointer.
    ("put: anew", 3, 3.0, 24.0),
    // As new, with the receipt read and written.
    ("put: with a key", 2, 3.0, 18.0),
    // As new, then the tally, strongly.
    ("put: under a quota", 3, 3.0, 16.0),
    // Then the keys of the namespace in `gsi_lru`, the row to go, its deletion with pointer, counter and tally, and the
    // tally's correction.
    ("put: over a quota", 7, 6.0, 33.0),
    // Ten rows with their pointers, one counter and one tally.
    ("put: ten at once", 2, 11.0, 124.0),
    // As under a quota, with the table's tally written, too.
    ("put: under the cap", 3, 3.0, 18.0),
    // The pointer, its row, `gsi_hash` for duplicates of it and the rows it names; the deletion as by id.
    ("delete: by query", 5, 4.0, 16.0),
    // The row, its move in one index, the counter; and first a read for who may touch it.
    ("touch", 2, 1.0, 12.0),
    // Without a vector and so without a replica: the counter and the pointer, the row, and then as a touch.
    ("lookup: hit with its access written", 3, 6.0, 12.0),
    ("get", 1, 1.0, 0.0),
    ("find", 2, 2.0, 0.0),
    // The counter, and ten rows.
    ("list: ten by id", 2, 17.0, 0.0),
    ("quota: set", 2, 1.0, 2.0),
];

async fn measure(entries: usize) -> BTreeMap<&'static str, Cost> {
    let mut on = Measured::over(&[], entries).await;
    let mine = async |stack: &Stack, n: u32| {
        stack.put(entry(&format!("mine {n}"), 0.0)).await;
    };
    on.measure("put: new", 2, nothing, mine).await;
    on.measure("put: in place", 3, mine, mine).await;
    let anew = async |stack: &Stack, n: u32| {
        stack.put(entry(&format!("mine {n}"), 0.1)).await;
    };
    on.measure("put: anew", 3, mine, anew).await;
    let with_key = async |stack: &Stack, n: u32| {
        let mut entry = entry(&format!("mine {n}"), 0.0);
        entry["idempotency_key"] = json!(n.to_string());
        stack.put(entry).await;
    };
    on.measure("put: with a key", 2, nothing, with_key).await;
    let ten = async |stack: &Stack, n: u32| {
        let entries: Vec<Value> = (0..10).map(|at| entry(&format!("ten {n} {at}"), 0.0)).collect();
        stack.invoke("put", json!({"entries": entries})).await.unwrap();
    };
    on.measure("put: ten at once", 2, nothing, ten).await;

    let set = async |stack: &Stack, namespace: &str, max_entries: u32| {
        let set = json!({"action": "set", "namespace": namespace, "max_entries": max_entries});
        stack.invoke("quota", set).await.unwrap();
    };
    on.measure("quota: set", 2, nothing, async |stack: &Stack, _: u32| set(stack, "roomy", 1000).await).await;
    let roomy = async |stack: &Stack, n: u32| {
        stack.put(entry_in("roomy", &format!("{n}"))).await;
    };
    on.measure("put: under a quota", 3, nothing, roomy).await;
    set(&on.stack, "small", 5).await;
    let small = async |stack: &Stack, n: u32| {
        stack.put(entry_in("small", &format!("{n}"))).await;
    };
    for n in 0..6 {
        small(&on.stack, n).await;
    }
    on.measure("put: over a quota", 7, nothing, small).await;

    let delete = async |stack: &Stack, n: u32| {
        // The last of this run's own.
        let (next_id, _) = stack.counter().await;
        stack.invoke("delete", json!({"id": next_id - 1})).await.unwrap_or_else(|error| panic!("{n}: {error:?}"));
    };
    on.measure("delete: by id", 2, mine, delete).await;
    let delete = async |stack: &Stack, n: u32| {
        stack.invoke("delete", json!({"query": format!("MINE {n}")})).await.unwrap();
    };
    on.measure("delete: by query", 4, mine, delete).await;
    let touch = async |stack: &Stack, _: u32| drop(stack.invoke("touch", json!({"id": 1})).await.unwrap());
    on.measure("touch", 2, nothing, touch).await;

    on.stack.put(entry("known", 0.0)).await;
    let hash = mneme_core::normalize::QueryHash::of("known", true);
    let get = async |stack: &Stack, _: u32| drop(stack.invoke("get", json!({"id": 1})).await.unwrap());
    on.measure("get", 1, nothing, get).await;
    let find = async |stack: &Stack, _: u32| drop(stack.invoke("find", json!({"query_hash": hash})).await.unwrap());
    on.measure("find", 2, nothing, find).await;
    on.measure("list: ten by id", 2, nothing, async |stack: &Stack, _: u32| list(stack, "id").await).await;

    let ask = async |stack: &Stack, question: Value, layer: Value| {
        let answer = stack.lookup(question).await;
        assert_eq!(answer["layer"], layer, "{answer}");
    };
    let warm_up = async |stack: &Stack, _: u32| drop(stack.lookup(entry_of_question("none", 1.5)).await);
    let miss = async |stack: &Stack, _: u32| ask(stack, entry_of_question("none", 1.5), json!(null)).await;
    on.measure("lookup: miss", 1, warm_up, miss).await;
    let exact = async |stack: &Stack, _: u32| ask(stack, entry_of_question("known", 1.5), json!("exact")).await;
    on.measure("lookup: exact hit", 1, warm_up, exact).await;
    let semantic = async |stack: &Stack, _: u32| ask(stack, entry_of_question("none", 0.2), json!("semantic")).await;
    on.measure("lookup: semantic hit", 1, warm_up, semantic).await;
    let chill = async |stack: &Stack, _: u32| stack.server.recycle("lookup").await;
    on.measure("lookup: cold exact hit", 2, chill, exact).await;

    // With a cap, and with every access written.
    let cap = (entries + 100).to_string();
    let variables = [("MNEME_MAX_ENTRIES", cap.as_str()), ("MNEME_ACCESS_RESOLUTION_SECS", "0")];
    let mut capped = Measured::over(&variables, entries).await;
    capped.measure("put: under the cap", 3, mine, anew_of).await;
    capped.stack.put(entry("known", 0.0)).await;
    let exact = async |stack: &Stack, _: u32| ask(stack, json!({"query": "known"}), json!("exact")).await;
    capped.measure("lookup: hit with its access written", 2, nothing, exact).await;
    on.costs.extend(capped.costs);
    on.costs
}

fn entry_of_question(query: &str, angle: f64) -> Value {
    json!({"query": query, "embedding": vector(DIM, angle)})
}

async fn anew_of(stack: &Stack, n: u32) {
    stack.put(entry(&format!("of {n}"), 0.0)).await;
}

#[tokio::test]
async fn requests_stay_within_their_budgets_at_any_table_size() {
    let (small, large) = futures::join!(measure(30), measure(300));
    let mut complaints = Vec::new();
    for (name, rounds, read, write) in DESIGNED.into_iter().chain(BOUNDED) {
        let cost = &small[name];
        if cost.rounds > rounds || cost.read > read || cost.write > write || cost.operations.is_empty() {
            complaints.push(format!("{name}: {rounds} rounds, {read} read and {write} written are allowed: {cost:?}"));
        }
        // Whether an access is of another second than the one before, and so moves in the index, is chance.
        let (more, moved) = (&large[name], (cost.write - large[name].write).abs() <= 2.0);
        if (&cost.operations, cost.read) != (&more.operations, more.read) || !moved {
            complaints.push(format!("{name} grows: {cost:?}, {:?}", large[name]));
        }
    }
    assert_eq!(small.len(), DESIGNED.len() + BOUNDED.len(), "{:?}", small.keys());
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// What goes through the whole table says so, and costs what its bytes cost.
#[tokio::test]
async fn operations_over_the_whole_table_read_each_row_once() {
    for entries in [20, 200] {
        let mut on = Measured::over(&[], entries).await;
        let all = entries as f64;
        let stats = async |stack: &Stack, _: u32| drop(stack.invoke("stats", json!({})).await.unwrap());
        on.measure("stats", 2, nothing, stats).await;
        let vacuum = async |stack: &Stack, _: u32| drop(stack.invoke("vacuum", json!({})).await.unwrap());
        on.measure("vacuum", 9, nothing, vacuum).await;
        let chill = async |stack: &Stack, _: u32| stack.server.recycle("lookup").await;
        let load = async |stack: &Stack, _: u32| drop(stack.lookup(entry_of_question("none", 0.0)).await);
        on.measure("load", 3, chill, load).await;
        on.measure("list", 2, nothing, async |stack: &Stack, _: u32| list(stack, "lru").await).await;
        // A page of ten, and of the index what one query brings: up to 1 MB, 128 units.
        let cost = &on.costs["list"];
        assert!(cost.read <= 10.5 + all / 100.0 && cost.rounds <= 2, "{cost:?}");
        // A row is 4 KB, and its pointer is read with it.
        let cost = &on.costs["stats"];
        assert!((all * 0.9..all * 1.2 + 4.0).contains(&cost.read) && cost.write == 0.0, "{cost:?}");
        // One page of 1 MB and no second, if it is that small; the pointers and what they lead to.
        let cost = &on.costs["vacuum"];
        let scans = cost.operations.iter().filter(|operation| *operation == "Scan").count();
        assert_eq!(scans, 1 + entries * 4 / 1000, "{cost:?}");
        assert!(cost.read <= all * 4.3 + 10.0 && cost.rounds <= 9, "{cost:?}");
        let cost = &on.costs["load"];
        assert!((all * 0.9..all * 1.2 + 8.0).contains(&cost.read) && cost.write == 0.0, "{cost:?}");
        assert_eq!(cost.operations.iter().filter(|operation| *operation == "Scan").count(), 4, "{cost:?}");
    }
}

/// Past a cap on the whole table a tenth goes at once, so what it costs to find them is spread over as many puts.
#[tokio::test]
async fn eviction_cost_of_max_entries_is_amortized_over_puts() {
    let mut on = Measured::over(&[("MNEME_MAX_ENTRIES", "100")], 100).await;
    let put = async |stack: &Stack, n: u32| {
        stack.put(entry(&format!("{n}"), 0.0)).await;
    };
    on.serial = 1000;
    put(&on.stack, 0).await;
    let (mut read, mut write, mut rounds) = (0.0, 0.0, 0);
    for n in 1..=30 {
        let cost = cost(&on.stack, Duration::ZERO, put(&on.stack, n)).await;
        (read, write, rounds) = (read + cost.read, write + cost.write, rounds.max(cost.rounds));
        assert!(!cost.operations.contains(&"Scan".to_owned()));
    }
    // A put under the cap; for every tenth of them 64 keys of the directory, the index and ten rows; and their deletion.
    assert!(read / 30.0 <= 11.0 && write / 30.0 <= 34.0, "{read} read, {write} written, {rounds} rounds");
}

#[tokio::test]
async fn only_the_first_lookup_scans() {
    let stack = Stack::start().await;
    stack.invoke("provision", json!({})).await.unwrap();
    for number in 0..3 {
        stack.put(entry(&format!("question {number}"), f64::from(number))).await;
    }
    stack.put(entry("question 1", 1.0)).await;
    stack.invoke("get", json!({"id": 1})).await.unwrap();
    let hash = mneme_core::normalize::QueryHash::of("question 1", true);
    stack.invoke("find", json!({"query_hash": hash})).await.unwrap();
    stack.invoke("touch", json!({"id": 1})).await.unwrap();
    stack.invoke("delete", json!({"id": 1})).await.unwrap();
    stack.invoke("delete", json!({"query": "question 2"})).await.unwrap();
    assert!(!stack.proxy.take_operations().contains(&"Scan".to_owned()));

    stack.lookup(json!({"query": "question 0"})).await;
    stack.lookup(json!({"query": "none"})).await;
    assert!(!stack.proxy.take_operations().contains(&"Scan".to_owned()), "no vector, no replica");
    stack.lookup(json!({"query": "none", "embedding": vector(DIM, 1.0)})).await;
    assert!(stack.proxy.take_operations().contains(&"Scan".to_owned()));
    stack.put(entry("question 9", 9.0)).await;
    for angle in [1.0, 9.0] {
        stack.lookup(json!({"query": "none", "embedding": vector(DIM, angle)})).await;
    }
    assert!(!stack.proxy.take_operations().contains(&"Scan".to_owned()));
}
